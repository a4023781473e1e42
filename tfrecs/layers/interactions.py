"""How the fields of a row meet: sums over pairs of fields `(B, F, D)`."""

from typing import Any

import numpy as np
from keras import ops

Tensor = Any  # a tensor of whichever backend Keras runs on


def pairwise_sum(fields: Tensor) -> Tensor:
    """Returns the sum of the inner products of all pairs of fields, in linear time.

    `sum_i<j v_i . v_j = 1/2 sum_d ((sum_i v_id)^2 - sum_i v_id^2)`

    Args:
        fields: Float tensor `(B, F, D)`.

    Returns:
        `(B,)`.

    Example:

    >>> float(pairwise_sum(ops.array([[[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]]))[0])  # 3 + 2 + 0
    5.0

    Reference:
        Rendle 2010, Factorization machines, lemma 3.1.
    """
    total = ops.sum(fields, axis=1)  # (B, D)
    return 0.5 * (ops.sum(ops.square(total), axis=1) - ops.sum(ops.square(fields), axis=(1, 2)))


def inner_products(fields: Tensor) -> Tensor:
    """Returns the inner product of each pair of fields, `(B, F (F - 1) / 2)`.

    Args:
        fields: Float tensor `(B, F, D)`.

    Example:

    >>> products = inner_products(ops.array([[[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]]))
    >>> [float(x) for x in products[0]]  # pairs (0, 1), (0, 2), (1, 2)
    [3.0, 2.0, 0.0]
    """
    number = fields.shape[1]
    gram = ops.matmul(fields, ops.transpose(fields, (0, 2, 1)))  # (B, F, F)
    pairs = np.ravel_multi_index(np.triu_indices(number, 1), (number, number))
    return ops.take(ops.reshape(gram, (-1, number * number)), pairs, axis=1)


def outer_product(fields: Tensor) -> Tensor:
    """Returns the outer product of the sum of the fields with itself, `(B, D * D)`.

    `s s^T`, `s = sum_i v_i`, which is the sum of the outer products of all pairs.

    Args:
        fields: Float tensor `(B, F, D)`.

    Example:

    >>> product = outer_product(ops.array([[[1.0, 2.0], [3.0, 0.0]]]))  # s = (4, 2)
    >>> [float(x) for x in product[0]]
    [16.0, 8.0, 8.0, 4.0]
    """
    total = ops.sum(fields, axis=1)
    product = ops.expand_dims(total, 2) * ops.expand_dims(total, 1)  # (B, D, D)
    return ops.reshape(product, (-1, total.shape[-1] ** 2))
