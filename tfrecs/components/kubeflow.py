"""The same pipeline on Kubeflow: compiled to KFP's IR YAML, or run by `kfp.local`.

The only file that imports kfp. Every node becomes a lightweight Python component that calls the
node's function in an image that holds `tfrecs[pipelines]`. There is no control flow: gates are
properties of artifacts, read inside components. Files that parameters name must be visible to the
pods. `LatestBlessed` inputs are left out, since Kubeflow has no such query.
"""

import builtins
import importlib
import json
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfrecs import checks
from tfrecs.components import artifacts
from tfrecs.components.component import Channel, Node
from tfrecs.components.pipeline import Pipeline

IMAGE = "tfrecs:latest"
_KINDS = {"Examples": "Dataset", "Model": "Model"}  # what else there is is an Artifact
_SOURCE = """def {function}({arguments}):
    from tfrecs.components.kubeflow import execute

    execute({module!r}, {executor!r}, {inputs}, {outputs}, {types!r}, parameters)
"""


def _kfp() -> Any:
    try:
        import kfp
    except ImportError as error:
        remedy = "Kubeflow needs kfp: pip install 'tfrecs[pipelines]'"
        raise ImportError(remedy) from error
    return kfp


def compile(pipeline: Pipeline, path: str | Path, image: str = IMAGE) -> Path:
    """Writes the pipeline as KFP v2 IR YAML.

    Args:
        pipeline: The pipeline.
        path: A .yaml file.
        image: Container image with `tfrecs[pipelines]`. Defaults to "tfrecs:latest".

    Raises:
        ImportError: kfp is not installed.
    """
    if Path(path).suffix != ".yaml":
        raise ValueError(checks.expected("path", "a .yaml file", str(path)))
    kfp = _kfp()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    kfp.compiler.Compiler().compile(build(pipeline, image), str(path))
    return Path(path)


def run_local(pipeline: Pipeline, root: str | Path) -> None:
    """Runs the compiled pipeline by `kfp.local`, a process a node.

    It has neither cache nor resume and runs node after node: it shows that what was compiled
    works. `components.local.run` is for use.

    Raises:
        Exception: A node failed.
    """
    kfp = _kfp()
    runner = kfp.local.SubprocessRunner(use_venv=False)
    # without raise_on_error a failed run looks like any other
    kfp.local.init(runner=runner, pipeline_root=str(root), raise_on_error=True)
    build(pipeline, IMAGE)()


def build(pipeline: Pipeline, image: str) -> Any:
    """Returns the pipeline as kfp has it."""
    kfp = _kfp()
    steps = {node.id: _component(node, image, kfp) for node in pipeline.nodes}

    def define() -> None:
        tasks: dict[str, Any] = {}
        for node in pipeline.nodes:
            given = {
                name: tasks[channel.node].outputs[channel.name]
                for name, channel in node.inputs.items()
                if isinstance(channel, Channel)
            }
            tasks[node.id] = steps[node.id](parameters=json.dumps(node.parameters), **given)
            tasks[node.id].set_display_name(node.id)

    return kfp.dsl.pipeline(name=pipeline.name.replace("_", "-").lower())(define)


def _component(node: Node, image: str, kfp: Any) -> Any:
    """Returns a kfp component made of generated source, since kfp ships a function's source."""
    inputs = [name for name, given in node.inputs.items() if isinstance(given, Channel)]
    component = node.component
    arguments = [f"{n}: dsl.Input[dsl.{_kind(component.inputs[n])}]" for n in inputs]
    arguments += [f"{n}: dsl.Output[dsl.{_kind(t)}]" for n, t in component.outputs.items()]
    source = _SOURCE.format(
        function=node.id,
        arguments=", ".join(["parameters: str", *arguments]),
        module=component.executor.__module__,
        executor=component.executor.__name__,
        inputs="{" + ", ".join(f"{n!r}: {n}" for n in inputs) + "}",
        outputs="{" + ", ".join(f"{n!r}: {n}" for n in component.outputs) + "}",
        types={name: kind.__name__ for name, kind in component.outputs.items()},
    )
    function = _defined(node.id, source, {"dsl": kfp.dsl})
    make: Callable[..., Any] = kfp.dsl.component
    return make(base_image=image, install_kfp_package=False)(function)


def _defined(name: str, source: str, names: dict[str, Any]) -> Callable[..., Any]:
    """Returns a function whose source `inspect` finds."""
    file = f"<tfrecs component {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(builtins.compile(source, file, "exec"), names)
    function: Callable[..., Any] = names[name]
    return function


def _kind(kind: type[artifacts.Artifact]) -> str:
    return _KINDS.get(kind.__name__, "Artifact")


def execute(
    module: str,
    executor: str,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    types: dict[str, str],
    parameters: str,
) -> None:
    """Runs a component inside a KFP task.

    Args:
        module: Module of the function.
        executor: Its name.
        inputs: KFP artifacts by name.
        outputs: KFP artifacts by name.
        types: Names of the types of the outputs.
        parameters: The parameters as JSON, which keeps integers what they are.
    """
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
