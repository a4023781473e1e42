"""The most popular candidates, the same for everyone."""

from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.baselines.base import Baseline, event_positions
from tfrecs.spec import FeatureSpec, Timestamp

_SECONDS_PER_DAY = 86_400
_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class Popularity(Baseline):
    """Ranks candidates by their number of events: `score(q, c) = count(c)`.

    Every query gets the same scores, known or not.

    Args:
        window_days: Count only the events of that many last days, in days, the newest event being
            the end; `None` counts all. Defaults to `None`.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "b", "b"], "item_id": ["y", "y", "x"]})
    >>> popularity = Popularity().fit(events, pa.table({"item_id": ["x", "y", "z"]}), spec)
    >>> scores, positions = popularity.recommend(pa.table({"user_id": ["a"]}), k=3)
    >>> positions, scores
    (array([[1, 0, 2]]), array([[2., 1., 0.]], dtype=float32))
    """

    def __init__(self, window_days: float | None = None) -> None:
        if window_days is not None:
            checks.positive("window_days", window_days)
        self.window_days = window_days

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        self._prepare(candidates, spec)
        if self.window_days is not None:
            events = _newest(events, spec, self.window_days)
        name = spec.candidate_id.name
        positions = event_positions(events, name, self._candidate_ids, "candidates")
        self._counts = np.bincount(positions, minlength=candidates.num_rows).astype(np.float32)
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        shape = (queries.num_rows, self._num_candidates())
        return np.broadcast_to(self._counts, shape)


def _newest(events: pa.Table, spec: FeatureSpec, days: float) -> pa.Table:
    times = [f for f in spec.by_role("time") if isinstance(f, Timestamp)]
    if len(times) != 1 or times[0].name not in events.column_names:
        raise ValueError(
            checks.expected(
                "window_days",
                "None where the events have no time",
                days,
                "Add a Timestamp feature with role='time' to the spec, and its column.",
            )
        )
    time = events[times[0].name]
    if events.num_rows == 0:
        return events
    length = int(days * _SECONDS_PER_DAY * _UNITS_PER_SECOND[times[0].unit])
    return events.filter(pc.greater(time, pc.max(time).as_py() - length))
