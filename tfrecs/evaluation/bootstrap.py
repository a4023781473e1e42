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


def resample_means(values: Any, num_bootstrap: int, seed: int = 0) -> np.ndarray:
    """Returns the means of users drawn with replacement.

    The same users are drawn for the same `seed` and number of users, so that the difference of two
    results is the resampled paired difference.

    Args:
        values: Float array `(U, M)`: M numbers of each of U users.
        num_bootstrap: R, the number of resamples; 0 for none.
        seed: Of the draws. Defaults to 0.

    Returns:
        float64 `(R, M)`.

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
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // num_users)
    means = np.empty((num_bootstrap, values.shape[1]))
    for start in range(0, num_bootstrap, chunk):
        rows = min(chunk, num_bootstrap - start)
        drawn = rng.integers(0, num_users, (rows, num_users))
        drawn += np.arange(rows)[:, None] * num_users
        times = np.bincount(drawn.ravel(), minlength=rows * num_users).reshape(rows, num_users)
        means[start : start + rows] = times @ values / num_users
    return means
