"""The command line: `tfrecs --help`."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import tfrecs
from tfrecs.cli.compare import compare
from tfrecs.cli.options import Data, Training, console, errors, shares
from tfrecs.cli.pipelines import component_app, pipeline_app
from tfrecs.cli.serve import serve
from tfrecs.cli.spec import spec
from tfrecs.cli.tune import tune

app = typer.Typer(
    name="tfrecs",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
STOPPED = 130  # the shell's code for Ctrl-C

Model = Annotated[str, typer.Option(help="See `tfrecs models`", rich_help_panel="Training")]
Logs = Annotated[
    bool, typer.Option("--tensorboard/--no-tensorboard", help="Keep TensorBoard's logs in the run")
]
RunFolder = Annotated[Path, typer.Argument(help="A folder written by `tfrecs train`")]


def _print_version(asked: bool) -> None:
    if asked:
        console.print(f"tfrecs {tfrecs.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def whole(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Recommenders for Keras 3: from raw tables to a SavedModel that answers."""


@app.command()
@shares(data=Data, training=Training)
def quickstart(
    data: Data,
    training: Training,
    output: Annotated[Path, typer.Option(help="Folder of the run")] = Path("runs/quickstart"),
    saved_models: Annotated[
        Path, typer.Option(help="Folder that TF Serving reads; a version is added")
    ] = Path("saved_models"),
    tensorboard: Logs = True,
) -> None:
    """Tables -> two-tower model -> leaderboard -> index -> SavedModel -> an answer -> report."""
    from tfrecs import show

    show.step(console, 1, "Data")
    options = training.options("two_tower")
    tables = data.read("two_tower")
    show.quickstart(console, tables, data.protocol, options, output, saved_models, tensorboard)


@app.command()
@shares(data=Data, training=Training)
def train(
    data: Data,
    training: Training,
    model: Model = "two_tower",
    output: Annotated[Path, typer.Option(help="Folder of the run; replaced")] = Path("runs/last"),
    saved_models: Annotated[
        Path | None, typer.Option(help="Also export there, as `tfrecs export` does")
    ] = None,
    per_tag: Annotated[
        bool, typer.Option("--per-tag", help="Of iki: also a ranker for each tag of the items")
    ] = False,
    min_interactions: Annotated[
        int, typer.Option(help="Tags of fewer events share the global ranker")
    ] = 50,
    processes: Annotated[int, typer.Option(help="Of --per-tag: trainings at the same time")] = 1,
    tensorboard: Logs = True,
    skills: Annotated[
        Path | None, typer.Option(help="Of iki: one skill a line, to be found in users' CVs")
    ] = None,
) -> None:
    """Train a model on a data set or on your own tables, and keep the run."""
    from tfrecs import show
    from tfrecs.cli import feed
    from tfrecs.files import check_writable

    if saved_models is not None:
        check_writable("--saved-models", saved_models)

    if per_tag:
        feed.check("--per-tag", model)
    if skills is not None:
        feed.check("--skills", model)
    options = training.options(model)
    tables = data.read(model)
    show.summary(console, tables)
    found = None
    if skills is not None:
        tables, found = feed.train_skills(tables, skills)
    run = show.train(console, tables, data.protocol, options, output, tensorboard)
    if per_tag:
        run = feed.train_tags(run, min_interactions, processes)
    if found is not None:
        found.save(run.folder)
    if saved_models is not None:
        show.export(console, run, saved_models, model)
    console.print(f"Kept in [bold]{run.folder}[/]. Next: tfrecs evaluate {run.folder}")


app.command()(tune)
app.command()(spec)


@app.command()
def evaluate(run: RunFolder = Path("runs/last")) -> None:
    """Rank all items for every test user, beside popularity and item-kNN; write a report."""
    from tfrecs import show
    from tfrecs.run import Run

    loaded = Run.load(run)
    show.evaluate(console, loaded)


@app.command()
def report(run: RunFolder = Path("runs/last")) -> None:
    """Judge a run, measure recall against latency of its index, and write its page anew."""
    from tfrecs import show
    from tfrecs.run import Run

    show.report(console, Run.load(run))


@app.command()
def recommend(
    user: Annotated[list[str] | None, typer.Option(help="User id; repeat for several")] = None,
    run: RunFolder = Path("runs/last"),
    k: Annotated[int, typer.Option("-k", help="Number of recommendations")] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also what the user already knows")
    ] = False,
    tag: Annotated[str | None, typer.Option(help="Of iki: the tag whose feed is wanted")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(help="ID,ID of items that a visitor took, oldest first; repeat for several"),
    ] = None,
    users: Annotated[
        Path | None, typer.Option(help="A file of many users, by id or by a list `history`")
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, what is known of the moment; for models that read it"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="A .parquet file for the answers: user, rank, item, score")
    ] = None,
) -> None:
    """Print the best items of users or visitors from a run, known ones left out."""
    from tfrecs import answers
    from tfrecs.cli import feed
    from tfrecs.run import Run

    loaded = Run.load(run)
    if tag is not None:
        feed.recommend(loaded, user or [], tag, k)
        return
    asked = answers.asked(loaded, user or [], history or [], users, context or [])
    answers.recommend(console, loaded, asked, k, include_seen, output)


@app.command()
def export(
    run: RunFolder = Path("runs/last"),
    saved_models: Annotated[
        Path, typer.Option(help="Folder that TF Serving reads; a version is added")
    ] = Path("saved_models"),
    name: Annotated[str | None, typer.Option(help="Name of the served model")] = None,
    recall: Annotated[float, typer.Option(help="recall@100 wanted of an approximate index")] = 0.98,
    index_page: Annotated[
        Path | None, typer.Option(help="Also write a page there: recall against latency of ScaNN")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Only prove this SavedModel, of whatever origin, and say what it is"),
    ] = None,
) -> None:
    """Export features, model and index as a versioned SavedModel, checked in a fresh process."""
    from tfrecs import show
    from tfrecs.run import Run

    if check is not None:
        prove(check)
        return

    loaded = Run.load(run)
    show.export(console, loaded, saved_models, name or loaded.options.model, recall, index_page)


app.command()(compare)
app.command()(serve)
app.add_typer(pipeline_app, name="pipeline")
app.add_typer(component_app, name="component")


def prove(directory: Path) -> None:
    """Prints what a SavedModel is; a signature that fails is an error."""
    from tfrecs.export.proof import prove as ask

    proof = ask(directory)
    console.print(str(proof), markup=False, highlight=False)
    if proof.failed:
        raise RuntimeError(f"Signatures of {proof.path} failed: {', '.join(proof.failed)}.")


@app.command()
def datasets() -> None:
    """List the data sets that `--dataset` takes."""
    from tfrecs.datasets import KNOWN

    table = Table("dataset", "what it is", box=None, header_style="bold")
    for name, known in KNOWN.items():
        table.add_row(name, known.about + (" (--data-dir DIR)" if known.local else ""))
    table.add_row("your own", "--events FILE --items FILE: CSV, TSV, Parquet, JSON lines")
    console.print(table)


@app.command()
def models() -> None:
    """List the models that `--model` takes."""
    from tfrecs.recipes import RECIPES

    table = Table("model", "learns", "what it is", box=None, header_style="bold")
    for name, recipe in RECIPES.items():
        table.add_row(name, recipe.task.name, recipe.about)
    console.print(table)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; bad input ends with a message and exit code 1, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # advice on tracing
    unraisable, sys.unraisablehook = sys.unraisablehook, _interrupt_again
    try:
        code = app([a for a in arguments if a != "--debug"], standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except Exception as error:
        code = _fail(error, debug)
    finally:
        sys.unraisablehook = unraisable
    if code == STOPPED:
        errors.print("\n[bold]Stopped.[/] Nothing half-written is left.")
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt_again(lost: Any) -> None:
    """Repeats a Ctrl-C that came while Python deleted an object, where it would be dropped."""
    if lost.exc_type is KeyboardInterrupt:
        # from a thread and a moment later: at once, it would be dropped with this call
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def _fail(error: Exception, debug: bool) -> int:
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # of the command line's grammar
        error.show()
        return int(error.exit_code)
    if debug:
        errors.print_exception()
        return 1
    from tfrecs import checks

    known = isinstance(error, (ValueError, TypeError, OSError, KeyError, ImportError, RuntimeError))
    known |= isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
    name = "" if known else f"{type(error).__name__}: "
    errors.print("[bold red]Error:[/] ", end="")
    errors.print(f"{name}{checks.told(error)}", markup=False)
    if not known:
        errors.print("This is a defect of tfrecs. Add --debug for the traceback.")
    return 1
