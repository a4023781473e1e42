"""Two layouts of text that name no columns as others do: RecBole's files and lines of baskets."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.texts import check_text

RECBOLE = (".inter", ".user", ".item")


def recbole(table: pa.Table) -> pa.Table:
    """Returns RecBole's columns, `user_id:token`, by name and of their types.

    Tokens are text, sequences are lists separated by blanks.

    Example:

    >>> recbole(pa.table({"item_id:token": ["07"], "class:token_seq": ["Drama War"],
    ...                   "rating:float": ["4"]})).to_pylist()
    [{'item_id': '07', 'class': ['Drama', 'War'], 'rating': 4.0}]
    """
    columns = {}
    for full in table.column_names:
        name, _, kind = full.rpartition(":")
        column = table[full]
        if kind.endswith("_seq"):
            blank = pc.equal(pc.utf8_trim_whitespace(column), "")
            column = pc.split_pattern(pc.utf8_trim_whitespace(column), " ")
            column = pc.if_else(blank, pa.scalar([], column.type), column)
        if kind in ("float", "float_seq"):
            try:
                wanted = pa.float64() if kind == "float" else pa.list_(pa.float64())
                column = (
                    pc.if_else(pc.equal(column, ""), None, column) if kind == "float" else column
                )
                column = column.cast(wanted)
            except pa.ArrowInvalid as error:
                raise ValueError(
                    f"Column {full!r} must hold numbers, as it says: {error}."
                ) from error
        columns[name or full] = column
    return pa.table(columns)


def baskets(path: Path, data: bytes) -> pa.Table:
    """Reads a user and items a line, separated by blanks, as `user` and the list `items`.

    Raises:
        ValueError: A line has no item, or all lines have the same number of words, three or more,
            and users come twice: they may be events with ratings and times as well.
    """
    check_text(path, data)
    try:
        lines = [line.split() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8: {error}.") from error
    widths = np.array([len(words) for words in lines])
    if (widths < 2).any():
        row = int(np.argmax(widths < 2))
        raise ValueError(
            f"{path} must hold a user and at least one item a line, separated by blanks. "
            f"Received: {lines[row]} in line {row + 1}."
        )
    users = [words[0] for words in lines]
    if widths.min() == widths.max() > 2 and len(set(users)) < len(users):
        raise ValueError(
            f"{path} must hold a user and items a line. Received: {widths[0]} words in each line "
            f"and users that come twice, as {users[0]!r}: these may be events of user, item, "
            "rating and time. Write a first line of column names, separated by tabs, and call "
            "the file .tsv."
        )
    items = pa.array([words[1:] for words in lines], pa.list_(pa.string()))
    return pa.table({"user": pa.array(users), "items": items})
