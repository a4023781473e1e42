"""Guesses which column plays which part, and of what kind a feature is; all of it is told."""

import re

import numpy as np
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
        *("shown", "candidate", "impression"),
    ),
    "time": (
        *("timestamp", "time", "ts", "datetime", "date", "unixtime", "unixreviewtime", "createdat"),
        *("eventtime", "eventtimestamp", "reviewtime", "ratedat", "clickedat", "timestampms"),
        *("order",),
    ),
    "label": (
        *("rating", "label", "score", "stars", "overall", "clicked", "click", "liked", "like"),
        *("weight", "count", "plays", "playcount", "event", "value", "target"),
    ),
}
_TITLES = ("title", "name", "itemname", "productname", "producttitle", "headline", "itemtitle")
_INDEX = ("index", "level_0", "row_nr", "row_number", "rownames", "row", "rn", "idx", "x", "id_row")
_ID_WORDS = ("id", "ids", "sku", "isbn", "asin", "ean", "gtin", "zip", "postcode", "code", "uuid")
_ENDING = 6  # letters of a known name that also count at the end of another
_LONG = 40  # mean letters above which text is read as words
_SOME = 100  # rows looked at for the shape of text
_MANY = 0.1  # share of cells with | above which a column holds lists


def find_column(part: str, table: pa.Table, *, typed: bool = True) -> str | None:
    """Returns the column of `table` whose name is known for `part`, the likeliest; or `None`.

    The time may also be the only column of timestamps, whatever its name.

    Args:
        part: "user", "item", "time" or "label".
        table: Its columns.
        typed: Whether the type of a column must fit too. Defaults to `True`; otherwise text may
            be a time or a label, since it is read later, or refused.

    Example:

    >>> find_column("item", pa.table({"userId": [1], "movieId": [2]}))
    'movieId'
    """
    plain: dict[str, str] = {_plain(name): name for name in reversed(table.column_names)}
    for known in _NAMES[part]:
        if known in plain and _fits(part, table[plain[known]], typed):
            return plain[known]
    for known in _NAMES[part]:  # lists: items, timestamps
        if f"{known}s" in plain and _fits(part, table[plain[f"{known}s"]], typed):
            return plain[f"{known}s"]
    endings = [known for known in _NAMES[part] if len(known) >= _ENDING and part != "label"]
    for known in endings:  # click_article_id
        for short, name in plain.items():
            if short.endswith(known) and _fits(part, table[name], typed):
                return name
    if part != "time":
        return None
    moments = [n for n in table.column_names if _is_moment(table[n], typed)]
    return moments[0] if len(moments) == 1 else None


def _is_moment(column: pa.ChunkedArray, typed: bool) -> bool:
    """Returns whether a column holds timestamps, or text that starts as a date with a clock."""
    if pa.types.is_timestamp(column.type):
        return True
    if typed or not is_text(column.type) or pa.types.is_dictionary(column.type):
        return False
    first = column[:_SOME].drop_null()
    date = r"^\s*(\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{4})([T ,]+\d{1,2}:\d{2}.*)?$"
    return len(first) > 0 and bool(pc.all(pc.match_substring_regex(first, date)).as_py())


def is_plural(name: str) -> bool:
    """Returns whether a name says that it holds several items: items, item_ids, shown.

    Example:

    >>> is_plural("item_ids"), is_plural("item_id"), is_plural("news")
    (True, False, False)
    """
    plain = _plain(name)
    several = ("shown", "candidate", "impression")
    return plain in several or (plain.endswith("s") and plain[:-1] in _NAMES["item"])


def row_numbers(table: pa.Table) -> dict[str, str]:
    """Returns columns that only number the rows, or have no name, and what to call each.

    pandas, polars and R write them: an empty name, `Unnamed: 0`, `index`, `__index_level_0__`.

    Example:

    >>> row_numbers(pa.table({"": ["0", "1"], "index": ["7", "2"], "user": ["a", "b"]}))
    {'': 'A column without a name (row numbers)'}
    """
    found = {}
    for name in dict.fromkeys(table.column_names):
        plain = name.strip()
        unnamed = not plain or re.fullmatch(r"Unnamed: \d+(_level_\d+|\.\d+)*|\.\.\.\d+", plain)
        if not (unnamed or plain.lower() in _INDEX or plain.startswith("__index_level_")):
            continue
        columns = [c for n, c in zip(table.column_names, table.columns, strict=True) if n == name]
        counts = all(_counts_rows(column) for column in columns)
        told = "A column without a name" if not plain else f"{name!r}"
        if counts:
            found[name] = f"{told} (row numbers)"
        elif unnamed:
            first = next((str(v) for v in columns[0][:20].to_pylist() if v not in (None, "")), "")
            found[name] = f"{told} ({'first value ' + repr(first) if first else 'empty'})"
    return found


def _counts_rows(column: pa.ChunkedArray) -> bool:
    """Returns whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    try:
        values = column.cast(pa.int64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    if column.null_count:
        return False
    return bool(len(values)) and values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def is_id_name(name: str) -> bool:
    """Returns whether a name says that its values are ids: brand_id, isbn, sku.

    Example:

    >>> is_id_name("brandId"), is_id_name("paid")
    (True, False)
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)
    last = words[-1].lower() if words else ""
    return last in _ID_WORDS or _plain(name) in (*_NAMES["user"], *_NAMES["item"])


def find_title(table: pa.Table) -> str | None:
    """Returns the column of text that people know an item by, or `None`."""
    plain: dict[str, str] = {_plain(name): name for name in table.column_names}
    found = [plain[known] for known in _TITLES if known in plain]
    return next((name for name in found if is_text(table[name].type)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _fits(part: str, column: pa.ChunkedArray, typed: bool) -> bool:
    """Returns whether the type of a column allows it to play a part."""
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not typed and is_text(kind):
        return True
    if part == "label":
        return bool(number or pa.types.is_boolean(kind) or pa.types.is_decimal(kind))
    if part == "time":
        return bool(number or pa.types.is_timestamp(kind) or pa.types.is_date(kind))
    return bool(number or is_text(kind))


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
    if pa.types.is_integer(kind) and is_id_name(name):
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
