"""Parquet files as tf.data: by row groups, in memory bounded by a few of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from tfrecs.features import arrow
from tfrecs.features.order import Epoch, each_epoch, num_batches, read_ahead, shuffled
from tfrecs.features.paths import found_paths
from tfrecs.spec import FeatureSpec

_GROUPS = 4  # row groups whose rows are shuffled among each other
_ROWS = 65_536  # as many groups are read at once as hold that many rows
_READERS = 2  # reads at a time, each with its rows in memory


def from_parquet(
    paths: str | Path | Iterable[str | Path],
    batch_size: int,
    *,
    columns: Iterable[str] | None = None,
    spec: FeatureSpec | None = None,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    epoch: Epoch | None = None,
) -> tf.data.Dataset:
    """Raw batches of Parquet files that need not fit in memory.

    Row groups are read in order, or shuffled over all files anew each epoch, and then the rows of
    4 groups (of more, where they are below 65,536 rows) among each other. Memory is that of three
    such reads, so write row groups of 10,000 to 1,000,000 rows.

    Args:
        paths: A file, a folder of `.parquet` files, a pattern such as `events-*.parquet`, or
            several of these.
        batch_size: Number of rows of a batch.
        columns: Columns to read. Defaults to all, or with `spec` those that it has.
        spec: Features by which columns are converted, as in `from_arrow`.
        shuffle: Whether to shuffle. Defaults to `False`.
        seed: Of the order. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.
        epoch: Ties the order to the epoch of `fit`; see `Epoch`. Defaults to a count of its own.

    Returns:
        Dataset of dicts of raw tensors, as `from_arrow` gives.

    Raises:
        ValueError: A file is truncated or not Parquet, lacks a column, or has no rows; the message
            names it. Damage inside a file is found when it is read: tf.errors.InvalidArgumentError.
        TypeError: A column of a type that has no tensor, or of another than its feature says.
        FileNotFoundError: There is no such file.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "clicks.parquet"
    >>> pq.write_table(pa.table({"item": ["a", "b", "a"]}), path)
    >>> [batch["item"].numpy().tolist() for batch in from_parquet(path, 2)]
    [[b'a', b'b'], [b'a']]
    """
    files = found_paths(paths, ".parquet")
    source = _open(files, None if columns is None else list(columns), spec)
    num_rows = int(source.rows.sum())
    if num_rows == 0:
        raise ValueError(f"{', '.join(map(str, files))} must hold one row or more. Received: none.")
    count = num_batches(num_rows, batch_size, drop_remainder)
    num_groups, dtypes = len(source.rows), source.dtypes()
    at_once = _groups_at_once(source.rows, shuffle)
    rng_seed = tf.constant([seed, 0], tf.int64)

    def numbers(seeds: tf.Tensor) -> tf.data.Dataset:
        def group(place: tf.Tensor) -> tf.Tensor:
            return shuffled(place[tf.newaxis], seeds, num_groups)[0] if shuffle else place

        groups = tf.data.Dataset.range(num_groups).map(group).batch(at_once)
        return groups.map(lambda numbers: (numbers, seeds))

    def read(numbers: tf.Tensor, seeds: tf.Tensor) -> dict[str, Any]:
        arrays = tf.numpy_function(source.read, [numbers, seeds, shuffle], dtypes, stateful=False)
        for array, shape in zip(arrays, source.shapes(), strict=True):
            array.set_shape(shape)
        return arrow.tensors(source.layouts, arrays)

    groups = each_epoch(numbers, seed, epoch) if shuffle else numbers(rng_seed)
    batches = groups.map(read, num_parallel_calls=_READERS, deterministic=True).rebatch(
        batch_size, drop_remainder
    )
    counted = batches.apply(tf.data.experimental.assert_cardinality(count))
    return read_ahead(counted)


@dataclass(frozen=True)
class _Source:
    """The row groups of some files.

    Args:
        files: The files.
        layouts: What becomes of the columns read.
        places: int64 `(G, 2)`, the file and the row group of each group.
        rows: int64 `(G,)`, the number of rows of each group.
    """

    files: list[Path]
    layouts: list[arrow.Layout]
    places: np.ndarray
    rows: np.ndarray

    def dtypes(self) -> list[Any]:
        return [dtype for layout in self.layouts for dtype in layout.part_dtypes()]

    def shapes(self) -> list[list[int | None]]:
        shapes: list[list[int | None]] = []
        for layout in self.layouts:
            shapes.append([None] if layout.width is None else [None, layout.width])
            shapes += [[None]] * (len(layout.part_dtypes()) - 1)
        return shapes

    def read(self, numbers: np.ndarray, seeds: np.ndarray, shuffle: bool) -> list[np.ndarray]:
        """Returns the parts of the rows of some groups, shuffled among each other."""
        table = pa.concat_tables([self._read_group(*self.places[number]) for number in numbers])
        if shuffle:
            rng = np.random.default_rng([*(int(s) % 2**63 for s in seeds), int(numbers[0])])
            table = table.combine_chunks().take(pa.array(rng.permutation(table.num_rows)))
        return arrow.parts(table, self.layouts)

    def _read_group(self, file: int, group: int) -> pa.Table:
        path = self.files[file]
        names = [layout.name for layout in self.layouts]
        text = [layout.name for layout in self.layouts if layout.is_text and not layout.lists]
        try:
            with pq.ParquetFile(
                path, read_dictionary=text, page_checksum_verification=True
            ) as opened:
                table = opened.read_row_group(group, names, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{path}, row group {group}, cannot be read: {error}") from error
        return table.select(names)


def _open(files: list[Path], names: list[str] | None, spec: FeatureSpec | None) -> _Source:
    """Reads the footers, checking that all files have the columns, with the same layouts."""
    places, rows = [], []
    first: list[arrow.Layout] | None = None
    for number, path in enumerate(files):
        try:
            with pq.ParquetFile(path) as opened:
                schema, metadata = opened.schema_arrow, opened.metadata
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{path} is truncated or not Parquet: {error}") from error
        if names is None:
            names = [name for name in schema.names if spec is None or name in spec]
        arrow.check_columns(schema, names, str(path))
        layouts = arrow.layouts(pa.schema([schema.field(name) for name in names]), spec)
        first = first or layouts
        if layouts != first:
            other = next(a.name for a, b in zip(layouts, first, strict=True) if a != b)
            raise ValueError(
                f"Column `{other}` must be of one type in all files. Received: "
                f"{schema.field(other).type} in {path}, another in {files[0]}."
            )
        places += [(number, group) for group in range(metadata.num_row_groups)]
        rows += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return _Source(files, first or [], np.array(places).reshape(-1, 2), np.array(rows, np.int64))


def _groups_at_once(rows: np.ndarray, shuffle: bool) -> int:
    """Returns how many row groups are read at once."""
    enough = -(-_ROWS // max(1, int(rows.mean())))
    return max(_GROUPS, enough) if shuffle else enough
