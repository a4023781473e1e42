"""A table with every kind of feature and every kind of missing value, and its raw tensors."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import FeatureTransform
from tfrecs.features.raw import inner_width, is_list, missing_raw, raw_dtype
from tfrecs.spec import (
    Attributes,
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Timestamp,
    Vector,
)


def pairs(**values):
    return [{"key": key, "value": value} for key, value in values.items()]


@pytest.fixture(scope="session")
def spec():
    return FeatureSpec(
        (
            Categorical("user", is_id=True),
            Categorical("item", "candidate", dtype="int64", is_id=True),
            Categorical("city", "context", hash_bins=7),
            Categorical("page", "context", dtype="int64", hash_bins=5),
            Categorical("device", "context", vocabulary=("phone", "desk")),
            MultiCategorical("tags", "candidate", max_length=2),
            Sequence("history", dtype="int64", shared_with="item", max_length=3),
            Sequence("dwell", dtype="float32", max_length=3),
            Sequence("prices", dtype="float32", max_length=3, aligned_with="history"),
            Sequence("actions", max_length=3, aligned_with="history"),
            MultiCategorical("sources", "candidate", max_length=2, aligned_with="tags"),
            Numeric("age", normalize="standard"),
            Numeric("price", "candidate", normalize="quantile", num_bins=3),
            Numeric("rank", "candidate", normalize="cdf", num_bins=2),
            Numeric("label", "label"),
            Text("title", max_length=3),
            Vector("image", dim=2),
            Vector("photos", dim=2, max_count=2),
            Attributes("facts", max_count=2, max_length=2),
            Timestamp("when", unit="ms"),
            Cross("where", features=("city", "device", "item"), hash_bins=50),
        )
    )


@pytest.fixture(scope="session")
def table():
    return pa.table(
        {
            "user": ["b", "a", None, "é\n", "b"],
            "item": [1, 2, 3, None, 3],
            "city": ["x", "y", "x", None, ""],
            "page": [10, None, 11, 10, -1],
            "device": ["desk", "phone", "toaster", None, "desk"],
            "tags": [["x", "y", "x"], None, [], ["z", None, "x"], [""]],
            "history": [[1, 2, 3, 9], [None, 3], [3, None], None, []],
            "dwell": [[1.0, 2, 3, 4], [None, 2], [], None, [5.0]],
            "prices": [[0.1, 0.2, 0.3, 0.9], [0.5, None], None, None, []],
            "actions": [["v", "c", "v", "b"], ["v", None], ["c", "b"], [], []],
            "sources": [["p", "q", None], None, [], ["r", "s", "t"], ["u"]],
            "rank": [0, 2, None, 4, 8],
            "age": [20.0, 40.0, None, 30.0, float("nan")],
            "price": [1, 2, 3, 4, None],
            "label": [True, False, True, False, True],
            "title": ["Hello, World!", "Ünder ÇA", None, "", "a b c don't"],
            "image": pa.array([[1, 2], None, [3, 4], [5, None], [0, 1]], pa.list_(pa.float32())),
            "photos": pa.array(
                [[[1, 2], [3, 4], [5, 6]], None, [None, [1, None]], [[7, 8], None], []],
                pa.list_(pa.list_(pa.float32())),
            ),
            "facts": pa.array(
                [
                    pairs(brand="Acme, Inc", title="Red red shoe", more="left out"),
                    None,
                    pairs(brand=None, colour="RED"),
                    [],
                    [{"key": None, "value": "no key"}, *pairs(brand="acme")],
                ],
                pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])),
            ),
            "when": [1500, -1500, None, 3000, 0],
        }
    )


@pytest.fixture(scope="session")
def adapted(spec, table):
    """A transform that no test changes."""
    return FeatureTransform(spec).adapt(table)


@pytest.fixture(scope="session")
def to_raw():
    """Returns a function from a table to raw tensors, lists ragged or padded."""

    def convert(table, spec, ragged=True):
        raw = {}
        for feature in spec:
            if feature.name not in table.column_names:
                continue
            dtype = raw_dtype(feature)
            missing = missing_raw(dtype)
            rows = table[feature.name].to_pylist()
            width = inner_width(feature)
            if width is not None:
                raw[feature.name] = _nested(feature.name, rows, width, dtype, ragged)
                continue
            if feature.kind == "vector":
                rows = [row or [None] * feature.dim for row in rows]
            if not is_list(feature):
                raw[feature.name] = _tensor([missing if r is None else r for r in rows], dtype)
                continue
            rows = [[missing if v is None else v for v in row or []] for row in rows]
            flat = _tensor([value for row in rows for value in row], dtype)
            value = tf.RaggedTensor.from_row_lengths(flat, [len(row) for row in rows])
            dense = not ragged or feature.kind == "vector"
            shape = (None, feature.dim) if feature.kind == "vector" else None
            raw[feature.name] = value.to_tensor(missing, shape=shape) if dense else value
        return raw

    return convert


def _nested(name, rows, width, dtype, ragged):
    """Returns rows of lists, ragged or padded with missing ones."""
    missing = missing_raw(dtype)
    rows = [[list(one.values()) if isinstance(one, dict) else one for one in r or []] for r in rows]
    rows = [[[missing if v is None else v for v in o or [None] * width] for o in r] for r in rows]
    most = max(map(len, rows), default=0)
    lengths = [len(row) for row in rows]
    if not ragged:
        rows = [row + [[missing] * width] * (most - len(row)) for row in rows]
    flat = [value for row in rows for one in row for value in one]
    flat = tf.reshape(_tensor(flat, dtype), [-1, width])
    if ragged:
        return tf.RaggedTensor.from_row_lengths(flat, lengths)
    return tf.reshape(flat, [len(rows), most, width])


def _tensor(values, dtype):
    if dtype == tf.string:
        values = [v if isinstance(v, bytes) else v.encode() for v in values]
        return tf.constant(np.array(values, object), tf.string)
    return tf.constant(np.array(values, dtype.as_numpy_dtype), dtype)


@pytest.fixture(scope="session")
def assert_same():
    """Returns a function that compares batches exactly: keys, dtypes, shapes, values."""

    def compare(one, two):
        assert list(one) == list(two)
        for name in one:
            left, right = np.asarray(one[name]), np.asarray(two[name])
            assert left.dtype == right.dtype, name
            np.testing.assert_array_equal(left, right, err_msg=name)

    return compare
