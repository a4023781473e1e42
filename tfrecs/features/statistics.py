"""What adapting keeps while rows stream by: counts, moments, quantiles. All deterministic."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.features.vocabulary import Lookup, missing_value

_MERGE = 1 << 20  # pairs gathered before they are merged
_BLOCK = 1 << 16  # values of a moments block
_SKETCH = 1 << 14  # values of a quantile buffer


class ValueCounter:
    """Counts distinct values; memory grows with the distinct values, not with the rows."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self._type = pa.large_string() if dtype == "string" else pa.int64()
        self._pairs: list[pa.Table] = []
        self._pending = 0
        self._merged = 0

    def update(self, values: pa.ChunkedArray) -> None:
        """Adds the values of an Arrow column, nulls included."""
        counted = pc.value_counts(values.unify_dictionaries())
        column = counted.field("values")
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        self._pairs.append(
            pa.table({"value": column.cast(self._type), "count": counted.field("counts")})
        )
        self._pending += len(counted)
        if self._pending > max(_MERGE, 2 * self._merged):
            self._merge()

    def _merge(self) -> pa.Table:
        schema = pa.schema([("value", self._type), ("count", pa.int64())])
        table = pa.concat_tables([schema.empty_table(), *self._pairs])
        if len(self._pairs) > 1:
            sums = table.group_by("value").aggregate([("count", "sum")])
            table = sums.rename_columns({"count_sum": "count"}).select(["value", "count"])
        self._pairs, self._pending, self._merged = [table], 0, len(table)
        return table

    def ranked(self, min_count: int, max_size: int | None) -> tuple[pa.Array, np.ndarray]:
        """Returns the values kept, the frequent first and ties by value, and counts by id.

        The others, rarer than `min_count`, are left in `rare`: a table of `value` and `count`.

        Returns:
            values: large_string or int64, `(V,)`.
            counts: int64 `(V + 2,)`: missing, unknown (values not kept), then the values.
        """
        table = self._merge()
        missing = pc.or_kleene(
            pc.is_null(table["value"]), pc.equal(table["value"], missing_value(self.dtype))
        )
        num_missing = pc.sum(table.filter(missing)["count"]).as_py() or 0
        table = table.filter(pc.invert(missing))
        total = pc.sum(table["count"]).as_py() or 0
        frequent = pc.greater_equal(table["count"], min_count)
        self.rare = table.filter(pc.invert(frequent)).combine_chunks()
        kept = table.filter(frequent)
        kept = kept.sort_by([("count", "descending"), ("value", "ascending")])
        kept = kept.slice(0, max_size).combine_chunks()
        counts = kept["count"].to_numpy()
        reserved = np.array([num_missing, total - counts.sum()], np.int64)
        values = pa.concat_arrays([pa.array([], self._type), *kept["value"].chunks])
        return values, np.concatenate([reserved, counts])


class IdCounter:
    """Counts the ids of a feature whose values are known or hashed; memory is one count an id."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.counts = np.zeros(lookup.size, np.int64)

    def update(self, values: pa.ChunkedArray) -> None:
        """Adds the values of an Arrow column, nulls included."""
        self.counts += np.bincount(self.lookup.encode(values), minlength=self.lookup.size)


class _Blocks:
    """Cuts a stream into blocks of a fixed size, so that results do not depend on its chunks."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: list[np.ndarray] = []
        self._length = 0

    def push(self, values: np.ndarray) -> Iterator[np.ndarray]:
        """Adds values and yields the blocks that are now full."""
        self._rest.append(values)
        self._length += len(values)
        if self._length < self._size:
            return
        joined = np.concatenate(self._rest)
        full = self._length - self._length % self._size
        self._rest, self._length = [joined[full:].copy()], self._length - full
        yield from np.split(joined[:full], full // self._size)

    def rest(self) -> np.ndarray:
        """Returns the values after the last full block."""
        return np.concatenate([np.zeros(0), *self._rest])


class Moments:
    """Mean and variance in one pass, by the pairwise update of Chan, Golub and LeVeque (1979).

    `m2 += m2_b + delta^2 n n_b / (n + n_b)`, in float64.
    """

    def __init__(self) -> None:
        self._blocks = _Blocks(_BLOCK)
        self._state = (0, 0.0, 0.0)

    def update(self, values: np.ndarray) -> None:
        """Adds the values that are not NaN."""
        for block in self._blocks.push(values[~np.isnan(values)]):
            self._state = _combine(self._state, block)

    def result(self) -> tuple[int, float, float]:
        """Returns the number of values, their mean and their standard deviation (over N)."""
        count, mean, m2 = _combine(self._state, self._blocks.rest())
        return count, mean, float(np.sqrt(m2 / count)) if count else 0.0


def _combine(state: tuple[int, float, float], block: np.ndarray) -> tuple[int, float, float]:
    if not len(block):
        return state
    count, mean, m2 = state
    block = block.astype(np.float64)
    block_mean = float(block.mean())
    block_m2 = float(np.square(block - block_mean).sum())
    total = count + len(block)
    delta = block_mean - mean
    m2 += block_m2 + delta * delta * count * len(block) / total
    return total, mean + delta * len(block) / total, m2


class QuantileSketch:
    """Quantiles of a stream in bounded memory, by merging sorted buffers (Manku et al., 1998).

    Buffers hold `k` = 16,384 sorted values; two of one level merge into one of the next by taking
    every other value, even and odd places in turn. The rank of a quantile is off by at most
    `log2(N / k) / (2 k)` of `N` values: 0.05 % for a milliard. Up to `2 k - 1` values it is exact.
    """

    def __init__(self) -> None:
        self._blocks = _Blocks(_SKETCH)
        self._levels: list[np.ndarray | None] = []
        self._offsets: list[int] = []

    def update(self, values: np.ndarray) -> None:
        """Adds the values that are not NaN."""
        for block in self._blocks.push(values[~np.isnan(values)]):
            self._push(np.sort(block), 0)

    def _push(self, buffer: np.ndarray, level: int) -> None:
        while level < len(self._levels):
            other = self._levels[level]
            if other is None:
                self._levels[level] = buffer
                return
            both = np.sort(np.concatenate([other, buffer]), kind="stable")
            buffer = both[self._offsets[level] :: 2].copy()
            self._offsets[level] ^= 1
            self._levels[level] = None
            level += 1
        self._levels.append(buffer)
        self._offsets.append(0)

    def boundaries(self, num_bins: int) -> np.ndarray:
        """Returns the `num_bins - 1` inner boundaries, float32: bin `i` holds `[b_i-1, b_i)`."""
        parts = [(self._blocks.rest(), 1)]
        parts += [(b, 1 << level) for level, b in enumerate(self._levels) if b is not None]
        values = np.concatenate([part for part, _ in parts])
        weights = np.concatenate([np.full(len(part), weight) for part, weight in parts])
        if not len(values):
            return np.zeros(num_bins - 1, np.float32)
        order = np.argsort(values, kind="stable")
        ranks = np.cumsum(weights[order])
        wanted = np.arange(1, num_bins) * ranks[-1] / num_bins
        places = np.searchsorted(ranks, wanted, side="right")
        return np.asarray(values[order][places], np.float32)


def log_squared_boundaries(num_bins: int) -> np.ndarray:
    """Returns the `num_bins - 1` inner boundaries of "log_squared" bins, float32.

    Example:

    >>> print(log_squared_boundaries(8).round(2))  # above 2: e, e^sqrt(2), ...
    [-1.    0.    1.    2.    2.    2.72  4.11]
    """
    above_two = np.exp(np.sqrt(np.arange(1, num_bins)))
    below = [-1, 0, 1, 2, np.nextafter(np.float32(2), np.float32(3))]
    return np.array([*below, *above_two], np.float32)[: num_bins - 1]
