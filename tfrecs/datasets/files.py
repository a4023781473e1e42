"""Own tables: events, items and users from files or tables, their columns named or guessed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import counted, guess, shapes, sides, trials
from tfrecs.datasets.cells import Decimal
from tfrecs.datasets.choice import Choice, read_spec
from tfrecs.datasets.event_columns import event_features
from tfrecs.datasets.labels import positive_notes
from tfrecs.datasets.moments import Order
from tfrecs.datasets.sources import Source, check_named, open_source
from tfrecs.datasets.tables import Tables
from tfrecs.datasets.texts import Progress
from tfrecs.spec import FeatureSpec

logger = logging.getLogger("tfrecs")
PARTS = ("user", "item", "time", "label")
_IDS = ("user", "item")


@dataclass(frozen=True)
class OwnTables:
    """What `read_tables` read, and what it took for what.

    Args:
        tables: The data set.
        columns: The column of `events` for each of user, item, time and label; `None` where there
            is none.
        notes: What else was decided, one sentence each, to be shown.
        left: By name of a column that is no feature, why.
    """

    tables: Tables
    columns: dict[str, str | None]
    notes: tuple[str, ...] = ()
    left: dict[str, str] | None = None


def read_tables(
    events: Any,
    items: Any = None,
    users: Any = None,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    label: str | None = None,
    item_id: str | None = None,
    user_id: str | None = None,
    allow_missing: bool = False,
    positive: str | None = None,
    decimal: Decimal | None = None,
    date_order: Order | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    spec: FeatureSpec | str | Path | None = None,
    test_events: Any = None,
    progress: Progress | None = None,
) -> OwnTables:
    """Reads one's own tables; a guess is right, told in the notes, or refused.

    Tables are files (CSV, TSV, JSON lines, Parquet, RecBole's, lines of a user and items) or what
    has `__arrow_c_stream__` (pandas, polars, Arrow, DuckDB), or dicts of arrays. Columns that are
    not named are guessed from their names (userId, movie_id, sku, timestamp, rating, ...), then
    read as their part wants: ids as the text that they are, times in any unit or spelling, labels
    as numbers or yes and no. An id of `events` without a row in `items` or `users` gets one of
    nulls there. Events of lists (sessions, impressions) become a row each.

    Args:
        events: One row an event.
        items: One row an item; `None` makes the items from the events.
        users: One row a user; `None` makes the users from the events.
        user: Column of the user id. Defaults to a guess, as the next three.
        item: Column of the item id.
        time: Column of the time.
        label: Column of the label; without `positive` the events above 0 are positive.
        item_id: Column of `items` that holds the ids of the events. Defaults to the one that holds
            most of them.
        user_id: Column of `users` likewise.
        allow_missing: Whether fewer than half of the ids may be there. Defaults to `False`.
        positive: Which events are positive: `rating >= 4`, `event == 'buy' and price > 0`.
        decimal: The decimal sign of text, "." or ","; `None` decides by each column.
        date_order: "day" or "month", which of them is first in 01/02/2024; `None` likewise.
        features: Columns that become features; `None` for all.
        drop: Columns that do not.
        spec: The features, or a file of `tfrecs spec`; `None` guesses them.
        test_events: Events to be judged on, in the columns of `events`, or with a list `history`
            and a `target`. All are in `events` of the result, marked in a column `__part__`:
            "train", "test" and "given".
        progress: Called with bytes read and bytes to read.

    Returns:
        The tables and what was guessed.

    Raises:
        TypeError: A table is neither a path nor a table.
        ValueError: What cannot be read for sure. The message names the file, the column, the row,
            counted from 0, and the option.
        OSError: A file cannot be opened.

    Example:

    >>> read = read_tables({"user": ["ann", "bob"], "song": ["Help!", "007"], "plays": [3, 1]})
    >>> read.columns
    {'user': 'user', 'item': 'song', 'time': None, 'label': 'plays'}
    >>> read.tables.candidates.to_pylist()
    [{'song': 'Help!'}, {'song': '007'}]
    """
    notes: list[str] = []
    how: dict[str, Any] = {"decimal": decimal, "date_order": date_order, "progress": progress}
    given = {"events": events, "items": items, "users": users}
    sources = {
        name: None if value is None and name != "events" else open_source(name, value, notes, **how)
        for name, value in given.items()
    }
    choice = Choice(features, tuple(drop), read_spec(spec))
    for option, columns in (("drop", drop), ("features", features or ())):
        check_named(columns, list(sources.values()), option)
    source: Any = sources["events"]
    named = dict(zip(PARTS, (user, item, time, label), strict=True))
    named = _of_spec(choice.spec, named)
    source = replace(source, table=shapes.as_rows(source.table, source.where, named, notes))
    found: dict[str, str | None] = {}
    for part, column in named.items():
        taken = [name for name in found.values() if name is not None]
        found[part] = _column(part, column, source, (*drop, *taken))
    _check_ids(found, source, notes)
    _check_apart(found)
    apart = None
    if test_events is not None:
        apart = trials.read(open_source("test_events", test_events, notes, **how), found, notes)
        source = trials.joined(source, apart)
    own = {"user": user_id, "item": item_id}
    made = [
        sides.read_side(
            part,
            str(found[part]),
            source,
            sources[f"{part}s"],
            own[part],
            allow_missing,
            choice,
            notes,
        )
        for part in _IDS
        if found[part] is not None
    ]
    read = _tables(source, found, made, choice, named, positive, notes, sources)
    for note in read.notes:
        logger.info(note)
    return read


def _of_spec(spec: FeatureSpec | None, named: dict[str, str | None]) -> dict[str, str | None]:
    """Returns the columns that a spec names, under those that the user named."""
    if spec is None:
        return named
    roles = {"user": spec.ids.get("query"), "item": spec.ids.get("candidate")}
    firsts = {part: next(iter(spec.by_role(part)), None) for part in ("time", "label")}
    found = {part: feature.name for part, feature in {**roles, **firsts}.items() if feature}
    return {part: name or found.get(part) for part, name in named.items()}


def _column(part: str, name: str | None, source: Source, others: Sequence[str]) -> str | None:
    """Returns the column that plays a part: the one named, or a guess that is none of `others`."""
    rows, where = source.table, source.where
    if name is not None:
        if name not in rows.column_names:
            near = checks.did_you_mean(name, rows.column_names)
            expectation = f"a column of {where}: {rows.column_names}"
            raise ValueError(checks.expected(part, expectation, name, near))
        return name
    kept = [column for column in rows.column_names if column not in (*others, trials.PART)]
    return guess.find_column(part, rows.select(kept), typed=False)


def _check_ids(found: dict[str, str | None], source: Source, notes: list[str]) -> None:
    """Raises ValueError unless there are both ids, or none of them and a label."""
    missing = [part for part in _IDS if found[part] is None]
    if not missing:
        return
    if len(missing) == len(_IDS) and found["label"] is not None:
        notes.append(
            f"No column of {source.where} looks like a user or an item id: each row is taken for "
            "an impression with a label, as click models learn from (name ids: --user-column, "
            "--item-column)."
        )
        return
    told = ", ".join(f"{field.name} ({field.type})" for field in source.table.schema)
    part = missing[0]
    raise ValueError(
        f"No column of {source.where} looks like the {part} id, of text or integers. Columns: "
        f"{told}. Name it: {part}='...' (--{part}-column on the command line)."
    )


def _check_apart(found: dict[str, str | None]) -> None:
    """Raises ValueError where one column plays two parts."""
    parts: dict[str, str] = {}
    for part, column in found.items():
        if column is not None and parts.setdefault(column, part) != part:
            other = f"{parts[column]} id" if parts[column] in _IDS else parts[column]
            expectation = f"another column than the {other}"
            raise ValueError(checks.expected(part, expectation, column))


def _tables(
    source: Source,
    found: dict[str, str | None],
    made: list[sides.Side],
    choice: Choice,
    named: dict[str, str | None],
    positive: str | None,
    notes: list[str],
    sources: dict[str, Any],
) -> OwnTables:
    """Returns the checked tables of what was read."""
    if len(made) == len(_IDS):
        made = [*sides.renamed_apart(made[0], made[1], notes)]
    for side in made:
        ids = sides.id_column(source.table, side.name, source.where)
        source = source.with_column(side.name, ids.cast(side.table[side.name].type))
    try:
        rows, context, expression = event_features(
            source, found, made, choice, named["label"], positive, notes
        )
    except (ValueError, pa.ArrowInvalid) as error:
        raise ValueError(f"{error} (`events` is {source.where}; rows count from 0.)") from error
    spec = FeatureSpec((*(f for side in made for f in side.features), *context))
    label = found["label"]
    if expression is None and label:
        expression = pc.field(label) > 0
    if expression is not None and trials.unlabelled(rows, expression):
        rows = trials.positives(rows, expression, label, notes)
        choice.left.update({label: "the test events have none"} if label else {})
        spec, expression = spec.select(*(n for n in spec.names if n != label)), None
    if trials.PART in rows.column_names:
        choice.left[trials.PART] = "says which events are for the test"
    notes += positive_notes(rows, expression, found["label"])
    notes += counted.repeats(rows, found)
    tables: dict[str, Any] = {side.role: side.table for side in made}
    try:
        checked = Tables(
            source.name,
            rows,
            tables.get("query"),
            tables.get("candidate"),
            spec,
            positive=expression,
        )
    except ValueError as error:
        places = {"events": "events", "items": "candidates", "users": "queries"}
        told = ", ".join(
            f"`{place}` is {sources[name].where}" for name, place in places.items() if sources[name]
        )
        raise ValueError(f"{error} ({told}; rows count from 0.)") from error
    return OwnTables(checked, found, tuple(notes), dict(choice.left))
