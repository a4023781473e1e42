"""Counts, moments and quantiles of a stream: exact where said, bounded where said."""

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.features import FeatureTransform, statistics
from tfrecs.features.statistics import Moments, QuantileSketch, ValueCounter
from tfrecs.spec import FeatureSpec, Numeric


def _cut(values, rng):
    """Cuts values at random places."""
    places = np.sort(rng.integers(0, len(values), 40))
    return np.split(values, places)


def test_moments_are_exact_far_from_zero_and_in_any_cut():
    values = np.random.default_rng(0).normal(1e6, 1.0, 300_000).astype(np.float32)
    values[::7] = np.nan
    results = set()
    for seed in range(3):
        moments = Moments()
        for part in _cut(values, np.random.default_rng(seed)):
            moments.update(part)
        results.add(moments.result())
    assert len(results) == 1  # equal to the last bit
    count, mean, deviation = results.pop()
    known = values[~np.isnan(values)].astype(np.float64)
    assert count == len(known)
    assert mean == pytest.approx(known.mean(), rel=1e-12)
    assert deviation == pytest.approx(known.std(), rel=1e-9)  # naive sums of squares lose all of it


def test_moments_of_nothing_and_of_one_value():
    moments = Moments()
    assert moments.result() == (0, 0.0, 0.0)
    moments.update(np.array([np.nan, 3.0], np.float32))
    assert moments.result() == (1, 3.0, 0.0)


def test_quantiles_of_few_values_are_exact():
    sketch = QuantileSketch()
    sketch.update(np.array([4, 1, 3, 2, 5, 8, 7, 6], np.float32))
    assert sketch.boundaries(4).tolist() == [3, 5, 7]  # bins [1 2] [3 4] [5 6] [7 8]
    assert sketch.boundaries(2).tolist() == [5]
    assert QuantileSketch().boundaries(3).tolist() == [0, 0]


@pytest.mark.parametrize("order", ["random", "sorted", "alternating"])
def test_quantiles_of_many_values_are_off_by_less_than_the_stated_rank(order):
    size = 1_000_000
    values = np.arange(size, dtype=np.float64)
    if order == "random":
        np.random.default_rng(1).shuffle(values)
    if order == "alternating":
        values = np.stack([values[: size // 2], values[::-1][: size // 2]], 1).ravel()
    boundaries = []
    for seed in range(2):
        sketch = QuantileSketch()
        for part in _cut(values, np.random.default_rng(seed)):
            sketch.update(part)
        boundaries.append(sketch.boundaries(100))
        held = sum(len(b) for b in sketch._levels if b is not None)
        assert held <= 7 * statistics._SKETCH  # log2(1e6 / 16384) = 6 levels and the last
    np.testing.assert_array_equal(*boundaries)  # the cut does not matter
    error = np.abs(boundaries[0] - np.arange(1, 100) * size / 100) / size
    assert error.max() < np.log2(size / statistics._SKETCH) / (2 * statistics._SKETCH)  # 0.018 %


def test_counting_merges_as_it_goes(monkeypatch):
    monkeypatch.setattr(statistics, "_MERGE", 10)
    rng = np.random.default_rng(0)
    values = rng.integers(0, 40, 3_000)
    counter = ValueCounter("int64")
    for part in _cut(values, rng):
        counter.update(pa.chunked_array([part]))
        assert counter._pending <= 80  # twice the distinct values, or the last table
    known, counts = counter.ranked(1, None)
    expected = np.bincount(values, minlength=40)
    order = np.lexsort([np.arange(40), -expected])
    assert known.to_pylist() == order.tolist()
    assert counts.tolist() == [0, 0, *expected[order]]


def test_counts_fall_into_bins_of_their_squared_logarithm():
    spec = FeatureSpec((Numeric("count", normalize="log_squared", num_bins=12),))
    counts = [None, -3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 1e6]
    table = pa.table({"count": counts})
    transform = FeatureTransform(spec).adapt(table)
    # below -1, -1, 0, 1, 2; then floor(ln(3)^2) = 1, floor(ln(4)^2) = 1, 2, 5, and the last bin
    expected = [0, 2, 3, 4, 5, 6, 8, 8, 9, 12, 13]
    assert transform.encode(table)["count"].tolist() == expected
    raw = {"count": np.array([np.nan, *counts[1:]], "float32")}
    assert transform(raw)["count"].numpy().tolist() == expected
    assert transform.spec["count"].size == 14
