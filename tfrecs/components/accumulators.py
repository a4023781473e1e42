"""What statistics keep of a column while rows stream by, in bounded memory; two can be merged."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

_POINTS = 4_096  # weighted points that stand for all numbers
_MOST = 1 << 20  # distinct values counted; then the rarer half is dropped
_PENDING = 1 << 16  # counts gathered before they are added up
_ORDER = [("count", "descending"), ("value", "ascending")]
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
        self.values: Any = None  # distinct: integers or large binary
        self.counts: np.ndarray = np.zeros(0, np.int64)
        self.pending: list[tuple[Any, np.ndarray]] = []
        self.waiting = 0
        self.total = 0
        self.bytes = 0
        self.words = 0
        self.pruned = False
        self.given_up = False
        self.hashes = np.zeros(0, np.uint64)

    def update(self, values: pa.ChunkedArray) -> None:
        """Adds values that are not null."""
        numbers = pa.types.is_integer(values.type)
        if self.given_up or not len(values):
            return
        counted = pc.value_counts(values.combine_chunks())
        counts, found = counted.field("counts").to_numpy(), counted.field("values")
        self.total += len(values)
        if not numbers:
            self.bytes += int(pc.binary_length(found).to_numpy() @ counts)
            self.words += len(values)
            if not _is_binary(found.type):
                self.words += int(pc.count_substring(found, " ").to_numpy() @ counts)
            found = found.cast(pa.large_binary())
        if self._add(found, counts) and numbers and len(self.counts) > self.total / 2:
            self._give_up()

    def _give_up(self) -> None:
        self.given_up, self.values, self.counts = True, None, np.zeros(0, np.int64)
        self.pending, self.waiting = [], 0

    def _add(self, values: Any, counts: np.ndarray) -> bool:
        """Adds counted values, and returns whether it was time to add up what is pending."""
        if self.pruned:
            self._note(values)
        self.pending.append((values, counts))
        self.waiting += len(counts)
        full = self.waiting > max(_PENDING, 2 * len(self.counts))
        if full:
            self.settle()
        return full

    def settle(self) -> None:
        """Adds up what is pending."""
        if not self.pending:
            return
        if self.values is not None:
            self.pending.insert(0, (self.values, self.counts))
        encoded = pa.concat_arrays([values for values, _ in self.pending]).dictionary_encode()
        counts = np.concatenate([counts for _, counts in self.pending])
        self.values = encoded.dictionary
        self.counts = np.bincount(encoded.indices.to_numpy(), counts).astype(np.int64)
        self.pending, self.waiting = [], 0
        if len(self.counts) > _MOST:
            self._prune()

    def merge(self, other: "Values") -> None:
        """Adds what another has seen."""
        self.total += other.total
        self.bytes += other.bytes
        self.words += other.words
        other.settle()
        if self.given_up or other.given_up:
            self._give_up()
        elif other.values is not None:
            if other.pruned:
                self.settle()
                self._start_noting()
                self.hashes = np.unique(np.append(self.hashes, other.hashes))[:_HASHES]
            self._add(other.values, other.counts)

    def _prune(self) -> None:
        """Drops the rarer half, and all that are as rare as the most frequent of it."""
        self._start_noting()
        kept = np.flatnonzero(self.counts > np.partition(self.counts, -_MOST // 2)[-_MOST // 2])
        self.values, self.counts = self.values.take(pa.array(kept)), self.counts[kept]

    def _start_noting(self) -> None:
        if not self.pruned:
            self.pruned = True
            if self.values is not None:
                self._note(self.values)

    def _note(self, values: Any) -> None:
        """Keeps the least hashes, which tell how many distinct values there are."""
        hashed = _hashes(values)
        if len(self.hashes) == _HASHES:
            hashed = hashed[hashed < self.hashes[-1]]
        self.hashes = np.unique(np.append(self.hashes, hashed))[:_HASHES]

    def _best(self, most: int) -> np.ndarray:
        """Returns the places of the most frequent values, ties by value."""
        table = pa.table({"value": self.values, "count": self.counts})
        best: np.ndarray = pc.select_k_unstable(table, min(most, len(table)), _ORDER).to_numpy()
        return best

    @property
    def unique(self) -> int:
        """Number of distinct values, estimated within a percent or so above a million."""
        self.settle()
        if not self.pruned:
            return len(self.counts)
        return int((_HASHES - 1) / (float(self.hashes[-1]) / 2.0**62))

    def ranked(self, most: int) -> list[tuple[str, int]]:
        """Returns the most frequent values with their counts, ties by value."""
        self.settle()
        if self.values is None:
            return []
        best = self._best(most)
        texts = _texts(self.values.take(best)).to_pylist()
        shown = [value.decode("utf-8", "replace") for value in texts]
        return list(zip(shown, self.counts[best].tolist(), strict=True))


def _texts(values: Any) -> Any:
    """Returns values as bytes, integers as their decimal text."""
    numbers = pa.types.is_integer(values.type)
    return values.cast(pa.string()).cast(pa.large_binary()) if numbers else values


def _hashes(values: Any) -> np.ndarray:
    """Returns a hash below 2^62 of each value: uint64 `(N,)`."""
    if not pa.types.is_integer(values.type):
        texts = values.to_numpy(zero_copy_only=False)
        buckets = tf.strings.to_hash_bucket_fast(tf.constant(texts), 2**62)
        return np.asarray(buckets.numpy().astype(np.uint64))
    mixed = values.to_numpy().astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(2))


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
