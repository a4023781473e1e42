"""A pipeline: nodes with a name. The same definition runs on this machine and on Kubeflow."""

import graphlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfrecs import checks
from tfrecs.components.component import Channel, LatestBlessed, Node


@dataclass(frozen=True)
class Source:
    """Where a pipeline came from.

    Args:
        file: The Python file.
        arguments: What its function was given, defaults included.
    """

    file: Path
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Pipeline:
    """Nodes in the order of their dependencies.

    Args:
        name: Names the folder of its runs.
        nodes: The nodes, in any order.
        source: The file that `load` read it from; `None` for one made in Python.

    Raises:
        ValueError: Two nodes have one id, or one waits for a node that is not there.
    """

    name: str
    nodes: tuple[Node, ...]
    source: Source | None = None

    def __init__(self, name: str, nodes: Iterable[Node], source: Source | None = None) -> None:
        named: dict[str, Node] = {}
        for node in nodes:
            if node.id in named:
                remedy = f"Give one another: {node.component.name}(id=..., ...)."
                raise ValueError(checks.expected("nodes", "of different ids", node.id, remedy))
            named[node.id] = node
        for node in named.values():
            for parent in node.parents:
                checks.one_of(f"node that {node.id} waits for", parent, named)
        order = graphlib.TopologicalSorter({n.id: n.parents for n in named.values()})
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "nodes", tuple(named[id] for id in order.static_order()))

    def __getitem__(self, id: str) -> Node:
        nodes = {node.id: node for node in self.nodes}
        checks.one_of("node", id, nodes)
        return nodes[id]

    def describe(self) -> list[dict[str, Any]]:
        """Returns what each node is, in plain values."""
        return [
            {
                "node": node.id,
                "component": node.component.name,
                "about": node.component.about,
                "inputs": {name: _named(given) for name, given in node.inputs.items()},
                "parameters": node.parameters,
            }
            for node in self.nodes
        ]


def _named(given: Any) -> str:
    if isinstance(given, Channel):
        return f"{given.node}.{given.name}"
    span = given.before_span if isinstance(given, LatestBlessed) else None
    return "the last blessed model" + (f" before span {span}" if span is not None else "")


def load(file: str | Path, **parameters: Any) -> Pipeline:
    """Builds the pipeline that a Python file defines by a function `pipeline(...)`.

    The folder of the file becomes the last place where modules are looked for, so that the file
    may import others beside it.

    Args:
        file: The file.
        **parameters: Arguments of the function; text is read as the type of its default.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It defines no `pipeline`, or has no such parameter.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(checks.expected("pipeline", "a Python file", str(file)))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(checks.expected("pipeline", "a Python file", str(file)))
    module = importlib.util.module_from_spec(spec)
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "pipeline", None)):
        expectation = "a file with a function `pipeline(...) -> Pipeline`"
        raise ValueError(checks.expected("pipeline", expectation, str(file)))
    known = inspect.signature(module.pipeline).parameters
    for name in parameters:
        checks.one_of(f"parameter of {path.name}", name, known)
    given = {name: _typed(name, v, known[name].default) for name, v in parameters.items()}
    built = module.pipeline(**given)
    if not isinstance(built, Pipeline):
        raise TypeError(checks.expected("pipeline()", "a function that returns a Pipeline", built))
    defaults = {n: p.default for n, p in known.items() if p.default is not inspect.Parameter.empty}
    return replace(built, source=Source(path.absolute(), defaults | given))


def _typed(name: str, value: Any, default: Any) -> Any:
    """Reads the text of a command line as the type of a parameter's default."""
    if not isinstance(value, str) or isinstance(default, str | type(None)):
        return value
    kinds = {bool: "true or false", int: "an integer", float: "a number"}
    for kind, expectation in kinds.items():
        if isinstance(default, kind):
            try:
                return value.lower() in ("true", "1", "yes") if kind is bool else kind(value)
            except ValueError as error:
                raise ValueError(checks.expected(name, expectation, value)) from error
    return value
