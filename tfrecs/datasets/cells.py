"""Cells of text as numbers: whole or with a fraction, by point or comma, decided by the column."""

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.columns import is_text

Decimal = Literal[".", ","]
_MISSING = pa.array(["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "NULL", "null", "None", "<NA>"])
PLAIN = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_INFINITE = r"^\s*[-+]?([iI]nf|[iI]nfinity|INF)\s*$"
_COMMA = r"^\s*[-+]?\d+,\d+\s*$"  # 4,5
_COMMA_SURE = r"^\s*[-+]?(\d+,(\d{1,2}|\d{4,})|0\d*,\d+|\d{4,},\d+)\s*$"  # no 1,234
_EUROPEAN = r"^\s*[-+]?\d{1,3}(\.\d{3})+(,\d+)?\s*$"  # 1.234 and 1.234.567,8
_EUROPEAN_SURE = r"^\s*[-+]?\d{1,3}((\.\d{3})+,\d+|(\.\d{3}){2,})\s*$"
_ENGLISH = r"^\s*[-+]?\d{1,3}(,\d{3})+(\.\d+)?\s*$"  # 1,234 and 1,234,567.8
_ENGLISH_SURE = r"^\s*[-+]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})\s*$"
_THREE = r"^\s*[-+]?[1-9]\d{0,2}\.\d{3}\s*$"  # 1.234, a thousand where commas are decimal


class AmbiguousError(ValueError):
    """A column of which two readings are possible; the message says with which option to choose."""


def is_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns where cells of text are null, empty, or NA, NaN, NULL and None."""
    return pc.or_(column.is_null(), pc.is_in(column, value_set=_MISSING.cast(column.type)))


def without_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns cells of text, null where they say that a value is missing."""
    missing = is_missing(column)
    if not pc.any(missing, min_count=0).as_py():
        return column
    return pc.if_else(missing, pa.scalar(None, column.type), column)


def numbers(
    name: str, column: pa.ChunkedArray, decimal: Decimal | None = None, *, zeros: bool = False
) -> pa.ChunkedArray | None:
    """Returns a column of text as int64 or float64, or `None` where a cell is no number.

    Args:
        name: Of the column, for messages.
        column: Text.
        decimal: The decimal sign; `None` decides by the whole column.
        zeros: Whether `007` is a number too. Defaults to `False`: it is an article, a postcode.

    Raises:
        AmbiguousError: 1,234 may be a thousand or one and a bit, and nothing in the column tells.

    Example:

    >>> numbers("price", pa.chunked_array([["1.299,50", "19,9"]])).to_pylist()
    [1299.5, 19.9]
    >>> numbers("sku", pa.chunked_array([["007", "8"]])) is None
    True
    """
    found = None if decimal == "," else _direct(column)
    cells = column
    if found is None or _any_nan(found):  # else no cell says that it is missing
        cells = without_missing(column)
        found = None if decimal == "," else _direct(cells)
    if cells.null_count == len(cells):
        return None
    zero = cells.filter(pc.fill_null(pc.starts_with(cells, "0"), False))
    if not zeros and _any(cells if found is None else zero, r"^\s*[-+]?0\d"):
        return None
    whole = found is not None and pa.types.is_integer(found.type)
    if whole and _any(zero, "[xX]"):  # Arrow reads 0x1F
        return None
    if found is not None:
        return found
    if decimal != "," and _all(cells, PLAIN, _INFINITE):
        return _parsed(cells)
    signs = _signs(name, cells, decimal)
    if signs is None:
        return None
    thousands, point = signs
    cells = pc.replace_substring(cells, thousands, "")
    return _parsed(cells if point == "." else pc.replace_substring(cells, ",", "."))


def decimal_sign(column: pa.ChunkedArray) -> Decimal | None:
    """Returns the decimal sign that a column of numbers leaves no doubt of, or `None`.

    Example:

    >>> decimal_sign(pa.chunked_array([["4,5", "3,0"]]))
    ','
    """
    cells = without_missing(column)
    if cells.null_count == len(cells):
        return None
    if _all(cells, _COMMA, _EUROPEAN, r"^\d+$") and _any(cells, f"{_COMMA_SURE}|{_EUROPEAN_SURE}"):
        return ","
    return None


def in_doubt(column: pa.ChunkedArray) -> bool:
    """Returns whether all cells with a point may be thousands: 1.234."""
    count = 0
    for chunk in column.chunks:  # most columns are told by the first
        points = chunk.filter(pc.fill_null(pc.match_substring(chunk, "."), False))
        if not _all(points, _THREE):
            return False
        count += len(points)
    return count > 0


def first_with_point(column: pa.ChunkedArray) -> str:
    """Returns the first cell that has a point."""
    return str(column.filter(pc.fill_null(pc.match_substring(column, "."), False))[0])


def _signs(
    name: str, cells: pa.ChunkedArray, decimal: Decimal | None
) -> tuple[str, Decimal] | None:
    """Returns the sign of thousands and the decimal sign, or `None` where cells are no numbers."""
    whole = r"^\s*[-+]?\d+\s*$"
    european = decimal != "." and _all(cells, _EUROPEAN, _COMMA, whole)
    english = decimal != "," and _all(cells, _ENGLISH, PLAIN, whole)
    if european and english:
        if _any(cells, f"{_COMMA_SURE}|{_EUROPEAN_SURE}"):
            return ".", ","
        if _any(cells, f"{_ENGLISH_SURE}|[eE]"):
            return ",", "."
        first = cells.filter(pc.match_substring(cells, ","))[0].as_py()
        raise AmbiguousError(
            f"Column {name!r} must say what its commas are: {first!r} may be "
            f"{first.replace(',', '')} or {first.replace(',', '.')}, and all its cells can be read "
            "both ways. Say so: decimal=',' or '.' (--decimal on the command line)."
        )
    return (".", ",") if european else (",", ".") if english else None


def _direct(cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Returns the cells as Arrow reads them, at once; `None` where it cannot."""
    for kind in (pa.int64(), pa.float64()):
        try:
            return cells.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _any_nan(numbers: pa.ChunkedArray) -> bool:
    floating = pa.types.is_floating(numbers.type)
    return floating and bool(pc.any(pc.is_nan(numbers), min_count=0).as_py())


def _parsed(cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
    cells = pc.replace_substring_regex(pc.utf8_trim_whitespace(cells), r"^\+", "")
    return _direct(cells)


def _all(cells: pa.ChunkedArray, *patterns: str) -> bool:
    found = pc.match_substring_regex(cells, "|".join(patterns))
    return bool(pc.all(found, min_count=0).as_py())


def _any(cells: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(cells, pattern), min_count=0).as_py())


def first_not(column: pa.ChunkedArray, pattern: str = PLAIN) -> str:
    """Returns a sentence on the first cell of text that is no number, with its row; or ""."""
    if not is_text(column.type):
        return ""
    cells = without_missing(column.cast(pa.string()))
    row = pc.index(pc.fill_null(pc.match_substring_regex(cells, pattern), True), False).as_py()
    return f"The first is {column[row].as_py()!r} in row {row}." if row >= 0 else ""
