"""Recall against latency: what each choice of an index's parameters costs, measured."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.retrieval.base import Index, check_vectors
from tfrecs.retrieval.exact import Exact
from tfrecs.retrieval.scann import ScaNN
from tfrecs.retrieval.tuning import Plan, per_query_recall

RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
_ROUNDS, _CALLS = 7, 12  # of timing: each way to search in turn, so many queries a turn
_BATCH = 64

Search = Callable[[Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Point:
    """One way to search, measured.

    Args:
        label: What it is: "wanted 0.98", "as built", "exact".
        recall: Recall@k against exact search.
        milliseconds: Median time of a search for one query, in this process.
        plan: How ScaNN searches; `None` for another index.
        chosen: Whether the index searches so.
    """

    label: str
    recall: float
    milliseconds: float
    plan: Plan | None = None
    chosen: bool = False


def recall_curve(
    index: ScaNN,
    queries: Any,
    *,
    recalls: Sequence[float] = RECALLS,
    others: Mapping[str, Index] | None = None,
) -> list[Point]:
    """Measures what recall costs: ScaNN's choice for several recalls, beside exact search.

    Parameters are chosen on every other query and recall is measured on the rest. Times are those
    of the machine as busy as it is: for comparison with each other, not for a promise.

    Args:
        index: The index; it is not changed.
        queries: `(S, D)` query vectors, real ones where queries are spread otherwise than
            candidates.
        recalls: Recalls@k to reach, with the index's own k. Defaults to 0.8 to 0.999.
        others: Indexes of the same candidates in the same order to measure too, by name.

    Returns:
        A point for each recall, for the index as it was built, for exact search and the others.

    Raises:
        ValueError: If there are fewer than two queries.
    """
    queries = check_vectors(queries)
    if len(queries) < 2:
        raise ValueError(checks.expected("queries", "at least two", len(queries)))
    chosen_on, judged_on = queries[::2], queries[1::2]
    k, dim = index.plan.k, index.dim
    if index.plan.num_leaves == 1:
        recalls = ()  # no partitions: there is one way to search
    exact = Exact(k=k, similarity=index.similarity).index(index.vectors, index.ids)
    plans = [index.plan, *index.plans(chosen_on, recalls)]
    labels = ["as built", *(f"wanted {recall:g}" for recall in recalls)]
    indexes = {"exact": exact, **(others or {})}
    searches = {
        label: _compiled(partial(_by_plan, index, plan, k), dim)
        for label, plan in zip(labels, plans, strict=True)
    }
    searches |= {
        name: _compiled(partial(_by_index, other, k), dim) for name, other in indexes.items()
    }
    truth = _positions(searches["exact"], judged_on)
    times = _milliseconds(searches, judged_on)
    found = {
        label: float(per_query_recall(_positions(search, judged_on), truth).mean())
        for label, search in searches.items()
    }
    known = dict(zip(labels, plans, strict=True))
    return [
        Point(label, found[label], times[label], known.get(label), label == "as built")
        for label in searches
    ]


def _by_plan(index: ScaNN, plan: Plan, k: int, queries: Any) -> tuple[Any, Any]:
    return index.search_by(plan, queries, k)


def _by_index(index: Index, k: int, queries: Any) -> tuple[Any, Any]:
    return index.search(queries, k)


def _compiled(search: Search, dim: int) -> Search:
    """Returns a search as one graph, as a SavedModel has it."""
    spec = tf.TensorSpec([None, dim], tf.float32)
    compiled: Search = tf.function(search, input_signature=[spec], autograph=False)
    return compiled


def _positions(search: Search, queries: np.ndarray) -> np.ndarray:
    batches = [queries[start : start + _BATCH] for start in range(0, len(queries), _BATCH)]
    return np.concatenate([search(tf.constant(batch))[1].numpy() for batch in batches])


def _milliseconds(searches: Mapping[str, Search], queries: np.ndarray) -> dict[str, float]:
    """Returns the median time of a search for one query; each way is asked in turn."""
    taken: dict[str, list[float]] = {label: [] for label in searches}
    singles = [tf.constant(query[None]) for query in queries[:_CALLS]]
    for timed in [False] + [True] * _ROUNDS:
        for label, search in searches.items():
            for single in singles:
                start = time.perf_counter()
                search(single)[0].numpy()
                if timed:
                    taken[label].append(time.perf_counter() - start)
    return {label: 1e3 * statistics.median(seconds) for label, seconds in taken.items()}
