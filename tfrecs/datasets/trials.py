"""Events to be judged on that come in a table of their own, with histories given or not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import shapes
from tfrecs.datasets.columns import is_list, is_text
from tfrecs.datasets.sources import Source

PART = "__part__"  # column that says of an event where it is from
_TARGETS = ("target", "targets", "next", "next_item", "answer")


def read(source: Source, found: dict[str, str | None], notes: list[str]) -> Source:
    """Returns test events in the columns of the training events, `PART` "test" or "given".

    Args:
        source: As it was opened.
        found: The columns of user, item, time and label in the training events.
        notes: Gets a sentence for what was done.

    Raises:
        ValueError: A column is missing.
    """
    user, item = found["user"], found["item"]
    target = next((n for n in source.table.column_names if n.lower() in _TARGETS), None)
    lists = [n for n in source.table.column_names if n != target and _holds_lists(source, n)]
    if target is not None and len(lists) == 1 and user and item:
        return _prefixes(source, user, item, lists[0], target, notes)
    wanted: dict[str, str | None] = {
        p: n if n in source.table.column_names else None for p, n in found.items()
    }
    table = shapes.as_rows(source.table, source.where, wanted, notes)
    for part, name in found.items():
        if name is not None and name not in table.column_names:
            near = checks.did_you_mean(name, table.column_names)
            expectation = f"with the {part} in a column {name!r}, as the events have"
            raise ValueError(checks.expected("test_events", expectation, table.column_names, near))
    marks = pa.array(["test"] * table.num_rows)
    return replace(source, table=table.append_column(PART, marks))


def _holds_lists(source: Source, name: str) -> bool:
    column = source.table[name]
    if is_list(column.type):
        return True
    known = name.lower() in ("history", "prefix", "items", "session")
    return known and is_text(column.type)


def _prefixes(
    source: Source,
    user: str,
    item: str,
    history: str,
    target: str,
    notes: list[str],
) -> Source:
    """Returns rows of a history and a target as events; a row without a user is a visitor."""
    table = source.table
    rows = table.num_rows
    if user in table.column_names:
        owners = table[user]
        if len(pc.unique(owners)) < rows:
            told = f"{rows:,} rows of {len(pc.unique(owners)):,} users"
            expectation = f"one row a user in {user!r}, since each row is a history and a target"
            remedy = f"Leave {user!r} out: then each row is a user of its own."
            raise ValueError(checks.expected("test_events", expectation, told, remedy))
    else:
        owners = pa.chunked_array([pa.array([f"test {row}" for row in range(rows)])])
        notes.append(f"{source.where} has no column {user!r}: each row is a user of its own.")
    lists = table.select([history]).append_column("row", pa.array(np.arange(rows)))
    given = shapes.as_rows(lists, source.where, {"item": history, "time": "row"}, [])
    places = pa.array(np.r_[given["row"].to_numpy(), np.arange(rows)])
    kind = table[target].type
    items = pa.chunked_array([*given[history].cast(kind).chunks, *table[target].chunks])
    order = np.lexsort((np.r_[np.zeros(given.num_rows), np.ones(rows)], places.to_numpy()))
    marks = np.r_[np.full(given.num_rows, "given"), np.full(rows, "test")][order]
    columns = {user: owners.take(places.take(pa.array(order))), item: items.take(pa.array(order))}
    notes.append(
        f"{source.where}: {given.num_rows:,} events of {history!r} are given, {rows:,} of "
        f"{target!r} are to be found."
    )
    columns[PART] = pa.array(marks)
    return replace(source, table=pa.table(columns))


def joined(events: Source, apart: Source) -> Source:
    """Returns the training events and the others as one table, by `PART`."""
    train = events.table.append_column(PART, pa.array(["train"] * events.table.num_rows))
    test = apart.table
    for name in [n for n in test.column_names if n not in train.column_names]:
        test = test.drop_columns([name])
    for name in test.column_names:
        if test[name].type != train[name].type:
            text = is_text(test[name].type) or is_text(train[name].type)
            kind = pa.string() if text else train[name].type
            test = _cast(test, name, kind, apart.where)
            train = _cast(train, name, kind, events.where)
    table = pa.concat_tables([train, test], promote_options="permissive")
    return replace(events, table=table, text=events.text or apart.text)


def lacks(rows: pa.Table, name: str) -> bool:
    """Returns whether the test events have no value of a column, as histories and targets have."""
    return PART in rows.column_names and _apart(rows)[name].null_count == _apart(rows).num_rows


def _apart(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.not_equal(rows[PART], "train"))


def of_training(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Returns a column of the training events alone where the test events have none of it."""
    if lacks(rows, name):
        rows = rows.filter(pc.equal(rows[PART], "train"))
    return rows[name]


def later(rows: pa.Table, user: str, times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns times of all events: those of histories and targets are after the training.

    Args:
        rows: All events, those of training first.
        user: Column of the user id.
        times: int64, of the training, or of all events.
    """
    if len(times) == rows.num_rows:
        return times
    owners = _apart(rows)[user].combine_chunks().dictionary_encode().indices.to_numpy()
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    place = np.arange(len(owners)) - np.repeat(starts, np.diff(np.r_[starts, len(owners)]))
    last = pc.max(times).as_py()
    return pa.chunked_array([np.r_[times.to_numpy(), last + 1 + place]])


def unlabelled(rows: pa.Table, expression: pc.Expression) -> bool:
    """Returns whether no test event is positive nor negative, by an expression of columns."""
    if PART not in rows.column_names:
        return False
    apart = _apart(rows)
    return bool(apart.filter(expression | ~expression).num_rows == 0)


def positives(
    rows: pa.Table, expression: pc.Expression, label: str | None, notes: list[str]
) -> pa.Table:
    """Returns the positive events of training, without the label, and all histories and targets."""
    kept = rows.filter(expression | (pc.field(PART) != "train"))
    count = kept.num_rows - _apart(kept).num_rows
    notes.append(
        f"The test events are histories and targets, which say nothing of {expression}: all of "
        f"them are positive, and {count:,} positive events are learned from."
    )
    return kept.drop_columns([label]) if label is not None else kept


def _cast(table: pa.Table, name: str, kind: pa.DataType, where: str) -> pa.Table:
    try:
        column = table[name].cast(kind)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"Column {name!r} of {where} must hold {kind} as well: {error}."
        ) from error
    return table.set_column(table.column_names.index(name), name, column)
