"""InfraValidator: does an export answer where it will be served, in a process of its own?"""

import json
from pathlib import Path

from tfrecs.components.artifacts import InfraBlessing, RetrievalIndex
from tfrecs.components.component import Component, Output
from tfrecs.quickstart import ask


def infra_validator(index: RetrievalIndex, blessing: Output[InfraBlessing]) -> None:
    """Does an export answer where it will be served, in a process of its own?

    Each variant is loaded by TensorFlow's C API, the session that TF Serving runs, in a fresh
    process that imports neither tfrecs nor TensorFlow's Python, and asked the requests of its card.

    Args:
        index: SavedModels.
        blessing: The property `blessed`, and blessing.json with the answers or the failure.
    """
    said: dict[str, object] = {}
    failed = ""
    for variant, place in index.properties["variants"].items():
        folder = index.path / place
        try:
            said[variant] = _asked(folder)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            failed = f"{variant}: {error}"
            said[variant] = failed
    blessing.path.mkdir(exist_ok=True)
    (blessing.path / "blessing.json").write_text(json.dumps(said, indent=1, ensure_ascii=False))
    blessing.properties |= {"blessed": int(not failed), "reasons": [failed] if failed else []}


InfraValidator = Component(infra_validator)


def _asked(folder: Path) -> dict[str, list[str]]:
    """Returns the outputs by signature, or raises."""
    card = json.loads((folder / "card.json").read_text())
    outputs = {}
    for request in card["examples"]:
        signature = request["signature_name"]
        if signature in ("serving_default", "score"):
            outputs[signature] = sorted(ask(folder, request["inputs"], signature))
    if not outputs:
        raise ValueError("its card holds no request to ask")
    return outputs
