"""What a set of recommendations does to the catalogue: coverage, popularity, concentration."""

import numpy as np

from tfrecs import checks
from tfrecs.metrics.ranking import Array


def coverage(positions: Array, num_candidates: int, k: int | None = None) -> float:
    """Returns the share of the catalogue that is recommended to anyone.

    `coverage@k = |union over users of the k first recommendations| / C`

    Args:
        positions: int array `(U, K)`, the ranking of each user; -1 is an empty slot.
        num_candidates: C, the size of the catalogue.
        k: cut-off; `None` for all K.

    Returns:
        From 0 to 1.

    Example:

    >>> coverage(np.array([[0, 1], [0, 2]]), num_candidates=4)
    0.75

    Reference:
        - [Ge et al., 2010](https://doi.org/10.1145/1864708.1864761)
    """
    return float((exposure(positions, num_candidates, k) > 0).mean())


def average_popularity(positions: Array, popularity: Array, k: int | None = None) -> float:
    """Returns the average recommendation popularity.

    `arp@k = 1/U * sum_u 1/|L_u| * sum_{i in L_u} popularity_i`

    L_u are the k first recommendations of user u. Users without recommendations are left out;
    without any user the value is NaN.

    Args:
        positions: int array `(U, K)`, the ranking of each user; -1 is an empty slot.
        popularity: float array `(C,)`, such as the number of training events of each candidate.
        k: cut-off; `None` for all K.

    Returns:
        A number in the unit of `popularity`.

    Example:

    >>> average_popularity(np.array([[0, 1], [0, -1]]), np.array([10.0, 4.0]))  # (7 + 10) / 2
    8.5

    Reference:
        - [Abdollahpouri et al., 2019](https://arxiv.org/abs/1901.07555), section 5.
    """
    popularity = np.asarray(popularity, np.float64)
    positions = _first(positions, len(popularity), k)
    there = positions >= 0
    sizes = there.sum(axis=1)
    sums = np.where(there, popularity[np.maximum(positions, 0)], 0).sum(axis=1)
    means = sums[sizes > 0] / sizes[sizes > 0]
    return float(means.mean()) if len(means) else float("nan")


def gini(positions: Array, num_candidates: int, k: int | None = None) -> float:
    """Returns the Gini index of how often each candidate is recommended.

    `gini@k = sum_{j=1..C} (2j - C - 1) * x_j / (C * sum_j x_j)`

    `x_1 <= ... <= x_C` are the numbers of recommendations of the candidates, those that are never
    recommended included. 0 if all are recommended equally often, `1 - 1/C` if only one is; NaN
    if nothing is recommended.

    Args:
        positions: int array `(U, K)`, the ranking of each user; -1 is an empty slot.
        num_candidates: C, the size of the catalogue.
        k: cut-off; `None` for all K.

    Returns:
        From 0 to 1.

    Example:

    >>> gini(np.array([[0], [0]]), num_candidates=4)
    0.75

    Reference:
        - [Fleder and Hosanagar, 2009](https://doi.org/10.1287/mnsc.1080.0974)
    """
    counts = np.sort(exposure(positions, num_candidates, k))
    if not counts.sum():
        return float("nan")
    place = np.arange(1, num_candidates + 1)
    numerator = ((2 * place - num_candidates - 1) * counts).sum()
    return float(numerator / (num_candidates * counts.sum()))


def exposure(positions: Array, num_candidates: int, k: int | None = None) -> Array:
    """Returns how many users each candidate is recommended to, int64 `(C,)`.

    Example:

    >>> exposure(np.array([[0, 1], [0, -1]]), num_candidates=3)
    array([2, 1, 0])
    """
    positions = _first(positions, num_candidates, k)
    return np.bincount(positions[positions >= 0], minlength=num_candidates)


def _first(positions: Array, num_candidates: int, k: int | None) -> Array:
    checks.positive("num_candidates", num_candidates)
    positions = np.asarray(positions)
    if positions.ndim != 2 or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(
            checks.expected(
                "positions",
                "an integer array (users, ranks)",
                f"{positions.dtype} {positions.shape}",
            )
        )
    if k is not None and not 1 <= k <= positions.shape[1]:
        raise ValueError(
            checks.expected("k", f"from 1 to {positions.shape[1]}, the depth of the ranking", k)
        )
    if positions.size and not -1 <= positions.min() <= positions.max() < num_candidates:
        raise ValueError(
            checks.expected(
                "positions",
                f"from 0 to {num_candidates - 1}, or -1 for an empty slot",
                [int(positions.min()), int(positions.max())],
            )
        )
    return positions[:, :k]
