"""Pusher: a blessed export into the folder that TF Serving watches, whole or not at all."""

import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfrecs.components import storage
from tfrecs.components.artifacts import (
    InfraBlessing,
    ModelBlessing,
    PushedModel,
    RetrievalIndex,
    digest,
    manifest,
    sync,
)
from tfrecs.components.component import Component, Output
from tfrecs.files import written_aside

logger = logging.getLogger("tfrecs")
MARK = "pushed.json"
_GRAPH = "saved_model.pb"


def pusher(
    index: RetrievalIndex,
    pushed: Output[PushedModel],
    blessing: ModelBlessing | None = None,
    infra_blessing: InfraBlessing | None = None,
    *,
    destination: str = "saved_models",
) -> None:
    """A blessed export into the folder that TF Serving watches, whole or not at all.

    Versions count up; each appears by a rename, in a bucket by its `saved_model.pb`, which is
    written last. An export that is there already as the last version is not pushed twice, so that
    a run that was killed after the rename resumes without a second version. What is not blessed is
    not pushed: the property `pushed` is 0, and `reasons` says why.

    Args:
        index: SavedModels.
        pushed: pushed.json: where, with sizes and hashes of the files, or why not.
        blessing: Of the Evaluator; `None` asks for none.
        infra_blessing: Of the InfraValidator.
        destination: Folder of the served models, or its URI: gs://, s3://, abfs://, hdfs://.
            Defaults to "saved_models".

    Raises:
        ValueError: The URI is of an unknown scheme.
        OSError: The destination cannot be written.
    """
    storage.check("destination", destination)
    reasons = [
        reason
        for given in (blessing, infra_blessing)
        if given is not None and not given.properties["blessed"]
        for reason in given.properties["reasons"]
    ]
    said: dict[str, Any] = {"pushed": int(not reasons), "reasons": reasons, "paths": {}}
    files: dict[str, Any] = {}
    if reasons:
        logger.warning("Not pushed: %s", "; ".join(reasons))
    else:
        said["paths"], files = _push(index, destination)
    pushed.path.mkdir(exist_ok=True)
    (pushed.path / MARK).write_text(
        json.dumps({**said, "files": files}, indent=1, ensure_ascii=False)
    )
    pushed.properties |= said


def _stands(outputs: dict[str, Any]) -> str:
    """Returns why what was pushed is not served as it was, or ""."""
    pushed = outputs["pushed"]
    files = json.loads((pushed.path / MARK).read_text())["files"]
    for variant, target in pushed.properties["paths"].items():
        folder, version = storage.split(target)
        lacking = _lacking(target, files[variant])
        if lacking:
            return f"{target} is not what was pushed there: {lacking}"
        newer = [found for found in _versions(folder) if found > int(version)]
        if newer:
            return f"{target} is not served: version {max(newer)} came after it"
    return ""


Pusher = Component(pusher, places=("destination",), stands=_stands)


@dataclass(frozen=True)
class _Version:
    """A version at the destination: its digest, "" of what is damaged or came by other means."""

    digest: str
    whole: bool
    files: dict[str, list[Any]] = field(default_factory=dict)


def _push(
    index: RetrievalIndex, destination: str
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Copies each variant as the next version, the same for all."""
    sources = {v: index.path / place for v, place in index.properties["variants"].items()}
    folders = {v: storage.join(destination, path.parent.name) for v, path in sources.items()}
    mine = {variant: digest(path) for variant, path in sources.items()}
    there: dict[str, dict[int, _Version]] = {}
    for variant, folder in folders.items():
        # an upload of the same that was broken off is taken up again
        there[variant] = {
            version: found
            for version, found in _versions(folder).items()
            if found.whole or found.digest != mine[variant]
        }
    same = [
        version
        for version in set.union(set(), *map(set, there.values()))
        if all(there[v].get(version, _Version(mine[v], True)).digest == mine[v] for v in mine)
        and max(max(found, default=0) for found in there.values()) == version
    ]
    last = max((version for found in there.values() for version in found), default=0)
    version = same[0] if same else last + 1
    files = {}
    targets = {v: storage.join(folder, str(version)) for v, folder in folders.items()}
    for variant, source in sources.items():
        if version in there[variant]:
            files[variant] = there[variant][version].files
        else:
            files[variant] = manifest(source)
            mark = json.dumps({"digest": mine[variant], "files": files[variant]})
            _copy(source, targets[variant], mark)
            logger.info("Pushed %s.", targets[variant])
    return targets, files


def _copy(source: Path, target: str, mark: str) -> None:
    if not storage.is_remote(target):
        with written_aside(storage.local(target)) as aside:
            shutil.copytree(source, aside)
            (aside / MARK).write_text(mark)
            sync(aside)
        return
    system, path = storage.opened(target)
    names = [p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()]
    with storage.named(target):
        _write(system, f"{path}/{MARK}", mark.encode())
        for name in sorted(names, key=lambda name: (name == _GRAPH, name)):
            system.create_dir(f"{path}/{name}".rpartition("/")[0], recursive=True)
            with (
                system.open_output_stream(f"{path}/{name}") as out,
                (source / name).open("rb") as file,
            ):
                shutil.copyfileobj(file, out, 1 << 22)


def _write(system: Any, path: str, content: bytes) -> None:
    system.create_dir(path.rpartition("/")[0], recursive=True)
    with system.open_output_stream(path) as out:
        out.write(content)


def _versions(folder: str) -> dict[int, _Version]:
    """Returns the versions that are there."""
    files = storage.within(folder)
    numbers = {name.split("/")[0] for name in files if "/" in name}
    return {
        int(number): _version(storage.join(folder, number), f"{number}/{_GRAPH}" in files)
        for number in numbers
        if number.isascii() and number.isdecimal()
    }


def _version(target: str, whole: bool) -> _Version:
    system, path = storage.opened(target)
    try:
        with storage.named(target), system.open_input_stream(f"{path}/{MARK}") as file:
            said = json.loads(file.read())
        known = str(said["digest"])
        files = dict(said["files"])
        lacking = _lacking(target, files) if whole else ""
    except (OSError, ValueError, KeyError, TypeError):  # pushed by other means, or damaged
        return _Version("", whole)
    if lacking:
        logger.warning("%s is damaged: %s", target, lacking)
    return _Version("" if lacking else known, whole, files)


def _lacking(target: str, files: dict[str, list[Any]]) -> str:
    """Returns how a version differs from what was pushed, or "".

    On this machine contents count, elsewhere sizes, since contents would have to be fetched.
    """
    sizes = storage.within(target)
    for name, (size, _) in files.items():
        if sizes.get(name) != size:
            return f"{name} is not there" if name not in sizes else f"{name} has another size"
    if not storage.is_remote(target):
        found = manifest(storage.local(target))
        for name, about in files.items():
            if found[name] != about:
                return f"{name} has another content"
    return ""
