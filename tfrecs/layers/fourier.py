"""Fourier features of positions."""

import math
from typing import Any

from keras import ops

Tensor = Any  # a tensor of whichever backend Keras runs on


def fourier_features(position: Tensor, num_bands: int, max_frequency: float) -> Tensor:
    """Returns `[sin(pi f_k p), cos(pi f_k p), p]`, f_k spaced linearly from 1 to mu / 2.

    Args:
        position: Float tensor `(...)`, p, from -1 to 1.
        num_bands: Number of frequencies, K.
        max_frequency: mu; half of it is the highest frequency.

    Returns:
        `(..., 2 K + 1)`.

    Example:

    >>> features = fourier_features(ops.array([0.0, 0.5]), num_bands=2, max_frequency=4.0)
    >>> print(ops.abs(ops.round(features, 3)).numpy())  # frequencies 1 and 2
    [[0.  0.  1.  1.  0. ]
     [1.  0.  0.  1.  0.5]]
    """
    steps = max(num_bands - 1, 1)
    bands = [1 + (max_frequency / 2 - 1) * band / steps for band in range(num_bands)]
    position = ops.expand_dims(position, -1)
    angles = math.pi * position * ops.cast(ops.convert_to_tensor(bands), position.dtype)
    return ops.concatenate([ops.sin(angles), ops.cos(angles), position], axis=-1)
