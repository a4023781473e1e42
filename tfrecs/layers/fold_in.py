"""Vectors of users and items that training has not seen, in closed form, inside the graph."""

from typing import Any

from keras import ops

Tensor = Any  # a tensor of whichever backend Keras runs on


def fold_in(entries: Tensor, mask: Tensor, gramian: Tensor, l2: Tensor) -> Tensor:
    """Returns the vectors that weighted regression would give to rows of events.

    `x = (gramian + sum_i y_i y_i^T + l2 I)^-1 sum_i y_i`, by a Cholesky factorisation a row.

    Args:
        entries: Float tensor `(..., L, K)`, vectors y of what a row met.
        mask: Bool tensor `(..., L)`, `False` for padding.
        gramian: Float tensor `(K, K)`, of the whole other side, times the weight of a pair.
        l2: Float tensor `(...,)`, above 0.

    Returns:
        Float32 tensor `(..., K)`; zeros for rows without events.

    Example:

    >>> entries = ops.array([[[2.0, 0.0], [9.0, 9.0]]])
    >>> x = fold_in(entries, ops.array([[True, False]]), ops.eye(2), ops.array([1.0]))
    >>> print(ops.round(x, 3).numpy())  # 2 / (1 + 4 + 1)
    [[0.333 0.   ]]

    Reference:
        - [Hu, Koren, Volinsky, 2008](https://doi.org/10.1109/ICDM.2008.22)
    """
    # float32 whatever the policy: no backend factorises float16
    known = ops.cast(ops.expand_dims(mask, -1), "float32")
    entries = ops.cast(entries, "float32") * known  # (..., L, K)
    transposed = ops.swapaxes(entries, -1, -2)
    identity = ops.eye(entries.shape[-1], dtype="float32")
    l2 = ops.cast(l2, "float32")[..., None, None]
    lower = ops.cholesky(transposed @ entries + gramian + l2 * identity)  # (..., K, K)
    target = ops.sum(entries, axis=-2)[..., None]  # (..., K, 1)
    half = ops.solve_triangular(lower, target, lower=True)
    return ops.solve_triangular(ops.swapaxes(lower, -1, -2), half, lower=False)[..., 0]
