"""Metrics of full rankings, per user, in NumPy: what evaluation averages and resamples."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tfrecs import checks

Array = NDArray[Any]
NAMES = ("recall", "capped_recall", "precision", "hr", "mrr", "map", "ndcg")


def per_user(positions: Array, relevant: sp.csr_matrix, ks: Iterable[int]) -> dict[str, Array]:
    """Returns every ranking metric of every user, at every cut-off.

    With `rel_i` 1 where the i-th recommendation is relevant, `hits@k = sum_{i<=k} rel_i` and R
    the number of the user's relevant candidates, recommended or not:

    - `recall@k = hits@k / R`
    - `capped_recall@k = hits@k / min(k, R)`, the "recall" of Mult-VAE and EASE; 1 is reachable
      also where R > k
    - `precision@k = hits@k / k`
    - `hr@k = 1 if hits@k > 0 else 0`
    - `mrr@k = 1 / (rank of the first hit)`, 0 if there is none in k
    - `map@k = 1/R * sum_{i<=k} rel_i * hits@i / i`
    - `ndcg@k = sum_{i<=k} rel_i / log2(i + 1)`, over the same sum with the min(k, R) first
      ranks relevant

    Ties are whoever ranked the candidates' business: here they are in an order. A user without
    relevant candidates has no metric: the value is NaN, so that a mean has to say what it does
    with such users (`np.nanmean` leaves them out).

    Args:
        positions: int array `(U, K)`, the ranking of each user, best first: columns of
            `relevant`, each at most once a row; -1 is an empty slot.
        relevant: sparse `(U, C)`, nonzero where the candidate is relevant to the user.
        ks: cut-offs, each at most K.

    Returns:
        `{"recall@10": float64 (U,), ...}`: metric by metric, cut-off by cut-off.

    Raises:
        ValueError: for a cut-off out of range, shapes that disagree, positions out of range or
            repeated in a row.

    Example:

    >>> relevant = sp.csr_matrix([[1, 0, 0, 1]])
    >>> values = per_user(np.array([[1, 3, 2]]), relevant, ks=[2])
    >>> float(values["recall@2"][0]), float(values["mrr@2"][0])
    (0.5, 0.5)

    Reference:
        - [Järvelin and Kekäläinen, 2002](https://doi.org/10.1145/582415.582418) for nDCG;
          [Liang et al., 2018](https://arxiv.org/abs/1802.05814) for the capped recall.
    """
    positions, cutoffs = np.asarray(positions), list(ks)
    _check(positions, relevant, cutoffs)
    hits, num_relevant = find_hits(positions, relevant)
    table = _table(hits[:, : max(cutoffs)], num_relevant, cutoffs)
    table[:, :, num_relevant == 0] = np.nan
    return {
        f"{name}@{k}": values
        for name, row in zip(NAMES, table, strict=True)
        for k, values in zip(cutoffs, row, strict=True)
    }


def _table(hits: Array, num_relevant: Array, cutoffs: list[int]) -> Array:
    """Returns the values as float64 `(metrics, cut-offs, U)`, in the order of `NAMES`."""
    ranks = np.arange(1, hits.shape[1] + 1)
    found = hits.cumsum(axis=1)  # (U, K), hits@i
    gains = (hits / np.log2(ranks + 1)).cumsum(axis=1)
    ideal = (1 / np.log2(ranks + 1)).cumsum()
    precisions = (hits * found / ranks).cumsum(axis=1)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)
    total = np.maximum(num_relevant, 1)
    table = np.empty((len(NAMES), len(cutoffs), len(hits)))
    for column, k in enumerate(cutoffs):
        at_k, capped = found[:, k - 1], np.minimum(total, k)
        table[:, column] = (
            at_k / total,
            at_k / capped,
            at_k / k,
            at_k > 0,
            np.where(first <= k, 1 / first, 0),
            precisions[:, k - 1] / total,
            gains[:, k - 1] / ideal[capped - 1],
        )
    return table


def find_hits(positions: Array, relevant: sp.csr_matrix) -> tuple[Array, Array]:
    """Finds which recommendations are relevant.

    Args:
        positions: int array `(U, K)`; -1 is an empty slot.
        relevant: sparse `(U, C)`.

    Returns:
        bool `(U, K)`, and the number of relevant candidates of each user, int64 `(U,)`.
    """
    relevant = sp.csr_matrix(relevant, dtype=bool)  # one entry a pair, whatever was added up
    relevant.sum_duplicates()
    relevant.eliminate_zeros()
    num_users, num_candidates = relevant.shape
    counts = np.diff(relevant.indptr).astype(np.int64)
    users = np.repeat(np.arange(num_users, dtype=np.int64), counts)
    wanted = users * num_candidates + relevant.indices  # sorted, since the indices are
    given = np.arange(num_users, dtype=np.int64)[:, None] * num_candidates + positions
    if not len(wanted):
        return np.zeros(positions.shape, bool), counts
    place = np.minimum(np.searchsorted(wanted, given), len(wanted) - 1)
    return (wanted[place] == given) & (positions >= 0), counts


def _check(positions: Array, relevant: sp.csr_matrix, cutoffs: list[int]) -> None:
    if positions.ndim != 2 or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(
            checks.expected(
                "positions",
                "an integer array (users, ranks)",
                f"{positions.dtype} {positions.shape}",
            )
        )
    if positions.shape[0] != relevant.shape[0]:
        raise ValueError(
            checks.expected(
                "relevant",
                f"of {positions.shape[0]} rows, one for each row of `positions`",
                relevant.shape,
            )
        )
    for k in cutoffs or [0]:
        if not 1 <= k <= positions.shape[1]:
            raise ValueError(
                checks.expected(
                    "ks",
                    f"one or more cut-offs from 1 to {positions.shape[1]}, the ranking's depth",
                    cutoffs,
                    "Ask the recommender for more candidates.",
                )
            )
    if positions.size and not -1 <= positions.min() <= positions.max() < relevant.shape[1]:
        raise ValueError(
            checks.expected(
                "positions",
                f"from 0 to {relevant.shape[1] - 1}, or -1 for an empty slot",
                [int(positions.min()), int(positions.max())],
            )
        )
    ordered = np.sort(positions, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if repeated.any():
        row = int(repeated.argmax())
        raise ValueError(
            checks.expected(
                "positions",
                "different from each other in a row",
                positions[row].tolist(),
                f"It is row {row}; a candidate that is recommended twice would count twice.",
            )
        )
