"""Tables in memory as tf.data: shuffled indices and gathers, never an example at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.features import arrow
from tfrecs.features.order import Epoch, each_epoch, num_batches, read_ahead, shuffled
from tfrecs.spec import FeatureSpec


def from_arrays(
    arrays: Mapping[str, Any],
    batch_size: int,
    *,
    label: str | None = None,
    weight: str | None = None,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Batches of arrays in memory: the fastest input for `fit`.

    A shuffled batch gathers rows at `p(i), ..., p(i + B - 1)`, where `p` is a random permutation
    that is computed, not stored; it is another one each epoch. Memory is that of the arrays and
    a copy of them.

    Args:
        arrays: Arrays of one length N by name, any further axes, of numbers or text.
        batch_size: Number of rows of a batch.
        label: Name of the array that `fit` takes as `y`; it stays among the others, since
            positive ids are both. Defaults to none.
        weight: Name of the array `(N,)` that `fit` takes as `sample_weight`, with a label; it is
            left out of the others. Defaults to none: every row weighs 1.
        shuffle: Whether to shuffle all rows, anew each epoch. Defaults to `False`.
        seed: Of the order. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.
        epoch: Ties the order to the epoch of `fit`; see `Epoch`. Defaults to a count of its own.

    Returns:
        Dataset of dicts, or with `label` of (dict, label array), or with `weight` too of (dict,
        label array, weights).

    Raises:
        ValueError: No rows, arrays of different lengths, an unknown label or weight, a weight
            without a label, weights that are negative, not finite or not one a row.

    Example:

    >>> data = from_arrays({"item": np.array([5, 6, 7]), "y": np.array([0., 1., 0.])}, 2, label="y")
    >>> for x, y in data:
    ...     print(x["item"].numpy(), y.numpy())
    [5 6] [0. 1.]
    [7] [0.]
    """
    given = {name: np.asarray(array) for name, array in arrays.items()}
    lengths = {name: len(array) if array.ndim else 0 for name, array in given.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(checks.expected("arrays", "of one length, at least 1", lengths))
    if label is not None:
        checks.one_of("label", label, given)
    if weight is not None:
        _check_weights(weight, label, given)
    num_rows = next(iter(lengths.values()))
    with tf.device("CPU"):
        held = {name: tf.convert_to_tensor(array) for name, array in given.items()}

    def batch(rows: tf.Tensor) -> Any:
        columns = {name: tf.gather(column, rows) for name, column in held.items()}
        if label is None:
            return columns
        weights = () if weight is None else (columns.pop(weight),)
        return (columns, columns[label], *weights)

    return _gathered(batch, num_rows, batch_size, shuffle, seed, drop_remainder, epoch)


def _check_weights(weight: str, label: str | None, given: Mapping[str, np.ndarray]) -> None:
    checks.one_of("weight", weight, given)
    if label is None or label == weight:
        remedy = "Name the array that `fit` takes as `y`: label=..."
        raise ValueError(checks.expected("weight", "given with a label of its own", label, remedy))
    values = given[weight]
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        received = f"{values.dtype} {values.shape}"
        raise ValueError(checks.expected(f"arrays[{weight!r}]", "numbers (N,)", received))
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        name, remedy = f"arrays[{weight!r}]", f"It is row {row}."
        raise ValueError(checks.expected(name, "weights of 0 or more", values[row], remedy))


def from_arrow(
    table: pa.Table,
    batch_size: int,
    *,
    spec: FeatureSpec | None = None,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Raw batches of an Arrow table in memory.

    Null becomes "" in text, -1 in integers, NaN in floats; a null list is an empty one. Lists give
    RaggedTensors, lists of fixed length `(B, width)`. A text column is held as its distinct values
    and int32 places.

    Args:
        table: The rows.
        batch_size: Number of rows of a batch.
        spec: Features by which columns are converted: integers of a Numeric to float32, times to
            its unit; columns that it lacks are left out. `None` goes by the Arrow types alone:
            integers int64, floats and booleans float32, timestamps int64 of their own unit.
        shuffle: Whether to shuffle all rows, anew each epoch. Defaults to `False`.
        seed: Of the order. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.
        epoch: Ties the order to the epoch of `fit`; see `Epoch`. Defaults to a count of its own.

    Returns:
        Dataset of dicts of raw tensors.

    Raises:
        ValueError: No rows, or a number that does not fit.
        TypeError: A column of a type that has no tensor, or of another than its feature says.

    Example:

    >>> table = pa.table({"user": ["a", None, "a"], "tags": [[1, 2], None, []]})
    >>> for batch in from_arrow(table, 2):
    ...     print(batch["user"].numpy(), batch["tags"].to_list())
    [b'a' b''] [[1, 2], []]
    [b'a'] [[]]
    """
    if table.num_rows == 0:
        raise ValueError(checks.expected("table", "of one row or more", "0 rows"))
    if spec is not None:
        table = table.select([name for name in table.column_names if name in spec])
    columns = arrow.layouts(table.schema, spec)
    with tf.device("CPU"):
        held = [tf.convert_to_tensor(part) for part in arrow.parts(table, columns)]

    def batch(rows: tf.Tensor) -> dict[str, Any]:
        return arrow.tensors(columns, held, rows)

    return _gathered(batch, table.num_rows, batch_size, shuffle, seed, drop_remainder, epoch)


def _gathered(
    batch: Callable[[tf.Tensor], Any],
    num_rows: int,
    batch_size: int,
    shuffle: bool,
    seed: int,
    drop_remainder: bool,
    epoch: Epoch | None,
) -> tf.data.Dataset:
    """Returns the dataset of `batch(rows)`."""
    count = num_batches(num_rows, batch_size, drop_remainder)

    def places_of(number: tf.Tensor) -> tf.Tensor:
        first = number * batch_size
        places = tf.range(first, tf.minimum(first + batch_size, num_rows))
        return tf.ensure_shape(places, [batch_size]) if drop_remainder else places

    if not shuffle:
        dataset = tf.data.Dataset.range(count).map(
            lambda number: batch(places_of(number)), num_parallel_calls=tf.data.AUTOTUNE
        )
        return read_ahead(dataset)

    def numbers(seeds: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.range(count).map(lambda number: (number, seeds))

    dataset = each_epoch(numbers, seed, epoch).apply(tf.data.experimental.assert_cardinality(count))
    dataset = dataset.map(
        lambda number, seeds: batch(shuffled(places_of(number), seeds, num_rows)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return read_ahead(dataset)
