"""One pass over the rows that learns every feature at once."""

import dataclasses
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.features import columns, encoding, sources
from tfrecs.features.learned import Learned, id_dtype
from tfrecs.features.statistics import (
    IdCounter,
    Moments,
    QuantileSketch,
    ValueCounter,
    log_squared_boundaries,
)
from tfrecs.spec import (
    BINNED,
    NUM_RESERVED_IDS,
    Attributes,
    Cross,
    Feature,
    FeatureSpec,
    Numeric,
)

_WHOLE = 0.999  # share of the lists that are kept whole
logger = logging.getLogger("tfrecs")


def learn(spec: FeatureSpec, rows: Iterable[Any]) -> Learned:
    """Reads every source once and returns what all features learned.

    Raises:
        ValueError: If a feature's column is in no source, has no rows, or holds an infinite number
            or a text that is not UTF-8.
        TypeError: If a column is of another type than the spec says.
    """
    learned = Learned(spec)
    learned.add_hashing()
    learners = [one for feature in spec for one in _learners(feature, learned)]
    seen: set[str] = set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for source in rows:
            first_row = 0
            for table in sources.tables(source):
                seen.update(table.column_names)
                present = [one for one in learners if one.column in table.column_names]
                update = partial(_Learner.update, table=table, first_row=first_row)
                list(pool.map(update, present))
                first_row += len(table)
    for one in learners:
        _check_seen(one, seen)
        one.finish()
    cuts = {
        one.feature.name: one.cut() for one in learners if one.feature.kind == "multi_categorical"
    }
    learned.spec = FeatureSpec(
        tuple(_sized(_shortened(feature, cuts), learned) for feature in spec)
    )
    return learned


def _learners(feature: Feature, learned: Learned) -> list["_Learner"]:
    """Returns what learns a feature: of attributes the keys and the values."""
    if isinstance(feature, Attributes):
        return [_PairLearner(feature, place, learned) for place in (0, 1)]
    return [] if isinstance(feature, Cross) else [_Learner(feature, learned)]


def _check_seen(learner: "_Learner", seen: set[str]) -> None:
    name = learner.column
    if name not in seen:
        columns_seen = sorted(seen)
        message = checks.expected("sources", f"tables, one with column {name!r}", columns_seen)
        raise ValueError(f"{message} {checks.did_you_mean(name, columns_seen)}".rstrip())
    if not learner.rows:
        raise ValueError(checks.expected("sources", f"rows with column {name!r}", "no rows"))


def _shortened(feature: Feature, cuts: dict[str, int | None]) -> Feature:
    """Returns the feature, its lists cut where one row would make every batch wide."""
    cut = cuts.get(feature.name)
    lists: Any = feature
    return feature if cut is None else cast(Feature, dataclasses.replace(lists, max_length=cut))


def _sized(feature: Feature, learned: Learned) -> Feature:
    """Returns the feature with its number of ids."""
    if isinstance(feature, Cross):
        return dataclasses.replace(feature, size=feature.hash_bins + NUM_RESERVED_IDS)
    if isinstance(feature, Numeric):
        size = feature.num_bins + NUM_RESERVED_IDS if feature.normalize in BINNED else None
        return dataclasses.replace(feature, size=size)
    if feature.kind in ("vector", "timestamp") or getattr(feature, "dtype", "") == "float32":
        return feature
    if isinstance(feature, Attributes):
        keys, words = learned.pair_lookups(feature)
        return dataclasses.replace(feature, size=words.size, num_keys=keys.size)
    sized: Any = feature
    return cast(Feature, dataclasses.replace(sized, size=learned.lookup(feature).size))


class _Learner:
    """Learns one feature from the columns that come by."""

    def __init__(self, feature: Feature, learned: Learned) -> None:
        self.feature = feature
        self.column = feature.name
        self.learned = learned
        self.rows = 0
        vocabulary = getattr(feature, "vocabulary", None)
        if vocabulary is not None:
            kind = pa.large_string() if id_dtype(feature) == "string" else pa.int64()
            learned.add_vocabulary(feature, pa.array(vocabulary, type=kind))
        self.statistic = self._statistic()
        self.lengths = np.zeros(0, np.int64)  # how many rows have a list of each length

    def _statistic(self) -> ValueCounter | IdCounter | Moments | QuantileSketch | None:
        feature = self.feature
        if isinstance(feature, Numeric):
            if feature.normalize == "standard":
                return Moments()
            return QuantileSketch() if feature.normalize in ("quantile", "cdf") else None
        if feature.kind in ("vector", "timestamp") or id_dtype(feature) == "float32":
            return None
        if getattr(feature, "shared_with", None) is not None:
            return None
        if feature.name in self.learned.lookups:
            return IdCounter(self.learned.lookups[feature.name])
        return ValueCounter(id_dtype(feature))

    def update(self, table: pa.Table, first_row: int) -> None:
        """Reads the feature's column of a table, checks it and counts it."""
        column = self._read(table, first_row)
        self.rows += len(table)
        if self.feature.kind == "multi_categorical" and column.lengths is not None:
            self._count_lengths(column.lengths)
        if isinstance(column.values, np.ndarray):
            if isinstance(self.statistic, Moments | QuantileSketch):
                self.statistic.update(column.values)
            return
        if id_dtype(self.feature) == "string":
            columns.check_utf8(self.feature, column, first_row)
        if isinstance(self.statistic, ValueCounter | IdCounter):
            self.statistic.update(self._counted(column))

    def _read(self, table: pa.Table, first_row: int) -> columns.Column:
        column = columns.read(table, self.feature, first_row)
        leader = self.learned.spec.leader(self.feature.name)
        if leader is not self.feature and leader.name in table.column_names:
            columns.aligned(table, self.feature, leader, column, first_row)
        return column

    def _count_lengths(self, lengths: np.ndarray) -> None:
        counts = np.bincount(lengths, minlength=len(self.lengths))
        counts[: len(self.lengths)] += self.lengths
        self.lengths = counts

    def cut(self) -> int | None:
        """Returns the length that 99.9 % of the lists do not exceed, where others do."""
        if getattr(self.feature, "max_length", 0) is not None or not self.lengths.any():
            return None
        longest = int(np.flatnonzero(self.lengths)[-1])
        kept = int(np.argmax(np.cumsum(self.lengths) >= _WHOLE * self.rows))
        if max(kept, 1) >= longest:
            return None
        logger.warning(
            "Lists of feature %r are cut after %s values: %s of %s rows have more, up to %s. "
            "Set max_length in its spec to keep more.",
            self.feature.name,
            max(kept, 1),
            f"{int(self.lengths[max(kept, 1) + 1 :].sum()):,}",
            f"{self.rows:,}",
            f"{longest:,}",
        )
        return max(kept, 1)

    def _counted(self, column: columns.Column) -> pa.ChunkedArray:
        """Returns the values to count: of a text, the tokens that it keeps."""
        values, lengths = encoding.tokens(self.feature, column)
        limit = getattr(self.feature, "max_length", None)
        if self.feature.kind == "text" and lengths is not None and lengths.max(initial=0) > limit:
            starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
            values = values.filter(pa.array(np.arange(len(starts)) - starts < limit))
        return values

    def finish(self) -> None:
        """Hands what was learned over."""
        name, statistic = self.feature.name, self.statistic
        if isinstance(statistic, ValueCounter):
            min_count, max_size = self.feature.min_count, self.feature.max_size  # type: ignore[union-attr]
            values, self.learned.counts[name] = statistic.ranked(min_count, max_size)
            self.learned.add_vocabulary(self.feature, values)
            self.learned.rare[name] = statistic.rare
            if not len(values):
                logger.warning("Feature %r has no known value: every value is unknown.", name)
        elif isinstance(statistic, IdCounter):
            self.learned.counts[name] = statistic.counts
        elif isinstance(statistic, Moments):
            count, mean, deviation = statistic.result()
            self.learned.moments[name] = (mean, 1 / deviation if deviation > 0 else 1.0)
            if not count:
                logger.warning("Feature %r has no number: its mean is taken as 0.", name)
        elif isinstance(statistic, QuantileSketch) and isinstance(self.feature, Numeric):
            whole = self.feature.normalize == "cdf"
            found = statistic.edges if whole else statistic.boundaries
            self.learned.boundaries[name] = found(self.feature.num_bins)
            if not statistic.count:
                logger.warning("Feature %r has no number: its quantiles are taken as 0.", name)
        elif isinstance(self.feature, Numeric) and self.feature.normalize == "log_squared":
            self.learned.boundaries[name] = log_squared_boundaries(self.feature.num_bins)


class _PairLearner(_Learner):
    """Learns the keys of attributes (place 0) or the tokens of their values (place 1)."""

    def __init__(self, feature: Attributes, place: int, learned: Learned) -> None:
        super().__init__((feature.key_feature, feature.value_feature)[place], learned)
        self.column, self._pairs, self._place = feature.name, feature, place

    def _read(self, table: pa.Table, first_row: int) -> columns.Column:
        return columns.read_pairs(table, self._pairs, first_row)[self._place]
