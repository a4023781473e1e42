"""The next item of a session, ranked among all items: the protocol of GRU4Rec's authors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from keras import ops

from tfrecs import checks
from tfrecs.evaluation.columns import codes, times_of
from tfrecs.evaluation.guards import check_defined
from tfrecs.evaluation.scorers import VectorScorer, as_tensors, check_finite, graph
from tfrecs.evaluation.splits import Split
from tfrecs.spec import FeatureSpec, Sequence

TIES = ("standard", "conservative", "median")
_PREFIX = "history_"  # of the sequences that stand beside the history of items


@dataclass(frozen=True)
class NextItems:
    """Every event but the first of each test session, and what was known before it.

    Args:
        queries: One row an event: `history`, the session so far, and the spec's contexts; a
            sequence `history_x` holds the column x of those events, a context x that of this one.
        targets: Position of the item among the candidates, `(N,)`.
        rows: Row of the event in the test table, `(N,)`.
    """

    queries: pa.Table
    targets: np.ndarray
    rows: np.ndarray


def next_items(
    test: pa.Table, candidates: pa.Table, spec: FeatureSpec, max_length: int = 50
) -> NextItems:
    """Cuts test sessions into what was so far and what came next.

    Args:
        test: Events in order of session and time, as `datasets.Sessions.test`. An item that is not
            among the candidates counts as part of the session and is no target.
        candidates: Table of the items, with the candidate's id.
        spec: The features; tells which contexts there are.
        max_length: Most events kept of a session so far, the last ones. Defaults to 50.

    Returns:
        The events, in order.

    Raises:
        ValueError: The events of a session do not stand together, or not in order of their `time`.

    Example:

    >>> from tfrecs.datasets.sessions import session_spec
    >>> test = pa.table({"session_id": [1, 1, 1], "item_id": ["a", "b", "a"], "time": [1, 2, 3]})
    >>> found = next_items(test, pa.table({"item_id": ["a", "b"]}), session_spec())
    >>> found.queries["history"].to_pylist(), found.targets
    ([['a'], ['a', 'b']], array([1, 0]))
    """
    checks.positive("max_length", max_length)
    sessions = np.asarray(test["session_id"])
    name = spec.candidate_id.name
    known = candidates[name].combine_chunks()
    places = pc.fill_null(pc.index_in(test[name], value_set=known), -1).to_numpy().astype(np.int64)
    starts = np.flatnonzero(np.r_[True, sessions[1:] != sessions[:-1]])
    _check_order(test, sessions, starts)
    first = np.repeat(starts, np.diff(np.r_[starts, len(sessions)]))  # of the event's session
    rows = np.flatnonzero((np.arange(len(sessions)) > first) & (places >= 0))
    lengths = np.minimum(rows - first[rows], max_length)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    taken = np.arange(offsets[-1]) + np.repeat(rows - lengths - offsets[:-1], lengths)
    columns: dict[str, Any] = {}
    for feature in spec.by_role("query", "context"):
        history = isinstance(feature, Sequence)
        column = name if feature.name == "history" else feature.name.removeprefix(_PREFIX)
        if column not in test.column_names:
            expectation = f"a table with the column {column!r} of feature {feature.name!r}"
            raise ValueError(checks.expected("test", expectation, test.column_names))
        values = test[column].take(pa.array(taken if history else rows)).combine_chunks()
        if history:
            values = pa.LargeListArray.from_arrays(pa.array(offsets), values).cast(
                pa.list_(values.type)
            )
        columns[feature.name] = values
    return NextItems(pa.table(columns), places[rows], rows)


def _check_order(test: pa.Table, sessions: np.ndarray, starts: np.ndarray) -> None:
    remedy = "Sort it by session and time: test.sort_by([('session_id', 'ascending'), ...])."
    again = starts[np.unique(sessions[starts], return_index=True)[1]]
    if len(again) < len(starts):
        row = int(np.setdiff1d(starts, again)[0])
        told = f"session {sessions[row]} again in row {row}"
        raise ValueError(checks.expected("test", "one session after the other", told, remedy))
    if "time" not in test.column_names:
        return
    times = np.asarray(test["time"])
    late = (times[1:] < times[:-1]) & (sessions[1:] == sessions[:-1])
    if late.any():
        told = f"row {int(np.argmax(late)) + 1} before the row above it"
        raise ValueError(checks.expected("test", "in order of time within sessions", told, remedy))


def by_session_start(events: pa.Table, spec: FeatureSpec, fraction: float = 0.1) -> Split:
    """Holds out the sessions that began last, whole.

    Args:
        events: Table of events with the query id of `spec`, which tells sessions, and its time.
        spec: Names the columns.
        fraction: Share of the sessions for test, above 0 and below 1. Defaults to 0.1.

    Raises:
        ValueError: The fraction is out of range, there is no time, or fewer than two sessions.

    Example:

    >>> from tfrecs.spec import Categorical, Timestamp
    >>> spec = FeatureSpec((Categorical("session", is_id=True), Timestamp("at", "time")))
    >>> events = pa.table({"session": ["b", "a", "b"], "at": [2, 1, 3]})
    >>> by_session_start(events, spec, 0.5).test.to_pylist()
    [{'session': 'b', 'at': 2}, {'session': 'b', 'at': 3}]
    """
    if not 0 < fraction < 1:
        raise ValueError(checks.expected("fraction", "above 0 and below 1", fraction))
    sessions, times = codes(events, spec.query_id.name), times_of(events, spec)
    first = np.full(sessions.max(initial=-1) + 1, np.inf)
    np.minimum.at(first, sessions, times)
    late = np.zeros(len(first), bool)
    late[np.argsort(first, kind="stable")[len(first) - max(1, round(fraction * len(first))) :]] = (
        True
    )
    chosen = pa.array(late[sessions])
    protocol = f"by time, the last {100 * fraction:g} % of sessions"
    return Split(events.filter(pc.invert(chosen)), events.filter(chosen), protocol)


def next_item_ranks(
    score: Callable[[pa.Table], np.ndarray],
    events: NextItems,
    *,
    ties: Literal["standard", "conservative", "median"] = "standard",
    block: int = 512,
) -> np.ndarray:
    """Ranks every event's item among all items, none left out.

    Args:
        score: Maps queries to scores `(B, C)`: `SessionScorer(...).score`, a baseline's `score`.
        events: What is ranked, of `next_items`.
        ties: The rank among items of the same score: "standard" is the best of them,
            "conservative" the worst, "median" half way. Defaults to "standard", as the authors'
            published numbers; a model that scores everything alike then looks perfect, so compare
            with "conservative" once.
        block: Events at a time. Defaults to 512.

    Returns:
        Ranks from 1, float64 `(N,)`.

    Raises:
        ValueError: A score is NaN.
    """
    checks.one_of("ties", ties, TIES)
    ranks = np.empty(len(events.targets))
    for start in range(0, len(ranks), block):
        found = score(events.queries.slice(start, block))
        targets = events.targets[start : start + block]
        check_defined("score", found)
        own = found[np.arange(len(found)), targets][:, None]
        better = np.count_nonzero(found > own, axis=1)
        if ties == "standard":
            ranks[start : start + block] = better + 1
            continue
        worst = np.count_nonzero(found >= own, axis=1)
        ranks[start : start + block] = worst if ties == "conservative" else (better + 1 + worst) / 2
    return ranks


def recall_and_mrr(ranks: np.ndarray, k: int = 20) -> dict[str, float]:
    """Returns the share of ranks up to k, and the mean of 1/rank, 0 beyond k.

    Example:

    >>> recall_and_mrr(np.array([1, 4, 50]), k=20)
    {'recall@20': 0.666..., 'mrr@20': 0.416...}
    """
    hits = ranks <= k
    return {
        f"recall@{k}": float(hits.mean()),
        f"mrr@{k}": float(np.where(hits, 1 / ranks, 0).mean()),
    }


class SessionScorer:
    """Scores all candidates by a `Retriever`, for `next_item_ranks`.

    Args:
        model: The model, trained.
        transform: Its adapted features.
        candidates: Table of the C candidates; a position is a row of it.
    """

    def __init__(self, model: Any, transform: Any, candidates: pa.Table) -> None:
        self.transform = transform
        self._names = [f.name for f in transform.spec.by_role("query", "context")]
        scorer = VectorScorer(model, transform, candidates)
        self._score = graph(
            lambda batch: scorer.block(scorer.query(batch), scorer.candidates, None)
        )

    def score(self, queries: pa.Table) -> np.ndarray:
        """Returns float32 scores `(B, C)` of queries with their features."""
        batch = as_tensors(self.transform.encode(queries, self._names))
        scores = ops.convert_to_numpy(self._score(batch))
        check_finite(scores, "scores")
        return np.asarray(scores)
