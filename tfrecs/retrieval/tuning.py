"""Choosing how widely an approximate index searches, from measured recall."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tfrecs import checks

logger = logging.getLogger("tfrecs")

SAMPLE = 512  # queries that recall is measured on
STEP = 2**0.25  # ratio of neighbouring settings
MAX_REORDER = 32  # times k

# Cost of a search, in units of one centroid's dot product; measured on a 1 M x 64 index (12 ns,
# 10 ns and 130 ns on a 2-core Xeon: reordering misses the cache). Only the ratio of the two
# matters for the choice, and a choice by cost is the same every time; one by timing is not.
COST_SCANNED = 0.8
COST_REORDERED = 11.0


@dataclass(frozen=True)
class Plan:
    """How a ScaNN index is searched.

    Args:
        num_candidates: Number of candidates.
        num_leaves: Partitions of the tree; 1 means no tree: every candidate is scored.
        leaves_to_search: Partitions searched for each query.
        reorder: Candidates whose exact score is computed for each query.
        k: Number of results that the choice was made for.
        recall: Recall@k measured on the sample, None where it was not measured.
    """

    num_candidates: int
    num_leaves: int
    leaves_to_search: int
    reorder: int
    k: int
    recall: float | None = None


def recall_at_k(index: Any, exact: Any, queries: Any, k: int = 100) -> float:
    """Returns the share of `exact`'s best `k` that `index` finds.

    Args:
        index: The index to judge.
        exact: An index of the same vectors in the same order, `Exact` as a rule.
        queries: `(B, D)` float vectors.
        k: Number of results. Defaults to 100.

    Returns:
        Mean recall over the queries, 0 to 1.

    Example:

    >>> import numpy as np
    >>> from tfrecs.retrieval import Exact
    >>> exact = Exact(k=2).index(np.eye(4), [1, 2, 3, 4])
    >>> recall_at_k(exact, exact, np.eye(4), k=2)
    1.0
    """
    if index.num_candidates != exact.num_candidates:
        raise ValueError(
            checks.expected(
                "exact",
                f"an index of the same {index.num_candidates} candidates",
                exact.num_candidates,
            )
        )
    found = ops.convert_to_numpy(index.search(queries, k)[1])
    truth = ops.convert_to_numpy(exact.search(queries, k)[1])
    return float(per_query_recall(found, truth).mean())


def per_query_recall(
    found: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None
) -> np.ndarray:
    """Returns the share of each row of `truth` that is in the same row of `found`.

    Args:
        found: `(B, K)` positions, -1 where empty.
        truth: `(B, k)` positions.
        ignore: `(B,)` a position not to count in each row (a query that is itself a
            candidate), or None.

    Example:

    >>> per_query_recall(np.array([[1, 2], [3, 4]]), np.array([[2, 5], [4, 3]]))
    array([0.5, 1. ])
    """
    rows = np.arange(len(truth))[:, None] * (max(found.max(), truth.max()) + 1)
    hits = np.isin(truth + rows, np.where(found < 0, -1, found + rows))
    counted = np.ones_like(hits) if ignore is None else truth != ignore[:, None]
    return (hits & counted).sum(1) / np.maximum(counted.sum(1), 1)  # type: ignore[no-any-return]


def num_leaves(num_candidates: int) -> int:
    """Returns the number of partitions: twice the square root, as a power of two."""
    return max(1, int(2 ** np.round(np.log2(2 * np.sqrt(num_candidates)))))


def choose(
    measure: Callable[[int, int], np.ndarray],
    wanted: float,
    *,
    num_candidates: int,
    num_leaves: int,
    k: int,
) -> Plan:
    """Returns the cheapest (leaves, reorder) that reaches the wanted recall.

    Recall grows with both, so the settings that just reach it form a staircase: the walk
    starts at the fewest leaves that do with the most reordering, and goes down it. That is
    about 40 measurements. "Reaches" means that the mean less two standard errors does.

    Args:
        measure: `(leaves, reorder) -> (S,)` recall of each sample query.
        wanted: Recall to reach.
        num_candidates: Number of candidates.
        num_leaves: Partitions of the tree.
        k: Number of results.
    """
    leaves = steps(1, num_leaves)
    reorders = steps(min(k, num_candidates), min(MAX_REORDER * k, num_candidates))
    low, high = 0, len(leaves) - 1
    while low < high:  # the fewest leaves that reach it with the most reordering
        middle = (low + high) // 2
        if reached(measure(leaves[middle], reorders[-1]), wanted):
            high = middle
        else:
            low = middle + 1
    best: Plan | None = None
    best_cost = np.inf
    place, order = low, len(reorders) - 1
    while place < len(leaves) and order >= 0:
        recalls = measure(leaves[place], reorders[order])
        if not reached(recalls, wanted):
            place += 1
            continue
        scanned = num_candidates * leaves[place] / num_leaves
        cost = COST_SCANNED * scanned + COST_REORDERED * reorders[order]
        if cost < best_cost:
            best_cost = cost
            best = Plan(
                num_candidates,
                num_leaves,
                leaves[place],
                reorders[order],
                k,
                float(recalls.mean()),
            )
        order -= 1
    if best is None:
        recall = float(measure(leaves[-1], reorders[-1]).mean())
        logger.warning("The index reaches recall@%d %.4f, less than %.4f.", k, recall, wanted)
        best = Plan(num_candidates, num_leaves, leaves[-1], reorders[-1], k, recall)
    return best


def reached(recalls: np.ndarray, wanted: float) -> bool:
    """Returns whether the mean of a sample is above `wanted` by two standard errors."""
    error = recalls.std() / np.sqrt(len(recalls))
    return bool(recalls.mean() - 2 * error >= wanted or recalls.min() >= 1)


def steps(first: int, last: int) -> list[int]:
    """Returns the integers from `first` to `last` by a constant ratio.

    Example:

    >>> steps(1, 10)
    [1, 2, 3, 4, 5, 6, 7, 8, 10]
    """
    count = int(np.ceil(np.log(max(last, 1) / first) / np.log(STEP))) if last > first else 0
    values = {round(first * STEP**power) for power in range(count)}
    return sorted({value for value in values if value < last} | {last})
