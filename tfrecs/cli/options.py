"""The options that commands share: the data, and the training."""

import functools
import inspect
import json
from collections.abc import Callable
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
    events: Annotated[
        Path | None, _data("Your events: CSV, TSV, Parquet, JSON lines, RecBole, lists of items")
    ] = None
    items: Annotated[Path | None, _data("Your items, one row each")] = None
    users: Annotated[Path | None, _data("Your users, one row each")] = None
    user_column: Column = None
    item_column: Column = None
    time_column: Column = None
    label_column: Column = None
    item_id: Annotated[str | None, _data("Column of --items with the ids of the events")] = None
    user_id: Annotated[str | None, _data("Column of --users with the ids of the events")] = None
    allow_missing: Annotated[
        bool, _data("Though under half of the ids of the events are in --items or --users")
    ] = False
    positive: Annotated[
        str | None, _data("Which events are positive: \"rating >= 4 and kind != 'view'\"")
    ] = None
    decimal: Annotated[str | None, _data("The decimal sign, '.' or ','; guessed without")] = None
    date_order: Annotated[
        str | None, _data("'day' or 'month', the first in 01/02/2024; guessed without")
    ] = None
    features: Annotated[str | None, _data("Only these columns are features: NAME,NAME")] = None
    drop: Annotated[str | None, _data("These columns are no features: NAME,NAME")] = None
    spec: Annotated[Path | None, _data("The features, as `tfrecs spec` writes them")] = None
    test_events: Annotated[
        Path | None, _data("Events to be judged on; or rows of a list `history` and a `target`")
    ] = None
    protocol: Annotated[
        str,
        _data("leave-last-out, time, random, or auto: leave-last-out where events carry times"),
    ] = "auto"

    def read(self, model: str | None = None) -> Any:
        """Returns the Tables that the options name, and shows what was guessed.

        Args:
            model: Name of the model, to show what it reads of the columns; `None` shows none.
        """
        from tfrecs import datasets, show

        if self.events is not None:
            read = self.own()
            show.columns(console, read, model)
            return read.tables
        given = [f"--{name.replace('_', '-')}" for name in OWN if getattr(self, name)]
        if given:
            raise ValueError(f"{', '.join(given)} need --events FILE, the table of your events.")
        with console.status(f"  reading {self.dataset}"):
            return datasets.read_known(self.dataset, self.data_dir)

    def own(self) -> Any:
        """Returns what `read_tables` reads of the files that the options name."""
        from tfrecs import checks, datasets, show

        for option, choices in (("decimal", (".", ",")), ("date_order", ("day", "month"))):
            if (value := getattr(self, option)) is not None:
                checks.one_of(option, value, choices)
        options: dict[str, Any] = {
            part: getattr(self, f"{part}_column") for part in ("user", "item", "time", "label")
        }
        options |= {name: getattr(self, name) for name in OWN if not name.endswith("_column")}
        for name in ("features", "drop"):
            options[name] = _names(options[name])
        options["drop"] = options["drop"] or ()
        with show.reading(errors) as progress:
            return datasets.read_tables(self.events, progress=progress, **options)


OWN = (
    *("items", "users", "user_column", "item_column", "time_column", "label_column", "item_id"),
    *("user_id", "allow_missing", "positive", "decimal", "date_order", "features", "drop", "spec"),
    "test_events",
)


def _names(text: str | None) -> list[str] | None:
    """Returns the names of `NAME,NAME`."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


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
