"""The options that commands share: the data, and the training."""

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console()
errors = Console(stderr=True)


def _data(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel="Data")


def _training(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel="Training")


Column = Annotated[str | None, _data("Column of your files; guessed and shown without")]


@dataclass(frozen=True)
class Data:
    """Which tables to read, and how to split their events."""

    dataset: Annotated[str, _data("Its name; see `tfrecs datasets`")] = "demo"
    data_dir: Annotated[
        Path | None,
        _data("Folder with the owner's files; without it they are downloaded (extra 'datasets')"),
    ] = None
    events: Annotated[Path | None, _data("Your events: CSV, TSV, Parquet or JSON lines")] = None
    items: Annotated[Path | None, _data("Your items, one row each")] = None
    users: Annotated[Path | None, _data("Your users, one row each")] = None
    user_column: Column = None
    item_column: Column = None
    time_column: Column = None
    label_column: Column = None
    protocol: Annotated[
        str,
        _data("leave-last-out, time, random, or auto: leave-last-out where events carry times"),
    ] = "auto"

    def read(self) -> Any:
        """Returns the Tables that the options name, and shows what was guessed."""
        from tfrecs import datasets

        names = ("user", "item", "time", "label")
        columns = {name: getattr(self, f"{name}_column") for name in names}
        if self.events is not None:
            with console.status("  reading the files"):
                read = datasets.read_tables(self.events, self.items, self.users, **columns)
            show_columns(read.columns, read.notes)
            return read.tables
        given = [f"--{name}" for name in ("items", "users") if getattr(self, name)]
        given += [f"--{name}-column" for name, column in columns.items() if column]
        if given:
            raise ValueError(f"{', '.join(given)} need --events FILE, the table of your events.")
        with console.status(f"  reading {self.dataset}"):
            return datasets.read_known(self.dataset, self.data_dir)


def show_columns(columns: dict[str, str | None], notes: Sequence[str]) -> None:
    """Prints which column plays which part, and what was made of the rest."""
    for part, column in columns.items():
        told = f"[bold]{column}[/]" if column else f"none found (name it: --{part}-column NAME)"
        console.print(f"  {part:>6} = {told}")
    for note in notes:
        console.print(f"  {note}", highlight=False)


@dataclass(frozen=True)
class Training:
    """How to train; what is not given is the model's own default (`tfrecs models`)."""

    epochs: Annotated[int | None, _training("Passes over the training events")] = None
    embedding_dim: Annotated[int | None, _training("Width of the vectors")] = None
    batch_size: Annotated[
        int | None, _training("Events per step, for two_tower also its in-batch candidates")
    ] = None
    learning_rate: Annotated[float | None, _training("Of the model's optimizer")] = None
    seed: Annotated[int, _training("Same seed, same result")] = 0
    argument: Annotated[
        list[str] | None,
        _training("NAME=VALUE, an argument of the model's constructor as JSON; repeat for several"),
    ] = None

    def given(self) -> dict[str, Any]:
        """Returns what was given, by the names of `TrainingOptions`."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "argument"}
        arguments = dict(_parsed(argument) for argument in self.argument or [])
        return {**values, "arguments": arguments}

    def options(self, model: str) -> Any:
        """Returns the `TrainingOptions` of a model: its defaults, over them what is given."""
        from tfrecs import recipes

        return recipes.recipe(model).options(**self.given())


def _parsed(argument: str) -> tuple[str, Any]:
    """Returns name and value of `NAME=VALUE`; a value that is no JSON is a string."""
    from tfrecs import checks

    name, equals, value = argument.partition("=")
    if not (name and equals):
        example = "For example: --argument temperature=0.1"
        raise ValueError(checks.expected("argument", "NAME=VALUE", argument, example))
    try:
        return name.replace("-", "_"), json.loads(value)
    except json.JSONDecodeError:
        return name.replace("-", "_"), value


def shares(**groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of whole groups, each passed to it as one object.

    Args:
        **groups: The command's parameter by name, and the dataclass whose fields are its options.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            for name, group in groups.items():
                values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})
            command(**values)

        own = [p for n, p in inspect.signature(command).parameters.items() if n not in groups]
        shared = [
            inspect.Parameter(
                f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=f.default,
                annotation=f.type,
            )
            for group in groups.values()
            for f in fields(group)
        ]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = inspect.Signature([*shared, *own])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*shared, *own]}
        return run

    return decorated
