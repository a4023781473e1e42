"""Which column of users or items holds the ids of the events: the one that has most of them."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import columns, guess
from tfrecs.datasets.sources import Source

_LEAST = 0.5  # share of the ids of the events that must be there
_MOSTLY = 0.9  # share of distinct values of a column of ids
_ASKED = 100_000  # distinct ids looked up in each column


def find_id(
    part: str,
    name: str,
    ids: Any,
    source: Source,
    own: str | None,
    allow_missing: bool,
    notes: list[str],
) -> str:
    """Returns the column of a side's table that holds the ids of the events.

    Args:
        part: "user" or "item".
        name: Column of the id in the events.
        ids: Distinct ids of the events.
        source: The side's table.
        own: The column that the user named; `None` to choose.
        allow_missing: Whether fewer than half of the ids may be there.
        notes: Gets a sentence where the column is called otherwise than in the events.

    Raises:
        ValueError: The column named or of the events' name holds fewer ids than another, none
            holds half of them, or two hold as many.
    """
    option = f"{part}_id='...' (--{part}-id on the command line)"
    if own is not None and own not in source.table.column_names:
        near = checks.did_you_mean(own, source.table.column_names)
        expectation = f"a column of {source.where}: {source.table.column_names}"
        raise ValueError(checks.expected(f"{part}_id", expectation, own, near))
    shares = overlaps(ids, source.table)
    if own is not None:
        found = own
        share = shares.get(own, overlap(ids, source.table[own]))
    else:
        found = _chosen(part, name, shares, source, option)
        share = shares.get(found, 0.0)
    if share == 0 or (share < _LEAST and not allow_missing):
        _refuse(part, name, found, share, shares, ids, source, option)
    if found != name:
        notes.append(
            f"{found!r} of {source.where} is {name!r} of the events: it holds {_percent(share)} of "
            f"their {part}s."
        )
    return found


def overlaps(ids: Any, table: pa.Table) -> dict[str, float]:
    """Returns which share of the ids each column holds, of columns that can be ids.

    Example:

    >>> overlaps(pa.array(["a", "b"]), pa.table({"id": ["x", "y"], "key": ["a", "z"]}))
    {'id': 0.0, 'key': 0.5}
    """
    return {
        name: overlap(ids, table[name])
        for name in table.column_names
        if _may_be_id(table[name].type) and (guess.is_id_name(name) or _distinct(table[name]))
    }


def _distinct(column: pa.ChunkedArray) -> bool:
    """Returns whether hardly any value is there twice, as it must be with ids."""
    return bool(pc.count_distinct(column).as_py() >= _MOSTLY * len(column))


def overlap(ids: Any, column: pa.ChunkedArray) -> float:
    """Returns which share of the ids a column holds; numbers are compared as text with text."""
    asked = ids[:: max(1, len(ids) // _ASKED)]
    if pa.types.is_floating(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            return 0.0
    elif not _may_be_id(column.type):
        return 0.0
    column = columns.plain(column)
    if columns.is_text(column.type) != columns.is_text(asked.type):
        column, asked = column.cast(pa.string()), asked.cast(pa.string())
    return float((columns.positions(asked, column) >= 0).mean()) if len(asked) else 0.0


def _may_be_id(kind: pa.DataType) -> bool:
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(columns.is_text(kind) or number)


def _chosen(part: str, name: str, shares: dict[str, float], source: Source, option: str) -> str:
    """Returns the column of most ids; of several, the one of the events' name or of a known one."""
    best = max(shares.values(), default=0.0)
    first = [column for column, share in shares.items() if share == best]
    same = next((c for c in shares if c == name), None)
    same = same or next((c for c in shares if c.lower() == name.lower()), None)
    if same is not None:
        if shares[same] == best:
            return same
        raise ValueError(
            f"{source.where} must say which column holds the {part} ids. Received: {same!r}, "
            f"called as in the events, holds {_percent(shares[same])} of them, and {first[0]!r} "
            f"holds {_percent(best)}. Name one: {option}."
        )
    if best == 0:
        plain = next((c for c in shares if c.lower() == "id"), None)
        named = guess.find_column(part, source.table, typed=False) or plain
        if named is None:
            raise ValueError(
                f"{source.where} must have the {part} id in a column {name!r}, as the events have. "
                f"Received: {source.table.column_names}, none of which holds their ids. Name one: "
                f"{option}."
            )
        return named
    if len(first) == 1:
        return first[0]
    known = guess.find_column(part, source.table.select(first), typed=False)
    known = known or next((c for c in first if c.lower() == "id"), None)
    if known is None:
        raise ValueError(
            f"{source.where} must say which column holds the {part} ids. Received: "
            f"{' and '.join(map(repr, first))} each hold {_percent(best)} of those of the events. "
            f"Name one: {option}."
        )
    return known


def _refuse(
    part: str,
    name: str,
    found: str,
    share: float,
    shares: dict[str, float],
    ids: Any,
    source: Source,
    option: str,
) -> None:
    column = source.table[found]
    there, here = ids[0].as_py(), column[0].as_py()
    others = ", ".join(
        f"{c!r} {_percent(s)}" for c, s in sorted(shares.items(), key=lambda p: -p[1])[:4]
    )
    if share == 0:
        raise ValueError(
            f"No {part} of the events is in {source.where}. Received: {name} {there!r} there, "
            f"{here!r} in {found!r} here. Columns of {source.where} hold: {others}. Name the one "
            f"of these ids: {option}; or the column of the events: {part}='...' (--{part}-column)."
        )
    raise ValueError(
        f"{source.where} must hold at least half of the {part}s of the events. Received: "
        f"{_percent(share)} of them in {found!r}; {name} is {there!r} there, {here!r} here. "
        f"Columns hold: {others}. Name another one: {option}; or take it as it is: "
        "allow_missing=True (--allow-missing)."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
