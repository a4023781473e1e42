"""MovieLens 100K and 1M from their owner's files, and the published splits of both.

https://grouplens.org/datasets/movielens/ (research use; F. M. Harper and J. A. Konstan, The
MovieLens Datasets: History and Context, ACM TiiS 2015, doi 10.1145/2827872)
"""

import io
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrecs import checks
from tfrecs.datasets.movielens_parts import (
    NUM_RATINGS,
    items_1m,
    items_100k,
    ratings_1m,
    ratings_100k,
    ratings_parquet,
    users_1m,
    users_100k,
)
from tfrecs.datasets.readers import inflated, read_bytes, read_file
from tfrecs.datasets.tables import Tables
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Text, Timestamp

logger = logging.getLogger("tfrecs")
Version = Literal["100k", "1m"]
Parser = Callable[[Path, bytes], pa.Table]
_MOST_ITEMS = 1_000_000  # above every item id
_FILES: dict[str, dict[str, dict[str, Parser]]] = {
    "100k": {
        "ratings": {"u.data": ratings_100k},
        "items": {"u.item": items_100k},
        "users": {"u.user": users_100k},
    },
    "1m": {
        "ratings": {"ratings.dat": ratings_1m, "ratings.parquet": ratings_parquet},
        "items": {"movies.dat": items_1m},
        "users": {"users.dat": users_1m},
    },
}


def movielens(version: Version, data_dir: str | Path | None = None) -> Tables:
    """Reads MovieLens: films rated 1 to 5 by users of known age, gender and occupation.

    Args:
        version: "100k" (100,000 ratings of 1,682 films by 943 users, 1997 to 1998) or "1m"
            (1,000,209 ratings of 3,706 of 3,883 films by 6,040 users, 2000 to 2003).
        data_dir: Folder with the owner's files (`u.data`, `u.item`, `u.user`, or `ratings.dat`,
            `movies.dat`, `users.dat`), each also as `.gz`, or in a folder or zip file `ml-100k`,
            `ml-1m` in it; `ratings.parquet` in place of `ratings.dat` carries no times. `None`
            downloads the owner's zip file through TFDS, its checksum verified.

    Returns:
        The tables: ids int64, age in years (the youngest of a class in "1m"), time in seconds.
        Events of a rating of 4 or 5 are positive.

    Raises:
        ValueError: Unknown version, or a malformed file; the message names the line.
        FileNotFoundError: A file is not in the folder.
        ImportError: No `data_dir`, and tensorflow-datasets is not installed.
    """
    checks.one_of("version", version, _FILES)
    folder = _download(version) if data_dir is None else Path(data_dir)
    read = {part: _read_part(folder, version, part) for part in ("ratings", "items", "users")}
    events = read["ratings"]
    if events.num_rows != NUM_RATINGS[version]:
        logger.warning(
            "The ratings in %s are %s, where MovieLens %s has %s: is the file whole?",
            *(folder, f"{events.num_rows:,}", version, f"{NUM_RATINGS[version]:,}"),
        )
    timed = "timestamp" in events.column_names
    return Tables(
        name=f"movielens-{version}",
        events=events,
        queries=read["users"],
        candidates=read["items"],
        spec=_spec(timed),
        positive=pc.field("rating") >= 4,
    )


def _spec(timed: bool) -> FeatureSpec:
    time = (Timestamp("timestamp", "time"),) if timed else ()
    return FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("gender", "query"),
            Numeric("age", "query", normalize="standard"),
            Categorical("occupation", "query"),
            Categorical("zip_code", "query"),
            Categorical("item_id", "candidate", "int64", is_id=True),
            Text("title", "candidate", max_length=16),
            MultiCategorical("genres", "candidate"),
            Numeric("year", "candidate", normalize="standard"),
            Numeric("rating", "label"),
            *time,
        )
    )


@dataclass(frozen=True)
class _Source:
    """A file of the data set, in a folder or in a zip file, and how to read it."""

    path: Path
    member: str | None = None

    def read(self) -> bytes:
        if self.member is None:
            return read_bytes(self.path)
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            return inflated(self.path, file, archive.getinfo(self.member).compress_size)


def _find(folder: Path, version: str, names: list[str]) -> tuple[str, _Source]:
    """Returns the first of the files `names` that is there, and where."""
    inner = f"ml-{version}"
    for name in names:
        for path in (folder / name, folder / inner / name):
            for candidate in (path, path.with_name(path.name + ".gz")):
                if candidate.is_file():
                    return name, _Source(candidate)
        archive, member = folder / f"{inner}.zip", f"{inner}/{name}"
        if archive.is_file() and member in _members(archive):
            return name, _Source(archive, member)
    raise FileNotFoundError(
        f"{folder} holds no {' or '.join(names)} of MovieLens {version}, nor does {inner} or "
        f"{inner}.zip in it. Get {inner}.zip from https://grouplens.org/datasets/movielens/ into "
        "that folder."
    )


def _members(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is truncated or not zip: {error}.") from error


def _read_part(folder: Path, version: str, part: str) -> pa.Table:
    parsers = _FILES[version][part]
    name, source = _find(folder, version, list(parsers))
    return parsers[name](source.path, source.read())


def _download(version: str) -> Path:
    """Returns the folder where TFDS has put the owner's files, downloading them once."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "tensorflow-datasets, which downloads MovieLens, is not installed. Run "
            "`pip install tfrecs[datasets]`, or name a folder with the owner's files as `data_dir`."
        ) from error
    builder = tfds.builder(f"movielens/{version}-ratings")
    manager = tfds.download.DownloadManager(
        download_dir=str(Path(builder.data_dir).parents[2] / "downloads"),
        url_infos=builder.url_infos,
        dataset_name=builder.name,
        force_checksums_validation=True,
    )
    url = builder.builder_config.download_url
    try:
        return Path(manager.download_and_extract(url))
    except OSError as error:
        raise OSError(
            f"{url} cannot be downloaded: {error}. Get it by other means into a folder, and name "
            "that folder as `data_dir`."
        ) from error


def movielens_folds(data_dir: str | Path) -> list[tuple[pa.Table, pa.Table]]:
    """Reads the owner's five folds of MovieLens 100K.

    Args:
        data_dir: As for `movielens`; the folds are `u1.base`, `u1.test`, ... beside `u.data`, or a
            table `folds.csv` of the columns user_id, item_id and fold, 1 to 5, in its order.

    Returns:
        Five pairs (train, test) of events; each event is in the test part of one of them.

    Raises:
        FileNotFoundError: The folds are not there.
        ValueError: `folds.csv` is of other events.
    """
    folder = Path(data_dir)
    name, source = _find(folder, "100k", ["u1.base", "folds.csv"])
    if name == "u1.base":
        numbers = range(1, 6)
        return [
            (_fold_file(folder, f"u{fold}.base"), _fold_file(folder, f"u{fold}.test"))
            for fold in numbers
        ]
    events = _read_part(folder, "100k", "ratings")
    folds = read_file(source.path)
    for column in ("user_id", "item_id"):
        if not events[column].equals(folds[column].cast(pa.int64())):
            raise ValueError(f"{source.path} must have the rows of u.data, in its order.")
    held = [pc.equal(folds["fold"].cast(pa.int64()), fold) for fold in range(1, 6)]
    return [(events.filter(pc.invert(test)), events.filter(test)) for test in held]


def _fold_file(folder: Path, name: str) -> pa.Table:
    _, source = _find(folder, "100k", [name])
    return ratings_100k(source.path, source.read())


def ncf_leave_one_out(data_dir: str | Path) -> tuple[pa.Table, pa.Table]:
    """Reads the leave-one-out split of neural collaborative filtering for MovieLens 1M.

    Args:
        data_dir: As for `movielens`, with `ncf_leave_one_out.parquet`: user_id, movie_id (the
            last rated film, held out), rating, timestamp, negatives (99 other films).

    Returns:
        train: Events of all other ratings.
        test: One row a user: user_id, item_id, rating, timestamp, negatives as lists of item ids.

    Raises:
        FileNotFoundError: The file is not there.
        ValueError: It holds out ratings that are not in the data.

    Reference:
        He et al., Neural Collaborative Filtering, WWW 2017, arXiv 1708.05031.
    """
    folder = Path(data_dir)
    _, source = _find(folder, "1m", ["ncf_leave_one_out.parquet"])
    held = pa.parquet.read_table(io.BytesIO(source.read())).rename_columns({"movie_id": "item_id"})
    events = _read_part(folder, "1m", "ratings")
    test = held.cast(
        pa.schema(
            [
                ("user_id", pa.int64()),
                ("item_id", pa.int64()),
                ("rating", pa.float32()),
                ("timestamp", pa.int64()),
                ("negatives", pa.list_(pa.int64())),
            ]
        )
    )
    keys, held_keys = (
        pc.add(pc.multiply(table["user_id"], _MOST_ITEMS), table["item_id"])
        for table in (events, test)
    )
    is_held = pc.is_in(keys, value_set=held_keys)
    if pc.sum(is_held).as_py() != test.num_rows:
        raise ValueError(f"{source.path} must hold out ratings of {folder}, each of them once.")
    return events.filter(pc.invert(is_held)), test
