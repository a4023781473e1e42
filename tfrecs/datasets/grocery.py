"""Amazon Grocery and Gourmet Food as ReChorus keeps it: ratings, and what was bought together.

https://github.com/THUwangcy/ReChorus (MIT; Wang et al., Make it a chorus, SIGIR 2020), made of the
reviews and relations of McAuley et al. 2015, arXiv:1506.04757. No licence of the data is stated.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.readers import find_file, read_bytes, read_delimited
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, FeatureSpec, Timestamp

_FOLDERS = ("amazon-grocery-rechorus", "Grocery_and_Gourmet_Food")
_NAME = "Amazon Grocery"
_RELATIONS = {"r_complement": "also bought", "r_substitute": "also viewed"}


def grocery(data_dir: str | Path) -> Tables:
    """Reads Amazon Grocery: 121,892 interactions of 14,681 users with 8,713 items.

    Args:
        data_dir: Folder with ReChorus's `train.csv` and `item_meta.csv`, each also as `.gz`, or a
            folder `amazon-grocery-rechorus` or `Grocery_and_Gourmet_Food` in it.

    Returns:
        The tables: ids int64; times in seconds, of whole days; an item's `category`, one of 57.
        They are the source's training part: the last two events of each user are not there.

    Raises:
        FileNotFoundError: A file is not in the folder.
        ValueError: A file is malformed or lacks a column; the message names it.
    """
    rows = _read(data_dir, "train.csv", "user_id", "item_id", "time")
    meta = _read(data_dir, "item_meta.csv", "item_id", "i_category")
    events = pa.table(
        {name: rows[name].cast(pa.int64()) for name in ("user_id", "item_id", "time")}
    )
    candidates = pa.table(
        {
            "item_id": meta["item_id"].cast(pa.int64()),
            "category": meta["i_category"].cast(pa.int64()),
        }
    )
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("item_id", "candidate", "int64", is_id=True),
            Categorical("category", "candidate", "int64"),
            Timestamp("time", "time"),
        )
    )
    queries = pa.table({"user_id": pc.unique(events["user_id"]).sort()})
    return Tables("amazon-grocery", events, queries, candidates, spec)


def grocery_relations(data_dir: str | Path) -> pa.Table:
    """Reads which items were bought, or looked at, by those who bought, or looked at, another.

    Args:
        data_dir: As of `grocery`.

    Returns:
        One row a pair, from an item to the other, in the owner's order: `item_id` and `other_id`,
        int64; `relation`, "also bought" (complements) or "also viewed" (substitutes).

    Raises:
        FileNotFoundError: The file is not in the folder.
        ValueError: The file is malformed, or names an item that it does not hold.
    """
    path = find_file(data_dir, _FOLDERS, "item_meta.csv", _NAME)
    meta = _read(data_dir, "item_meta.csv", "item_id", *_RELATIONS)
    ids = meta["item_id"].cast(pa.int64()).to_numpy()
    parts = []
    for column, relation in _RELATIONS.items():
        lists = [
            _list(path, row, column, text) for row, text in enumerate(meta[column].to_pylist())
        ]
        others = np.array([other for others in lists for other in others], np.int64)
        unknown = np.setdiff1d(others, ids)
        if len(unknown):
            raise ValueError(f"{path} must hold every item of {column}. It lacks {unknown[0]}.")
        items = np.repeat(ids, [len(others) for others in lists])
        names = pa.array(np.full(len(items), relation), pa.string())
        parts.append(pa.table({"item_id": items, "other_id": others, "relation": names}))
    return pa.concat_tables(parts)


def _read(data_dir: str | Path, name: str, *columns: str) -> pa.Table:
    path = find_file(data_dir, _FOLDERS, name, _NAME)
    rows = read_delimited(path, read_bytes(path), "\t", quoted=False)
    lacking = [column for column in columns if column not in rows.column_names]
    if lacking:
        raise ValueError(
            f"{path} must have the column {lacking[0]}. Received: {rows.column_names}."
        )
    return rows.select(list(columns))


def _list(path: Path, row: int, column: str, text: str | None) -> list[int]:
    """Reads a cell such as [6285, 194]."""
    try:
        found = json.loads(text or "")
        numbers = isinstance(found, list) and all(type(one) is int for one in found)
    except ValueError:
        numbers = False
    if not numbers:
        raise ValueError(f"{path}, line {row + 2}, {column} must be a list of items: [3, 17].")
    return list(found)
