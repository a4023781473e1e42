"""Negatives drawn inside the graph, and the scores of those that are positives by accident."""

from typing import Any

import keras
from keras import ops

from tfrecs.spec import NUM_RESERVED_IDS, PADDING_ID

Tensor = Any  # a tensor of whichever backend Keras runs on


def sample_uniform(shape: tuple[Any, ...], size: int, seed: Any) -> Tensor:
    """Draws known ids uniformly, each apart (so the same id may come twice).

    Args:
        shape: Shape of the result.
        size: Number of ids, the reserved ones included; at least 3.
        seed: An int for the same ids at every call, or a `keras.random.SeedGenerator`.

    Returns:
        Int32 tensor of `shape`, values from 2 to `size - 1`.

    Example:

    >>> ids = sample_uniform((100,), size=5, seed=0)
    >>> int(ops.min(ids)), int(ops.max(ids))
    (2, 4)
    """
    return keras.random.randint(shape, NUM_RESERVED_IDS, size, dtype="int32", seed=seed)


def large_negative(dtype: str) -> float:
    """Returns a score that no candidate has, finite in `dtype`."""
    return -6e4 if dtype == "float16" else -1e9


def mask_scores(scores: Tensor, hits: Tensor) -> Tensor:
    """Puts a large negative score where `hits`.

    Args:
        scores: Float tensor.
        hits: Bool tensor that broadcasts to the scores' shape.

    Returns:
        Scores of the same shape and dtype; hits are -1e9 (-6e4 in float16).

    Example:

    >>> print(mask_scores(ops.array([0.5, 0.25]), ops.array([True, False])).numpy())
    [-1.0e+09  2.5e-01]
    """
    dtype = keras.backend.standardize_dtype(scores.dtype)
    return ops.where(hits, ops.cast(large_negative(dtype), dtype), scores)


def mask_accidental_hits(scores: Tensor, candidate_ids: Tensor, positive_ids: Tensor) -> Tensor:
    """Puts a large negative score where a candidate is the row's positive.

    Args:
        scores: Float tensor `(B, N)` of sampled candidates.
        candidate_ids: Int tensor `(B, N)`.
        positive_ids: Int tensor `(B,)`.

    Returns:
        Scores of the same shape and dtype; hits are -1e9 (-6e4 in float16).

    Example:

    >>> scores = ops.array([[0.5, 0.25]])
    >>> print(mask_accidental_hits(scores, ops.array([[7, 8]]), ops.array([7])).numpy())
    [[-1.0e+09  2.5e-01]]
    """
    hits = ops.equal(candidate_ids, ops.expand_dims(positive_ids, -1))  # (B, N)
    return mask_scores(scores, hits)


def among_known(ids: Tensor, known: Tensor) -> Tensor:
    """Tells which ids are among those that their row knows.

    By sorting, so that a row costs with `N + K`, not with their product nor with the catalogue.

    Args:
        ids: Int tensor `(B, N)`, from -1 to below 2^30; -1 is none.
        known: Int tensor `(B, K)`, 0 is padding.

    Returns:
        Bool tensor `(B, N)`.

    Example:

    >>> print(among_known(ops.array([[7, 8, 9]]), ops.array([[9, 7, 0]])).numpy())
    [[ True False  True]]
    """
    ids, known = ops.cast(ids, "int32"), ops.cast(known, "int32")
    known = ops.where(ops.equal(known, PADDING_ID), -2, known)
    known = ops.sort(ops.pad(known, [(0, 0), (1, 0)], constant_values=-2), axis=-1)  # -2 is first
    order = ops.argsort(ops.concatenate([2 * known, 2 * ids + 1], axis=-1), axis=-1)
    size = ops.shape(known)[1]
    counts = ops.cumsum(ops.cast(order < size, "int32"), axis=-1)  # of known ones up to a place
    back = ops.argsort(order, axis=-1)
    counts = ops.take_along_axis(counts, back, axis=-1)[:, size:]  # (B, N), at least 1
    return ops.equal(ops.take_along_axis(known, counts - 1, axis=-1), ids)
