"""The shares of a split: what is refused, and what a protocol's line says of them and of ties."""

import numpy as np

from tfrecs import checks


def check_fractions(fraction: float, validation: float) -> None:
    """Raises ValueError unless the parts of test and validation leave events for training."""
    if not 0 < fraction < 1:
        raise ValueError(checks.expected("fraction", "above 0 and below 1", fraction))
    if not 0 <= validation < 1 - fraction:
        raise ValueError(
            checks.expected("validation", f"from 0 to below {1 - fraction:g}", validation)
        )


def last_share(fraction: float, test: np.ndarray) -> str:
    """Returns what a protocol says of the last events: the share that it is, and that was asked."""
    if abs(fraction * len(test) - np.count_nonzero(test)) <= 1:
        return f"last {percent(fraction)} of events"
    share = percent(float(f"{np.mean(test):.3g}"))
    return f"last {share} of events, those at the cutoff's own time with them"


def ties_of_time(tied: np.ndarray) -> str:
    """Returns what a protocol says of queries whose last events are of one time."""
    if not tied.any():
        return ""
    share = percent(round(float(np.mean(tied)), 3))
    return f", ties of time by row for {share} of them"


def percent(fraction: float) -> str:
    """Returns a share in percent."""
    return f"{100 * fraction:g} %"
