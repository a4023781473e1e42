"""StatisticsGen: statistics of every column and split, as TFDV and Facets read them, and a page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from tfrecs.components import examples as io
from tfrecs.components.accumulators import Column
from tfrecs.components.artifacts import Examples, ExampleStatistics, damaged
from tfrecs.components.component import Component, Output
from tfrecs.components.driver import drive
from tfrecs.components.pages import write_statistics_page
from tfrecs.features.arrow import Layout

FILE = "FeatureStats.pb"
_BINS = 10
_TOP = 20
RANKED = 1_000  # values of a rank histogram
_TYPES = {"string": "STRING", "int64": "INT", "float32": "FLOAT"}


def statistics_gen(
    examples: Examples,
    statistics: Output[ExampleStatistics],
    *,
    runner: str = "local",
    beam_options: list[str] = [],  # noqa: B006 read alone
) -> None:
    """Statistics of every column and split, as TFDV and Facets read them, and a page.

    Counts, missing values, moments and extremes are exact. Quantiles are, up to 8,192 distinct
    numbers, and near it above. Counts of values are, up to 2^20 distinct ones; then the rarer half
    is dropped, and the number of distinct values is an estimate. So memory is bounded: some 50
    bytes a distinct value and 130 KB a column of numbers, for each process.

    Args:
        examples: What is counted.
        statistics: A DatasetFeatureStatisticsList a split, and statistics.html.
        runner: "local" or "beam". Defaults to "local".
        beam_options: Options of the Beam pipeline.
    """
    columns = io.read_columns(examples)
    parts = [(split, path) for split in io.splits(examples) for path in io.shards(examples, split)]
    work = partial(count_shard, columns=columns)
    size = sum(path.stat().st_size for _, path in parts)
    statistics.path.mkdir(parents=True, exist_ok=True)
    paths = [path for _, path in parts]
    counted = drive(work, paths, runner, beam_options, size=size, scratch=statistics.path)
    messages = {}
    for split in io.splits(examples):
        found = [c for (name, _), c in zip(parts, counted, strict=True) if name == split]
        messages[split] = to_proto(split, columns, merged(found))
        file = statistics.path / f"Split-{split}" / FILE
        file.parent.mkdir()
        file.write_bytes(messages[split].SerializeToString(deterministic=True))
    statistics.properties |= {
        "split_names": sorted(messages),
        "span": examples.properties.get("span"),
    }
    write_statistics_page(statistics.path / "statistics.html", messages)


StatisticsGen = Component(statistics_gen)


def count_shard(path: Path, columns: Sequence[Layout]) -> list[Column]:
    """Returns what is known of each column of a shard."""
    counted = [Column(c.dtype, c.lists or c.width is not None) for c in columns]
    for table in io.read_shard(path, columns, batch_size=65_536):
        for column, values in zip(counted, table.columns, strict=True):
            column.update(values)
    for column in counted:
        column.values.settle()
    return counted


def merged(shards: Sequence[list[Column]]) -> list[Column]:
    """Returns what is known of each column of all shards."""
    first, *others = shards
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            mine.merge(theirs)
    return first


def to_proto(split: str, columns: Sequence[Layout], counted: Sequence[Column]) -> Any:
    """Returns a DatasetFeatureStatisticsList of one data set."""
    message = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = message.datasets.add(name=split, num_examples=max(c.rows for c in counted))
    for layout, column in zip(columns, counted, strict=True):
        kind = statistics_pb2.FeatureNameStatistics.Type.Value(_TYPES[layout.dtype])
        feature = dataset.features.add(type=kind)
        feature.path.step.append(layout.name)
        texts = layout.dtype == "string"
        of_kind = feature.string_stats if texts else feature.num_stats
        _common(of_kind.common_stats, column)
        if texts:
            _strings(feature.string_stats, column)
            words = column.values.words / max(column.values.total, 1)
            feature.custom_stats.add(name="average_words", num=words)
        else:
            _numbers(feature.num_stats, column)
        if layout.dtype == "int64" and not column.values.given_up:
            feature.custom_stats.add(name="unique", num=column.values.unique)
            histogram = feature.custom_stats.add(name="values").rank_histogram
            _ranks(histogram, column.values.ranked(RANKED))
    return message


def _common(common: Any, column: Column) -> None:
    common.num_missing = column.missing
    common.num_non_missing = column.rows - column.missing
    common.tot_num_values = column.total
    if column.total:
        common.min_num_values, common.max_num_values = column.least, column.most
        common.avg_num_values = column.total / common.num_non_missing


def _strings(stats: Any, column: Column) -> None:
    values = column.values
    stats.unique = values.unique
    stats.avg_length = values.bytes / max(values.total, 1)
    best = values.ranked(RANKED)
    for value, count in best[:_TOP]:
        stats.top_values.add(value=value, frequency=count)
    _ranks(stats.rank_histogram, best)


def _ranks(histogram: Any, best: list[tuple[str, int]]) -> None:
    for rank, (value, count) in enumerate(best):
        histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)


def _numbers(stats: Any, column: Column) -> None:
    numbers = column.numbers
    if not numbers.count:
        return
    stats.mean, stats.std_dev, stats.num_zeros = numbers.mean, numbers.deviation, numbers.zeros
    stats.min, stats.max = numbers.low, numbers.high
    stats.median = float(numbers.quantiles(2)[1])
    standard = stats.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    standard.num_undefined = numbers.infinite
    edges = np.linspace(numbers.low, numbers.high, _BINS + 1)
    counts = np.histogram(numbers.points, edges, weights=numbers.weights)[0]
    quantiles = stats.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
    bounds = numbers.quantiles(_BINS)
    for bin in range(_BINS):
        low, high = edges[bin : bin + 2]
        standard.buckets.add(low_value=low, high_value=high, sample_count=counts[bin])
        low, high = bounds[bin : bin + 2]
        share = numbers.count / _BINS
        quantiles.buckets.add(low_value=low, high_value=high, sample_count=share)


def read_statistics(statistics: ExampleStatistics, split: str) -> Any:
    """Returns the DatasetFeatureStatistics of a split."""
    message = statistics_pb2.DatasetFeatureStatisticsList()
    with damaged(statistics.path / f"Split-{split}" / FILE) as file:
        message.ParseFromString(file.read_bytes())
        return message.datasets[0]
