"""Times of all spellings as UTC seconds: numbers of any unit, ISO with or without zone, dates."""

import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import cells, columns
from tfrecs.datasets.cells import AmbiguousError
from tfrecs.spec import Timestamp

Order = Literal["day", "month"]
Unit = Literal["s", "ms", "us", "ns"]
PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_LEAST: dict[Unit, int] = {"s": 0, "ms": 10**11, "us": 10**14, "ns": 10**17}  # 1e11 s is in 5138
_DAY = r"(?P<a>\d{1,2})[./-](?P<b>\d{1,2})[./-](?P<y>\d{4})"
_CLOCK = r"(?:[ T,]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:\.\d+)?)?)?"
_DATE = rf"^\s*{_DAY}{_CLOCK}\s*$"
_ISO_START = r"^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_YEARS = (1900, 2100)


def times(name: str, column: pa.ChunkedArray, order: Order | None = None) -> tuple[Any, Unit]:
    """Returns a column of times as int64 and its unit: "s", unless some are between seconds.

    Args:
        name: Of the column, for messages.
        column: Numbers since 1970 in s, ms, us or ns, told by their size; numbers such as
            20240131; timestamps; dates; text of any of these, ISO 8601 with or without zone (UTC
            without), or 31.01.2024 12:00.
        order: Whether "day" or "month" stands first in 01/02/2024; `None` decides by the whole
            column.

    Raises:
        AmbiguousError: Dates of which both readings are possible.
        ValueError: A value that is no time, is missing, or is of another unit than the others.

    Example:

    >>> times("at", pa.chunked_array([["31/01/2024", "01/02/2024"]]))[0].to_pylist()
    [1706659200, 1706745600]
    """
    if columns.is_text(column.type):
        column = _of_text(name, column.cast(pa.string()), order)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        unit: Unit = column.type.unit
        return _coarsest(column.cast(pa.int64()), unit)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        expectation = f"a column of numbers or dates; {name!r} is not"
        raise ValueError(checks.expected("time", expectation, str(column.type)))
    return _of_numbers(name, column)


def time_unit(values: pa.ChunkedArray) -> Unit:
    """Returns the unit of integer times, told by their size: seconds reach 1e11 in the year 5138.

    Example:

    >>> time_unit(pa.chunked_array([[1_600_000_000_000]]))
    'ms'
    """
    largest = max(abs(bound or 0) for bound in pc.min_max(values).as_py().values())
    return next(unit for unit in reversed(_LEAST) if largest >= _LEAST[unit])


def as_unit(values: Any, unit: Unit, wanted: Unit) -> Any:
    """Returns int64 times of another unit, rounded down.

    Example:

    >>> as_unit(pa.chunked_array([[5]]), "s", "ms").to_pylist()
    [5000]
    """
    if PER_SECOND[wanted] >= PER_SECOND[unit]:
        return pc.multiply_checked(values, PER_SECOND[wanted] // PER_SECOND[unit])
    factor = PER_SECOND[unit] // PER_SECOND[wanted]
    array = np.floor_divide(values.to_numpy(), factor)
    return pa.chunked_array([pa.array(array)])


def date_of(value: int, unit: str) -> str:
    """Returns a time as people read it, in UTC.

    Example:

    >>> date_of(1_600_000_000, "s")
    '2020-09-13 12:26:40'
    """
    epoch = datetime.datetime(1970, 1, 1)
    try:
        return str(epoch + datetime.timedelta(seconds=value // PER_SECOND[unit]))  # type: ignore[index]
    except OverflowError:
        return f"{value:,} {unit}"


def _of_text(name: str, column: pa.ChunkedArray, order: Order | None) -> pa.ChunkedArray:
    """Returns text as numbers or timestamps."""
    texts = cells.without_missing(column)
    columns.check_values("events", texts, Timestamp(name), required=True)
    found = cells.numbers(name, texts, ".", zeros=True)
    if found is not None:
        return found
    trimmed = pc.utf8_trim_whitespace(texts)
    for zone in ("UTC", None):
        for unit in ("s", "ns"):
            try:
                return trimmed.cast(pa.timestamp(unit, zone))
            except pa.ArrowInvalid:
                continue
    slashed = pc.replace_substring_regex(trimmed, r"^(\d{4})/(\d{1,2})/(\d{1,2})", r"\1-\2-\3")
    if not slashed.equals(trimmed):
        slashed = pc.replace_substring_regex(slashed, r"-(\d)\b", r"-0\1")
        try:
            return slashed.cast(pa.timestamp("s"))
        except pa.ArrowInvalid:
            pass
    return _of_dates(name, trimmed, order)


def _of_dates(name: str, texts: pa.ChunkedArray, order: Order | None) -> pa.ChunkedArray:
    """Returns dates such as 31/01/2024 as timestamps: day or month first, as the column says."""
    parts = pc.extract_regex(texts, _DATE)
    if parts.null_count:
        row = _first_other(texts, parts)
        expectation = (
            "a column of numbers or dates such as 2020-01-31 12:00, all with a zone or none; "
            f"{name!r} is not"
        )
        told = f"The first is {texts[row].as_py()!r} in row {row}."
        if _iso_like(texts[0].as_py()) and _iso_like(texts[row].as_py()):
            told = _mixed_zones(texts)
        raise ValueError(checks.expected("time", expectation, texts[row].as_py(), told))
    first, second, year, hour, minute, second_of = (_field(parts, key) for key in "abyhms")
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first and month_first:
        rows = int(np.argmax(first > 12)), int(np.argmax(second > 12))
        told = " and ".join(f"{texts[row].as_py()!r} in row {row}" for row in rows)
        raise ValueError(
            f"Column {name!r} must hold dates of one order. Received: {told}. "
            "Write them as 2024-01-31."
        )
    if not (day_first or month_first or (first == second).all()):
        if order is None:
            raise AmbiguousError(
                f"Column {name!r} must say whether day or month comes first: "
                f"{texts[0].as_py()!r} in row 0 may be both, and so may all its dates. Say so: "
                "date_order='day' or 'month' (--date-order on the command line)."
            )
        day_first = order == "day"
    day, month = (first, second) if day_first else (second, first)
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    dates = months.astype("datetime64[D]") + (day - 1)
    wrong = (month < 1) | (day < 1) | (dates.astype("datetime64[M]") != months)
    wrong |= (hour > 23) | (minute > 59) | (second_of > 60)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"Column {name!r} must hold dates. Received: {texts[row].as_py()!r} in row {row}."
        )
    seconds = dates.astype("datetime64[s]").astype(np.int64)
    seconds = seconds + 3600 * hour + 60 * minute + second_of
    return pa.chunked_array([pa.array(seconds).cast(pa.timestamp("s"))])


def _first_other(texts: pa.ChunkedArray, parts: pa.ChunkedArray) -> int:
    """Returns the first row that is not as the first one: no number, no ISO date, or no date."""
    for pattern in (cells.PLAIN, _ISO_START):
        like = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy()
        if like[0] and not like.all():
            return int(np.argmin(like))
    return int(np.argmax(parts.is_null().to_numpy()))


def _iso_like(text: str) -> bool:
    return text[:4].isdigit() and text[4:5] in "-/"


def _mixed_zones(texts: pa.ChunkedArray) -> str:
    zoned = pc.match_substring_regex(texts, r"(Z|[+-]\d{2}:?\d{2})$").to_numpy()
    if zoned.all() or not zoned.any():
        return ""
    row, other = int(np.argmax(zoned)), int(np.argmax(~zoned))
    return (
        f"Row {row} has a zone, {texts[row].as_py()!r}, and row {other} has none, "
        f"{texts[other].as_py()!r}. Write all with a zone."
    )


def _field(parts: pa.ChunkedArray, key: str) -> np.ndarray:
    texts = pc.struct_field(parts, key)
    texts = pc.if_else(pc.equal(texts, ""), "0", texts)
    numbers: np.ndarray = texts.cast(pa.int64()).to_numpy()
    return numbers


def _of_numbers(name: str, column: pa.ChunkedArray) -> tuple[Any, Unit]:
    """Returns numbers as int64 of their unit."""
    columns.check_values("events", column, Timestamp(name), required=True)
    if pa.types.is_floating(column.type):
        _check_int64(column, name)
    unit = time_unit(column)
    _check_one_unit(name, column, unit)
    if pa.types.is_floating(column.type):
        whole = pc.floor(column)
        if unit == "s" and not pc.all(pc.equal(whole, column)).as_py():  # 1600000000.25 s
            column, unit = pc.round(pc.multiply(column, 1000.0)), "ms"
        else:
            column = whole
    values = column.cast(pa.int64())
    dates = _calendar(values)
    return (dates, "s") if dates is not None else _coarsest(values, unit)


def _calendar(values: pa.ChunkedArray) -> pa.Array | None:
    """Returns numbers such as 20240131 and 20240131235959 as seconds; `None` for others."""
    bounds = pc.min_max(values).as_py()
    for digits in (8, 14):
        scale = 10 ** (digits - 4)
        if not (_YEARS[0] * scale <= bounds["min"] and bounds["max"] < _YEARS[1] * scale):
            continue
        texts = values.cast(pa.string())
        form = "%Y%m%d" if digits == 8 else "%Y%m%d%H%M%S"
        try:
            found = pc.strptime(texts, format=form, unit="s")
        except pa.ArrowInvalid:
            continue
        if pc.strftime(found, format=form).equals(texts):
            return found.cast(pa.int64())
    return None


def _check_one_unit(name: str, column: pa.ChunkedArray, unit: Unit) -> None:
    """Raises ValueError where some times are of a smaller unit than others."""
    if unit == "s":
        return
    size = pc.abs(column)
    early, late, least = (  # of the type of the column: a float column takes no int64 of 1e16
        pa.scalar(bound).cast(size.type, safe=False)
        for bound in (10**8, _LEAST[unit] // 10, _LEAST[unit])
    )
    other = pc.and_(pc.less(size, late), pc.greater(size, early))
    if pc.any(other, min_count=0).as_py():
        row = pc.index(other, True).as_py()
        top = pc.index(pc.greater_equal(size, least), True).as_py()
        raise ValueError(
            f"Column {name!r} must hold times of one unit. Received: {column[row].as_py()} in row "
            f"{row} and {column[top].as_py()} in row {top}: these look like seconds and {unit}. "
            "Write all in one unit."
        )


def _check_int64(column: pa.ChunkedArray, name: str) -> None:
    wrong = pc.greater(pc.abs(column), 9.2e18)
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise ValueError(
            f"Column `{name}` of `events` must hold times whose size an int64 can hold. Received: "
            f"{column[row].as_py():g} in row {row} ({pc.sum(wrong).as_py()} such values). "
            "Drop those rows."
        )


def _coarsest(values: Any, unit: Unit) -> tuple[Any, Unit]:
    """Returns times in the largest unit that tells them apart: seconds, as a rule."""
    array = values.combine_chunks().to_numpy() if values.null_count == 0 else None
    if array is None:
        return values, unit
    for wanted in PER_SECOND:
        factor = PER_SECOND[unit] // PER_SECOND[wanted]
        if factor and not (array % factor).any():
            return pa.chunked_array([pa.array(array // factor)]), wanted
        if wanted == unit:
            break
    return values, unit
