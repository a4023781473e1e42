"""Gives every model of the zoo a page: its docstring, when to use it, what was measured."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs runs hooks without their folder
from figures import FIGURES, draw

ROOT = Path(__file__).resolve().parent.parent
BASES = ("RecModel", "Ranker", "Retriever")
LABELS = {  # what the result files call a model that is not called by its class there
    "FactorizationMachine": "FM",
    "FMDNN": "FM & DNN",
    "LogisticRegression": "LR",
    "PNNStar": "PNN*",
    "WideDeep": "LR & DNN",
}


def models() -> list[str]:
    """Returns the names of the zoo's models, as `tfrecs.models` lists them."""
    names = re.findall(r"as (\w+)$", (ROOT / "tfrecs/models/__init__.py").read_text(), re.MULTILINE)
    return sorted(name for name in names if name not in BASES)


def advice() -> dict[str, str]:
    """Returns when to use each model, as the table of docs/choose.md says."""
    text = (ROOT / "docs/choose.md").read_text()
    return {
        name: use
        for names, use in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|$", text, re.MULTILINE)
        for name in re.findall(r"\w+", names)
    }


def measured(name: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of benchmarks/results whose model is `name`."""
    label = LABELS.get(name, name)
    for path in sorted((ROOT / "benchmarks/results").glob("*.json")):
        for row in json.loads(path.read_text())["rows"]:
            words = re.sub(r"^tfrecs ", "", row["model"])
            if re.match(rf"{re.escape(label)}(?! &)(?![\w*])", words):
                yield row


def page(name: str, use: str) -> str:
    """Returns the Markdown of one model's page."""
    lines = [f"# {name}", "", f"**When to use it.** {use}", "", draw(name), ""]
    lines += [f"::: tfrecs.models.{name}", ""]
    rows = list(measured(name))
    lines += ["## Measured", ""]
    if not rows:
        lines += ["Not in a benchmark yet."]
    else:
        lines += [
            "| data | protocol | model | metric | value |",
            "| --- | --- | --- | --- | ---: |",
        ]
    for row in rows:
        cells = [row[key] for key in ("data", "protocol", "model", "metric")]
        error = "" if row["stderr"] is None else f" ± {row['stderr']:.2g}"
        value = f"{row['value']:,.0f}" if row["value"] >= 1000 else f"{row['value']:.4g}"
        cells.append(f"{value}{error} {row['unit'] or ''}".strip())
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Commands, machine and peers: [benchmarks](../benchmarks.md)."]
    return "\n".join(lines) + "\n"


def on_files(files: Files, config: Any) -> Files:
    """Adds the models' pages and their list."""
    uses = advice()
    missing = [name for name in models() if name not in uses]
    if missing:
        raise ValueError(f"docs/choose.md must say when to use: {', '.join(missing)}.")
    if drawn := set(models()) ^ set(FIGURES):
        raise ValueError(f"docs/figures.py must draw each model, and no other: {sorted(drawn)}.")
    listed = ["# Models", ""]
    for name in models():
        content = page(name, uses[name])
        files.append(File.generated(config, f"models/{name}.md", content=content))
        listed.append(f"- [{name}]({name}.md): {uses[name]}")
    files.append(File.generated(config, "models/index.md", content="\n".join(listed) + "\n"))
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Leaves links to files outside of docs as text."""
    return re.sub(
        r"\[([^\]]+)\]\((?:\.\./)+(?!models|migrating)\w+[^.)]*(?:/[^)]*)?\)", r"\1", markdown
    )


def on_config(config: Any) -> Any:
    """Puts the models' pages into the navigation."""
    pages = ["models/index.md", *(f"models/{name}.md" for name in models())]
    for entry in config.nav:
        if "Models" in entry:
            entry["Models"] = pages
    return config
