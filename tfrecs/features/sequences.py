"""Batches of whole sequences, every position with its next item, for transformers."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.order import Epoch, each_epoch, read_ahead
from tfrecs.spec import NUM_RESERVED_IDS, PADDING_ID


def from_sequences(
    items: Any,
    lengths: Any,
    batch_size: int,
    *,
    history: str = "history",
    target: str = "item_id",
    max_length: int = 50,
    stride: int | None = None,
    num_negatives: int = 256,
    exclude_seen: bool = False,
    masked: float = 0.0,
    weights: Any = None,
    seed: int = 0,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Batches of sequences, shuffled anew each epoch among sequences of like length.

    Of a sequence the last `max_length + 1` items are read: all but the last are the history, and
    each one's target is the item after it. With `stride` all of it is read, in windows that stand
    so many items apart. With `masked`, for models that see both sides, targets are items of the
    history itself, drawn with that chance (the last one always for a sequence of which none was
    drawn); `masked` bool `(B, L)` tells which.

    Args:
        items: Ids of all sequences, one after the other, `(N,)`.
        lengths: Items of each sequence; those of one item are left out.
        batch_size: Sequences, or windows, of a batch, B.
        history: Name of the history in the batch. Defaults to "history".
        target: Name of the targets. Defaults to "item_id".
        max_length: Most positions. Defaults to 50.
        stride: Items between the starts of a longer sequence's windows; with `max_length` nearly
            every item is a target once. Defaults to `None`: the last window alone, as published.
        num_negatives: Ids drawn uniformly among the known ones for each batch. Defaults to 256.
        exclude_seen: Whether no item of a sequence, the whole of it, is a negative of its own, as
            published for SASRec. For recommendations that leave out what was seen; a model that
            ranks it too must learn not to repeat it. Defaults to `False`.
        masked: Share of positions to mask; 0 for targets one step ahead. Defaults to 0.
        weights: Weight `(N,)` of each item as a target, 0 or more. Defaults to 1 for each.
        seed: Of order, negatives and masks. Defaults to 0.
        epoch: Ties the order to the epoch of `fit`; see `Epoch`.

    Returns:
        Dataset of (batch, targets, weights): history `(B, L)` with its mask, L the longest of the
        batch, targets `(B L,)`, 0 where there is none, where the weight is 0, else that of the
        target, `negatives`
        `(num_negatives,)` and, with `exclude_seen`, `negatives_seen` bool `(B, num_negatives)`.

    Raises:
        ValueError: If lengths, weights and items do not fit, or no sequence has two items.

    Example:

    >>> data = from_sequences([5, 6, 7, 8, 9], [3, 2], 2, num_negatives=1)
    >>> for batch, targets, weights in data:
    ...     print(sorted(batch["history"].numpy().tolist()), weights.shape)
    [[5, 6], [8, 0]] (4,)

    Reference:
        Kang, McAuley 2018, arXiv:1808.09781; Sun et al. 2019, arXiv:1904.06690 (masked).
    """
    items, lengths = np.asarray(items, np.int32), np.asarray(lengths, np.int64)
    if lengths.sum() != len(items) or not (lengths > 1).any():
        expectation = f"of sum {len(items)}, with one of 2 items or more"
        raise ValueError(checks.expected("lengths", expectation, lengths))
    _check(batch_size, max_length, stride, num_negatives, masked)
    each = np.ones(len(items)) if weights is None else np.asarray(weights)
    if each.shape != items.shape or not (np.isfinite(each) & (each >= 0)).all():
        raise ValueError(checks.expected("weights", f"0 or more, ({len(items)},)", weights))
    starts, sizes = windows(lengths, max_length + (0 if masked else 1), stride)
    with tf.device("CPU"):
        held, first = tf.constant(items), tf.constant(starts.astype(np.int32))
        held_weights = tf.constant(each.astype(np.float32))
        counts = tf.constant((sizes - (0 if masked else 1)).astype(np.int32))
        bounds = tf.constant(np.append(0, np.cumsum(lengths)).astype(np.int32))
    number, top = len(sizes), int(items.max()) + 1

    def batch_of(rows: tf.Tensor, seeds: tf.Tensor) -> Any:
        size, start = tf.gather(counts, rows), tf.gather(first, rows)
        places = tf.range(tf.reduce_max(size))  # (L,)
        mask = places < size[:, None]  # (B, L)
        at = tf.where(mask, start[:, None] + places, 0)
        seen = tf.where(mask, tf.gather(held, at), PADDING_ID)
        batch = {history: seen, f"{history}_mask": mask}
        batch["negatives"] = tf.random.stateless_uniform(
            [num_negatives], seeds, NUM_RESERVED_IDS, top, tf.int32
        )
        if exclude_seen:
            end = tf.searchsorted(bounds, start, side="right")  # of a window's whole sequence
            own = tf.ragged.range(tf.gather(bounds, end - 1), tf.gather(bounds, end))
            own = own.with_values(tf.gather(held, own.values))
            batch["negatives_seen"] = seen_negatives(own, batch["negatives"])
        if masked:
            hidden = mask & (tf.random.stateless_uniform(tf.shape(mask), seeds + 1) < masked)
            none = ~tf.reduce_any(hidden, axis=1, keepdims=True)
            hidden |= none & (places == size[:, None] - 1)
            batch["masked"], live, of = hidden, hidden, at
        else:
            live, of = mask, tf.where(mask, at + 1, 0)
        targets = tf.reshape(tf.where(live, tf.gather(held, of), PADDING_ID), [-1])
        batch[target] = targets
        weighed = tf.where(live, tf.gather(held_weights, of), 0.0)
        return batch, targets, tf.reshape(weighed, [-1])

    num_batches = -(-number // batch_size)

    def batches(seeds: tf.Tensor) -> tf.data.Dataset:
        # like lengths stand together, in an order of their own each epoch
        keys = tf.cast(counts, tf.float32) + 2 * tf.random.stateless_uniform([number], seeds)
        order = tf.argsort(keys)
        turns = tf.random.experimental.stateless_shuffle(tf.range(num_batches), seeds)
        return tf.data.Dataset.from_tensor_slices(turns).map(
            lambda turn: batch_of(
                order[turn * batch_size : (turn + 1) * batch_size],
                tf.random.experimental.stateless_fold_in(seeds, turn),
            )
        )

    dataset = each_epoch(batches, seed, epoch)
    return read_ahead(dataset.apply(tf.data.experimental.assert_cardinality(num_batches)), 4)


def _check(
    batch_size: int, max_length: int, stride: int | None, num_negatives: int, masked: float
) -> None:
    checks.positive("batch_size", batch_size)
    checks.positive("max_length", max_length)
    checks.positive("num_negatives", num_negatives)
    if stride is not None and not 1 <= stride <= max_length:
        raise ValueError(checks.expected("stride", f"from 1 to `max_length` {max_length}", stride))
    if not 0 <= masked < 1:
        raise ValueError(checks.expected("masked", "from 0 to below 1", masked))


def seen_negatives(own: tf.RaggedTensor, negatives: tf.Tensor) -> tf.Tensor:
    """Returns which of the negatives `(N,)` each row has among its own ids, bool `(B, N)`.

    Args:
        own: Ids of each row, int32 `(B, None)`.
        negatives: Ids, int32 `(N,)`, the same one several times or not.

    Example:

    >>> own = tf.ragged.constant([[5, 7], [], [6, 6]])
    >>> seen_negatives(own, tf.constant([7, 6, 7])).numpy().astype(int).tolist()
    [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    """
    ordered = tf.sort(negatives)  # so that a search costs with the rows' ids, not with B N
    size = tf.size(ordered)
    at = tf.searchsorted(ordered, own.values)  # the first of equal ones
    found = tf.equal(tf.gather(ordered, tf.minimum(at, size - 1)), own.values)
    places = tf.boolean_mask(tf.stack([tf.cast(own.value_rowids(), tf.int32), at], 1), found)
    counts = tf.scatter_nd(places, tf.ones_like(places[:, 0]), [tf.shape(own)[0], size])
    return tf.gather(counts > 0, tf.searchsorted(ordered, negatives), axis=1)


def windows(
    lengths: np.ndarray, longest: int, stride: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where windows start among the items of all sequences, and how long they are.

    The last window of a sequence ends with it; the others stand `stride` before the next, the first
    one from the beginning. Sequences of one item have none.

    Args:
        lengths: Items of each sequence, `(S,)`.
        longest: Most items of a window.
        stride: Items from a window to the one before; `None` for the last window alone.

    Returns:
        Two int64 arrays `(W,)`.

    Example:

    >>> starts, sizes = windows(np.array([2, 6]), 3, stride=2)
    >>> starts.tolist(), sizes.tolist()
    ([0, 5, 3, 2], [2, 3, 3, 3])
    """
    ends = np.cumsum(lengths)
    number = (lengths > 1).astype(np.int64)
    if stride is not None:
        number += -(-np.maximum(lengths - longest, 0) // stride)
    of = np.repeat(np.arange(len(lengths)), number)
    before = np.arange(len(of)) - np.repeat(np.cumsum(number) - number, number)
    sizes = np.minimum(lengths, longest)[of]
    starts = ends[of] - sizes - before * (stride or 0)
    return np.maximum(starts, (ends - lengths)[of]), sizes
