"""Labels of all spellings as numbers, and which events are positive, in words of the columns."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from tfrecs import checks
from tfrecs.datasets import cells, columns
from tfrecs.datasets.cells import Decimal
from tfrecs.datasets.choice import Choice

_TRUTHS = (
    *(("yes", "no"), ("true", "false"), ("y", "n"), ("t", "f"), ("like", "dislike")),
    *(("liked", "disliked"), ("up", "down"), ("positive", "negative"), ("pos", "neg")),
    *(("thumbs_up", "thumbs_down"), ("thumbs up", "thumbs down"), ("ja", "nein")),
    *(("oui", "non"), ("si", "no"), ("sí", "no"), ("+", "-")),
)
_MANY = 20  # distinct values looked at
_RARE = 0.001  # share of positive events below which something may be wrong


def labels(
    name: str, column: pa.ChunkedArray, decimal: Decimal | None, notes: list[str]
) -> pa.ChunkedArray:
    """Returns labels as float32.

    Args:
        name: Of the column, for messages.
        column: Numbers, true and false, or text: numbers, or a pair such as yes and no, like and
            dislike, up and down, of any case.
        decimal: The decimal sign; `None` decides by the column.
        notes: Gets the mapping of words.

    Raises:
        ValueError: Other text.

    Example:

    >>> notes = []
    >>> labels("liked", pa.chunked_array([["Yes", "no"]]), None, notes).to_pylist(), notes
    ([1.0, 0.0], ["Labels of 'liked': 'Yes' is 1, 'no' is 0."])
    """
    kind = column.type
    if columns.is_text(kind):
        return _of_text(name, column.cast(pa.string()), decimal, notes)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ValueError(_unreadable(name, str(kind), ""))
    return column.cast(pa.float32(), safe=False)


def label_or_none(
    name: str, events: pa.Table, decimal: Decimal | None, choice: Choice
) -> str | None:
    """Returns the name of a column guessed for the label, or `None` where it holds words."""
    column = events[name]
    if not columns.is_text(column.type):
        return name
    numbers = cells.numbers(name, column.cast(pa.string()), decimal or ".", zeros=True)
    if numbers is None:
        choice.left.pop(name, None)
        return None
    return name


def _of_text(
    name: str, column: pa.ChunkedArray, decimal: Decimal | None, notes: list[str]
) -> pa.ChunkedArray:
    numbers = cells.numbers(name, column, decimal, zeros=True)
    if numbers is not None:
        return numbers.cast(pa.float32(), safe=False)
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(cells.without_missing(column)))
    found = pc.unique(plain.drop_null())
    if len(found) <= _MANY:
        words = set(found.to_pylist())
        pair = next((pair for pair in _TRUTHS if words and words <= set(pair)), None)
        if pair is not None:
            spelled = pc.unique(cells.without_missing(column).drop_null()).to_pylist()
            told = ", ".join(f"{w!r} is {int(w.strip().lower() == pair[0])}" for w in spelled)
            notes.append(f"Labels of {name!r}: {told}.")
            return pc.equal(plain, pair[0]).cast(pa.float32())
    raise ValueError(_unreadable(name, str(column.type), cells.first_not(column), found))


def _unreadable(name: str, kind: str, told: str, found: Any = ()) -> str:
    expectation = f"a column of numbers or of yes and no; {name!r} is not"
    words = [str(word) for word in found[:4]]
    how = f"{name} == {words[0]!r}" if words and len(found) <= _MANY else f"{name} >= 4"
    quoted = how if name.isidentifier() else how.replace(name, f"`{name}`", 1)
    remedy = (
        f"Say which events are positive: positive={quoted!r} (--positive on the command line); "
        f"or take another column (--label-column), or none: --drop {name}."
    )
    values = (
        f"Its values: {', '.join(map(repr, words))}{' ...' if len(found) > 4 else ''}."
        if words
        else ""
    )
    return checks.expected(
        "label", expectation, kind, " ".join(filter(None, [told, values, remedy]))
    )


def positive_notes(events: pa.Table, positive: Any, label: str | None) -> list[str]:
    """Returns a sentence where all, none or hardly any of the events are positive."""
    if positive is None:
        return []
    count, total = ds.dataset(events).count_rows(filter=positive), events.num_rows
    example = f"{label} >= 4" if label else "rating >= 4"
    remedy = f"Is that so? If not, say which are: --positive {example!r}."
    if count == total:
        return [f"All {total:,} events are positive: {positive}. {remedy}"]
    if count == 0:
        return [f"None of the {total:,} events is positive: {positive}. {remedy}"]
    if count / total < _RARE:
        share = f"{100 * count / total:.2g} %"
        return [f"Only {count:,} of {total:,} events ({share}) are positive: {positive}. {remedy}"]
    return []
