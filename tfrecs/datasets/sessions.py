"""Sessions: tables of events in order of session and time, cleaned the usual way, split by time."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets.readers import read_bytes, read_delimited
from tfrecs.spec import Categorical, Feature, FeatureSpec, Sequence, Timestamp

COLUMNS = ("session_id", "item_id", "time")


@dataclass(frozen=True)
class Sessions:
    """Sessions to learn from and sessions to be judged on.

    Both tables hold one row an event: `session_id` int64, `item_id` text, `time` int64 in
    milliseconds, and what else is known of the event; sessions one after the other, oldest first,
    events in order of time. Items of `test` are all in `train`.

    Args:
        name: What reports call the data set.
        train: Events to learn from.
        test: Events to be judged on.
        spec: The features: the item's id, the `history` of items, the time, contexts.
    """

    name: str
    train: pa.Table
    test: pa.Table
    spec: FeatureSpec

    @property
    def lengths(self) -> np.ndarray:
        """Events of each training session, `(S,)`."""
        return session_lengths(self.train)

    @property
    def histories(self) -> pa.Table:
        """The training sessions as lists, one row each, for `FeatureTransform.adapt`."""
        offsets = pa.array(np.r_[0, np.cumsum(self.lengths)].astype(np.int32))
        columns = {}
        for feature in self.spec:
            if isinstance(feature, Sequence):
                name = feature.name.removeprefix("history_")
                values = self.train["item_id" if name == "history" else name].combine_chunks()
                columns[feature.name] = pa.ListArray.from_arrays(offsets, values)
        return pa.table(columns)

    @property
    def candidates(self) -> pa.Table:
        """The items of the training sessions, each once."""
        return pa.table({"item_id": pc.unique(self.train["item_id"])})


def session_spec(*contexts: Feature, max_length: int | None = 50) -> FeatureSpec:
    """Returns the spec of sessions: item id, history of items, time, and more of an event."""
    return FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True),
            Sequence("history", "query", shared_with="item_id", max_length=max_length),
            *contexts,
            Timestamp("time", unit="ms"),
        )
    )


def make_sessions(
    name: str,
    train: pa.Table,
    test: pa.Table,
    spec: FeatureSpec | None = None,
    *,
    min_length: int = 2,
    min_support: int = 1,
) -> Sessions:
    """Sorts and filters two tables of events.

    Events are sorted by session and time whatever order they come in (a time that goes backwards
    in a session's rows is put in its place; equal times stay in row order), sessions by their first
    event. Then, in this order: items with fewer than `min_support` training events are dropped,
    then training sessions shorter than `min_length`; from the test, items that training lacks,
    then sessions shorter than `min_length`.

    Args:
        name: What reports call the data set.
        train: Events with `session_id`, `item_id` and `time` in milliseconds; other columns stay.
        test: The same.
        spec: The features. Defaults to `session_spec()`.
        min_length: Least events of a session. Defaults to 2: one event has no next one.
        min_support: Least training events of an item. Defaults to 1; 5 is usual.

    Raises:
        ValueError: A column is missing, an id or a time is missing, or nothing is left.

    Example:

    >>> events = pa.table({"session_id": [1, 1, 2, 2], "item_id": ["a", "b", "b", "c"],
    ...                    "time": [5, 4, 1, 2]})
    >>> made = make_sessions("four clicks", events, events.slice(2))
    >>> made.train["item_id"].to_pylist(), made.lengths
    (['b', 'c', 'b', 'a'], array([2, 2]))
    """
    checks.positive("min_length", min_length)
    checks.positive("min_support", min_support)
    train, test = _sorted("train", train), _sorted("test", test)
    counts = pc.value_counts(train["item_id"])
    kept = counts.field("values").filter(pc.greater_equal(counts.field("counts"), min_support))
    train = _long(_of_items(train, kept), min_length)
    test = _long(_of_items(test, pc.unique(train["item_id"])), min_length)
    for part, table in (("train", train), ("test", test)):
        if table.num_rows == 0:
            raise ValueError(
                f"`{part}` has no session left with min_length={min_length} and "
                f"min_support={min_support}. Lower them, or split at another time."
            )
    return Sessions(name, train, test, spec or session_spec())


def split_sessions(
    name: str, events: pa.Table, test_from: int, spec: FeatureSpec | None = None, **filters: int
) -> Sessions:
    """Splits events by time: sessions that start at `test_from` or later are the test.

    Args:
        name: What reports call the data set.
        events: As the tables of `make_sessions`.
        test_from: First time of the test, in milliseconds.
        spec: The features. Defaults to `session_spec()`.
        filters: As in `make_sessions`.

    Example:

    >>> events = pa.table({"session_id": [1, 1, 2, 2], "item_id": ["a", "b", "b", "a"],
    ...                    "time": [1, 2, 7, 8]})
    >>> split_sessions("four clicks", events, 5).test["item_id"].to_pylist()
    ['b', 'a']
    """
    events = _sorted("events", events)
    lengths = session_lengths(events)
    firsts = np.asarray(events["time"])[np.cumsum(lengths) - lengths]
    late = pa.array(np.repeat(firsts >= test_from, lengths))
    train, test = events.filter(pc.invert(late)), events.filter(late)
    return make_sessions(name, train, test, spec, **filters)


def latest(sessions: Sessions, num_events: int) -> Sessions:
    """Returns the sessions with about the last `num_events` training events, whole sessions."""
    starts = np.cumsum(sessions.lengths) - sessions.lengths
    first = starts[np.searchsorted(starts, max(0, sessions.train.num_rows - num_events))]
    cut = make_sessions(sessions.name, sessions.train.slice(int(first)), sessions.test)
    return replace(cut, spec=sessions.spec)


def session_lengths(events: pa.Table, name: str = "session_id") -> np.ndarray:
    """Returns how many events each session has, `(S,)`, of a table in order of sessions."""
    ids = np.asarray(events[name])
    firsts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.empty(0, int)
    lengths: np.ndarray = np.diff(np.r_[firsts, len(ids)])
    return lengths


def session_order(ids: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Returns the order of events by their session's first time, and by time within it, `(N,)`.

    Events of one session at equal times stay in row order.

    Example:

    >>> session_order(np.array([7, 7, 4]), np.array([9, 8, 1]))
    array([2, 1, 0])
    """
    codes = np.unique(ids, return_inverse=True)[1]
    firsts = np.full(codes.max(initial=-1) + 1, np.inf)
    np.minimum.at(firsts, codes, times)
    order: np.ndarray = np.lexsort((times, codes, firsts[codes]))  # stable
    return order


def gap_buckets(lengths: np.ndarray, seconds: np.ndarray) -> pa.Array:
    """Returns how long before each event the one before was: `floor(log2(1 + s))`, as text.

    The first event of a session is "first".

    Args:
        lengths: Events of each session, `(S,)`.
        seconds: Times of all events, `(N,)`.

    Example:

    >>> gap_buckets(np.array([3, 1]), np.array([10, 10, 17, 90])).to_pylist()
    ['first', '0', '3', 'first']
    """
    gaps = np.diff(seconds, prepend=seconds[:1])
    buckets = np.floor(np.log2(1 + np.maximum(gaps, 0))).astype(np.int64).astype(str).astype(object)
    buckets[np.cumsum(lengths) - lengths] = "first"
    return pa.array(buckets, pa.string())


def read_session_file(path: str | Path, unit: float = 1.0) -> pa.Table:
    """Reads a tab-separated file with the columns SessionId, ItemId and Time.

    The layout of session-rec and of the authors of GRU4Rec, for RSC15, RetailRocket, Diginetica
    and others; `.gz` is read too.

    Args:
        path: The file.
        unit: Seconds that one unit of Time is. Defaults to 1.

    Returns:
        Table of `session_id`, `item_id` (text) and `time` in milliseconds.

    Raises:
        ValueError: A column is missing, or a line is malformed.
    """
    path = Path(path)
    table = read_delimited(path, read_bytes(path), "\t")
    for name in ("SessionId", "ItemId", "Time"):
        if name not in table.column_names:
            expectation = f"a file with the column {name!r}"
            raise ValueError(checks.expected(str(path), expectation, table.column_names))
    time = np.asarray(table["Time"], np.float64) * unit * 1000
    columns = [table["SessionId"].cast(pa.int64()), table["ItemId"].cast(pa.string())]
    return pa.table([*columns, pa.array(np.round(time).astype(np.int64))], names=COLUMNS)


def _sorted(part: str, events: pa.Table) -> pa.Table:
    """Returns events in order of the sessions' first times, and of time within them."""
    for name in COLUMNS:
        if name not in events.column_names:
            expectation = f"a table with the column {name!r}"
            raise ValueError(checks.expected(part, expectation, events.column_names))
        if events[name].null_count:
            raise ValueError(checks.expected(part, f"without missing {name}", None))
    order = session_order(np.asarray(events["session_id"]), np.asarray(events["time"]))
    if (np.diff(order) != 1).any():
        events = events.take(pa.array(order))
    return events.set_column(
        events.column_names.index("item_id"), "item_id", events["item_id"].cast(pa.string())
    ).combine_chunks()


def _of_items(events: pa.Table, items: pa.Array) -> pa.Table:
    if isinstance(items, pa.ChunkedArray):
        items = items.combine_chunks()
    return events.filter(pc.is_in(events["item_id"], value_set=items))


def _long(events: pa.Table, min_length: int) -> pa.Table:
    lengths = session_lengths(events)
    return events.filter(pa.array(np.repeat(lengths >= min_length, lengths)))
