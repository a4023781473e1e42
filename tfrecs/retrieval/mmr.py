"""Maximal marginal relevance: a list whose items differ from each other."""

from typing import Any

from keras import ops


def mmr(scores: Any, vectors: Any, k: Any, diversity: Any) -> Any:
    """Orders a pool of candidates greedily by relevance and difference from those taken before.

    `next = argmax_i (1 - w) r_i - w max_{j taken} cos(x_i, x_j)`, with `r` the scores of a row
    scaled to 0..1, so that `w` means the same for every model. With `w = 0` the order is the
    scores'.

    Args:
        scores: `(B, P)` float32, -inf where there is no candidate: such come last.
        vectors: `(B, P, D)` float32.
        k: Number of results, at most P; an int or a scalar tensor.
        diversity: `w`, 0 to 1; a float or a scalar tensor.

    Returns:
        Columns of the pool, best first, `(B, k)` int32.

    Example:

    >>> import numpy as np
    >>> scores = np.array([[3.0, 2.9, 1.0]], "float32")
    >>> twins = np.array([[[1, 0], [1, 0], [0, 1]]], "float32")  # the second repeats the first
    >>> [np.asarray(mmr(scores, twins, 2, weight)).tolist() for weight in (0.0, 0.6)]
    [[[0, 1]], [[0, 2]]]

    Reference: Carbonell & Goldstein, The use of MMR, diversity-based reranking, SIGIR 1998.
    """
    scores, vectors = ops.convert_to_tensor(scores), ops.convert_to_tensor(vectors)
    found = scores > float("-inf")  # (B, P)
    highest = ops.max(scores, axis=1, keepdims=True)
    lowest = ops.min(ops.where(found, scores, float("inf")), axis=1, keepdims=True)
    spread = ops.where(highest > lowest, highest - lowest, 1.0)
    relevance = ops.where(found, (scores - lowest) / spread, -1e9)  # (B, P), after all found ones
    norms = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
    units = vectors / ops.maximum(norms, 1e-12)
    pool = ops.shape(scores)[1]
    places = ops.arange(pool, dtype="int32")  # (P,)

    def take(step: Any, state: Any) -> Any:
        order, nearest, free = state
        gain = (1.0 - diversity) * relevance - diversity * nearest
        best = ops.cast(ops.argmax(ops.where(free, gain, -3e9), axis=1), "int32")  # (B,)
        one = places[None] == best[:, None]  # (B, P)
        taken = ops.sum(units * ops.cast(one, units.dtype)[..., None], axis=1)  # (B, D)
        cosine = ops.einsum("bpd,bd->bp", units, taken)
        order = ops.where(places[None] == step, best[:, None], order)
        return order, ops.maximum(nearest, cosine), ops.logical_and(free, ops.logical_not(one))

    empty = ops.zeros_like(scores)
    # cosines begin at 0, so that the first is taken by its score alone
    start = (ops.cast(empty, "int32"), empty, ops.ones_like(found))
    order, _, _ = ops.fori_loop(0, k, take, start)
    return order[:, :k]
