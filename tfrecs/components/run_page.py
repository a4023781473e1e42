"""The page of a run: what each node did, made of what, with links to what it wrote."""

import json
import os
from pathlib import Path
from typing import Any

from tfrecs.components.store import Store
from tfrecs.files import written_aside

FILE = "run.html"


def write_run_page(folder: Path, store: Store, run: dict[str, Any]) -> None:
    """Writes run.html into the folder of a run.

    Args:
        folder: The folder, named as the run.
        store: The lineage.
        run: What run.json says.
    """
    import jinja2

    nodes = [_node(folder, store, step) for step in store.steps(folder.name)]
    source = (Path(__file__).parent / FILE).read_text()
    page = jinja2.Environment(autoescape=True).from_string(source)
    text = page.render(pipeline=run["pipeline"], state=run["state"], run=folder.name, nodes=nodes)
    with written_aside(folder / FILE) as aside:
        aside.write_text(text, encoding="utf-8")


def _node(folder: Path, store: Store, step: dict[str, Any]) -> dict[str, Any]:
    outputs = store.links(step["key"], "out")
    made = [] if not outputs else [store.made(next(iter(outputs.values()))["uri"])]
    parameters = made[0]["parameters"] if made and made[0] else {}
    inputs = []
    for name, given in store.links(step["key"], "in").items():
        maker = store.made(given["uri"])
        inputs.append((name, maker["node"] if maker else "", given["digest"][:12]))
    log = f"{step['node']}.log"
    return {
        **step,
        "log": log if (folder / log).is_file() else "",
        "inputs": inputs,
        "parameters": json.dumps(
            {k: v for k, v in parameters.items() if v not in (None, [], {})}, ensure_ascii=False
        ),
        "outputs": [
            {
                "name": name,
                "type": given["type"],
                "digest": given["digest"][:12],
                "folder": os.path.relpath(given["uri"], folder),
                "pages": sorted(path.name for path in Path(given["uri"]).glob("*.html")),
                "properties": json.dumps(given["properties"], ensure_ascii=False),
            }
            for name, given in outputs.items()
        ],
    }
