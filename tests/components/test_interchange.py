"""Artifacts are read as TFX's users read them: by TensorFlow and tensorflow-metadata alone.

Nothing of tfrecs reads here. Names of files and folders are TFX's own: `Split-<name>`,
`data_tfrecord-*-of-*.gz`, `FeatureStats.pb`, `schema.pbtxt`, `SchemaDiff.pb`.
"""

import statistics as python

import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from tfrecs.components.artifacts import ExampleAnomalies
from tfrecs.components.example_validator import example_validator

DTYPES = {
    schema_pb2.BYTES: tf.string,
    schema_pb2.INT: tf.int64,
    schema_pb2.FLOAT: tf.float32,
}


@pytest.fixture
def written(events, generate, infer_schema, tmp_path):
    """The folders of Examples, statistics, schema and anomalies, and the events without nulls."""
    examples, statistics = generate(events, splits={"train": 3, "eval": 1})
    schema = infer_schema(statistics)
    anomalies = ExampleAnomalies(str(tmp_path / "anomalies"))
    strange = events.set_column(5, "device", pa.array(["fridge"] * len(events)))
    _, other = generate(strange, splits={"train": 3, "eval": 1})
    example_validator(other, schema, anomalies)
    return examples.path, statistics.path, schema.path, anomalies.path


def feature_spec(schema):
    """Returns what `tf.io.parse_example` is given, as schema_utils of TFX makes it."""
    spec = {}
    for feature in schema.feature:
        dtype = DTYPES[feature.type]
        lists = feature.value_count.max > 1 or feature.value_count.max == 0
        spec[feature.name] = (
            tf.io.VarLenFeature(dtype) if lists else tf.io.FixedLenFeature([], dtype)
        )
    return spec


def read_schema(folder):
    return text_format.Parse((folder / "schema.pbtxt").read_text(), schema_pb2.Schema())


def rows_of(folder, split, spec):
    files = tf.io.gfile.glob(str(folder / f"Split-{split}" / "data_tfrecord-*-of-*.gz"))
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")
    yield from records.map(lambda record: tf.io.parse_single_example(record, spec))


def test_examples_are_parsed_by_the_schema_beside_them(written, events):
    examples, _, schema, _ = written
    spec = feature_spec(read_schema(schema))
    assert set(spec) == set(events.column_names)
    found = {}
    for split in ("train", "eval"):
        for row in rows_of(examples, split, spec):
            tags = [tag.decode() for tag in row.pop("tags").values.numpy()]
            read = {name: value.numpy() for name, value in row.items()}
            found[int(read["timestamp"])] = {**read, "tags": tags}
    assert len(found) == events.num_rows
    for given in events.to_pylist():
        mine = found[given["timestamp"]]
        assert mine["user_id"].decode() == given["user_id"]
        assert mine["device"].decode() == given["device"]
        assert (mine["item_id"], mine["clicked"]) == (given["item_id"], given["clicked"])
        assert mine["price"] == pytest.approx(given["price"])
        assert mine["tags"] == given["tags"]


def test_statistics_say_what_the_examples_hold(written):
    examples, folder, schema, _ = written
    spec = feature_spec(read_schema(schema))
    for split in ("train", "eval"):
        listed = statistics_pb2.DatasetFeatureStatisticsList.FromString(
            (folder / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        )
        (data,) = listed.datasets
        rows = list(rows_of(examples, split, spec))
        assert data.num_examples == len(rows)
        said = {(feature.name or feature.path.step[0]): feature for feature in data.features}
        assert set(said) == set(spec)
        prices = [float(row["price"]) for row in rows]
        numbers = said["price"].num_stats
        assert numbers.mean == pytest.approx(python.fmean(prices), rel=1e-5)
        assert numbers.std_dev == pytest.approx(python.pstdev(prices), rel=1e-4)
        assert (numbers.min, numbers.max) == pytest.approx((min(prices), max(prices)))
        assert numbers.common_stats.num_non_missing == len(rows)
        devices = python.mode(row["device"].numpy() for row in rows)
        text = said["device"].string_stats
        assert text.unique == 3
        assert text.top_values[0].value.encode() == devices
        assert sum(bucket.sample_count for bucket in text.rank_histogram.buckets) == len(rows)
        tags = said["tags"].string_stats.common_stats
        assert tags.tot_num_values == sum(len(row["tags"].values) for row in rows)


def test_a_schema_holds_what_tfx_asks_of_it(written):
    schema = read_schema(written[2])
    named = {feature.name: feature for feature in schema.feature}
    assert named["price"].type == schema_pb2.FLOAT
    assert named["item_id"].type == schema_pb2.INT
    device = named["device"]
    domains = {domain.name: domain for domain in schema.string_domain}
    domain = device.string_domain if device.HasField("string_domain") else domains[device.domain]
    assert sorted(domain.value) == ["desk", "phone", "tablet"]
    assert device.presence.min_fraction == 1.0


def test_anomalies_are_those_of_tensorflow_metadata(written):
    found = anomalies_pb2.Anomalies.FromString(
        (written[3] / "Split-train" / "SchemaDiff.pb").read_bytes()
    )
    info = found.anomaly_info["device"]
    assert info.severity == anomalies_pb2.AnomalyInfo.ERROR
    assert anomalies_pb2.AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES in {
        reason.type for reason in info.reason
    }
    assert "fridge" in info.description
