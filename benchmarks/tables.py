"""Writes the tables of benchmarks/results into README.md and docs, between their markers.

    python benchmarks/tables.py [--check]

A table stands between `<!-- results: SUBJECT -->` and `<!-- /results -->`, a line for each row.
With `<!-- results: SUBJECT METRIC,METRIC -->` it has a line for each model, data side by side. What
stands after `<!-- leaderboard: NAME -->` is of benchmarks/leaderboard.py.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from leaderboard import board

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(
    r"(<!-- results: (?P<subject>\w+)(?: (?P<metrics>[\w,]+))? -->\n).*?(<!-- /results -->)",
    re.DOTALL,
)
BOARD = re.compile(
    r"(<!-- leaderboard: (?P<name>\w+) -->\n).*?(<!-- /leaderboard -->)",
    re.DOTALL,
)


def number(value: float, unit: str) -> str:
    """Formats a value to four digits, large ones with thousands separators."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text} {unit}".strip()


def table(subject: str, metrics: str | None) -> str:
    """Returns a subject's results as a Markdown table with command, date and machine below."""
    document = json.loads((RESULTS / f"{subject}.json").read_text())
    rows = document["rows"]
    lines = by_model(rows, metrics.split(",")) if metrics else by_row(rows)
    versions = ", ".join(f"{name} {v}" for name, v in document["versions"].items())
    runs: dict[str, dict[str, None]] = {}  # commands by machine
    for run in (document, *rows):
        if "command" in run:
            commands = runs.setdefault(run.get("machine", document["machine"]), {})
            commands[f"`{run['command']}`, {run['date']}"] = None
    told = " ".join(f"{'; '.join(commands)}: {machine}." for machine, commands in runs.items())
    made = f"{told} {versions}."
    return "\n".join([*lines, "", made]) + "\n"


def by_model(rows: list[dict[str, Any]], metrics: list[str]) -> list[str]:
    """Returns a line for each model, a column for each data set and metric."""
    rows = [row for row in rows if row["metric"] in metrics]
    cells = {(row["model"], row["data"], row["metric"]): row for row in rows}
    protocols = {row["data"]: row["protocol"] for row in rows}
    columns = [(data, metric) for data in protocols for metric in metrics]
    lines = [
        "| " + " | ".join(["model", *(f"{data}: {metric}" for data, metric in columns)]) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        line = [model]
        for column in columns:
            row = cells.get((model, *column))
            line.append("" if row is None else f"{row['value']:.5g}")
            if row is not None and row["stderr"] is not None:
                line[-1] += f" ± {row['stderr']:.1g}"
        lines.append("| " + " | ".join(line) + " |")
    told = "; ".join(f"{data}: {protocol}" for data, protocol in protocols.items())
    return [*lines, "", f"{told}."]


def by_row(rows: list[dict[str, Any]]) -> list[str]:
    """Returns a line for each row."""
    lines = [
        "| data | protocol | model | metric | value | against |",
        "| --- | --- | --- | --- | ---: | --- |",
    ]
    for row in rows:
        value = number(row["value"], row["unit"])
        if row["stderr"] is not None:
            value += f" ± {row['stderr']:.2g}"
        against = row["peer"] if row["peer"] not in (None, row["model"]) else ""
        if row["ratio"] is not None:
            against = f"{row['ratio']:.3g} x {against}".strip()
        cells = (row["data"], row["protocol"], row["model"], row["metric"], value, against)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def rewritten(text: str) -> str:
    """Returns a document with every marked table made anew."""
    text = BLOCK.sub(lambda m: m.group(1) + table(m["subject"], m["metrics"]) + m.group(4), text)
    return BOARD.sub(lambda m: m.group(1) + board(m["name"]) + m.group(3), text)


def main() -> None:
    """Rewrites the documents, or with --check tells which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when out of date")
    check = parser.parse_args().check
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]:
        old = path.read_text()
        new = rewritten(old)
        if new != old:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.write_text(new)
    if check and stale:
        sys.exit(f"Out of date: {', '.join(map(str, stale))}. Run: make docs")


if __name__ == "__main__":
    main()
