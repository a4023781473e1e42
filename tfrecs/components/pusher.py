"""Pusher: a blessed export into the folder that TF Serving watches, whole or not at all."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from tfrecs.components.artifacts import (
    InfraBlessing,
    ModelBlessing,
    PushedModel,
    RetrievalIndex,
    digest,
    sync,
)
from tfrecs.components.component import Component, Output
from tfrecs.files import written_aside

logger = logging.getLogger("tfrecs")
MARK = "pushed.json"


def pusher(
    index: RetrievalIndex,
    pushed: Output[PushedModel],
    blessing: ModelBlessing | None = None,
    infra_blessing: InfraBlessing | None = None,
    *,
    destination: str = "saved_models",
) -> None:
    """A blessed export into the folder that TF Serving watches, whole or not at all.

    Versions count up; each appears by a rename. An export that is there already is not pushed
    twice, so that a run that was killed after the rename resumes without a second version. What
    is not blessed is not pushed: the property `pushed` is 0, and `reasons` says why.

    Args:
        index: SavedModels.
        pushed: pushed.json: where, or why not.
        blessing: Of the Evaluator; `None` asks for none.
        infra_blessing: Of the InfraValidator.
        destination: Folder of the served models. Defaults to "saved_models".
    """
    reasons = [
        reason
        for given in (blessing, infra_blessing)
        if given is not None and not given.properties["blessed"]
        for reason in given.properties["reasons"]
    ]
    said: dict[str, Any] = {"pushed": int(not reasons), "reasons": reasons, "paths": {}}
    if reasons:
        logger.warning("Not pushed: %s", "; ".join(reasons))
    else:
        said["paths"] = _push(index, Path(destination))
    pushed.path.mkdir(exist_ok=True)
    (pushed.path / MARK).write_text(json.dumps(said, indent=1, ensure_ascii=False))
    pushed.properties |= said


Pusher = Component(pusher)


def _push(index: RetrievalIndex, destination: Path) -> dict[str, str]:
    """Copies each variant as the next version, the same for all."""
    sources = {v: index.path / place for v, place in index.properties["variants"].items()}
    folders = {variant: destination / path.parent.name for variant, path in sources.items()}
    there: dict[str, dict[int, str]] = {v: _versions(folder) for v, folder in folders.items()}
    mine = {variant: digest(path) for variant, path in sources.items()}
    same = [
        version
        for version in set.union(set(), *map(set, there.values()))
        if all(there[v].get(version, mine[v]) == mine[v] for v in mine)
        and max(max(found, default=0) for found in there.values()) == version
    ]
    last = max((version for found in there.values() for version in found), default=0)
    version = same[0] if same else last + 1
    for variant, source in sources.items():
        target = folders[variant] / str(version)
        if version in there[variant]:
            continue
        with written_aside(target) as aside:
            shutil.copytree(source, aside)
            (aside / MARK).write_text(json.dumps({"digest": mine[variant]}))
            sync(aside)
        logger.info("Pushed %s.", target)
    return {variant: str(folder / str(version)) for variant, folder in folders.items()}


def _versions(folder: Path) -> dict[int, str]:
    """Returns the digests of the versions that are there; "" of those pushed by other means."""
    found = {}
    for path in folder.glob("*"):
        if path.name.isdigit() and (path / "saved_model.pb").is_file():
            mark = path / MARK
            found[int(path.name)] = json.loads(mark.read_text())["digest"] if mark.is_file() else ""
    return found
