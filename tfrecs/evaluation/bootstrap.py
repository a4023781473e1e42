"""Confidence intervals by resampling users."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecs import checks

_CELLS = 1 << 22  # resampled users in memory at once


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval.

    Args:
        value: The number.
        low: Lower end of the interval; `None` where it was not estimated.
        high: Upper end.
        stderr: Standard error.
    """

    value: float
    low: float | None = None
    high: float | None = None
    stderr: float | None = None

    @classmethod
    def of(cls, value: float, resampled: np.ndarray) -> "Estimate":
        """Returns the estimate whose resampled values are `resampled`, `(R,)`."""
        if len(resampled) < 2:
            return cls(float(value))
        low, high = np.quantile(resampled, [0.025, 0.975])
        return cls(float(value), float(low), float(high), float(resampled.std(ddof=1)))


def resample_means(
    values: Any, num_bootstrap: int, seed: int = 0, *, weights: Any = None, strata: Any = None
) -> np.ndarray:
    """Returns the means of users drawn with replacement.

    `m_r = sum_u n_ru w_u v_u / sum_u n_ru w_u`, where n_ru is how often r has drawn u

    The same users are drawn for the same `seed` and number of users, so that the difference of two
    results is the resampled paired difference.

    Args:
        values: Float array `(U, M)`: M numbers of each of U users.
        num_bootstrap: R, the number of resamples; 0 for none.
        seed: Of the draws. Defaults to 0.
        weights: Weight of each user `(U,)`, 0 or more. Defaults to 1 for each.
        strata: Group of each user `(U,)`, of any kind that NumPy sorts; as many are drawn of each
            group as it has, so that a share that is known does not count as chance. Defaults to
            one group.

    Returns:
        float64 `(R, M)`; NaN where the users drawn weigh nothing.

    Raises:
        ValueError: Values, weights and groups that do not fit, or a weight that is none.

    Example:

    >>> resample_means([[1.0, 2.0], [1.0, 4.0]], num_bootstrap=3)[:, 0]
    array([1., 1., 1.])
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(checks.expected("values", "of shape (users, numbers)", values.shape))
    if num_bootstrap < 0:
        raise ValueError(checks.expected("num_bootstrap", "0 or more", num_bootstrap))
    num_users = len(values)
    heavy = check_weights(weights, num_users)
    groups = [np.arange(num_users)] if strata is None else _groups(strata, num_users)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // num_users)
    means = np.empty((num_bootstrap, values.shape[1]))
    for start in range(0, num_bootstrap, chunk):
        rows = min(chunk, num_bootstrap - start)
        parts = [group[rng.integers(0, len(group), (rows, len(group)))] for group in groups]
        drawn = np.concatenate(parts, axis=1)
        drawn += np.arange(rows)[:, None] * num_users
        times = np.bincount(drawn.ravel(), minlength=rows * num_users).reshape(rows, num_users)
        totals = times @ heavy if weights is not None else np.full(rows, float(num_users))
        with np.errstate(invalid="ignore"):
            means[start : start + rows] = times @ (values * heavy[:, None]) / totals[:, None]
    return means


def check_weights(weights: Any, num_users: int) -> np.ndarray:
    """Returns weights `(U,)` as float64, 1 for `None`.

    Raises:
        ValueError: They are not one a user, not 0 or more, or all 0.
    """
    if weights is None:
        return np.ones(num_users)
    found = np.asarray(weights, np.float64)
    fits = found.shape == (num_users,) and (np.isfinite(found) & (found >= 0)).all()
    if not (fits and found.any()):
        expectation = f"numbers of 0 or more, ({num_users},), not all 0"
        raise ValueError(checks.expected("weights", expectation, weights))
    return found


def _groups(strata: Any, num_users: int) -> list[np.ndarray]:
    """Returns the places of the users of each group."""
    labels = np.asarray(strata)
    if labels.shape != (num_users,):
        raise ValueError(checks.expected("strata", f"of shape ({num_users},)", labels.shape))
    _, codes = np.unique(labels, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])
