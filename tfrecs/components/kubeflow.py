"""The same pipeline on Kubeflow: compiled to KFP's IR YAML, or run by `kfp.local`.

The only file that imports kfp. Every node becomes a lightweight Python component that calls the
node's function in an image that holds `tfrecs[pipelines]` (pipelines/Dockerfile builds it). There
is no control flow: gates are properties of artifacts, read inside components.

The parameters of a pipeline's file are inputs of the compiled pipeline. A first task works out the
nodes' parameters from them by the file itself, which travels in the YAML with the modules beside
it. So KFP's cache knows each node by its own parameters. Nodes that read from or write to places
outside are not cached, since KFP looks at neither. `LatestBlessed` inputs are left out, since
Kubeflow has no such query.
"""

import builtins
import inspect
import json
import linecache
import logging
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfrecs import checks
from tfrecs.components import artifacts, pod
from tfrecs.components.component import Channel, LatestBlessed, Node, Resources
from tfrecs.components.pipeline import Pipeline

logger = logging.getLogger("tfrecs")
IMAGE = "tfrecs:latest"
_PARAMETERS = "Parameters"  # the task before all others
_KINDS = {"Examples": "Dataset", "Model": "Model"}  # what else there is is an Artifact
_PLAIN = (bool, int, float, str, list, dict)
_SOURCE = """def {function}({arguments}):
    from tfrecs.components.pod import execute

    execute({module!r}, {executor!r}, {inputs}, {outputs}, {types!r}, parameters, files, {strict})
"""
_CONFIGURE = """def {function}({arguments}):
    from tfrecs.components.pod import configure

    configure(files, {file!r}, {given}, {outputs}, {wired!r}, {volumes!r})
"""


@dataclass(frozen=True)
class Cluster:
    """Where a compiled pipeline runs.

    Args:
        image: Container image with `tfrecs[pipelines]`. Defaults to "tfrecs:latest".
        volumes: Folders by the names of the claims (PersistentVolumeClaim) that are mounted there,
            in every task. Defaults to none.
        resources: What nodes ask for, by node, in place of what the pipeline says.
        strict: Whether a task fails whose model is not pushed. Defaults to `False`.
    """

    image: str = IMAGE
    volumes: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Resources] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        for claim, folder in self.volumes.items():
            if not folder.startswith("/") or folder == "/":
                expectation = "an absolute folder, as in --volume CLAIM:/data"
                raise ValueError(checks.expected(f"volumes[{claim!r}]", expectation, folder))


def _kfp() -> Any:
    try:
        import kfp
        import kfp.kubernetes
    except ImportError as error:
        remedy = "Kubeflow needs kfp: pip install 'tfrecs[pipelines]'"
        raise ImportError(remedy) from error
    return kfp


def compile(pipeline: Pipeline, path: str | Path, cluster: Cluster | None = None) -> Path:
    """Writes the pipeline as KFP v2 IR YAML.

    Args:
        pipeline: The pipeline.
        path: A .yaml file.
        cluster: Image, volumes and resources. Defaults to `Cluster()`.

    Raises:
        ImportError: kfp is not installed.
        ValueError: A parameter names a place that pods do not share.
    """
    if Path(path).suffix != ".yaml":
        raise ValueError(checks.expected("path", "a .yaml file", str(path)))
    kfp = _kfp()
    cluster = cluster or Cluster()
    pod.check_places(pipeline.nodes, list(cluster.volumes.values()))
    for node in pipeline.nodes:
        for name, given in node.inputs.items():
            if isinstance(given, LatestBlessed):
                logger.warning(
                    "Left out on Kubeflow: the last blessed model, %s(%s).", node.id, name
                )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    kfp.compiler.Compiler().compile(_build(pipeline, cluster, kfp), str(path))
    return Path(path)


def run_local(pipeline: Pipeline, root: str | Path, **arguments: Any) -> None:
    """Runs the compiled pipeline by `kfp.local`, a process a node.

    It has neither cache nor resume and runs node after node: it shows that what was compiled
    works. `components.local.run` is for use.

    Args:
        pipeline: The pipeline.
        root: Folder of the artifacts.
        **arguments: Inputs of the compiled pipeline: parameters of the pipeline's file.

    Raises:
        Exception: A node failed.
    """
    kfp = _kfp()
    runner = kfp.local.SubprocessRunner(use_venv=False)
    # without raise_on_error a failed run looks like any other
    kfp.local.init(runner=runner, pipeline_root=str(root), raise_on_error=True)
    _build(pipeline, None, kfp)(**arguments)


def _build(pipeline: Pipeline, cluster: Cluster | None, kfp: Any) -> Any:
    """Returns the pipeline as kfp has it; without a cluster all is on this machine."""
    where = cluster or Cluster()
    checked = {node.id: node for node in pipeline.nodes}
    for name in where.resources:
        checks.one_of("resources", name, checked)
    files = "" if pipeline.source is None else pod.packed(pipeline.source.file)
    steps = {node.id: _component(node, where, kfp) for node in pipeline.nodes}
    first = _configuring(pipeline, cluster, kfp)

    named = _inputs(pipeline)

    def define(*values: Any) -> None:
        arguments = dict(zip((given.name for given in named), values, strict=True))
        tasks: dict[str, Any] = {}
        if first is not None:
            tasks[_PARAMETERS] = first(files=files, **arguments)
            tasks[_PARAMETERS].set_caching_options(False)
        for node in pipeline.nodes:
            given = {
                name: tasks[channel.node].outputs[channel.name]
                for name, channel in node.inputs.items()
                if isinstance(channel, Channel)
            }
            own = json.dumps(node.parameters)
            given["parameters"] = own if first is None else tasks[_PARAMETERS].outputs[node.id]
            given["files"] = files if _is_users(node, pipeline) else ""
            tasks[node.id] = steps[node.id](**given)
            tasks[node.id].set_display_name(node.id)
            _ask(tasks[node.id], where.resources.get(node.id, node.resources))
            if node.component.stands is not None or node.component.files is not None:
                tasks[node.id].set_caching_options(False)
        for task in tasks.values():
            for claim, folder in where.volumes.items():
                kfp.kubernetes.mount_pvc(task, pvc_name=claim, mount_path=folder)

    signature: Any = inspect.Signature(named)
    define.__signature__ = signature  # type: ignore[attr-defined]
    return kfp.dsl.pipeline(name=pipeline.name.replace("_", "-").lower())(define)


def _ask(task: Any, resources: Resources) -> None:
    """Sets what a task asks for, as request and as limit."""
    if resources.cpu is not None:
        task.set_cpu_request(str(resources.cpu)).set_cpu_limit(str(resources.cpu))
    if resources.memory is not None:
        task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.accelerator is not None:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerators)


def _inputs(pipeline: Pipeline) -> list[inspect.Parameter]:
    """Returns the parameters of a pipeline's file as inputs, with what they were given."""
    given = {} if pipeline.source is None else pipeline.source.arguments
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=value,
            annotation=_type(name, value),
        )
        for name, value in given.items()
    ]


def _type(name: str, value: Any) -> Any:
    if value is None:
        return typing.Optional[str]  # noqa: UP045 kfp reads no other form
    kind = next((plain for plain in _PLAIN if isinstance(value, plain)), None)
    if kind is None:
        expectation = "a bool, an integer, a number, a text, a list or a dict"
        raise ValueError(checks.expected(f"pipeline({name})", expectation, value))
    return kind


def _is_users(node: Node, pipeline: Pipeline) -> bool:
    """Returns whether a node's function is in the user's files, which no image holds."""
    file = inspect.getsourcefile(node.component.executor)
    if pipeline.source is None or file is None:
        return False
    return Path(file).absolute().is_relative_to(pipeline.source.file.parent)


def _configuring(pipeline: Pipeline, cluster: Cluster | None, kfp: Any) -> Any:
    """Returns the component that works out the nodes' parameters; `None` where there is no file."""
    if pipeline.source is None:
        return None
    kinds = {name: _type(name, value) for name, value in pipeline.source.arguments.items()}
    arguments = ["files: str"]
    arguments += [
        f"{name}: {'Optional[str] = None' if name_of is None else name_of}"
        for name, kind in kinds.items()
        for name_of in [getattr(kind, "__name__", None) if kind in _PLAIN else None]
    ]
    outputs = [node.id for node in pipeline.nodes]
    ordered = [a for a in arguments if "=" not in a]
    ordered += [f"{name}: dsl.OutputPath(str)" for name in outputs]
    ordered += [a for a in arguments if "=" in a]
    source = _CONFIGURE.format(
        function=_PARAMETERS,
        arguments=", ".join(ordered),
        file=pipeline.source.file.name,
        given="{" + ", ".join(f"{n!r}: {n}" for n in kinds) + "}",
        outputs="{" + ", ".join(f"{n!r}: {n}" for n in outputs) + "}",
        wired=pod.wiring(pipeline),
        volumes=None if cluster is None else list(cluster.volumes.values()),
    )
    return _made(_PARAMETERS, source, (cluster or Cluster()).image, kfp)


def _component(node: Node, cluster: Cluster, kfp: Any) -> Any:
    """Returns a kfp component made of generated source, since kfp ships a function's source."""
    inputs = [name for name, given in node.inputs.items() if isinstance(given, Channel)]
    component = node.component
    arguments = [f"{n}: dsl.Input[dsl.{_kind(component.inputs[n])}]" for n in inputs]
    arguments += [f"{n}: dsl.Output[dsl.{_kind(t)}]" for n, t in component.outputs.items()]
    source = _SOURCE.format(
        function=node.id,
        arguments=", ".join(["parameters: str", "files: str", *arguments]),
        module=component.executor.__module__,
        executor=component.executor.__name__,
        inputs="{" + ", ".join(f"{n!r}: {n}" for n in inputs) + "}",
        outputs="{" + ", ".join(f"{n!r}: {n}" for n in component.outputs) + "}",
        types={name: kind.__name__ for name, kind in component.outputs.items()},
        strict=cluster.strict,
    )
    return _made(node.id, source, cluster.image, kfp)


def _made(name: str, source: str, image: str, kfp: Any) -> Any:
    """Returns a component of a function whose source `inspect` finds."""
    file = f"<tfrecs component {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names: dict[str, Any] = {
        "dsl": kfp.dsl,
        "Optional": typing.Optional,
    }  # as kfp's own file has it
    exec(builtins.compile(source, file, "exec"), names)
    make: Callable[..., Any] = kfp.dsl.component
    return make(base_image=image, install_kfp_package=False)(names[name])


def _kind(kind: type[artifacts.Artifact]) -> str:
    return _KINDS.get(kind.__name__, "Artifact")
