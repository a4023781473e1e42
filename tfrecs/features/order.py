"""The order of examples: another one each epoch, the same for the same seed."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfrecs import checks


class Epoch(keras.callbacks.Callback):
    """Ties the order of shuffled data to the epoch of `fit`, so that a resumed run sees it again.

    Data shuffled without it count their own epochs from 0 whenever the program starts. Give one
    `Epoch` to the data and to `fit`; then epoch 3 has the same order in a run from the beginning
    and in one that `BackupAndRestore` resumes at epoch 3. Not for `fit` with `steps_per_epoch`,
    which reads on into the next epoch.

    Example:

    >>> import numpy as np
    >>> from tfrecs.features import from_arrays
    >>> epoch = Epoch()
    >>> data = from_arrays({"x": np.arange(6)}, 6, shuffle=True, epoch=epoch)
    >>> epoch.on_epoch_begin(3)
    >>> first = next(iter(data))["x"].numpy()
    >>> bool((next(iter(data))["x"].numpy() == first).all())
    True
    """

    def __init__(self) -> None:
        super().__init__()
        with tf.device("CPU"):
            self.number = tf.Variable(0, dtype=tf.int64, trainable=False)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the number of the epoch that is read next."""
        self.number.assign(epoch)

    def read(self) -> tf.Tensor:
        """Returns the number, int64."""
        return self.number.read_value()


class _Count(tf.Module):
    """Counts the iterations over a dataset: 0, 1, ..."""

    def __init__(self) -> None:
        super().__init__()
        with tf.device("CPU"):
            self.number = tf.Variable(-1, dtype=tf.int64, trainable=False)

    def read(self) -> tf.Tensor:
        return self.number.assign_add(1)


def each_epoch(
    make: Callable[[tf.Tensor], tf.data.Dataset], seed: int, epoch: Epoch | None
) -> tf.data.Dataset:
    """Returns the dataset `make(seeds)`, its int64 `(2,)` seeds another pair each epoch."""
    source = _Count() if epoch is None else epoch

    def seeds(_: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.constant(seed, tf.int64), source.read()])

    dataset = tf.data.Dataset.from_tensors(0).map(seeds)
    dataset._tfrecs_source = source  # the graph does not keep a variable alive
    return dataset.flat_map(make)


def shuffled(places: tf.Tensor, seeds: tf.Tensor, size: int) -> tf.Tensor:
    """Returns what stands at `places` of a random order of 0 .. size - 1, without storing it."""
    if size == 1:
        return places
    seeds = tf.random.experimental.stateless_fold_in(seeds, size)  # near seeds, far orders
    return tf.random.experimental.index_shuffle(places, seeds, size - 1)


def read_ahead(dataset: tf.data.Dataset, size: int = 2) -> tf.data.Dataset:
    """Returns the dataset, `size` elements prepared while others are worked on.

    Without tf.data's autotuning, whose thread sleeps for about as long as it has been there, while
    whoever drops the iterator waits for it: a second, often more, at the end of every other `fit`.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(size).with_options(options)


def num_batches(num_rows: int, batch_size: int, drop_remainder: bool) -> int:
    """Returns how many batches rows give, checking that there is one.

    Raises:
        ValueError: The batch size is not positive, or larger than the rows with `drop_remainder`.
    """
    checks.positive("batch_size", batch_size)
    if drop_remainder and batch_size > num_rows:
        expectation = f"at most the number of rows ({num_rows}) with drop_remainder=True"
        raise ValueError(checks.expected("batch_size", expectation, batch_size))
    return num_rows // batch_size if drop_remainder else -(-num_rows // batch_size)
