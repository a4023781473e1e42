"""Shapes that events come in: nested objects, sessions and impressions as lists, as rows."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import guess
from tfrecs.datasets.columns import is_list, is_text

ORDER = "order"
_SEPARATORS = ("|", ";", ",", " ")


def as_rows(
    events: pa.Table, where: str, names: dict[str, str | None], notes: list[str]
) -> pa.Table:
    """Returns one row an event, whatever shape the events came in.

    Objects inside a row become columns. A list of items becomes a row each: lists of the same
    lengths beside it (times, prices, clicked) go along, other columns are repeated. Without any
    times, a column `order` says where a row stood.

    Args:
        events: As they were read.
        where: Their file, for messages.
        names: The columns that the user named, by part.
        notes: Gets a sentence for what was done.

    Raises:
        ValueError: Lists of items and of times or labels differ in length.

    Example:

    >>> as_rows(pa.table({"user": ["ann"], "shown": [["x", "y"]], "clicked": [[0, 1]]}),
    ...         "log.jsonl", {}, []).to_pylist()
    [{'user': 'ann', 'shown': 'x', 'clicked': 0}, {'user': 'ann', 'shown': 'y', 'clicked': 1}]
    """
    events = _flattened(events)
    named = names.get("item")
    item = named if named in events.column_names else None
    if item is None:
        item = _item_lists(events)
    if item is None or not _may_be_lists(events[item], item, named is not None):
        return events
    separator = None
    if not is_list(events[item].type):
        separator = _separator(events[item], item, where)
        events = _set(events, item, _split(events[item], separator, item, where))
    lengths = _lengths(events[item])
    lists = [item, *_beside(events, item, lengths, separator, where)]
    for name in lists[1:]:
        if not is_list(events[name].type):
            events = _set(events, name, _split(events[name], separator, name, where))
    empty = int((lengths == 0).sum())
    rows = pa.array(np.repeat(np.arange(events.num_rows), lengths))
    columns = {
        name: pc.list_flatten(events[name]) if name in lists else events[name].take(rows)
        for name in events.column_names
    }
    found = pa.table(columns)
    others = f", beside it {', '.join(lists[1:])}" if lists[1:] else ""
    notes.append(
        f"{item!r} holds lists: {events.num_rows:,} rows become {found.num_rows:,} events{others}."
        + (f" {empty:,} rows have an empty list and no event." if empty else "")
    )
    timed = names.get("time") or guess.find_column("time", found, typed=False)
    labelled = names.get("label") or guess.find_column("label", found, typed=False)
    if timed is None and labelled not in lists and ORDER not in found.column_names:
        notes.append("There are no times: the order of rows and lists stands for them.")
        found = found.append_column(ORDER, pa.array(np.arange(found.num_rows)))
    return found


def _flattened(events: pa.Table) -> pa.Table:
    """Returns objects, and lists of objects, as columns of their fields."""
    for name in events.column_names:
        kind = events[name].type
        listed = is_list(kind) and pa.types.is_struct(kind.value_type)
        if not (listed or pa.types.is_struct(kind)):
            continue
        place = events.column_names.index(name)
        column, events = events[name].combine_chunks(), events.remove_column(place)
        fields = kind.value_type if listed else kind
        values = column.flatten() if listed else column
        leaves = {field.name: _leaf(field.name, name, events) for field in fields}
        for field, leaf in leaves.items():
            made = pc.struct_field(values, field)
            if listed:
                lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
                made = _lists(made, lengths)
            events = events.add_column(place, leaf, made)
            place += 1
        return _flattened(events)
    return events


def _leaf(field: str, parent: str, events: pa.Table) -> str:
    """Returns the name of a field as a column: user.id, where `id` alone would not tell."""
    plain = field.lower() in ("id", "name", "title", "value", "type")
    clash = field in events.column_names or any(
        pa.types.is_struct(other.type) and field in [inner.name for inner in other.type]
        for other in events.schema
    )
    return f"{parent}.{field}" if plain or clash else field


def _lists(values: Any, lengths: np.ndarray) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _item_lists(events: pa.Table) -> str | None:
    """Returns the column of lists of items, where no column holds one item a row."""
    single = [n for n in events.column_names if not is_list(events[n].type)]
    found = guess.find_column("item", events.select(single))
    if found is not None and not guess.is_plural(found):
        return None
    lists = {n: events[n].slice(0, 0) for n in events.column_names if is_list(events[n].type)}
    flat = {
        name: pc.list_flatten(column)
        for name, column in lists.items()
        if not is_list(column.type.value_type)
    }
    return guess.find_column("item", pa.table(flat)) or found


def _may_be_lists(column: pa.ChunkedArray, name: str, named: bool) -> bool:
    if is_list(column.type):
        return True
    if not is_text(column.type) or pa.types.is_dictionary(column.type):
        return False
    plural = guess.is_plural(name)
    return plural and (_brackets(column) or any(_any(column, sign) for sign in _SEPARATORS))


def _brackets(column: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, r"^\s*\[.*\]\s*$"), min_count=0).as_py())


def _any(column: pa.ChunkedArray, sign: str) -> bool:
    return bool(pc.any(pc.match_substring(column, sign), min_count=0).as_py())


def _separator(column: pa.ChunkedArray, name: str, where: str) -> str:
    """Returns what stands between the values of a list written as text; "[" for JSON."""
    if _brackets(column):
        return "["
    found = [sign for sign in _SEPARATORS if _any(column, sign)]
    if found[-1:] == [" "] and len(found) == 2:  # a, b, c
        found = found[:1]
    if len(found) > 1:
        row = pc.index(pc.match_substring(column, found[0]), True).as_py()
        raise ValueError(
            f"Column {name!r} of {where} must hold lists with one separator. Received: "
            f"{column[row].as_py()!r} in row {row}, where {' and '.join(map(repr, found))} may "
            "separate. Write JSON lists, as [1, 2], or lists in JSON lines or Parquet."
        )
    return found[0]


def _split(column: pa.ChunkedArray, separator: str | None, name: str, where: str) -> Any:
    """Returns text as lists of text."""
    column = column.cast(pa.string())
    if separator == "[":
        made = []
        for row, cell in enumerate(column.to_pylist()):
            try:
                values = json.loads(cell) if cell and cell.strip() else []
            except json.JSONDecodeError:
                values = [
                    v.strip().strip("'\"") for v in cell.strip()[1:-1].split(",") if v.strip()
                ]
            if not isinstance(values, list):
                raise ValueError(
                    f"Column {name!r} of {where} must hold lists. Row {row}: {cell!r}."
                )
            made.append([None if value is None else str(value) for value in values])
        return pa.array(made, pa.list_(pa.string()))
    trimmed = pc.utf8_trim_whitespace(column)
    pattern = r"\s+" if separator == " " else rf"\s*[{separator}]\s*"
    lists = pc.split_pattern_regex(trimmed, pattern)
    empty = pc.fill_null(pc.equal(trimmed, ""), True)
    return pc.if_else(empty, pa.scalar([], lists.type), lists)


def _lengths(lists: Any) -> np.ndarray:
    found: np.ndarray = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    return found


def _beside(
    events: pa.Table, item: str, lengths: np.ndarray, separator: str | None, where: str
) -> list[str]:
    """Returns the columns of lists as long as those of the items, in every row."""
    found = []
    for name in events.column_names:
        column = events[name]
        if name == item:
            continue
        if is_list(column.type):
            others = _lengths(column)
        elif separator is not None and is_text(column.type) and _any(column, separator):
            others = _lengths(_split(column, separator, name, where))
        else:
            continue
        wrong = np.flatnonzero(others != lengths)
        if len(wrong) == 0 and (lengths > 1).any():
            found.append(name)
        elif _must_match(name) and len(wrong):
            row = int(wrong[0])
            raise ValueError(
                checks.expected(
                    name,
                    f"lists as long as those of {item!r} in {where}",
                    f"{others[row]} values for {lengths[row]} items in row {row}",
                    f"{len(wrong):,} such rows. Fix them, or leave the column out: --drop {name}.",
                )
            )
        elif len(wrong) == 0:
            found.append(name)
    return found


def _must_match(name: str) -> bool:
    empty = pa.table({name: pa.array([], pa.int64())})
    return any(guess.find_column(part, empty) is not None for part in ("time", "label"))


def _set(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
