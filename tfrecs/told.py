"""What is shown of one's own tables before training: the columns, what each is, who reads it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tfrecs.datasets import OwnTables, Tables
from tfrecs.datasets.counted import dates
from tfrecs.evaluation import Split
from tfrecs.recipes import recipe
from tfrecs.spec import Feature, Timestamp

_SAMPLE = 100  # events by which a recipe says what it reads
_PATIENCE = 2.0  # seconds after which a bar is shown
_ROLES = {"query": "user", "candidate": "item", "context": "of the event"}


@contextlib.contextmanager
def reading(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Shows how much of a file was read, with an estimate, where that takes over two seconds."""
    start = time.perf_counter()
    bar = Progress(
        TextColumn("  reading"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    tasks: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not tasks and time.perf_counter() - start > _PATIENCE:
            bar.start()
            tasks.append(bar.add_task("", total=total))
        if tasks:
            bar.update(tasks[0], completed=done, total=total)

    try:
        yield progress
    finally:
        bar.stop()


def columns(console: Console, read: OwnTables, model: str | None = None) -> None:
    """Prints a row for each column: table, column, role, kind, and whether the model reads it."""
    tables = read.tables
    for part, column in read.columns.items():
        told = f"[bold]{escape(column)}[/]" if column else f"none (name it: --{part}-column NAME)"
        console.print(f"  {part:>6} = {told}{_dates(part, column, tables)}", highlight=False)
    reads = names_read(tables, model) if model is not None else None
    head = ["table", "column", "role", "kind", *([f"read by {model}"] if model else [])]
    table = Table(*head, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for place, name, feature in _columns(tables):
        cells = [place, escape(name), *_told(name, feature, read)]
        if reads is not None:
            cells.append(_reads(name, feature, tables, reads, str(model)))
        table.add_row(*cells)
    for name, why in (read.left or {}).items():
        if not any(name in t.column_names for t in (tables.events, tables.queries)):
            table.add_row("", escape(name), "left out", why, *(["no"] if model else []))
    console.print(table, highlight=False)
    for note in read.notes:
        console.print(f"  {note}", highlight=False, markup=False)


def _dates(part: str, column: str | None, tables: Tables) -> str:
    if part != "time" or column is None:
        return ""
    feature = tables.spec[column]
    unit = feature.unit if isinstance(feature, Timestamp) else "s"
    return f", {dates(tables.events[column], unit)}"


def _columns(tables: Tables) -> Iterator[tuple[str, str, Feature | None]]:
    """Yields table, column and feature, each column once."""
    named = {"events": tables.events, "users": tables.queries, "items": tables.candidates}
    by_name = {feature.name: feature for feature in tables.spec}
    seen: set[str] = set()
    for place, table in named.items():
        for name in table.column_names:
            if name not in seen:
                seen.add(name)
                yield place, name, by_name.get(name)


def _told(name: str, feature: Feature | None, read: OwnTables) -> tuple[str, str]:
    """Returns the role and the kind of a column."""
    if feature is None:
        return "left out", (read.left or {}).get(name, "no feature of the spec")
    role = f"{_ROLES[feature.role]} id" if getattr(feature, "is_id", False) else feature.role
    dtype = getattr(feature, "dtype", "")
    return _ROLES.get(role, role), f"{type(feature).__name__}{f' of {dtype}' if dtype else ''}"


def _reads(
    name: str, feature: Feature | None, tables: Tables, reads: tuple[str, ...] | None, model: str
) -> str:
    """Returns whether the model reads a column, and why not."""
    if feature is None:
        return "no"
    if feature.role == "time":
        return "for the split and the order"
    if reads is None:
        return "told after the split"
    if name in reads or f"history_{name}" in reads:
        return "yes"
    if "history" in reads and feature.name in (f.name for f in tables.spec.ids.values()):
        return "yes, as the history"
    if feature.role == "label":
        return "no, it says which events are positive" if tables.positive is not None else "no"
    kinds = {f.kind for f in tables.spec if f.name in reads}
    contexts = {f.name for f in tables.spec.by_role("context")}
    if feature.role == "context" and not contexts & set(reads):
        return f"no, {model} reads nothing of the event alone"
    if feature.kind not in kinds:
        return f"no, {model} reads no {type(feature).__name__}"
    return f"no, {model} reads other columns alone"


def names_read(tables: Tables, model: str) -> tuple[str, ...] | None:
    """Returns the features that a model would read of the tables; `None` where it cannot be told.

    A recipe prepares its tables from a split: here from a few events.
    """
    chosen = recipe(model)
    sample = tables.events.slice(0, _SAMPLE)
    try:
        prepared = chosen.prepare(tables, Split(sample, sample, "a few events"))
        return chosen.features(prepared.spec).names
    except (ValueError, KeyError, TypeError):
        return None
