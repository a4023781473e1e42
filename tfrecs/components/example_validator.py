"""ExampleValidator: is a span of data what the schema says, and like the one before?"""

from collections.abc import Iterator
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from tfrecs.components.artifacts import ExampleAnomalies, ExampleStatistics, Schema
from tfrecs.components.component import Component, Output
from tfrecs.components.distances import compared
from tfrecs.components.pages import write_page
from tfrecs.components.schema_gen import common, kind_of, read_schema
from tfrecs.components.statistics_gen import read_statistics

FILE = "SchemaDiff.pb"
_TYPES = {"STRING": "BYTES", "INT": "INT", "FLOAT": "FLOAT"}
Finding = tuple[str, str, str]  # type of anomaly, short description, description


def example_validator(
    statistics: ExampleStatistics,
    schema: Schema,
    anomalies: Output[ExampleAnomalies],
    previous: ExampleStatistics | None = None,
    queries: ExampleStatistics | None = None,
    candidates: ExampleStatistics | None = None,
    *,
    drift_threshold: float = 0.1,
    skew_threshold: float = 0.1,
    max_missing: float = 0.05,
) -> None:
    """Is a span of data what the schema says, and like the one before?

    Per column: missing from data or schema, of another type, absent from more rows than
    `max_missing` though the schema saw it in all, values outside a closed list, numbers out of
    their range. Against `previous` (drift) and between the splits (skew): the L-infinity distance
    of the shares of values, the Jensen-Shannon divergence (base 2) of the distributions of numbers.
    Comparators of the schema go before the thresholds given here. Times are not compared.

    The anomalies are written whatever they are; components that take them refuse to work on data
    that is not blessed, with their text.

    Args:
        statistics: Of the events, by split.
        schema: What is expected.
        anomalies: Anomalies by split, the property `blessed`, and anomalies.html.
        previous: Statistics of an earlier span; `None` for none.
        queries: Statistics of the users.
        candidates: Statistics of the items.
        drift_threshold: Greatest distance to `previous`. Defaults to 0.1.
        skew_threshold: Greatest distance between splits. Defaults to 0.1.
        max_missing: Greatest share of rows without a value. Defaults to 0.05.
    """
    said = read_schema(schema)
    splits = statistics.properties["split_names"]
    datasets = {name: read_statistics(statistics, name) for name in splits}
    sides = [
        read_statistics(side, side.properties["split_names"][0])
        for side in (queries, candidates)
        if side is not None
    ]
    base = "train" if "train" in splits else splits[0]
    anomalies.path.mkdir(exist_ok=True)
    texts: list[str] = []
    drift: list[dict[str, Any]] = []
    for name, dataset in datasets.items():
        message = anomalies_pb2.Anomalies(baseline=said)
        for column, finding in _schema_anomalies(dataset, said, sides, max_missing):
            _add(message, column, finding)
        others = []
        if previous is not None and name in previous.properties["split_names"]:
            others.append(("drift", read_statistics(previous, name), drift_threshold))
        if name != base:
            others.append(("skew", datasets[base], skew_threshold))
        for sort, other, threshold in others:
            found = compared(dataset, other, said, sort, threshold)
            for row in found:
                _add_distance(message, row, sort)
            drift += [row | {"between": f"{sort}, {name}"} for row in found]
        folder = anomalies.path / f"Split-{name}"
        folder.mkdir()
        (folder / FILE).write_bytes(message.SerializeToString(deterministic=True))
        texts += [
            f"{column} ({name}): {info.description}"
            for column, info in sorted(message.anomaly_info.items())
        ]
    anomalies.properties |= {"blessed": int(not texts), "anomalies": texts}
    lines = [(text, True) for text in texts] or [("No anomalies.", False)]
    write_page(anomalies.path / "anomalies.html", "Anomalies", lines, datasets, drift)


ExampleValidator = Component(example_validator)


def require_blessed(anomalies: ExampleAnomalies | None) -> None:
    """Raises ValueError, with what was found, unless data are blessed; `None` is."""
    if anomalies is not None and not anomalies.properties["blessed"]:
        found = anomalies.properties["anomalies"]
        raise ValueError(
            f"The data have {len(found)} anomalies: {'; '.join(found)}. "
            f"Look at {anomalies.path / 'anomalies.html'}; mend the data, or change the schema."
        )


def _schema_anomalies(
    dataset: Any, schema: Any, sides: list[Any], max_missing: float
) -> Iterator[tuple[str, Finding]]:
    """Yields what is not as the schema says, by column."""
    there = {f.path.step[0]: f for part in (dataset, *sides) for f in part.features}
    own = {f.path.step[0] for f in dataset.features}
    said = {feature.name: feature for feature in schema.feature}
    known = {f.path.step[0] for side in sides for f in side.features}
    for name, feature in said.items():
        if name not in there and (sides or name not in known):
            yield name, ("SCHEMA_MISSING_COLUMN", "Column dropped", "the column is missing")
        elif name in there:
            yield from ((name, f) for f in _feature_anomalies(there[name], feature, max_missing))
    for name in sorted(own - set(said)):
        yield name, ("SCHEMA_NEW_COLUMN", "New column", "the schema has no such column")


def _feature_anomalies(feature: Any, said: Any, max_missing: float) -> Iterator[Finding]:
    kind, wanted = kind_of(feature), schema_pb2.FeatureType.Name(said.type)
    if _TYPES[kind] != wanted and not (kind == "INT" and wanted == "FLOAT"):
        text = f"type {_TYPES[kind]}, expected {wanted}"
        yield "UNEXPECTED_DATA_TYPE", "Unexpected data type", text
        return
    counts = common(feature)
    rows = counts.num_missing + counts.num_non_missing
    missing = counts.num_missing / max(rows, 1)
    if said.presence.min_fraction == 1.0 and missing > max_missing:
        text = f"missing values: {100 * missing:.2f} % of rows, at most {100 * max_missing:.2f} %"
        yield "FEATURE_TYPE_LOW_FRACTION_PRESENT", "Column dropped", text
    if said.HasField("string_domain") and said.string_domain.value and kind == "STRING":
        yield from _domain_anomalies(feature, said)
    elif kind != "STRING":
        yield from _range_anomalies(feature, said, kind)


def _domain_anomalies(feature: Any, said: Any) -> Iterator[Finding]:
    known = set(said.string_domain.value)
    buckets = feature.string_stats.rank_histogram.buckets
    total = sum(bucket.sample_count for bucket in buckets)
    new = {b.label: b.sample_count for b in buckets if b.label not in known}
    share = sum(new.values()) / max(total, 1)
    if share > 1 - said.distribution_constraints.min_domain_mass:
        shown = ", ".join(f"{value!r}" for value in list(new)[:5])
        text = (
            f"new values: {100 * share:.2f} % of values, such as {shown}; "
            f"at most {100 * (1 - said.distribution_constraints.min_domain_mass):.2f} %"
        )
        yield "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "Unexpected string values", text


def _range_anomalies(feature: Any, said: Any, kind: str) -> Iterator[Finding]:
    domain = said.int_domain if kind == "INT" and said.type == schema_pb2.INT else said.float_domain
    stats = feature.num_stats
    if domain.HasField("min") and stats.min < domain.min:
        text = f"out of range: least value {stats.min:g}, at least {domain.min:g}"
        yield f"{kind}_TYPE_SMALL_{kind}", "Out-of-range values", text
    if domain.HasField("max") and stats.max > domain.max:
        text = f"out of range: greatest value {stats.max:g}, at most {domain.max:g}"
        yield f"{kind}_TYPE_BIG_{kind}", "Out-of-range values", text
    infinite = sum(h.num_undefined for h in stats.histograms)
    if infinite and said.type == schema_pb2.FLOAT:
        text = f"infinite values: {infinite:g}, none expected"
        yield "FLOAT_TYPE_HAS_INF", "Infinite values", text


def _add(message: Any, column: str, finding: Finding) -> None:
    kind, short, text = finding
    info = message.anomaly_info[column]
    if not info.path.step:
        info.path.step.append(column)
        info.severity = anomalies_pb2.AnomalyInfo.ERROR
        info.short_description, info.description = short, text
    else:
        info.short_description = "Multiple errors"
        info.description += f"; {text}"
    number = anomalies_pb2.AnomalyInfo.Type.Value(kind)
    info.reason.add(type=number, short_description=short, description=text)


def _add_distance(message: Any, row: dict[str, Any], sort: str) -> None:
    """Adds a distance, and an anomaly where it is too great."""
    info = message.drift_skew_info.add()
    info.path.step.append(row["column"])
    places = info.drift_measurements if sort == "drift" else info.skew_measurements
    numbers = row["measure"] == "Jensen-Shannon divergence"
    kind = "JENSEN_SHANNON_DIVERGENCE" if numbers else "L_INFTY"
    type_of = anomalies_pb2.DriftSkewInfo.Measurement.Type.Value(kind)
    places.add(type=type_of, value=row["value"], threshold=row["threshold"])
    if row["value"] > row["threshold"]:
        of_whom = "the previous span" if sort == "drift" else "split train"
        text = (
            f"{sort} from {of_whom}: {row['measure']} {row['value']:.4f}, "
            f"at most {row['threshold']:g}{row['about']}"
        )
        _add(message, row["column"], (f"COMPARATOR_{kind}_HIGH", f"High {sort}", text))
