"""The command line of pipelines: `tfrecs pipeline run|show|compile|list`, `tfrecs component`."""

import ast
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tfrecs.cli.options import console

pipeline_app = typer.Typer(
    help="Run, show, compile and list pipelines: Python files with `pipeline(...)`.",
    no_args_is_help=True,
)
component_app = typer.Typer(help="Run one component by itself.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A Python file that defines `pipeline(...)`")]
Root = Annotated[Path, typer.Option(help="Folder of runs and artifacts")]
Set = Annotated[list[str], typer.Option("--set", help="A parameter: name=value; repeat")]
_COLORS = {
    "done": "green",
    "cached": "cyan",
    "not pushed": "bold yellow",
    "failed": "bold red",
    "running": "dim",
}
_NOT_PUSHED = 3  # the exit code of --strict


@pipeline_app.command()
def run(
    file: File,
    root: Root = Path("runs/pipelines"),
    set_: Set = [],  # noqa: B006 typer reads it alone
    processes: Annotated[int, typer.Option(help="Nodes at a time; 0: in this process")] = 2,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 3 where a model is not pushed")
    ] = False,
) -> None:
    """Run a pipeline on this machine; what is there already is not made again."""
    from tfrecs.components import local, pipeline

    loaded = pipeline.load(file, **_parameters(set_))
    done = local.run(loaded, root / loaded.name, processes=processes, report=_report)
    counts = {state: list(done.states.values()).count(state) for state in ("done", "cached")}
    withheld = f", [bold yellow]{len(done.withheld)} not pushed[/]" if done.withheld else ""
    summary = f"{counts['done']} done, {counts['cached']} cached{withheld}"
    console.print(f"{summary}: [bold]{done.folder}[/]")
    for node, why in done.withheld.items():
        console.print(f"Not pushed by {node}: {why}", markup=False, highlight=False)
    if strict and done.withheld:
        raise typer.Exit(_NOT_PUSHED)


def _report(node: str, state: str, seconds: float, message: str) -> None:
    time = f"{seconds:7.1f} s" if seconds else " " * 9
    console.print(f"  [{_COLORS[state]}]{state:>10}[/] {time}  {node}", highlight=False)
    if message:
        console.print(f"             {message}", markup=False, highlight=False)


@pipeline_app.command()
def show(
    root: Annotated[Path, typer.Argument(help="Folder of a pipeline's runs")],
    run: Annotated[str | None, typer.Option(help="A run; the last one without")] = None,
    artifact: Annotated[str | None, typer.Option(help="NODE.OUTPUT whose descent is shown")] = None,
) -> None:
    """Print what a run did, and which data, code and parameters made an artifact."""
    from tfrecs import checks
    from tfrecs.components.store import FILE, Store

    if not (root / FILE).is_file():
        expectation = "a folder that `tfrecs pipeline run` has written"
        raise ValueError(checks.expected("root", expectation, str(root)))
    store = Store(root)
    runs = {entry["id"]: entry for entry in store.runs()}
    run = run or next(iter(runs), "")
    checks.one_of("run", run, runs)
    steps = {step["node"]: step for step in store.steps(run)}
    if artifact is None:
        entry = runs[run]
        console.print(f"[bold]{entry['pipeline']}[/] {run}: {entry['state']}")
        _show_steps(steps)
        others = [f"{name} ({entry['state']})" for name, entry in runs.items() if name != run]
        if others:
            console.print("Other runs: " + ", ".join(others[:8]))
        return
    node, _, name = artifact.partition(".")
    checks.one_of("node", node, steps)
    outputs = store.links(steps[node]["key"], "out")
    checks.one_of("output", name, outputs)
    _show_lineage(store, outputs[name])


def _show_steps(steps: dict[str, dict[str, Any]]) -> None:
    table = Table("node", "state", "seconds", "", box=None, header_style="bold")
    for node, step in steps.items():
        state = f"[{_COLORS[step['state']]}]{step['state']}[/]"
        table.add_row(node, state, f"{step['seconds']:.1f}", step["message"])
    console.print(table)


def _show_lineage(store: Any, made: dict[str, Any]) -> None:
    console.print(f"[bold]{made['type']}[/] {made['uri']}")
    console.print(f"  sha256 {made['digest']}")
    console.print(f"  {json.dumps(made['properties'], ensure_ascii=False)}", highlight=False)
    for execution in store.lineage(made["uri"]):
        console.print(f"\n[bold]{execution['node']}[/] ({execution['seconds']:.1f} s)")
        given = {k: v for k, v in execution["parameters"].items() if v not in (None, [], {})}
        console.print(f"  parameters {json.dumps(given, ensure_ascii=False)}", highlight=False)
        console.print(f"  code       {execution['code'][:16]}")
        for name, source in store.links(execution["key"], "in").items():
            console.print(f"  {name:10} {source['digest'][:16]}  {source['uri']}", highlight=False)


@pipeline_app.command()
def compile(
    file: File,
    output: Annotated[Path, typer.Option(help="A .yaml file")] = Path("pipeline.yaml"),
    set_: Set = [],  # noqa: B006
    image: Annotated[
        str, typer.Option(help="Image with tfrecs[pipelines]; pipelines/Dockerfile builds it")
    ] = "tfrecs:latest",
    volume: Annotated[
        list[str], typer.Option(help="CLAIM:/FOLDER, mounted in every task; repeat")
    ] = [],  # noqa: B006
    resources: Annotated[
        list[str],
        typer.Option(
            help="NODE=cpu:4,memory:16G,accelerator:nvidia.com/gpu,accelerators:1; repeat"
        ),
    ] = [],  # noqa: B006
    strict: Annotated[
        bool, typer.Option("--strict", help="A task whose model is not pushed fails")
    ] = False,
) -> None:
    """Compile a pipeline to Kubeflow Pipelines v2 IR; what --set sets are its inputs' defaults."""
    from tfrecs.components import kubeflow, pipeline

    cluster = kubeflow.Cluster(image, _volumes(volume), _resources(resources), strict)
    path = kubeflow.compile(pipeline.load(file, **_parameters(set_)), output, cluster)
    console.print(f"Written: [bold]{path}[/]. Its tasks run in the image {image}.")


def _volumes(given: list[str]) -> dict[str, str]:
    from tfrecs import checks

    pairs = {}
    for entry in given:
        claim, colon, folder = entry.partition(":")
        if not colon or not claim:
            raise ValueError(checks.expected("--volume", "of the form CLAIM:/FOLDER", entry))
        pairs[claim] = folder
    return pairs


def _resources(given: list[str]) -> dict[str, Any]:
    from tfrecs import checks
    from tfrecs.components import Resources

    kinds: dict[str, Any] = {"cpu": float, "memory": str, "accelerator": str, "accelerators": int}
    found = {}
    for entry in given:
        node, _, asked = entry.partition("=")
        pairs = [pair.partition(":") for pair in asked.split(",")]
        for name, _, value in pairs:
            checks.one_of(f"--resources {node}", name, kinds)
            if not value:
                expectation = "of the form NODE=cpu:4,memory:16G"
                raise ValueError(checks.expected("--resources", expectation, entry))
        try:
            read = {name: kinds[name](value) for name, _, value in pairs}
        except ValueError as error:
            raise ValueError(
                checks.expected("--resources", "with numbers for cpu and accelerators", entry)
            ) from error
        found[node] = Resources(**read)
    return found


@pipeline_app.command("list")
def list_pipelines(
    folder: Annotated[Path, typer.Argument(help="Folder of pipeline files")] = Path("pipelines"),
) -> None:
    """List pipeline files and what they say of themselves."""
    from tfrecs import checks

    files = sorted(folder.glob("*.py"))
    if not files:
        raise ValueError(checks.expected("folder", "a folder of pipeline files", str(folder)))
    table = Table("file", "what it does", box=None, header_style="bold")
    for file in files:
        about = ast.get_docstring(ast.parse(file.read_text())) or ""
        table.add_row(str(file), about.split("\n")[0])
    console.print(table)


@component_app.command("list")
def list_components() -> None:
    """List the components, with inputs, outputs and parameters."""
    table = Table("component", "inputs", "outputs", "parameters", box=None, header_style="bold")
    for name, component in _components().items():
        optional = component.optional
        inputs = ", ".join(f"[{n}]" if n in optional else n for n in component.inputs)
        cells = (inputs, ", ".join(component.outputs), ", ".join(component.parameters))
        table.add_row(name, *cells)
    console.print(table, markup=False)


@component_app.command("run")
def run_component(
    name: Annotated[str, typer.Argument(help="As `tfrecs component list` names it")],
    output: Annotated[Path, typer.Option(help="Folder; each output is a folder in it")],
    input_: Annotated[
        list[str], typer.Option("--input", help="An artifact: name=FOLDER; repeat")
    ] = [],  # noqa: B006
    set_: Set = [],  # noqa: B006
) -> None:
    """Run one component by itself, on artifacts that are there."""
    from tfrecs import checks
    from tfrecs.components import artifacts
    from tfrecs.files import written_aside

    known = _components()
    checks.one_of("component", name, known)
    component = known[name]
    inputs = {n: artifacts.load(folder) for n, folder in _pairs(input_).items()}
    parameters = {n: _json(value) for n, value in _pairs(set_).items()}
    for given in (*inputs, *parameters):
        checks.one_of(f"argument of {name}", given, [*component.inputs, *component.parameters])
    for needed in set(component.inputs) - component.optional - set(inputs):
        remedy = f"Add --input {needed}=FOLDER."
        raise ValueError(checks.expected(needed, "given", None, remedy))
    with written_aside(output) as aside:
        aside.mkdir()
        made = {n: kind(str(aside / n)) for n, kind in component.outputs.items()}
        component.executor(**inputs, **made, **parameters)
        for artifact in made.values():
            artifact.seal()
    for n, artifact in made.items():
        properties = json.dumps(artifact.properties, ensure_ascii=False)
        console.print(f"[bold]{output / n}[/] {properties}", highlight=False)


def _components() -> dict[str, Any]:
    from tfrecs import components

    found = [
        value for value in vars(components).values() if isinstance(value, components.Component)
    ]
    return {component.name: component for component in found}


def _pairs(given: list[str]) -> dict[str, str]:
    from tfrecs import checks

    pairs = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise ValueError(checks.expected("--set", "of the form name=value", entry))
        pairs[name] = value
    return pairs


def _parameters(given: list[str]) -> dict[str, Any]:
    return dict(_pairs(given))


def _json(value: str) -> Any:
    """Reads a value as JSON, and as text where it is none."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
