"""What training needs to know of negatives: the q of logQ, and what a user took already."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.spec import PADDING_ID


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


def with_known(
    dataset: tf.data.Dataset, users: Any, items: Any, *, query: str, candidate: str
) -> tf.data.Dataset:
    """Adds to each batch the items that its users know, so that none is drawn as a negative.

    For `TwoTower(..., exclude_known=True)`. Memory is that of the pairs; a batch costs with what
    its own users know, whatever the size of the catalogue.

    Args:
        dataset: Batches: dicts, or tuples of which a dict is the first.
        users: Int ids `(N,)` of the users of all events that are known.
        items: Int ids `(N,)` of their items.
        query: Name of the user's id in the batch.
        candidate: Name of the item's id.

    Returns:
        Dataset of the same batches with `<candidate>_known`, int32 `(B, K)`: K is the most that a
        user of the batch knows, at least 1; 0 is padding.

    Raises:
        ValueError: `users` and `items` are not ids of one length.

    Example:

    >>> rows = tf.data.Dataset.from_tensors({"user": tf.constant([3, 2]), "item": [5, 6]})
    >>> data = with_known(rows, [2, 2, 3], [6, 7, 5], query="user", candidate="item")
    >>> print(next(iter(data))["item_known"].numpy())
    [[5 0]
     [6 7]]
    """
    pairs = np.asarray(users), np.asarray(items)
    if pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape or not len(pairs[0]):
        shapes = [pair.shape for pair in pairs]
        raise ValueError(checks.expected("users and items", "ids of one shape (N,)", shapes))
    if any(pair.dtype.kind not in "iu" or pair.min() < 0 for pair in pairs):
        dtypes = [str(pair.dtype) for pair in pairs]
        raise ValueError(checks.expected("users and items", "int ids of 0 or more", dtypes))
    distinct = np.unique(np.stack(pairs, axis=1), axis=0)
    splits = np.searchsorted(distinct[:, 0], np.arange(int(distinct[-1, 0]) + 2))
    with tf.device("CPU"):
        known = tf.RaggedTensor.from_row_splits(
            tf.constant(distinct[:, 1].astype(np.int32)), tf.constant(splits.astype(np.int64))
        )
    size = known.nrows()

    def add(*batch: Any) -> Any:
        first, *rest = batch
        ids = tf.cast(first[query], tf.int64)
        there = ids < size
        own = tf.gather(known, tf.where(there, ids, 0)).to_tensor(PADDING_ID)
        own = tf.pad(own, [[0, 0], [0, tf.maximum(1 - tf.shape(own)[1], 0)]])
        own = tf.ensure_shape(tf.where(there[:, None], own, PADDING_ID), [None, None])
        first = {**first, f"{candidate}_known": own}
        return (first, *rest) if rest else first

    return dataset.map(add, num_parallel_calls=tf.data.AUTOTUNE)
