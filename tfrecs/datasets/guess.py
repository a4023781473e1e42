"""Guesses which column plays which part, and of what kind a feature is; all of it is told."""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.columns import is_list, is_text
from tfrecs.spec import (
    Categorical,
    Feature,
    MultiCategorical,
    Numeric,
    Role,
    Text,
    Timestamp,
    Vector,
)

_NAMES: dict[str, tuple[str, ...]] = {  # letters and digits of known names, the likeliest first
    "user": (
        *("userid", "user", "uid", "customerid", "customer", "clientid", "client", "visitorid"),
        *("visitor", "memberid", "member", "reviewerid", "reviewer", "accountid", "account"),
        *("personid", "person", "username", "listenerid", "listener", "sessionid", "session"),
    ),
    "item": (
        *("itemid", "item", "iid", "movieid", "movie", "filmid", "film", "productid", "product"),
        *("sku", "asin", "parentasin", "articleid", "article", "bookid", "book", "isbn", "trackid"),
        *("track", "songid", "song", "artistid", "artist", "newsid", "news", "videoid", "video"),
        *("contentid", "content", "documentid", "docid", "pageid", "postid", "offerid", "adid"),
    ),
    "time": (
        *("timestamp", "time", "ts", "datetime", "date", "unixtime", "unixreviewtime", "createdat"),
        *("eventtime", "eventtimestamp", "reviewtime", "ratedat", "clickedat", "timestampms"),
    ),
    "label": (
        *("rating", "label", "score", "stars", "overall", "clicked", "click", "liked", "like"),
        *("weight", "count", "plays", "playcount", "event", "value", "target"),
    ),
}
_TITLES = ("title", "name", "itemname", "productname", "producttitle", "headline", "itemtitle")
_ENDING = 6  # letters of a known name that also count at the end of another
_LONG = 40  # mean letters above which text is read as words
_SOME = 100  # rows looked at for the shape of text
_MANY = 0.1  # share of cells with | above which a column holds lists


def find_column(part: str, table: pa.Table) -> str | None:
    """Returns the column of `table` whose name is known for `part`, the likeliest; or `None`.

    The time may also be the only column of timestamps, whatever its name.

    Example:

    >>> find_column("item", pa.table({"userId": [1], "movieId": [2]}))
    'movieId'
    """
    plain: dict[str, str] = {_plain(name): name for name in reversed(table.column_names)}
    for known in _NAMES[part]:
        if known in plain and _fits(part, table[plain[known]]):
            return plain[known]
    endings = [known for known in _NAMES[part] if len(known) >= _ENDING and part != "label"]
    for known in endings:  # click_article_id
        for short, name in plain.items():
            if short.endswith(known) and _fits(part, table[name]):
                return name
    moments = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    return moments[0] if part == "time" and len(moments) == 1 else None


def unfit_notes(found: dict[str, str | None], table: pa.Table) -> list[str]:
    """Returns a sentence for each part without a column, where one has the name but not the type.

    Example:

    >>> unfit_notes({"time": None}, pa.table({"date": ["1 May", "soon"]}))
    ["'date' is not taken for the time: it holds string. The first is '1 May' in row 0."]
    """
    notes = []
    for part, taken in found.items():
        for name in table.column_names if taken is None else []:
            if _plain(name) in _NAMES[part] and name not in found.values():
                told = first_text(table[name])
                kind = table[name].type
                notes.append(
                    f"{name!r} is not taken for the {part}: it holds {kind}. {told}".strip()
                )
    return notes


def first_text(column: pa.ChunkedArray) -> str:
    """Returns a sentence on the first value of text that is no number, with its row; or ""."""
    if not is_text(column.type):
        return ""
    number = pc.match_substring_regex(column.cast(pa.string()), r"^\s*[-+0-9.eE]*\s*$")
    row = pc.index(pc.fill_null(number, True), False).as_py()
    return f"The first is {column[row].as_py()!r} in row {row}." if row >= 0 else ""


def find_title(table: pa.Table) -> str | None:
    """Returns the column of text that people know an item by, or `None`."""
    plain: dict[str, str] = {_plain(name): name for name in table.column_names}
    found = [plain[known] for known in _TITLES if known in plain]
    return next((name for name in found if is_text(table[name].type)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _fits(part: str, column: pa.ChunkedArray) -> bool:
    """Returns whether the type of a column allows it to play a part."""
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if part == "label":
        return bool(number or pa.types.is_boolean(kind) or pa.types.is_decimal(kind))
    if part == "time":
        return bool(number or pa.types.is_timestamp(kind) or pa.types.is_date(kind))
    return bool(number or is_text(kind))


def time_unit(times: pa.ChunkedArray) -> Any:
    """Returns the unit of integer times, told by their size: seconds reach 1e11 in the year 5138.

    Example:

    >>> time_unit(pa.chunked_array([[1_600_000_000_000]]))
    'ms'
    """
    largest = max(abs(bound or 0) for bound in pc.min_max(times).as_py().values())
    units = ((10**17, "ns"), (10**14, "us"), (10**11, "ms"))
    return next((unit for least, unit in units if largest >= least), "s")


def guess_feature(name: str, column: pa.ChunkedArray, role: Role) -> Feature | None:
    """Returns the feature that a column looks like, or `None` where no kind fits.

    Text of few distinct values or of single short words is Categorical, other text is Text; lists
    are MultiCategorical, or Vector for numbers; integers whose name ends with "id" Categorical;
    other numbers Numeric; times Timestamp.
    """
    kind = column.type
    if is_list(kind):
        return _guess_list(name, column, role)
    if is_text(kind):
        categorical = _is_categorical(column)
        return Categorical(name, role) if categorical else Text(name, role)
    if pa.types.is_timestamp(kind):
        return Timestamp(name, role, kind.unit)
    if pa.types.is_boolean(kind):
        return Numeric(name, role)
    if pa.types.is_integer(kind) and _plain(name).endswith("id"):
        return Categorical(name, role, "int64")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Numeric(name, role, normalize="standard")
    return None


def _guess_list(name: str, column: pa.ChunkedArray, role: Role) -> Feature | None:
    kind = column.type.value_type
    if is_text(kind):
        return MultiCategorical(name, role)
    if pa.types.is_integer(kind):
        return MultiCategorical(name, role, "int64")
    if pa.types.is_floating(kind):
        lengths = pc.min_max(pc.list_value_length(column)).as_py()
        if lengths["min"] and lengths["min"] == lengths["max"]:
            return Vector(name, role, dim=lengths["min"])
    return None


def _is_categorical(column: pa.ChunkedArray) -> bool:
    if pa.types.is_dictionary(column.type):
        return True
    letters = pc.mean(pc.utf8_length(column)).as_py() or 0
    distinct, known = pc.count_distinct(column).as_py(), len(column) - column.null_count
    if letters <= _LONG and distinct <= known / 2:
        return True
    spaces = pc.mean(pc.count_substring(column.slice(0, _SOME), " ")).as_py() or 0
    return bool(letters <= _LONG / 2 and spaces < _MANY)


def holds_lists(column: pa.ChunkedArray) -> bool:
    """Returns whether cells of text look like lists: Comedy|Drama."""
    if not is_text(column.type) or pa.types.is_dictionary(column.type):
        return False
    share = pc.mean(pc.match_substring(column, "|")).as_py() or 0
    return bool(share > _MANY)
