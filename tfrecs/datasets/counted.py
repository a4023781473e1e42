"""What is counted of events when they are read: ties of time, repeated pairs, the dates."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.datasets.moments import date_of

_EARLY = 315_532_800  # 1980 in seconds
_LATE = 4_102_444_800  # 2100


def repeats(events: pa.Table, found: dict[str, str | None]) -> list[str]:
    """Returns sentences on events at equal times of one user, and on pairs that come again.

    Args:
        events: With ids, and times as integers.
        found: The columns of user, item and time; `None` where there is none.

    Example:

    >>> events = pa.table({"u": ["a", "a", "b"], "i": ["x", "x", "y"], "t": [5, 5, 5]})
    >>> for note in repeats(events, {"user": "u", "item": "i", "time": "t"}): print(note)
    2 of 3 events share their time with another one of the same user: rows are in order.
    1 of 3 events repeats a pair of user and item; all are kept.
    """
    user, item, time = (found.get(part) for part in ("user", "item", "time"))
    if user is None or item is None:
        return []
    users, items = _codes(events[user]), _codes(events[item])
    total, notes = events.num_rows, []
    if time is not None:
        tied = _alike(users, _from_0(np.asarray(events[time])))[1]
        if tied:
            verb = "share their" if tied > 1 else "shares its"
            notes.append(
                f"{tied:,} of {total:,} events {verb} time with another one of the same user: "
                "rows are in order."
            )
    again = total - _alike(users, items)[0]
    if again:
        verb = "repeat" if again > 1 else "repeats"
        notes.append(f"{again:,} of {total:,} events {verb} a pair of user and item; all are kept.")
    return notes


def dates(times: pa.ChunkedArray, unit: str) -> str:
    """Returns the first and the last time as UTC dates, and what is odd about them.

    Example:

    >>> dates(pa.chunked_array([[0, 86_400]]), "s")
    '1970-01-01 00:00:00 to 1970-01-02 00:00:00 UTC; if these are no dates, only their order counts'
    """
    bounds = pc.min_max(times).as_py()
    told = f"{date_of(bounds['min'], unit)} to {date_of(bounds['max'], unit)} UTC"
    seconds = bounds["max"] / {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if not _EARLY <= seconds <= _LATE:
        told += "; if these are no dates, only their order counts"
    return told


def _alike(firsts: np.ndarray, seconds: np.ndarray) -> tuple[int, int]:
    """Returns how many pairs there are, and how many rows share theirs; sorted, not hashed.

    Args:
        firsts: Numbers from 0 on.
        seconds: Likewise.
    """
    width = int(seconds.max(initial=0)) + 1
    if (int(firsts.max(initial=0)) + 1) * width >= 2**63:
        seconds = np.unique(seconds, return_inverse=True)[1]
        width = int(seconds.max(initial=0)) + 1
    pairs = firsts.astype(np.int64)
    pairs *= width
    pairs += seconds
    pairs.sort()
    first = np.ones(len(pairs) + 1, bool)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:-1])
    alone = first[:-1] & first[1:]
    return int(first[:-1].sum()), int(len(pairs) - alone.sum())


def _from_0(times: np.ndarray) -> np.ndarray:
    """Returns times since the first one, by their order where that would overflow."""
    small = len(times) and int(times.max()) - int(times.min()) < 2**62
    found: np.ndarray = times - times.min() if small else np.unique(times, return_inverse=True)[1]
    return found


def _codes(ids: pa.ChunkedArray) -> np.ndarray:
    """Returns a number from 0 on for each id, int32; no id is one too."""
    chunks = ids.dictionary_encode("encode").chunks
    codes: np.ndarray = np.concatenate(
        [np.zeros(0, np.int32), *(np.asarray(chunk.indices) for chunk in chunks)]
    )
    return codes
