"""Scores of query vectors against candidate vectors; higher is better."""

from typing import Any

from keras import ops

Tensor = Any  # a tensor of whichever backend Keras runs on


def dot(query: Tensor, candidate: Tensor) -> Tensor:
    """Dot product, `s = q . c`.

    Args:
        query: Float tensor `(B, D)`.
        candidate: Float tensor `(C, D)`, the same candidates for every query, or `(B, C, D)`,
            each query's own.

    Returns:
        Float tensor `(B, C)`.

    Example:

    >>> import numpy as np
    >>> query = np.array([[1.0, 2.0]])
    >>> print(np.asarray(dot(query, np.array([[3.0, 4.0], [0.0, 1.0]]))))
    [[11.  2.]]
    """
    if len(candidate.shape) == 2:
        rows, dim = query.shape
        if rows is not None and dim is not None and rows <= 2 * dim:
            # few queries: no copy of the candidates for the transpose, here or in the gradient
            return ops.einsum("bd,cd->bc", query, candidate, optimize="greedy")
        return ops.matmul(query, ops.transpose(candidate))  # (B, C)
    # not an einsum: a batched product of single rows is slower than multiply and add
    return ops.sum(ops.expand_dims(query, 1) * candidate, axis=-1)  # (B, C)


def cosine(query: Tensor, candidate: Tensor) -> Tensor:
    """Cosine of the angle, `s = q . c / (|q| |c|)`; 0 where a vector is all zeros.

    Args and returns as `dot`.

    Example:

    >>> import numpy as np
    >>> query = np.array([[3.0, 4.0]])
    >>> print(np.asarray(cosine(query, np.array([[6.0, 8.0], [-4.0, 3.0]]))))
    [[1. 0.]]
    """
    return dot(ops.normalize(query, axis=-1), ops.normalize(candidate, axis=-1))


def negative_squared_l2(query: Tensor, candidate: Tensor) -> Tensor:
    """Negated squared Euclidean distance, `s = -|q - c|^2`.

    Args and returns as `dot`.

    Example:

    >>> import numpy as np
    >>> query = np.array([[1.0, 1.0]])
    >>> print(np.asarray(negative_squared_l2(query, np.array([[4.0, 5.0], [1.0, 1.0]]))))
    [[-25.   0.]]
    """
    query_norm = ops.sum(ops.square(query), axis=-1, keepdims=True)  # (B, 1)
    candidate_norm = ops.sum(ops.square(candidate), axis=-1)  # (C,) or (B, C)
    # rounding can put the distance of a vector to itself just below 0
    return ops.minimum(2 * dot(query, candidate) - query_norm - candidate_norm, 0)
