"""A component is a typed function; called as a component it gives a node of a pipeline.

def greet(examples: Examples, model: Output[Model], *, times: int = 1) -> None: ...
Greet = Component(greet)
node = Greet(examples=gen["examples"], times=2)   # inside a pipeline definition
greet(Examples("in"), Model("out"), times=2)      # the same function, by hand
"""

import hashlib
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import tfrecs
from tfrecs import checks
from tfrecs.components.artifacts import Artifact

_T = TypeVar("_T", bound=Artifact)
_OUTPUT = "output"
Output = Annotated[_T, _OUTPUT]


@dataclass(frozen=True)
class Channel:
    """An output of a node, to be given to another node."""

    node: str
    name: str
    type: type[Artifact]


@dataclass(frozen=True)
class LatestBlessed:
    """Stands for the last model that was blessed before, where it is an input.

    Args:
        before_span: Only models of an earlier span; `None` for any.
        other_than: The model of this run, which does not count; `None` for none.
    """

    before_span: int | None = None
    other_than: Channel | None = None


Input = Channel | LatestBlessed


@dataclass(frozen=True)
class Resources:
    """What a node asks of a cluster. On this machine nodes take what is there.

    Args:
        cpu: Processors, such as 4; `None` leaves it to the cluster.
        memory: Memory, such as "16G"; `None` leaves it to the cluster.
        accelerator: Kind of accelerator, such as "nvidia.com/gpu"; `None` for none.
        accelerators: How many. Defaults to 1.
    """

    cpu: float | None = None
    memory: str | None = None
    accelerator: str | None = None
    accelerators: int = 1

    def __post_init__(self) -> None:
        if self.cpu is not None:
            checks.positive("cpu", self.cpu)
        checks.positive("accelerators", self.accelerators)
        if self.memory is not None and not re.fullmatch(r"\d+([EPTGMK]i?)?", self.memory):
            raise ValueError(checks.expected("memory", "such as '16G'", self.memory))


@dataclass(frozen=True)
class Node:
    """A component with its inputs and parameters: one step of a pipeline."""

    id: str
    component: "Component"
    inputs: dict[str, Input]
    parameters: dict[str, Any]
    resources: Resources = field(default_factory=Resources)

    def __getitem__(self, name: str) -> Channel:
        checks.one_of(f"output of {self.id}", name, self.component.outputs)
        return Channel(self.id, name, self.component.outputs[name])

    @property
    def parents(self) -> list[str]:
        """Ids of the nodes that this one waits for."""
        channels = [c for c in self.inputs.values() if isinstance(c, Channel)]
        channels += [
            c.other_than
            for c in self.inputs.values()
            if isinstance(c, LatestBlessed) and c.other_than is not None
        ]
        return sorted({channel.node for channel in channels})


@dataclass(frozen=True)
class Component:
    """A function whose annotations say its inputs, outputs and parameters.

    Args:
        executor: Takes artifacts (`Examples`, or `Examples | None` where it may be left out),
            `Output[...]` artifacts whose `uri` it creates as a folder, and keyword parameters
            that JSON can hold.
        files: Given the parameters, the files, folders and URIs outside the pipeline that are
            read; their contents count for the cache. Defaults to none.
        places: Names of the parameters that are paths or URIs outside the pipeline, read or
            written: on a cluster all machines must see them. Defaults to none.
        stands: Of a component whose effect is outside the pipeline: given its outputs, why that
            effect is not there any more, or "". Such a node is cached only where it is "".
            Defaults to `None`, of components whose outputs are all that they do.
        name: Shown in pipelines. Defaults to the function's, in camel case.
    """

    executor: Callable[..., None]
    files: Callable[[dict[str, Any]], Sequence[str | Path]] | None = None
    places: tuple[str, ...] = ()
    stands: Callable[[dict[str, Any]], str] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        for place in self.places:
            checks.one_of(f"parameter of {self.executor.__name__}", place, self.parameters)
        if not self.name:
            words = self.executor.__name__.split("_")
            object.__setattr__(self, "name", "".join(word.capitalize() for word in words))
        for name, kind in self._hints.items():
            if name in ("id", "resources"):
                expectation = "without arguments `id` and `resources`, which a node has"
                raise TypeError(checks.expected(self.executor.__name__, expectation, name))
            if name != "return" and _artifact(kind) is None and not _is_plain(kind):
                raise TypeError(
                    checks.expected(
                        f"{self.executor.__name__}({name})",
                        "annotated as an artifact, Output[artifact] or a JSON type",
                        kind,
                    )
                )

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.executor, include_extras=True)

    @cached_property
    def inputs(self) -> dict[str, type[Artifact]]:
        """Types of the input artifacts, by name."""
        return self._artifacts(output=False)

    @cached_property
    def outputs(self) -> dict[str, type[Artifact]]:
        """Types of the output artifacts, by name."""
        return self._artifacts(output=True)

    def _artifacts(self, output: bool) -> dict[str, type[Artifact]]:
        found = {n: _artifact(kind) for n, kind in self._hints.items() if n != "return"}
        return {
            name: kind
            for name, kind in found.items()
            if kind is not None and _is_output(self._hints[name]) == output
        }

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The other arguments, by name."""
        named = inspect.signature(self.executor).parameters
        artifacts = {**self.inputs, **self.outputs}
        return {name: p for name, p in named.items() if name not in artifacts}

    @property
    def optional(self) -> set[str]:
        """Inputs that may be left out."""
        named = inspect.signature(self.executor).parameters
        return {n for n in self.inputs if named[n].default is not inspect.Parameter.empty}

    @property
    def about(self) -> str:
        """The first line of the function's docstring."""
        return (self.executor.__doc__ or "").strip().split("\n")[0]

    def __call__(
        self, *, id: str | None = None, resources: Resources | None = None, **arguments: Any
    ) -> Node:
        """Returns a node.

        Args:
            id: Its name in the pipeline. Defaults to the component's.
            resources: What it asks of a cluster. Defaults to what the cluster gives.
            **arguments: Inputs (outputs of other nodes, `LatestBlessed`, or `None`) and
                parameters.

        Raises:
            ValueError: An argument is unknown, missing, of another type or not JSON.
        """
        where = id or self.name
        for name in arguments:
            known = [*self.inputs, *self.parameters]
            checks.one_of(f"argument of {where}", name, known)
        inputs = {n: arguments[n] for n in self.inputs if arguments.get(n) is not None}
        for name, kind in self.inputs.items():
            if name not in inputs and name not in self.optional:
                raise ValueError(checks.expected(f"{where}({name})", f"a {kind.__name__}", None))
            given = inputs.get(name)
            fits = given is None or isinstance(given, LatestBlessed)
            if not fits and not (isinstance(given, Channel) and issubclass(given.type, kind)):
                expectation = f"an output of type {kind.__name__}, such as node['{name}']"
                raise ValueError(checks.expected(f"{where}({name})", expectation, given))
        given = self._checked(where, arguments)
        return Node(where, self, inputs, given, resources or Resources())

    def _checked(self, where: str, arguments: dict[str, Any]) -> dict[str, Any]:
        given = {n: arguments[n] for n in self.parameters if n in arguments}
        for name, parameter in self.parameters.items():
            if name not in given and parameter.default is inspect.Parameter.empty:
                raise ValueError(checks.expected(f"{where}({name})", "given", None))
        given = {n: str(v) if isinstance(v, Path) else v for n, v in given.items()}
        try:
            defaults = {n: p.default for n, p in self.parameters.items() if n not in given}
            plain: dict[str, Any] = json.loads(json.dumps({**defaults, **given}))
        except TypeError as error:
            raise ValueError(checks.expected(where, "given what JSON can hold", given)) from error
        return plain

    @cached_property
    def code(self) -> str:
        """Hash of the file that defines the function, and the version of tfrecs."""
        source = inspect.getsourcefile(self.executor)
        text = Path(source).read_bytes() if source else b""
        return hashlib.sha256(text + tfrecs.__version__.encode()).hexdigest()


def _artifact(kind: Any) -> type[Artifact] | None:
    """Returns the artifact that an annotation means, if any."""
    if get_origin(kind) is Annotated:
        return _artifact(get_args(kind)[0])
    if get_origin(kind) in (typing.Union, types.UnionType):
        found = [_artifact(part) for part in get_args(kind)]
        return next((part for part in found if part is not None), None)
    return kind if isinstance(kind, type) and issubclass(kind, Artifact) else None


def _is_output(kind: Any) -> bool:
    return get_origin(kind) is Annotated and _OUTPUT in get_args(kind)[1:]


def _is_plain(kind: Any) -> bool:
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType, list, dict):
        return all(_is_plain(part) for part in get_args(kind))
    return kind in (str, int, float, bool, type(None), list, dict, Any)
