"""Published session data sets and user sequences, from local folders."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs.datasets.readers import read_bytes
from tfrecs.datasets.sessions import (
    Sessions,
    gap_buckets,
    make_sessions,
    read_session_file,
    session_lengths,
    session_order,
    session_spec,
)
from tfrecs.spec import Sequence

_GLOBO_CONTEXTS = ("environment", "deviceGroup", "os", "country", "region", "referrer_type")
GLOBO_TEST_FROM = 361  # hour file


def session_folder(
    data_dir: str | Path, *, unit: float = 1.0, min_length: int = 2, min_support: int = 1
) -> Sessions:
    """Reads a folder with one `*_train_full.txt` and one `*_test.txt`, also as `.gz`.

    RSC15, RetailRocket and others in the layout of session-rec: tab-separated SessionId, ItemId
    and Time.

    Args:
        data_dir: The folder.
        unit: Seconds that one unit of Time is. Defaults to 1.
        min_length: Least events of a session. Defaults to 2.
        min_support: Least training events of an item. Defaults to 1.

    Raises:
        FileNotFoundError: One of the two is not there.
        ValueError: There are several, or one is malformed.
    """
    folder = Path(data_dir)
    parts = []
    for part in ("train_full", "test"):
        found = sorted(folder.glob(f"*_{part}.txt")) + sorted(folder.glob(f"*_{part}.txt.gz"))
        if not found:
            raise FileNotFoundError(f"{folder} holds no *_{part}.txt nor *_{part}.txt.gz.")
        if len(found) > 1:
            raise ValueError(f"{folder} holds several *_{part}.txt: {[p.name for p in found]}.")
        parts.append(read_session_file(found[0], unit))
    return make_sessions(
        folder.name, parts[0], parts[1], min_length=min_length, min_support=min_support
    )


def diginetica(data_dir: str | Path) -> Sessions:
    """Reads Diginetica in the split of SR-GNN and GCE-GNN.

    `train_sessions.parquet` with lists `items`, `test_prefixes.parquet` with `prefix` and `target`.
    There are no times: the order of the file stands for them. The prefixes of a test session stand
    together, the longest first; the session is that one and its target.
    """
    folder = Path(data_dir)
    train = pq.read_table(folder / "train_sessions.parquet")["items"].to_numpy()
    test = pq.read_table(folder / "test_prefixes.parquet")
    sessions: list[np.ndarray] = []
    before: tuple[int, ...] | None = None
    for prefix, target in zip(test["prefix"].to_pylist(), test["target"].to_pylist(), strict=True):
        if before != (*prefix, target):
            sessions.append(np.array([*prefix, target]))
        before = tuple(prefix)
    parts = _events(list(train)), _events(sessions, first=len(train))
    return make_sessions("diginetica-sessions", *parts)


def globo(data_dir: str | Path) -> Sessions:
    """Reads the clicks of the news portal Globo.com, with contexts.

    `clicks.parquet`, see the columns in the code; the hour files 361 and later are the test.
    Contexts are sequences aligned with `history`: environment, device group, system, country,
    region and referrer of a click as texts, `gap` the time since the click before as a bucket
    (`gap_buckets`), and `hour` the hour of day (UTC). Clicks of a session are in order of time.
    """
    table = pq.read_table(Path(data_dir) / "clicks.parquet")
    time = np.asarray(table["click_timestamp"])
    columns = {
        "session_id": table["session_id"],
        "item_id": table["click_article_id"].cast(pa.string()),
        "time": table["click_timestamp"],
        "hour": pa.array((time // 3_600_000 % 24).astype(str)),
        **{n.lower(): table[f"click_{n}"].cast(pa.string()) for n in _GLOBO_CONTEXTS},
    }
    names = ("gap", "hour", *(name.lower() for name in _GLOBO_CONTEXTS))
    spec = session_spec(*(Sequence(f"history_{name}", "context") for name in names))
    order = session_order(np.asarray(table["session_id"]), time)
    events = pa.table(columns).take(pa.array(order))
    gaps = gap_buckets(session_lengths(events), time[order] / 1000)
    events = events.append_column("gap", gaps)
    late = np.asarray(table["hour_file"])[order] >= GLOBO_TEST_FROM
    train, test = events.filter(pa.array(~late)), events.filter(pa.array(late))
    return make_sessions("globo-clicks", train, test, spec)


@dataclass(frozen=True)
class UserSequences:
    """What users took, in order of time: the layout of SASRec and S3-Rec.

    The last item of a user is the test, the one before the validation.

    Args:
        name: What reports call the data set.
        items: Item numbers from 1 of all users, one user after the other, int32.
        lengths: Items of each user.
        attributes: Attribute numbers of each item, by item number; empty where unknown.
    """

    name: str
    items: np.ndarray
    lengths: np.ndarray
    attributes: dict[int, list[int]]

    @property
    def num_items(self) -> int:
        """The largest item number."""
        return int(self.items.max())

    def users(self) -> list[np.ndarray]:
        """Returns the sequence of each user."""
        return np.split(self.items, np.cumsum(self.lengths)[:-1])


def user_sequences(path: str | Path) -> UserSequences:
    """Reads a file of user sequences.

    Either S3-Rec's layout, a line a user: the user and then the items in order of time; or
    SASRec's, a line an event: user and item, in order of time per user. Separated by spaces, also
    `.gz`. `<name>_item2attributes.json` beside the file is read too.

    Raises:
        ValueError: A line is not of numbers; the message names it.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".txt")
    lines = read_bytes(path).decode().splitlines()
    sequences: dict[int, list[int]] = {}
    for number, line in enumerate(lines, 1):
        try:
            user, *items = (int(word) for word in line.split())
        except ValueError as error:
            raise ValueError(f"{path} is malformed: line {number} is {line[:60]!r}.") from error
        sequences.setdefault(user, []).extend(items)
    flat = np.array([item for items in sequences.values() for item in items], np.int32)
    lengths = np.array([len(items) for items in sequences.values()])
    beside = path.with_name(f"{name}_item2attributes.json.gz")
    known = json.loads(read_bytes(beside)) if beside.is_file() else {}
    attributes = {int(item): list(values) for item, values in known.items()}
    return UserSequences(name, flat, lengths, attributes)


def _events(sessions: list[np.ndarray], first: int = 0) -> pa.Table:
    lengths = np.array([len(items) for items in sessions])
    numbers = np.repeat(np.arange(first, first + len(sessions)), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = pa.array(np.concatenate(sessions)).cast(pa.string())
    time = pa.array(numbers * 1_000_000 + within * 1000)
    return pa.table([pa.array(numbers), items, time], names=("session_id", "item_id", "time"))
