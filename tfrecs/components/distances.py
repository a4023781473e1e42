"""How far the distributions of two data sets are apart, told from their statistics."""

from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

_FEW = 100  # distinct numbers that are compared one by one
_BINS = 10


def l_infinity(
    mine: dict[str, float], other: dict[str, float], totals: tuple[float, float]
) -> tuple[float, str]:
    """Returns the greatest difference of the shares of a value, and that value.

    Args:
        mine: Counts by value; those of rare ones may be missing.
        other: Counts by value.
        totals: Of all values of each, the missing ones included.

    Example:

    >>> l_infinity({"a": 1, "b": 1}, {"a": 3, "b": 1}, (2, 4))
    (0.25, 'a')
    """
    shares = {
        value: abs(mine.get(value, 0) / totals[0] - other.get(value, 0) / totals[1])
        for value in {**mine, **other}
    }
    worst = min(shares, key=lambda value: (-shares[value], value), default="")
    return shares.get(worst, 0.0), worst


def jensen_shannon(mine: Any, other: Any) -> float:
    """Returns the Jensen-Shannon divergence in bits of two histograms, from 0 to 1.

    `JS = (KL(p | m) + KL(q | m)) / 2, m = (p + q) / 2`

    Args:
        mine: Shares of bins, float `(N,)`.
        other: Shares of the same bins.

    Example:

    >>> jensen_shannon([1.0, 0.0], [0.0, 1.0])
    1.0
    """
    p, q = np.asarray(mine, float), np.asarray(other, float)
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def divergence(part: np.ndarray) -> float:
        held = part > 0
        return float(part[held] @ np.log2(part[held] / middle[held]))

    return (divergence(p) + divergence(q)) / 2


def compared(
    dataset: Any, other: Any, schema: Any, sort: str, threshold: float
) -> list[dict[str, Any]]:
    """Returns the distance of each column that can be compared.

    Args:
        dataset: DatasetFeatureStatistics.
        other: What it is compared with.
        schema: The Schema, whose comparators go before `threshold`.
        sort: "drift" or "skew".
        threshold: Greatest distance.

    Returns:
        Rows of column, measure, value, threshold and about, a sentence.
    """
    said = {feature.name: feature for feature in schema.feature}
    others = {feature.path.step[0]: feature for feature in other.features}
    rows = []
    for feature in dataset.features:
        name = feature.path.step[0]
        if name not in said or name not in others or said[name].HasField("time_domain"):
            continue
        found = _distance(feature, others[name], said[name])
        if found is not None:
            measure, value, about = found
            comparator = getattr(said[name], f"{sort}_comparator")
            part = "infinity_norm" if measure == "L-infinity" else "jensen_shannon_divergence"
            own = comparator.HasField(part)
            limit = getattr(comparator, part).threshold if own else threshold
            rows.append(
                {
                    "column": name,
                    "measure": measure,
                    "value": value,
                    "threshold": limit,
                    "about": about,
                }
            )
    return rows


def _distance(feature: Any, other: Any, said: Any) -> tuple[str, float, str] | None:
    if feature.type != other.type:
        return None  # an anomaly of its own
    if feature.HasField("string_stats") or said.int_domain.is_categorical:
        mine, theirs = _shares(feature), _shares(other)
        if not mine or not theirs:
            return None
        totals = _total(feature), _total(other)
        value, worst = l_infinity(mine, theirs, totals)
        return "L-infinity", value, f" (value {worst!r})"
    bins = _aligned(feature, other)
    return None if bins is None else ("Jensen-Shannon divergence", jensen_shannon(*bins), "")


def _shares(feature: Any) -> dict[str, float]:
    """Returns counts of the values kept; those of ids, of which no value stands out, are empty."""
    histograms = [c.rank_histogram for c in feature.custom_stats if c.name == "values"]
    if feature.HasField("string_stats"):
        histograms = [feature.string_stats.rank_histogram]
    return {b.label: b.sample_count for h in histograms for b in h.buckets}


def _total(feature: Any) -> int:
    stats = feature.string_stats if feature.HasField("string_stats") else feature.num_stats
    return int(stats.common_stats.tot_num_values)


def _aligned(feature: Any, other: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the shares of both in the same bins: the values of few, else quantile ranges."""
    mine, theirs = _shares(feature), _shares(other)
    if mine and theirs and max(len(mine), len(theirs)) <= _FEW:
        values = sorted({**mine, **theirs})
        first, second = (np.array([c.get(v, 0) for v in values]) for c in (mine, theirs))
        return first, second
    found = [_quantiles(part) for part in (feature, other)]
    if any(len(edges) == 0 for edges in found):
        return None
    # the quantiles of one are bins of equal shares; how much of the other is in each
    edges = np.unique(np.concatenate(found))
    if len(edges) < 2:
        return None
    edges = edges[np.linspace(0, len(edges) - 1, min(len(edges), _BINS + 1)).astype(int)]
    return _in_bins(found[0], edges), _in_bins(found[1], edges)


def _quantiles(feature: Any) -> np.ndarray:
    for histogram in feature.num_stats.histograms:
        if histogram.type == statistics_pb2.Histogram.QUANTILES and histogram.buckets:
            highs = [bucket.high_value for bucket in histogram.buckets]
            return np.array([histogram.buckets[0].low_value, *highs])
    return np.zeros(0)


def _in_bins(quantiles: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns shares of bins, the shares between quantiles spread evenly."""
    distinct = np.unique(quantiles)
    ranks = (np.searchsorted(quantiles, distinct, side="right") - 1) / (len(quantiles) - 1)
    cumulative = np.interp(edges, distinct, ranks, left=0.0, right=1.0)
    cumulative[0] = 0.0
    return np.diff(cumulative)
