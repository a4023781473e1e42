import numpy as np
import pyarrow as pa
import pytest

from tfrecs.components.accumulators import Column, Numbers, Values
from tfrecs.components.artifacts import ExampleStatistics
from tfrecs.components.statistics_gen import read_statistics, statistics_gen


def features(statistics, split="all"):
    dataset = read_statistics(statistics, split)
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_numbers_are_those_of_numpy(events, generate):
    _, statistics = generate(events, splits={"all": 1})
    price = events["price"].to_numpy()
    stats = features(statistics)["price"].num_stats
    assert stats.common_stats.num_non_missing == 2_000
    assert stats.mean == pytest.approx(price.mean(), rel=1e-5)
    assert stats.std_dev == pytest.approx(price.std(), rel=1e-5)
    assert (stats.min, stats.max) == (price.min(), price.max())
    assert stats.median == pytest.approx(np.median(price), rel=1e-2)
    standard, quantiles = stats.histograms
    counts, edges = np.histogram(price, 10)
    assert [b.sample_count for b in standard.buckets] == counts.tolist()
    assert standard.buckets[3].low_value == pytest.approx(edges[3])
    assert quantiles.buckets[9].low_value == pytest.approx(np.quantile(price, 0.9), rel=1e-2)


def test_texts_and_lists_are_counted(events, generate):
    _, statistics = generate(events, splits={"all": 1})
    device = features(statistics)["device"].string_stats
    counts = {v["values"]: v["counts"] for v in events["device"].value_counts().to_pylist()}
    assert device.unique == 3
    assert device.top_values[0].value == "phone"
    assert {v.value: v.frequency for v in device.top_values} == counts
    assert device.avg_length == pytest.approx(
        sum(len(value) * count for value, count in counts.items()) / 2_000
    )
    tags = features(statistics)["tags"].string_stats.common_stats
    # rows hold 0, 1, 2, 0, 1, 2, ... tags: 667 of 2,000 none, 667 one, 666 two
    assert (tags.num_missing, tags.num_non_missing) == (667, 1_333)
    assert (tags.min_num_values, tags.max_num_values, tags.tot_num_values) == (1, 2, 667 + 2 * 666)


def test_missing_values_are_counted(generate):
    table = pa.table({"a": ["x", None, None, "y"], "b": pa.array([1.0, None, 0.0, 4.0])})
    _, statistics = generate(table, splits={"all": 1})
    found = features(statistics)
    assert found["a"].string_stats.common_stats.num_missing == 2
    assert found["b"].num_stats.common_stats.num_missing == 1
    assert found["b"].num_stats.num_zeros == 1
    page = (statistics.path / "statistics.html").read_text()
    assert 'class="share lost" style="width:3.0rem"' in page  # half of 6
    assert "all, 0 to 4" in page


def test_integers_carry_the_counts_of_their_values(events, generate):
    _, statistics = generate(events, splits={"all": 1})
    item = features(statistics)["item_id"]
    custom = {c.name: c for c in item.custom_stats}
    assert custom["unique"].num == 60
    assert sum(b.sample_count for b in custom["values"].rank_histogram.buckets) == 2_000


def test_splits_are_apart_and_a_page_draws_them(events, generate):
    _, statistics = generate(events)
    rows = [read_statistics(statistics, split).num_examples for split in ("train", "eval")]
    assert sum(rows) == 2_000
    page = (statistics.path / "statistics.html").read_text()
    assert "device" in page
    assert "<svg" in page
    assert "http" not in page


def test_beam_counts_what_the_local_driver_counts(events, generate, tmp_path):
    pytest.importorskip("apache_beam")
    examples, statistics = generate(events, rows_per_shard=500)
    other = ExampleStatistics(str(tmp_path / "beam"))
    options = ["--direct_num_workers=1", "--direct_running_mode=in_memory"]
    statistics_gen(examples, other, runner="beam", beam_options=options)
    assert read_statistics(other, "train") == read_statistics(statistics, "train")


def test_merged_numbers_are_as_those_of_one_pass():
    values = np.random.default_rng(0).normal(5.0, 2.0, 50_000)
    whole, merged = Numbers(), Numbers()
    whole.update(values)
    for part in np.array_split(values, 7):
        other = Numbers()
        other.update(part)
        merged.merge(other)
    assert merged.count == 50_000
    assert merged.mean == pytest.approx(values.mean())
    assert merged.deviation == pytest.approx(values.std())
    assert len(merged.points) <= 2 * 4_096
    ranks = np.searchsorted(np.sort(values), merged.quantiles(10)[1:-1]) / 50_000
    assert ranks == pytest.approx(np.arange(1, 10) / 10, abs=0.005)


def test_infinite_numbers_are_counted_apart():
    numbers = Numbers()
    numbers.update(np.array([1.0, np.inf, np.nan, 3.0]))
    assert (numbers.count, numbers.infinite, numbers.mean) == (2, 1, 2.0)


def test_integers_that_hardly_repeat_are_not_counted():
    column = Column("int64", lists=False)
    for start in range(0, 200_000, 50_000):
        column.update(pa.chunked_array([np.arange(start, start + 50_000)]))
    assert column.values.given_up
    assert column.numbers.high == 199_999


def test_above_a_million_values_the_frequent_ones_stay_and_distinct_ones_are_estimated():
    values = Values()
    for start in range(0, 1_500_000, 250_000):
        texts = pa.array(np.arange(start, start + 250_000)).cast(pa.string())
        values.update(pa.chunked_array([texts, pa.array(["often"] * 10_000)]))
    values.settle()
    assert len(values.counts) <= 1 << 20
    assert values.ranked(1) == [("often", 60_000)]
    assert values.unique == pytest.approx(1_500_001, rel=0.03)
