"""TFRecord files of tf.Example: written from Arrow, read as tf.data by whole batches."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.features import arrow
from tfrecs.features.frames import check_whole
from tfrecs.features.order import Epoch, each_epoch, read_ahead, shuffled
from tfrecs.features.paths import found_paths
from tfrecs.features.raw import parse
from tfrecs.files import written_aside
from tfrecs.spec import Cross, FeatureSpec

_SLICE = 16_384  # rows encoded at a time
_POOL = 65_536  # examples shuffled among each other
_FILES = 8  # files read in turn while shuffling
_BLOCK = 1_024  # examples taken from a file in its turn
_BUFFER = 8 << 20  # bytes read at once
_LISTS = {"string": "BytesList", "int64": "Int64List", "float32": "FloatList"}
_FIELDS = {"string": "bytes_list", "int64": "int64_list", "float32": "float_list"}


def write_tfrecord(
    table: pa.Table, path: str | Path, num_shards: int = 1, *, spec: FeatureSpec | None = None
) -> list[Path]:
    """Writes a table as TFRecord files of tf.Example, in the order of its rows.

    The values are those of `from_arrow`, missing ones included. The files are written aside and
    renamed when all of them are whole.

    Args:
        table: The rows.
        path: The file; with shards `events.tfrecord` gives `events.tfrecord-00000-of-00002`, ...
        num_shards: Number of files, of nearly equal numbers of rows. Defaults to 1.
        spec: Features by which columns are converted, as in `from_arrow`. Give the one that
            `from_tfrecord` will be given.

    Returns:
        The files, in order.

    Raises:
        ValueError: No rows, or fewer rows than shards.
        TypeError: A column of a type that has no tensor, or of another than its feature says.
        OSError: The files cannot be written.
    """
    path = Path(path)
    checks.positive("num_shards", num_shards)
    if table.num_rows < num_shards:
        expectation = f"of as many rows as shards ({num_shards}) or more"
        raise ValueError(checks.expected("table", expectation, f"{table.num_rows} rows"))
    if spec is not None:
        table = table.select([name for name in table.column_names if name in spec])
    layouts = arrow.layouts(table.schema, spec)
    names = [f"{path.name}-{shard:05d}-of-{num_shards:05d}" for shard in range(num_shards)]
    files = [path.with_name(name) for name in names] if num_shards > 1 else [path]
    bounds = np.linspace(0, table.num_rows, num_shards + 1).astype(int)
    with contextlib.ExitStack() as stack:
        for file, start, stop in zip(files, bounds[:-1], bounds[1:], strict=True):
            aside = stack.enter_context(written_aside(file))
            _write(aside, table.slice(start, stop - start), layouts)
    return files


def _write(path: Path, table: pa.Table, layouts: list[arrow.Layout]) -> None:
    """Writes one file, its failures as OSError."""
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for first in range(0, table.num_rows, _SLICE):
                for example in _encode(table.slice(first, _SLICE), layouts):
                    writer.write(example)
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def _encode(table: pa.Table, layouts: list[arrow.Layout]) -> Any:
    """Returns the serialized Examples of the rows, bytes `(B,)`: columns at a time, in C++."""
    batch = arrow.tensors(layouts, [tf.constant(part) for part in arrow.parts(table, layouts)])
    rows = table.num_rows
    entries = []
    for layout in layouts:
        values = batch[layout.name]
        if layout.lists:
            sizes = tf.cast(values.row_lengths() * (layout.width or 1), tf.int32)[:, tf.newaxis]
            values = tf.reshape(values.to_tensor(), [rows, -1])
        else:
            values = values if layout.width is not None else values[:, tf.newaxis]
            sizes = tf.fill([rows, 1], values.shape[1])
        listed = _message(_LISTS[layout.dtype], {"value": values}, sizes)
        feature = _message("Feature", {_FIELDS[layout.dtype]: listed[:, tf.newaxis]})
        keys = tf.fill([rows, 1], layout.name)
        entries.append(
            _message("Features.FeatureEntry", {"key": keys, "value": feature[:, tf.newaxis]})
        )
    many = tf.fill([rows, 1], len(entries))
    features = _message("Features", {"feature": tf.stack(entries, axis=1)}, many)
    return _message("Example", {"features": features[:, tf.newaxis]}).numpy()


def _message(kind: str, fields: dict[str, tf.Tensor], sizes: tf.Tensor | None = None) -> tf.Tensor:
    """Returns serialized messages `(B,)`; `sizes` are the values of each field, 1 by default."""
    values = list(fields.values())
    if sizes is None:
        sizes = tf.ones([tf.shape(values[0])[0], len(values)], tf.int32)
    return tf.io.encode_proto(sizes, values, list(fields), f"tensorflow.{kind}")


def from_tfrecord(
    paths: str | Path | Iterable[str | Path],
    spec: FeatureSpec,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Raw batches of TFRecord files of tf.Example that need not fit in memory.

    Examples are parsed a batch at a time. When shuffled, the files come in another order each
    epoch, 8 of them are read in turn, and 65,536 examples are shuffled among each other: write
    shards, so that examples far apart meet.

    Args:
        paths: A file, a folder of `.tfrecord` files, a pattern such as `events.tfrecord-*`, or
            several of these.
        spec: The features to parse, all but Cross; what an Example lacks is missing.
        batch_size: Number of examples of a batch.
        shuffle: Whether to shuffle. Defaults to `False`.
        seed: Of the order. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.
        epoch: Ties the order to the epoch of `fit`; see `Epoch`. Defaults to a count of its own.

    Returns:
        Dataset of dicts of raw tensors, as `from_arrow` gives.

    Raises:
        ValueError: A file is truncated or not TFRecord, seen by its end; the message names it.
            Damage inside a file is found when it is read: tf.errors.DataLossError.
        FileNotFoundError: There is no such file.

    Example:

    >>> import tempfile
    >>> from tfrecs.spec import Categorical
    >>> path = Path(tempfile.mkdtemp()) / "clicks.tfrecord"
    >>> files = write_tfrecord(pa.table({"item": ["a", None, "b"]}), path)
    >>> spec = FeatureSpec((Categorical("item", "candidate"),))
    >>> [batch["item"].numpy().tolist() for batch in from_tfrecord(path, spec, 2)]
    [[b'a', b''], [b'b']]
    """
    checks.positive("batch_size", batch_size)
    files = found_paths(paths, ".tfrecord")
    for file in files:
        check_whole(file)
    names = [str(file) for file in files]
    features = [feature for feature in spec if not isinstance(feature, Cross)]

    def parsed(examples: tf.Tensor) -> dict[str, Any]:
        return parse(examples, features)

    if shuffle:
        examples = each_epoch(lambda seeds: _mixed(names, seeds), seed, epoch)
        batches = examples.rebatch(batch_size, drop_remainder)
    else:
        records = tf.data.TFRecordDataset(names, buffer_size=_BUFFER)
        batches = records.batch(batch_size, drop_remainder)
    return read_ahead(batches.map(parsed, num_parallel_calls=tf.data.AUTOTUNE))


def _mixed(names: list[str], seeds: tf.Tensor) -> tf.data.Dataset:
    """Returns pools of examples of several files, each shuffled."""
    files = tf.constant(names)

    def name_of(place: tf.Tensor) -> tf.Tensor:
        return tf.gather(files, shuffled(place[tf.newaxis], seeds, len(names))[0])

    def records(name: tf.Tensor) -> tf.data.Dataset:
        # blocks pass between datasets, not examples, of which each would cost as much
        return tf.data.TFRecordDataset(name, buffer_size=_BUFFER).batch(_BLOCK)

    def mix(number: tf.Tensor, pool: tf.Tensor) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(seeds, number)
        return tf.random.experimental.stateless_shuffle(pool, own)

    blocks = (
        tf.data.Dataset.range(len(names))
        .map(name_of)
        .interleave(
            records, cycle_length=min(_FILES, len(names)), num_parallel_calls=2, deterministic=True
        )
    )
    return blocks.rebatch(_POOL).enumerate().map(mix)
