"""The command line: quickstart, train, evaluate, recommend, export, datasets, models."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    name="tfrecs",
    help="Recommenders for Keras 3: from raw tables to a SavedModel that answers.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
STOPPED = 130  # the shell's code for Ctrl-C
console = Console()
errors = Console(stderr=True)

DATASETS = {
    "demo": "a generated content site with a known truth; nothing to download",
    "movielens-100k": "100,000 ratings of 1,682 films by 943 users (grouplens.org)",
    "movielens-1m": "1,000,209 ratings of 3,706 films by 6,040 users (grouplens.org)",
}

Dataset = Annotated[
    str, typer.Option(help="One of: " + ", ".join(DATASETS), rich_help_panel="Data")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the owner's files; without it they are downloaded (extra 'datasets')",
        rich_help_panel="Data",
    ),
]
Events = Annotated[
    Path | None,
    typer.Option(help="Your events: CSV, TSV, Parquet or JSON lines", rich_help_panel="Data"),
]
Items = Annotated[
    Path | None, typer.Option(help="Your items, one row each", rich_help_panel="Data")
]
Users = Annotated[
    Path | None, typer.Option(help="Your users, one row each", rich_help_panel="Data")
]
Column = Annotated[
    str | None,
    typer.Option(help="Column of your files; guessed and shown without", rich_help_panel="Data"),
]
Epochs = Annotated[
    int, typer.Option(help="Passes over the training events", rich_help_panel="Training")
]
Dim = Annotated[int, typer.Option(help="Width of the vectors", rich_help_panel="Training")]
Batch = Annotated[
    int, typer.Option(help="Events per step, also in-batch candidates", rich_help_panel="Training")
]
Rate = Annotated[
    float, typer.Option(help="Learning rate of row-sparse Adagrad", rich_help_panel="Training")
]
Temperature = Annotated[
    float, typer.Option(help="Divides the cosine of two_tower", rich_help_panel="Training")
]
Seed = Annotated[int, typer.Option(help="Same seed, same result", rich_help_panel="Training")]
Protocol = Annotated[
    str,
    typer.Option(
        help="leave-last-out, time, random, or auto: leave-last-out where events carry times",
        rich_help_panel="Data",
    ),
]
Model = Annotated[str, typer.Option(help="See `tfrecs models`", rich_help_panel="Training")]
RunFolder = Annotated[Path, typer.Argument(help="A folder written by `tfrecs train`")]


def read_data(
    dataset: str,
    data_dir: Path | None,
    events: Path | None,
    items: Path | None,
    users: Path | None,
    columns: dict[str, str | None],
) -> Any:
    """Returns the Tables that the options name, and shows what was guessed."""
    from tfrecs import checks, datasets

    if events is not None:
        read = datasets.read_tables(events, items, users, **columns)
        show_columns(read.columns, read.notes)
        return read.tables
    given = [f"--{name}" for name, path in (("items", items), ("users", users)) if path] + [
        f"--{name}-column" for name, column in columns.items() if column
    ]
    if given:
        raise ValueError(f"{', '.join(given)} need --events FILE, the table of your events.")
    checks.one_of("dataset", dataset, DATASETS)
    if dataset == "movielens-100k":
        return datasets.movielens("100k", data_dir)
    if dataset == "movielens-1m":
        return datasets.movielens("1m", data_dir)
    return datasets.demo()


def show_columns(columns: dict[str, str | None], notes: Sequence[str]) -> None:
    """Prints which column plays which part, and what was made of the rest."""
    for part, column in columns.items():
        told = f"[bold]{column}[/]" if column else f"none found (name it: --{part}-column NAME)"
        console.print(f"  {part:>6} = {told}")
    for note in notes:
        console.print(f"  {note}", highlight=False)


@app.command()
def quickstart(
    dataset: Dataset = "demo",
    data_dir: DataDir = None,
    events: Events = None,
    items: Items = None,
    users: Users = None,
    user_column: Column = None,
    item_column: Column = None,
    time_column: Column = None,
    label_column: Column = None,
    protocol: Protocol = "auto",
    epochs: Epochs = 20,
    embedding_dim: Dim = 64,
    batch_size: Batch = 512,
    learning_rate: Rate = 0.05,
    temperature: Temperature = 0.2,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option(help="Folder of the run")] = Path("runs/quickstart"),
    saved_models: Annotated[
        Path, typer.Option(help="Folder that TF Serving reads; a version is added")
    ] = Path("saved_models"),
) -> None:
    """Tables -> two-tower model -> leaderboard -> index -> SavedModel -> an answer -> report."""
    from tfrecs import show
    from tfrecs.run import TrainingOptions

    columns = _columns(user_column, item_column, time_column, label_column)
    show.step(console, 1, "Data")
    tables = read_data(dataset, data_dir, events, items, users, columns)
    options = TrainingOptions(
        "two_tower", embedding_dim, epochs, batch_size, learning_rate, temperature, seed
    )
    show.quickstart(console, tables, protocol, options, output, saved_models)


@app.command()
def train(
    dataset: Dataset = "demo",
    data_dir: DataDir = None,
    events: Events = None,
    items: Items = None,
    users: Users = None,
    user_column: Column = None,
    item_column: Column = None,
    time_column: Column = None,
    label_column: Column = None,
    protocol: Protocol = "auto",
    model: Model = "two_tower",
    epochs: Epochs = 20,
    embedding_dim: Dim = 64,
    batch_size: Batch = 512,
    learning_rate: Rate = 0.05,
    temperature: Temperature = 0.2,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option(help="Folder of the run; replaced")] = Path("runs/last"),
) -> None:
    """Train a model on a data set or on your own tables, and keep the run."""
    from tfrecs import show
    from tfrecs.run import TrainingOptions

    columns = _columns(user_column, item_column, time_column, label_column)
    options = TrainingOptions(
        model, embedding_dim, epochs, batch_size, learning_rate, temperature, seed
    )
    tables = read_data(dataset, data_dir, events, items, users, columns)
    show.summary(console, tables)
    run = show.train(console, tables, protocol, options, output)
    console.print(f"Kept in [bold]{run.folder}[/]. Next: tfrecs evaluate {run.folder}")


@app.command()
def evaluate(run: RunFolder = Path("runs/last")) -> None:
    """Rank all items for every test user, beside popularity and item-kNN; write a report."""
    from tfrecs import show
    from tfrecs.run import Run

    loaded = Run.load(run)
    show.evaluate(console, loaded)


@app.command()
def recommend(
    user: Annotated[list[str], typer.Option(help="User id; repeat for several")],
    run: RunFolder = Path("runs/last"),
    k: Annotated[int, typer.Option("-k", help="Number of recommendations")] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also what the user already knows")
    ] = False,
) -> None:
    """Print the best items of a user from a run, known ones left out."""
    from tfrecs import show
    from tfrecs.run import Run

    show.recommend(console, Run.load(run), user, k, include_seen)


@app.command()
def export(
    run: RunFolder = Path("runs/last"),
    saved_models: Annotated[
        Path, typer.Option("--to", help="Folder that TF Serving reads; a version is added")
    ] = Path("saved_models"),
    name: Annotated[str | None, typer.Option(help="Name of the served model")] = None,
    recall: Annotated[float, typer.Option(help="recall@100 wanted of an approximate index")] = 0.98,
) -> None:
    """Export features, model and index as a versioned SavedModel, checked in a fresh process."""
    from tfrecs import show
    from tfrecs.run import Run

    loaded = Run.load(run)
    show.export(console, loaded, saved_models, name or loaded.options.model, recall)


@app.command()
def datasets() -> None:
    """List the data sets that `--dataset` takes."""
    table = Table("dataset", "what it is", box=None, header_style="bold")
    for name, about in DATASETS.items():
        table.add_row(name, about)
    table.add_row("your own", "--events FILE --items FILE: CSV, TSV, Parquet, JSON lines")
    console.print(table)


@app.command()
def models() -> None:
    """List the models that `--model` takes."""
    from tfrecs import models as zoo
    from tfrecs.run import MODELS

    table = Table("model", "what it is", box=None, header_style="bold")
    for cls in (zoo.TwoTower, zoo.MatrixFactorization):
        name = cls.__module__.rsplit(".", 1)[-1]
        if name in MODELS:
            table.add_row(name, (cls.__doc__ or "").strip().splitlines()[0])
    console.print(table)


def _columns(
    user: str | None, item: str | None, time: str | None, label: str | None
) -> dict[str, str | None]:
    return {"user": user, "item": item, "time": time, "label": label}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; bad input ends with a message and exit code 1, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        code = app([a for a in arguments if a != "--debug"], standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except Exception as error:
        code = _fail(error, debug)
    if code == STOPPED:
        errors.print("\n[bold]Stopped.[/] Nothing half-written is left.")
    sys.exit(code if isinstance(code, int) else 0)


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


if __name__ == "__main__":
    main()
