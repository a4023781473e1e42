"""Products of two parts of an input, by dense layers: squares that start as inner products."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from keras import ops

Tensor = Any  # a tensor of whichever backend Keras runs on
_SIGNS = ((1, 1), (-1, -1), (1, -1), (-1, 1))


def squared_relu(x: Tensor) -> Tensor:
    """Returns `relu(x)^2`; two of them are a square, `x^2 = relu(x)^2 + relu(-x)^2`.

    Reference:
        So et al. 2021, Primer, arXiv:2109.08668.
    """
    return ops.square(ops.relu(x))


def start_as_products(layers: Sequence[Any], pairs: Iterable[tuple[int, int, int, float]]) -> None:
    """Has the first of some dense layers, of `squared_relu`, start with products of its inputs.

    `sum_k (s (x_k + y_k))^2 - (s (x_k - y_k))^2 = 4 s^2 x . y`

    Four units of the first layer make the product of a component; two of the second begin as the
    inner product of each pair, and as its negative. Components that find no units are left out,
    from the last on; other units keep what they have.

    Args:
        layers: Built; kernels of the first two are changed, and nothing where there is but one.
        pairs: For each pair where x and y begin in the input, their length, and s.

    Example:

    >>> import keras
    >>> layers = [keras.layers.Dense(8, squared_relu), keras.layers.Dense(1)]
    >>> x = np.array([[1.0, 2, 3, -4]])  # 1 * 3 - 2 * 4
    >>> outputs = layers[1](layers[0](x))
    >>> start_as_products(layers, [(0, 2, 2, 0.5)])
    >>> print(layers[1](layers[0](x)))
    tf.Tensor([[-5.]], shape=(1, 1), dtype=float32)
    """
    if len(layers) < 2:
        return
    first, second = (np.array(layer.kernel) for layer in layers[:2])
    unit = 0
    for number, (left, right, length, scale) in enumerate(pairs):
        length = min(length, (first.shape[1] - unit) // len(_SIGNS))
        places = unit + len(_SIGNS) * np.arange(length)
        unit += len(_SIGNS) * length
        for shift, (x, y) in enumerate(_SIGNS):
            first[:, places + shift] = 0
            first[left + np.arange(length), places + shift] = x * scale
            first[right + np.arange(length), places + shift] = y * scale
            second[places + shift] = 0
            second[places + shift, 2 * number : 2 * number + 1] = x * y
            second[places + shift, 2 * number + 1 : 2 * number + 2] = -x * y
    layers[0].kernel.assign(first)
    layers[1].kernel.assign(second)
