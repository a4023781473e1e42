"""What statistics keep of a column while rows stream by, in bounded memory; two can be merged."""

import math
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

_POINTS = 4_096  # weighted points that stand for all numbers
_MOST = 1 << 20  # distinct values counted; then the rarer half is dropped
_PENDING = 1 << 16  # counts gathered before they are added up
_ORDER = [("count", "descending"), ("value", "ascending")]
_NO_COUNTS = pa.array([], pa.int64())
_HASHES = 1 << 14  # least hashes kept, whose spread tells the number of distinct values


class Numbers:
    """Moments, extremes and a sketch of quantiles: exact up to 8,192 distinct numbers."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.m2 = 0.0
        self.zeros = 0
        self.infinite = 0
        self.low, self.high = math.inf, -math.inf
        self.points: np.ndarray = np.zeros(0)
        self.weights: np.ndarray = np.zeros(0)

    def update(self, values: np.ndarray) -> None:
        """Adds values; NaN is none, and what is infinite counts apart."""
        values = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        finite = values.astype(np.float64)
        if values.dtype.kind == "f":
            kept = np.isfinite(finite)
            self.infinite += int(len(finite) - kept.sum())
            finite = finite[kept]
        if not len(finite):
            return
        mean = float(finite.mean())
        points, counts = np.unique(finite, return_counts=True)
        other = Numbers()
        other.count, other.mean = len(finite), mean
        other.m2 = float(np.square(finite - mean).sum())
        other.zeros = int(len(finite) - np.count_nonzero(finite))
        other.low, other.high = float(points[0]), float(points[-1])
        other.points, other.weights = points, counts.astype(np.float64)
        self.merge(other)

    def merge(self, other: "Numbers") -> None:
        """Adds what another has seen (Chan, Golub and LeVeque 1979)."""
        self.infinite += other.infinite
        if not other.count:
            return
        total = self.count + other.count
        delta = other.mean - self.mean
        self.m2 += other.m2 + delta * delta * self.count * other.count / total
        self.mean += delta * other.count / total
        self.count, self.zeros = total, self.zeros + other.zeros
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        points: np.ndarray
        points, places = np.unique(np.concatenate([self.points, other.points]), return_inverse=True)
        weights = np.bincount(places, np.concatenate([self.weights, other.weights]))
        if len(points) > 2 * _POINTS:  # each point left stands for an equal share
            middles = np.cumsum(weights) - weights / 2
            shares = np.minimum((middles / middles[-1] * _POINTS).astype(int), _POINTS - 1)
            heads = np.flatnonzero(np.diff(shares, prepend=-1))
            sums = np.add.reduceat(points * weights, heads)
            weights = np.add.reduceat(weights, heads)
            points = sums / weights
        self.points, self.weights = np.asarray(points), np.asarray(weights)

    def quantiles(self, count: int) -> np.ndarray:
        """Returns `count + 1` boundaries of equal shares, the least and the greatest included."""
        ranks = np.cumsum(self.weights)
        wanted = np.linspace(0, ranks[-1], count + 1)[1:-1]
        inner = self.points[np.searchsorted(ranks, wanted)]
        return np.concatenate([[self.low], inner, [self.high]])

    @property
    def deviation(self) -> float:
        """Standard deviation, over N."""
        return math.sqrt(self.m2 / self.count) if self.count else 0.0


class Values:
    """Counts of distinct texts or ids: exact up to a million, then of the frequent ones.

    Integers that hardly ever repeat, such as times, are not counted after the first 65,536.
    """

    def __init__(self) -> None:
        self.table = pa.table({"value": pa.array([], pa.large_binary()), "count": _NO_COUNTS})
        self.pending: list[pa.Table] = []
        self.total = 0
        self.bytes = 0
        self.words = 0
        self.pruned = False
        self.given_up = False
        self.hashes = np.zeros(0, np.uint64)

    def update(self, values: pa.ChunkedArray) -> None:
        """Adds values that are not null; integers count as their decimal text."""
        numbers = pa.types.is_integer(values.type)
        if self.given_up or not len(values):
            return
        counted = pc.value_counts(values.combine_chunks())
        counts, found = counted.field("counts"), counted.field("values")
        texts = found.cast(pa.string()) if numbers else found
        held = counts.to_numpy()
        self.total += len(values)
        self.bytes += int(pc.binary_length(texts).to_numpy() @ held)
        self.words += len(values)
        if not _is_binary(texts.type):
            self.words += int(pc.count_substring(texts, " ").to_numpy() @ held)
        self.pending.append(pa.table({"value": texts.cast(pa.large_binary()), "count": counts}))
        if sum(map(len, self.pending)) > max(_PENDING, 2 * len(self.table)):
            self.settle()
            rare = len(self.table) > self.total / 2
            self.given_up = numbers and rare and self.total > _PENDING

    def settle(self) -> None:
        """Adds up what is pending."""
        both = pa.concat_tables([self.table, *self.pending])
        self.pending = []
        summed = both.group_by("value").aggregate([("count", "sum")])
        self.table = pa.table({"value": summed["value"], "count": summed["count_sum"]})
        if self.pruned or len(self.table) > _MOST:
            self._prune()

    def merge(self, other: "Values") -> None:
        """Adds what another has seen."""
        self.total += other.total
        self.bytes += other.bytes
        self.words += other.words
        self.pruned |= other.pruned
        self.given_up |= other.given_up
        self.hashes = np.concatenate([self.hashes, other.hashes])
        self.pending += [other.table, *other.pending]
        self.settle()

    def _prune(self) -> None:
        values = self.table["value"].to_numpy()
        hashed = tf.strings.to_hash_bucket_fast(tf.constant(values), 2**62).numpy()
        self.hashes = np.unique(np.append(self.hashes, hashed.astype(np.uint64)))[:_HASHES]
        self.pruned = True
        if len(self.table) > _MOST:
            kept = pc.select_k_unstable(self.table, _MOST // 2, _ORDER)
            self.table = self.table.take(kept).combine_chunks()

    @property
    def unique(self) -> int:
        """Number of distinct values, estimated within a percent or so above a million."""
        if not self.pruned:
            return len(self.table)
        return int((_HASHES - 1) / (float(self.hashes[-1]) / 2.0**62))

    def ranked(self, most: int) -> list[tuple[str, int]]:
        """Returns the most frequent values with their counts, ties by value."""
        best = self.table.take(pc.select_k_unstable(self.table, min(most, len(self.table)), _ORDER))
        texts = [value.decode("utf-8", "replace") for value in best["value"].to_pylist()]
        return list(zip(texts, best["count"].to_pylist(), strict=True))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


@dataclass
class Column:
    """What is known of a column.

    Args:
        dtype: "string", "int64" or "float32".
        lists: Whether a row is a list.
    """

    dtype: str
    lists: bool
    rows: int = 0
    missing: int = 0
    total: int = 0
    least: int = 1 << 62
    most: int = 0
    numbers: Numbers = field(default_factory=Numbers)
    values: Values = field(default_factory=Values)

    def update(self, column: pa.ChunkedArray) -> None:
        """Adds rows."""
        self.rows += len(column)
        known = column.drop_null()
        if self.lists:
            lengths = pc.list_value_length(known).to_numpy()
            full = lengths > 0  # an Example without values is as one without the feature
            self.missing += len(column) - int(full.sum())
            lengths = lengths[full]
            known = pa.chunked_array([c.flatten() for c in known.chunks], known.type.value_type)
        else:
            self.missing += len(column) - len(known)
            lengths = np.ones(1 if len(known) else 0, np.int64)
        if len(lengths):
            self.least = min(self.least, int(lengths.min()))
            self.most = max(self.most, int(lengths.max()))
        self.total += len(known)
        if self.dtype != "string":
            self.numbers.update(known.to_numpy())
        if self.dtype != "float32":
            self.values.update(known)

    def merge(self, other: "Column") -> None:
        """Adds what another has seen."""
        self.rows += other.rows
        self.missing += other.missing
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.numbers.merge(other.numbers)
        self.values.merge(other.values)
