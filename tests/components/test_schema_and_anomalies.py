import numpy as np
import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from tfrecs.components.artifacts import ExampleAnomalies
from tfrecs.components.distances import jensen_shannon, l_infinity
from tfrecs.components.example_validator import example_validator, require_blessed
from tfrecs.components.examples import read_table
from tfrecs.components.schema_gen import read_schema, write_schema
from tfrecs.features import FeatureTransform
from tfrecs.spec import (
    Attributes,
    Categorical,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Timestamp,
    Vector,
)


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


def validate(tmp_path, statistics, schema, **given):
    anomalies = ExampleAnomalies(str(tmp_path / "anomalies"))
    example_validator(statistics, schema, anomalies, **given)
    return anomalies


def test_the_schema_of_events_says_kinds_and_roles(events, generate, infer_schema):
    _, statistics = generate(events)
    spec = FeatureSpec.from_schema(read_schema(infer_schema(statistics)))
    assert spec["user_id"] == Categorical("user_id", "query", is_id=True)
    assert spec["item_id"] == Categorical("item_id", "candidate", "int64", is_id=True)
    assert spec["clicked"] == Numeric("clicked", "label")
    assert spec["timestamp"] == Timestamp("timestamp", "time", "s")
    assert spec["price"] == Numeric("price", "context", normalize="standard")
    vocabulary = ("desk", "phone", "tablet")
    assert spec["device"] == Categorical("device", "context", vocabulary=vocabulary)
    assert spec["tags"] == MultiCategorical("tags", "context")


def test_tables_of_users_and_items_give_roles(events, generate, infer_schema):
    _, statistics = generate(events)
    users = pa.table({"user_id": [f"u_{i:03d}" for i in range(40)], "age": np.arange(40.0)})
    titles = [f"a film of the number {i}" for i in range(60)]
    items = pa.table({"item_id": np.arange(60), "title": titles})
    sides = [generate(side, splits={"all": 1})[1] for side in (users, items)]
    schema = infer_schema(statistics, queries=sides[0], candidates=sides[1])
    spec = FeatureSpec.from_schema(read_schema(schema))
    assert (spec.query_id.name, spec.candidate_id.name) == ("user_id", "item_id")
    assert (spec["age"].role, spec["title"].role) == ("query", "candidate")
    assert spec["title"].kind == "text"


def test_overrides_change_features_and_leave_columns_out(events, generate, infer_schema):
    _, statistics = generate(events)
    overrides = {
        "price": {"normalize": "quantile", "num_bins": 5},
        "tags": {"kind": "none"},
        "item_id": {"min_count": 2},
    }
    spec = FeatureSpec.from_schema(read_schema(infer_schema(statistics, overrides=overrides)))
    assert spec["price"].num_bins == 5
    assert "tags" not in spec
    assert spec["item_id"].min_count == 2
    with pytest.raises(ValueError, match=r"overrides.*Did you mean 'price'"):
        infer_schema(statistics, overrides={"prize": {}})
    with pytest.raises(ValueError, match="field of price"):
        infer_schema(statistics, overrides={"price": {"bins": 5}})


def test_a_day_like_the_first_has_no_anomalies(events, generate, infer_schema, tmp_path):
    _, statistics = generate(events)
    anomalies = validate(tmp_path, statistics, infer_schema(statistics), previous=statistics)
    assert anomalies.properties == {"blessed": 1, "anomalies": []}
    require_blessed(anomalies)
    require_blessed(None)
    assert "No anomalies" in (anomalies.path / "anomalies.html").read_text()


POISONS = {
    "missing column": (
        lambda t: t.drop_columns("price"),
        r"price \(train\): the column is missing",
        "SCHEMA_MISSING_COLUMN",
    ),
    "new column": (
        lambda t: t.append_column("colour", pa.array(["red"] * len(t))),
        r"colour \(train\): the schema has no such column",
        "SCHEMA_NEW_COLUMN",
    ),
    "another type": (
        lambda t: with_column(t, "price", t["price"].cast(pa.string())),
        r"price \(train\): type BYTES, expected FLOAT",
        "UNEXPECTED_DATA_TYPE",
    ),
    "nulls": (
        lambda t: with_column(
            t, "price", pa.array(t["price"].to_numpy(), mask=np.arange(len(t)) % 4 == 0)
        ),
        r"price \(train\): missing values: 2\d\.\d\d % of rows, at most 5\.00 %",
        "FEATURE_TYPE_LOW_FRACTION_PRESENT",
    ),
    "new categories": (
        lambda t: with_column(t, "device", pa.array(["fridge", "phone"] * (len(t) // 2))),
        r"device \(train\): new values: (49|5\d)\.\d\d % of values, such as 'fridge'",
        "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
    ),
    "out of range": (
        lambda t: with_column(t, "price", pa.array(t["price"].to_numpy() * 100)),
        r"price \(train\): out of range: greatest value .*, at most",
        "FLOAT_TYPE_BIG_FLOAT",
    ),
    "drift of numbers": (
        lambda t: with_column(t, "price", pa.array(t["price"].to_numpy() * 0.5 + 6)),
        r"price \(train\): drift from the previous span: Jensen-Shannon divergence 0\.\d+",
        "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH",
    ),
    "drift of categories": (
        lambda t: with_column(t, "device", pa.array(["desk", "desk", "phone", "desk"] * 500)),
        r"device \(train\): drift from the previous span: L-infinity 0\.\d+.*value 'desk'",
        "COMPARATOR_L_INFTY_HIGH",
    ),
    "swapped labels": (
        lambda t: with_column(t, "clicked", pa.array(1 - t["clicked"].to_numpy())),
        r"clicked \(train\): drift from the previous span: Jensen-Shannon divergence 0\.\d+",
        "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH",
    ),
}


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_day_is_refused_by_column_and_measure(
    poison, events, generate, infer_schema, tmp_path
):
    spoil, message, kind = POISONS[poison]
    _, before = generate(events)
    _, statistics = generate(spoil(events))
    anomalies = validate(tmp_path, statistics, infer_schema(before), previous=before)
    assert anomalies.properties["blessed"] == 0
    with pytest.raises(ValueError, match=message):
        require_blessed(anomalies)
    proto = anomalies_pb2.Anomalies()
    proto.ParseFromString((anomalies.path / "Split-train" / "SchemaDiff.pb").read_bytes())
    types = {r.type for info in proto.anomaly_info.values() for r in info.reason}
    assert anomalies_pb2.AnomalyInfo.Type.Value(kind) in types


def test_skew_between_splits_is_found(events, generate, infer_schema, tmp_path):
    half = np.arange(2_000) >= 1_000
    prices = np.where(half, 20.0, events["price"].to_numpy()).astype("float32")
    table = with_column(events, "price", pa.array(prices))
    _, statistics = generate(table, time="timestamp", splits={"train": 1, "eval": 1})
    anomalies = validate(tmp_path, statistics, infer_schema(statistics))
    assert any(
        text.startswith("price (eval): ") and "skew from split train" in text
        for text in anomalies.properties["anomalies"]
    )


def test_comparators_of_the_schema_go_before_the_thresholds(
    events, generate, infer_schema, tmp_path
):
    _, before = generate(events)
    shifted = pa.array(events["price"].to_numpy() * 0.5 + 6)
    _, statistics = generate(with_column(events, "price", shifted))
    schema = infer_schema(before)
    message = read_schema(schema)
    for feature in message.feature:
        feature.drift_comparator.jensen_shannon_divergence.threshold = 1.0
    write_schema(schema, message)
    anomalies = validate(tmp_path, statistics, schema, previous=before)
    assert anomalies.properties["blessed"] == 1


def test_rare_values_that_statistics_leave_out_are_no_skew(generate, infer_schema, tmp_path):
    """A quarter is "often", the rest 3,000 words; a rank histogram holds a thousand values."""
    words = ["often"] * 1_000 + [f"word {i}" for i in range(3_000)]
    order = np.random.default_rng(0).permutation(len(words))
    table = pa.table({"text": pa.array(words).take(pa.array(order))})
    _, statistics = generate(table, splits={"train": 9, "eval": 1})
    category = {"kind": "categorical", "vocabulary": None}
    schema = infer_schema(statistics, overrides={"text": category})
    anomalies = validate(tmp_path, statistics, schema, skew_threshold=0.1)
    assert anomalies.properties["anomalies"] == []


def test_distances_by_hand():
    # shares (1/2, 1/2) and (3/4, 1/4)
    assert l_infinity({"a": 1, "b": 1}, {"a": 3, "b": 1}, (2, 4)) == (0.25, "a")
    assert l_infinity({"a": 1}, {"b": 1}, (1, 1)) == (1.0, "a")
    assert jensen_shannon([0.5, 0.5], [0.5, 0.5]) == 0.0
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4):
    # (log2(4/3) + (log2(2/3) + log2(2)) / 2) / 2 = (0.41504 + 0.20752) / 2
    assert jensen_shannon([1.0, 0.0], [0.5, 0.5]) == pytest.approx(0.31128, abs=1e-5)


def test_vectors_and_pairs_pass_through_examples(events, generate, infer_schema):
    rows = events.num_rows
    photos = [[[i, 1.0], None, [2.0, i]][: i % 4] for i in range(rows)]
    facts = [[("brand", f"b{i % 5}"), ("size", None)][: i % 3] for i in range(rows)]
    events = events.append_column("photos", pa.array(photos, pa.list_(pa.list_(pa.float32()))))
    events = events.append_column("facts", pa.array(facts, pa.map_(pa.string(), pa.string())))
    examples, statistics = generate(events, splits={"train": 1})
    overrides = {
        "photos": {"kind": "vector", "dim": 2, "max_count": 3},
        "facts": {"kind": "attributes"},
        "price": {"normalize": "cdf", "num_bins": 4},
    }
    schema = infer_schema(statistics, overrides=overrides)
    spec = FeatureSpec.from_schema(read_schema(schema)).select("photos", "facts", "price")
    assert spec["photos"] == Vector("photos", "context", dim=2, max_count=3)
    assert spec["facts"] == Attributes("facts", "context")
    read = read_table(examples, "train")
    assert read.num_rows == rows
    encoded = FeatureTransform(spec).adapt(read).encode(read)
    again = FeatureTransform(spec).adapt(events).encode(events)
    where = np.argsort(read["timestamp"].to_numpy())  # minutes apart
    assert again["photos_mask"].any()
    for name, value in again.items():
        np.testing.assert_array_equal(encoded[name][where], value, err_msg=name)
