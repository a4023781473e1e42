"""Pages that draw statistics and anomalies: one HTML file each, without network or script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

_SHOWN = 8  # top values
_LONG = 40
_WIDE = 6  # rem of the longest bar


def write_statistics_page(path: Path, splits: Mapping[str, Any]) -> None:
    """Draws histograms, top values and missing values of every column, splits side by side.

    Args:
        path: The HTML file.
        splits: A DatasetFeatureStatisticsList by split.
    """
    train_first = sorted(splits, key=lambda name: (name != "train", name))
    datasets = {name: splits[name].datasets[0] for name in train_first}
    counts = ", ".join(f"{name}: {d.num_examples:,} rows" for name, d in datasets.items())
    write_page(path, "Statistics", [(counts, False)], datasets)


def write_page(
    path: Path,
    title: str,
    lines: Sequence[tuple[str, bool]],
    datasets: Mapping[str, Any],
    drift: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Writes a page.

    Args:
        path: The HTML file.
        title: Its heading.
        lines: Sentences below it, and whether they are bad news.
        datasets: DatasetFeatureStatistics by split, drawn side by side.
        drift: Rows of column, measure, between, value, threshold.
    """
    import jinja2

    source = (Path(__file__).parent / "pages.html").read_text()
    page = jinja2.Environment(autoescape=True).from_string(source)
    text = page.render(
        title=title,
        lines=[{"text": text, "bad": bad} for text, bad in lines],
        features=_features(datasets),
        drift=drift,
    )
    path.write_text(text, encoding="utf-8")


def _features(datasets: Mapping[str, Any]) -> list[dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    for split, dataset in datasets.items():
        for feature in dataset.features:
            named.setdefault(feature.path.step[0], {})[split] = feature
    return [_feature(name, by_split) for name, by_split in named.items()]


def _feature(name: str, by_split: Mapping[str, Any]) -> dict[str, Any]:
    kind = statistics_pb2.FeatureNameStatistics.Type
    columns = [_numbers(feature) for feature in by_split.values()]
    rows = list(dict.fromkeys(key for column in columns for key in column))
    return {
        "name": name,
        "type": kind.Name(next(iter(by_split.values())).type),
        "rows": [(row, [column.get(row, "") for column in columns]) for row in rows],
        "splits": [
            {
                "name": split,
                "bars": _bars(feature),
                "range": _range(feature),
                "top": _top(feature),
                "missing": round(_WIDE * _missing(feature), 2),
            }
            for split, feature in by_split.items()
        ],
    }


def _common(feature: Any) -> Any:
    return (
        feature.string_stats if feature.HasField("string_stats") else feature.num_stats
    ).common_stats


def _missing(feature: Any) -> float:
    """Returns the share of rows without a value."""
    common = _common(feature)
    return float(common.num_missing / max(common.num_missing + common.num_non_missing, 1))


def _range(feature: Any) -> str:
    return f"{feature.num_stats.min:,.6g} to {feature.num_stats.max:,.6g}"


def _numbers(feature: Any) -> dict[str, str]:
    texts = feature.HasField("string_stats")
    stats = feature.string_stats if texts else feature.num_stats
    common = _common(feature)
    rows = common.num_missing + common.num_non_missing
    found = {
        "rows": f"{rows:,}",
        "missing": f"{common.num_missing:,} ({100 * _missing(feature):.2f} %)",
    }
    if common.max_num_values > 1:
        found["values a row"] = f"{common.min_num_values} to {common.max_num_values}"
    if texts:
        return found | {"distinct": f"{stats.unique:,}", "mean length": f"{stats.avg_length:.1f}"}
    for custom in feature.custom_stats:
        if custom.name == "unique":
            found["distinct"] = f"{custom.num:,.0f}"
    values = {"mean": stats.mean, "deviation": stats.std_dev, "min": stats.min}
    values |= {"median": stats.median, "max": stats.max}
    return found | {key: f"{value:,.6g}" for key, value in values.items()}


def _bars(feature: Any) -> list[dict[str, Any]]:
    found = [h for h in feature.num_stats.histograms if h.type == statistics_pb2.Histogram.STANDARD]
    if not found:
        return []
    buckets = found[0].buckets
    highest = max(bucket.sample_count for bucket in buckets) or 1
    return [
        {
            "x": 10 * place,
            "height": round(38 * bucket.sample_count / highest, 2),
            "title": f"{bucket.low_value:.6g} to {bucket.high_value:.6g}: "
            f"{bucket.sample_count:,.0f}",
        }
        for place, bucket in enumerate(buckets)
    ]


def _top(feature: Any) -> list[dict[str, Any]]:
    best = feature.string_stats.top_values[:_SHOWN]
    highest = max((value.frequency for value in best), default=1)
    return [
        {
            "text": value.value if len(value.value) <= _LONG else value.value[: _LONG - 1] + "…",
            "count": f"{value.frequency:,.0f}",
            "width": round(_WIDE * value.frequency / highest, 2),
        }
        for value in best
    ]


def write_slices_page(
    path: Path, found: Mapping[str, Mapping[str, Mapping[str, float]]], metric: str
) -> None:
    """Draws a metric of every model by slice.

    Args:
        path: The HTML file.
        found: Values by slice, model and metric.
        metric: The metric.
    """
    import jinja2

    values = [own[metric] for models in found.values() for own in models.values()]
    highest = max((value for value in values if value > 0), default=1.0)
    slices = [
        {
            "name": name,
            "rows": [
                (model, f"{own[metric]:.4f}", round(30 * max(0.0, own[metric]) / highest, 2))
                for model, own in models.items()
            ],
        }
        for name, models in found.items()
    ]
    source = (Path(__file__).parent / "slices.html").read_text()
    page = jinja2.Environment(autoescape=True).from_string(source)
    path.write_text(page.render(metric=metric, slices=slices), encoding="utf-8")
