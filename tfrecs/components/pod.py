"""What runs inside a task of Kubeflow: one component, with the user's own files beside it."""

import ast
import base64
import importlib
import json
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tfrecs import checks
from tfrecs.components import artifacts, pipeline, sql, storage
from tfrecs.components.component import Channel, Node
from tfrecs.components.pipeline import Pipeline

_LARGEST = 256 << 10  # bytes of files in a compiled pipeline; etcd takes 1.5 MB in all


def packed(file: Path) -> str:
    """Returns a pipeline's file, and the modules beside it that it imports, as text.

    Raises:
        ValueError: They are too large to travel in a compiled pipeline.
    """
    found: dict[str, str] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(file.parent).as_posix()
        if name in found:
            continue
        found[name] = path.read_text(encoding="utf-8")
        waiting += _imported(found[name], file.parent)
    text = base64.b85encode(zlib.compress(json.dumps(found, sort_keys=True).encode(), 9)).decode()
    if len(text) > _LARGEST:
        remedy = f"Build what it imports into the image instead: {', '.join(sorted(found)[:5])}."
        expectation = f"a file of at most {_LARGEST >> 10} KB with what it imports, compressed"
        raise ValueError(checks.expected("pipeline", expectation, str(file), remedy))
    return text


def _imported(text: str, folder: Path) -> list[Path]:
    """Returns the files in a folder that a module imports by name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = []
    for name in sorted(names):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            place = folder.joinpath(*parts[:end])
            found += [f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()]
    return found


def unpack(files: str) -> Path:
    """Writes packed files into a new folder from which they can be imported, and returns it."""
    folder = Path(tempfile.mkdtemp(prefix="tfrecs-"))
    for name, text in json.loads(zlib.decompress(base64.b85decode(files))).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.path.append(str(folder))
    return folder


def wiring(built: Pipeline) -> dict[str, dict[str, str]]:
    """Returns what each node is given by which, as a compiled pipeline holds it."""
    return {
        node.id: {
            name: f"{given.node}.{given.name}"
            for name, given in sorted(node.inputs.items())
            if isinstance(given, Channel)
        }
        for node in sorted(built.nodes, key=lambda node: node.id)
    }


def check_places(nodes: Sequence[Node], volumes: Sequence[str]) -> None:
    """Raises ValueError unless all pods see the places that the nodes' parameters name.

    Args:
        nodes: The nodes.
        volumes: Folders where volumes are mounted.
    """
    for node in nodes:
        for name in node.component.places:
            place = node.parameters[name]
            if place and not _shared(str(place), volumes):
                remedy = (
                    "Give the pipeline's parameter another value (--set NAME=gs://BUCKET/FOLDER), "
                    "or mount a volume (--volume CLAIM:/FOLDER) and name a folder in it."
                )
                expectation = "a URI, or a folder of a mounted volume (a pod's disk goes with it)"
                raise ValueError(checks.expected(f"{node.id}({name})", expectation, place, remedy))


def _shared(place: str, volumes: Sequence[str]) -> bool:
    if place.startswith("tfds://"):
        return True
    if sql.is_database(place):
        place = place.split("///", 1)[1]
    storage.check("place", place)
    if storage.is_remote(place):
        return True
    path = PurePosixPath(str(storage.local(place)))
    return ".." not in path.parts and any(path.is_relative_to(volume) for volume in volumes)


def configure(
    files: str,
    file: str,
    arguments: dict[str, Any],
    outputs: dict[str, str],
    wired: dict[str, dict[str, str]],
    volumes: list[str] | None,
) -> None:
    """Works out the parameters of all nodes from those of the pipeline, in the first task.

    Args:
        files: The pipeline's files, packed.
        file: Name of the pipeline's file among them.
        arguments: The pipeline's parameters; those that are `None` keep their defaults.
        outputs: Files for the parameters of each node, as JSON.
        wired: Which node is given what, as it was compiled.
        volumes: Folders of mounted volumes; `None` where all run on one machine.

    Raises:
        ValueError: The parameters make other nodes than those that were compiled, or name places
            that pods do not share.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    built = pipeline.load(unpack(files) / file, **given)
    if wiring(built) != wired:
        remedy = "Compile it again with these values (--set)."
        expectation = f"parameters of the same nodes as were compiled: {', '.join(wired)}"
        raise ValueError(checks.expected("parameters", expectation, given, remedy))
    if volumes is not None:
        check_places(built.nodes, volumes)
    for node in built.nodes:
        path = Path(outputs[node.id])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(node.parameters))


def execute(
    module: str,
    executor: str,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    types: dict[str, str],
    parameters: str,
    files: str,
    strict: bool,
) -> None:
    """Runs a component inside a KFP task.

    Args:
        module: Module of the function.
        executor: Its name.
        inputs: KFP artifacts by name.
        outputs: KFP artifacts by name.
        types: Names of the types of the outputs.
        parameters: The parameters as JSON, which keeps integers what they are.
        files: The user's files that hold the module, packed; "" for a module of the image.
        strict: Whether a model that is not pushed is a failure.

    Raises:
        RuntimeError: A model is not pushed, and `strict`.
    """
    if files:
        unpack(files)
    function = getattr(importlib.import_module(module), executor)
    given = {name: artifacts.load(artifact.path) for name, artifact in inputs.items()}
    made = {name: artifacts.TYPES[types[name]](a.path) for name, a in outputs.items()}
    for output in made.values():
        output.path.parent.mkdir(parents=True, exist_ok=True)
    function(**given, **made, **json.loads(parameters))
    for name, output in made.items():
        output.seal()
        said = {"digest": output.digest, **output.properties}
        outputs[name].metadata.update(json.loads(json.dumps(said)))
        pushed = not isinstance(output, artifacts.PushedModel) or output.properties["pushed"]
        if strict and not pushed:
            raise RuntimeError(f"Not pushed: {'; '.join(output.properties['reasons'])}")
