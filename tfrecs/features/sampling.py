"""How often each candidate stands among the in-batch negatives: the q of logQ."""

import numpy as np

from tfrecs import checks


def log_q(ids: np.ndarray) -> np.ndarray:
    """Returns the log of each event's candidate's share of the events.

    `log q_i = ln(count(i) / number of events)`

    A candidate of a shuffled batch is drawn with that probability, so popular ones are negatives
    too often; `TwoTower` subtracts `log q` from their scores while training.

    Args:
        ids: `(N,)` integer ids of the candidates of all training events.

    Returns:
        `(N,)` float32, natural log, at most 0.

    Raises:
        ValueError: If `ids` is empty or not one-dimensional.

    Example:

    >>> np.exp(log_q(np.array([5, 5, 5, 9]))).tolist()
    [0.75, 0.75, 0.75, 0.25]

    Reference:
        Yi et al. 2019, Sampling-bias-corrected neural modeling for large corpus item
        recommendations.
    """
    ids = np.asarray(ids)
    if ids.ndim != 1 or len(ids) == 0:
        raise ValueError(checks.expected("ids", "of shape (N,) with N > 0", ids.shape))
    _, inverse, counts = np.unique(ids, return_inverse=True, return_counts=True)
    shares: np.ndarray = np.log(counts / len(ids)).astype(np.float32)[inverse]
    return shares
