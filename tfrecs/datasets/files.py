"""Own tables: events, items and users from files, their columns named or guessed."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import columns, guess, sides
from tfrecs.datasets.readers import read_file
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Feature, FeatureSpec, Numeric, Timestamp

logger = logging.getLogger("tfrecs")
_PARTS = ("user", "item", "time", "label")


@dataclass(frozen=True)
class OwnTables:
    """What `read_tables` read, and what it took for what.

    Args:
        tables: The data set.
        columns: The column of `events` for each of user, item, time and label; `None` where there
            is none.
        notes: What else was decided, one sentence each, to be shown.
    """

    tables: Tables
    columns: dict[str, str | None]
    notes: tuple[str, ...] = ()


def read_tables(
    events: str | Path,
    items: str | Path | None = None,
    users: str | Path | None = None,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    label: str | None = None,
) -> OwnTables:
    """Reads one's own tables from CSV, TSV, Parquet or JSON lines.

    Columns that are not named are guessed from their names (userId, movie_id, sku, timestamp,
    rating, ...), the features from their types; the spec of the result says as what. An id of
    `events` without a row in `items` or `users` gets one of nulls there, and is counted in the
    notes. Cells such as `Comedy|Drama` are lists.

    Args:
        events: File of one row an event.
        items: File of one row an item; `None` makes the items from the events.
        users: File of one row a user; `None` makes the users from the events.
        user: Column of the user id. Defaults to a guess, as the next three.
        item: Column of the item id.
        time: Column of the time: numbers since 1970 in a unit told by their size, or dates.
        label: Column of numbers; the events above 0 are positive. Without it all events are.

    Returns:
        The tables and what was guessed.

    Raises:
        ValueError: A malformed file, a column that is missing or of a wrong type, ids missing or
            repeated, numbers not finite, or no event whose id is in `items` or `users`. The
            message names the file, the column and the row, counted from 0.
        OSError: A file cannot be opened.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "plays.csv"
    >>> _ = path.write_text("user,song,plays\\nann,Yesterday,3\\nbob,Help!,1\\n")
    >>> read = read_tables(path)
    >>> read.columns
    {'user': 'user', 'item': 'song', 'time': None, 'label': 'plays'}
    >>> read.tables.candidates.to_pylist()
    [{'song': 'Yesterday'}, {'song': 'Help!'}]
    """
    rows = read_file(events)
    named = dict(zip(_PARTS, (user, item, time, label), strict=True))
    found = {part: _column(part, name, rows, Path(events)) for part, name in named.items()}
    _check_apart(found)
    notes = [*guess.unfit_notes(found, rows)]
    query = sides.read_side("user", str(found["user"]), rows, events, users, notes)
    candidate = sides.read_side("item", str(found["item"]), rows, events, items, notes)
    query, candidate = sides.renamed_apart(query, candidate, notes)
    for side in (query, candidate):
        ids = sides.id_column(rows, side.name, Path(events)).cast(side.table[side.name].type)
        rows = rows.set_column(rows.column_names.index(side.name), side.name, ids)
    try:
        rows, context = _event_features(rows, found, query, candidate, notes)
    except (ValueError, pa.ArrowInvalid) as error:
        raise ValueError(f"{error} (`events` is {events}; rows count from 0.)") from error
    spec = FeatureSpec((*query.features, *candidate.features, *context))
    positive = pc.field(found["label"]) > 0 if found["label"] else None
    for note in notes:
        logger.info(note)
    name = Path(events).name.split(".")[0]
    try:
        tables = Tables(name, rows, query.table, candidate.table, spec, positive=positive)
    except ValueError as error:
        files = {"events": events, "candidates": items, "queries": users}
        told = ", ".join(f"`{part}` is {path}" for part, path in files.items() if path)
        raise ValueError(f"{error} ({told}; rows count from 0.)") from error
    return OwnTables(tables, found, tuple(notes))


def _column(part: str, name: str | None, rows: pa.Table, path: Path) -> str | None:
    """Returns the column that plays a part: the one named, or a guess."""
    if name is not None:
        if name not in rows.column_names:
            near = checks.did_you_mean(name, rows.column_names)
            raise ValueError(
                checks.expected(part, f"a column of {path}: {rows.column_names}", name, near)
            )
        return name
    found = guess.find_column(part, rows)
    if found is None and part in ("user", "item"):
        columns_told = ", ".join(f"{field.name} ({field.type})" for field in rows.schema)
        raise ValueError(
            f"No column of {path} looks like the {part} id, of text or integers. Columns: "
            f"{columns_told}. Name it: {part}='...' (--{part}-column on the command line)."
        )
    return found


def _check_apart(found: dict[str, str | None]) -> None:
    """Raises ValueError where one column plays two parts."""
    parts: dict[str, str] = {}
    for part, column in found.items():
        if column is not None and parts.setdefault(column, part) != part:
            other = f"{parts[column]} id" if parts[column] in ("user", "item") else parts[column]
            expectation = f"another column than the {other}"
            raise ValueError(checks.expected(part, expectation, column))


def _event_features(
    rows: pa.Table,
    found: dict[str, str | None],
    query: sides.Side,
    candidate: sides.Side,
    notes: list[str],
) -> tuple[pa.Table, list[Feature]]:
    """Returns the events, and the features that are theirs: label, time, context."""
    taken = {*query.table.column_names, *candidate.table.column_names}
    features: list[Feature] = []
    for name in rows.column_names:
        if name in (query.name, candidate.name):
            continue
        if name == found["label"]:
            rows = _with(rows, name, _labels(rows[name], name))
            features.append(Numeric(name, "label"))
        elif name == found["time"]:
            times, unit = _times(rows[name], name)
            rows = _with(rows, name, times)
            features.append(Timestamp(name, "time", unit))
        elif name in taken:
            notes.append(f"{name!r} of the events is left out: users or items have it too.")
            rows = rows.drop_columns(name)
        else:
            rows, feature = sides.with_feature(rows, name, "context", notes)
            features += [feature] if feature is not None else []
    return rows, features


def _with(rows: pa.Table, name: str, column: Any) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)


def _labels(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ValueError(
            checks.expected(
                "label",
                f"a column of numbers; {name!r} is not",
                str(kind),
                guess.first_text(column),
            )
        )
    return column.cast(pa.float32(), safe=False)


def _check_int64(column: pa.ChunkedArray, name: str) -> None:
    wrong = pc.greater(pc.abs(column), 9.2e18)
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise ValueError(
            f"Column `{name}` of `events` must hold times whose size an int64 can hold. Received: "
            f"{column[row].as_py():g} in row {row} ({pc.sum(wrong).as_py()} such values). "
            "Drop those rows."
        )


def _times(column: pa.ChunkedArray, name: str) -> tuple[pa.ChunkedArray, Any]:
    """Returns times as integers, and their unit."""
    if columns.is_text(column.type):
        try:
            column = column.cast(pa.timestamp("s"))
        except pa.ArrowInvalid as error:
            expectation = f"a column of numbers or dates such as 2020-01-31 12:00; {name!r} is not"
            told = guess.first_text(column)
            raise ValueError(checks.expected("time", expectation, str(error), told)) from error
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()), column.type.unit
    if pa.types.is_floating(column.type):
        columns.check_values("events", column, Timestamp(name, "time"), required=True)
        _check_int64(column, name)
        column = pc.floor(column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ValueError(
            checks.expected(
                "time", f"a column of numbers or dates; {name!r} is not", str(column.type)
            )
        )
    column = column.cast(pa.int64())
    return column, guess.time_unit(column)
