"""CiteULike-a from its owner's files: users' libraries of articles, with tags.

https://github.com/js05212/citeulike-a (Wang, Chen, Li, Collaborative topic regression with social
regularization for tag recommendation, IJCAI 2013)
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tfrecs.datasets.readers import find_file, read_bytes
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical


def citeulike(data_dir: str | Path) -> Tables:
    """Reads CiteULike-a: the libraries of 5,551 users, 16,980 articles with their tags.

    Args:
        data_dir: Folder with the owner's `users.dat`, `item-tag.dat` and `tags.dat`, each also as
            `.gz`, or a folder `citeulike-a` in it.

    Returns:
        The tables: ids int64 from 0, an event for each article of a library, tags as text. There
        are no times.

    Raises:
        FileNotFoundError: A file is not in the folder.
        ValueError: A line does not hold as many numbers as it says.
    """
    libraries = _lists(data_dir, "users.dat")
    tagged = _lists(data_dir, "item-tag.dat")
    path = find_file(data_dir, ("citeulike-a",), "tags.dat", "CiteULike-a")
    names = pa.array(read_bytes(path).decode().splitlines())
    users = np.repeat(np.arange(len(libraries)), [len(library) for library in libraries])
    tags = pa.ListArray.from_arrays(
        pa.array(np.cumsum([0, *map(len, tagged)]), pa.int32()),
        names.take(pa.array(np.concatenate(tagged))),
    )
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("item_id", "candidate", "int64", is_id=True),
            MultiCategorical("tags", "candidate", max_length=20),
        )
    )
    return Tables(
        name="citeulike-a",
        events=pa.table({"user_id": users, "item_id": np.concatenate(libraries)}),
        queries=pa.table({"user_id": np.arange(len(libraries))}),
        candidates=pa.table({"item_id": np.arange(len(tagged)), "tags": tags}),
        spec=spec,
    )


def _lists(data_dir: str | Path, name: str) -> list[np.ndarray]:
    """Reads lines of a count and so many numbers."""
    path = find_file(data_dir, ("citeulike-a",), name, "CiteULike-a")
    lists = []
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        values = np.array(line.split(), np.int64)
        if len(values) == 0 or values[0] != len(values) - 1:
            raise ValueError(f"{path}, line {number} must be a count and so many numbers.")
        lists.append(values[1:])
    return lists
