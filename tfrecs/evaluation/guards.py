"""Guards of all protocols: who says nothing, or nothing defined, has no value and tops no table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfrecs import checks

MOST_TIED = 0.5  # share of rankings without any order from which on there is no value


def silent(name: str, values: np.ndarray, tied: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Takes the value from a recommender whose scores order next to nothing.

    Args:
        name: The recommender.
        values: float `(N, M)`, metrics of N rankings.
        tied: bool `(N,)`, whether all candidates of the ranking have the same score.

    Returns:
        `values`, or NaN in their place where at least half of the rankings are tied; and the
        sentence that tells of tied ones.

    Example:

    >>> values, warnings = silent("constant", np.ones((4, 1)), np.ones(4, bool))
    >>> values.ravel()
    array([nan, nan, nan, nan])
    """
    share = float(np.mean(tied))
    if not share:
        return values, []
    told = f"{name} gives all candidates the same score in {_percent(share)} of the rankings"
    if share < MOST_TIED:
        return values, [f"{told}: their order is that of ties."]
    return np.full(values.shape, np.nan), [
        f"{told}: it orders nothing, and its metrics are NaN. Has the training collapsed?"
    ]


def check_defined(name: str, scores: Any) -> None:
    """Raises ValueError where a recommender's scores hold a NaN: it would compare as any value."""
    wrong = np.isnan(scores)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise ValueError(
            checks.expected(
                f"recommenders[{name!r}]",
                "a recommender of defined scores",
                f"{int(wrong.sum())} NaN, the first in row {row}",
                "Has the training diverged? Train again with a smaller learning rate.",
            )
        )


def all_tied(scores: np.ndarray, there: np.ndarray | None = None) -> np.ndarray:
    """Returns bool `(B,)`: whether two or more scores of a row, those `there`, are all the same.

    Example:

    >>> all_tied(np.array([[1.0, 1.0], [1.0, 2.0]]))
    array([ True, False])
    """
    if there is None:
        there = np.ones(scores.shape, bool)
    low = np.where(there, scores, np.inf).min(axis=1, initial=np.inf)
    high = np.where(there, scores, -np.inf).max(axis=1, initial=-np.inf)
    found: np.ndarray = (low == high) & (there.sum(axis=1) > 1)
    return found


def best_of(names: Sequence[str], values: Mapping[str, float], lower: bool) -> str | None:
    """Returns the name with the best value; one without a value, NaN, is never the best.

    Example:

    >>> best_of(["a", "b"], {"a": float("nan"), "b": 0.1}, lower=False)
    'b'
    """
    defined = [name for name in names if not np.isnan(values[name])]
    sign = -1 if lower else 1
    return max(defined, key=lambda name: sign * values[name], default=None)


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"
