"""Bad input: an error that names the column, the row and what to do, or a documented place."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import FeatureTransform, columns
from tfrecs.spec import (
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


def _adapt(feature, *sources):
    return FeatureTransform(FeatureSpec((feature,))).adapt(*sources)


def _invalid(values):
    return pa.array(values, pa.binary()).view(pa.string())


def test_a_column_in_no_source_is_named_with_the_nearest():
    tables = pa.table({"user": ["a"]}), pa.table({"itm": [1]})
    with pytest.raises(ValueError, match=r"'item'.*\['itm', 'user'\].*Did you mean 'itm'"):
        _adapt(Categorical("item"), *tables)
    with pytest.raises(ValueError, match="`sources` must be tables"):
        _adapt(Categorical("item"))


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match=r"rows with column 'item'. Received: 'no rows'"):
        _adapt(Categorical("item"), pa.table({"item": pa.array([], pa.string())}))


@pytest.mark.parametrize("source", ["events.parquet", 3, np.zeros(3), None])
def test_a_source_of_another_kind_is_refused(source):
    with pytest.raises(TypeError, match=r"`source` must be a pa.Table, pa.RecordBatchReader"):
        _adapt(Categorical("item"), source)


def test_arrays_of_three_axes_are_refused():
    with pytest.raises(ValueError, match="`raw\\['item'\\]` must be of one or two axes"):
        _adapt(Categorical("item"), {"item": np.zeros((2, 2, 2))})
    rows = tf.data.Dataset.from_tensor_slices({"item": ["a", "b"]})
    with pytest.raises(ValueError, match=r"must be of one or two axes.*Batch the rows first"):
        _adapt(Categorical("item"), rows)


@pytest.mark.parametrize(
    "feature, values, message",
    [
        (Categorical("f"), [1, 2], "strings for Categorical.*'int64'.*Set dtype='int64'"),
        (Categorical("f", dtype="int64"), ["1"], "integers for .*Set dtype='string'"),
        (Categorical("f", dtype="int64"), [1.0], "integers for .*Cast the column to integers"),
        (Sequence("f"), ["a"], "lists for Sequence feature `f`.*'string'"),
        (MultiCategorical("f"), [[1]], "strings for MultiCategorical"),
        (Sequence("f", dtype="float32"), [["a"]], "lists of numbers for Sequence"),
        (Numeric("f"), ["a"], "numbers for Numeric"),
        (Numeric("f", normalize="quantile"), [b"a"], "numbers for Numeric"),
        (Text("f"), [["a"]], "strings for Text"),
        (Vector("f", dim=1), [1.0], "lists for Vector"),
        (Timestamp("f"), ["2020-01-01"], "integers, dates or timestamps for Timestamp"),
    ],
)
def test_columns_of_another_type_are_refused(feature, values, message):
    table = pa.table({"f": values})
    with pytest.raises(TypeError, match="`column f` must be " + message):
        _adapt(feature, table)


@pytest.mark.parametrize("normalize", ["none", "standard", "quantile"])
@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e300])
def test_infinite_numbers_are_named_with_their_row(normalize, value):
    feature = Numeric("price", normalize=normalize)
    good, bad = pa.table({"price": [1.0, 2.0]}), pa.table({"price": [0.0, None, value]})
    message = "`row 2 of column price` must be a finite number of float32's range"
    with pytest.raises(ValueError, match=message):
        _adapt(feature, good, bad)
    with pytest.raises(ValueError, match="`row 4 of column price`"):
        _adapt(feature, [good, bad])  # one source in two tables
    with pytest.raises(ValueError, match=message):
        _adapt(feature, good).encode(bad)


def test_infinite_numbers_in_lists_are_named_with_their_row():
    table = pa.table({"f": [[1.0, 2.0], [], [3.0, float("inf")]]})
    with pytest.raises(ValueError, match="`row 2 of column f` must be a finite number"):
        _adapt(Sequence("f", dtype="float32"), table)


def test_infinite_numbers_are_missing_in_the_graph():
    table = pa.table({"x": [1.0, 3.0], "q": [1.0, 3.0], "s": [[1.0], [2.0]], "v": [[1.0], [2.0]]})
    spec = FeatureSpec(
        (
            Numeric("x", normalize="standard"),
            Numeric("q", normalize="quantile"),
            Sequence("s", dtype="float32"),
            Vector("v", dim=1),
        )
    )
    infinite = float("inf")
    batch = FeatureTransform(spec).adapt(table)(
        {"x": [infinite], "q": [-infinite], "s": [[1.0, infinite, 2.0]], "v": [[infinite]]}
    )
    assert batch["x"].numpy().tolist() == [0.0]
    assert batch["q"].numpy().tolist() == [0]
    assert batch["s"].numpy().tolist() == [[1.0, 0.0, 2.0]]
    assert batch["s_mask"].numpy().tolist() == [[True, False, True]]
    assert batch["v"].numpy().tolist() == [[0.0]]


def test_invalid_utf8_is_named_with_its_row_when_adapting():
    message = r"`row 1 of column {}` must be valid UTF-8. Received: b'caf\\xe9'"
    for feature in (Categorical("f"), Text("f"), Categorical("f", hash_bins=3)):
        with pytest.raises(ValueError, match=message.format("f")):
            _adapt(feature, pa.table({"f": _invalid([b"ok", b"caf\xe9", None])}))
    lists = pa.ListArray.from_arrays([0, 0, 2], _invalid([b"ok", b"caf\xe9"]))
    with pytest.raises(ValueError, match=message.format("f")):
        _adapt(Sequence("f"), pa.table({"f": lists}))
    with pytest.raises(ValueError, match=message.format("f")):
        _adapt(Categorical("f"), {"f": np.array([b"ok", b"caf\xe9"], object)})


def test_invalid_utf8_is_unknown_afterwards_and_the_same_twice():
    spec = FeatureSpec((Categorical("a"), Categorical("b", hash_bins=50)))
    transform = FeatureTransform(spec).adapt(pa.table({"a": ["ok"], "b": ["ok"]}))
    bad = _invalid([b"ok", b"caf\xe9"])
    encoded = transform.encode(pa.table({"a": bad, "b": bad}))
    batch = transform({"a": [b"ok", b"caf\xe9"], "b": [b"ok", b"caf\xe9"]})
    assert encoded["a"].tolist() == batch["a"].numpy().tolist() == [2, 1]
    assert encoded["b"].tolist() == batch["b"].numpy().tolist()


def test_vectors_of_another_length_are_named_with_their_row():
    feature = Vector("image", dim=2)
    table = pa.table({"image": [[1.0, 2.0], None, [1.0, 2.0, 3.0]]})
    message = "`row 2 of column image` must be a vector of 2 numbers, or null. Received: '3 num"
    with pytest.raises(ValueError, match=message):
        _adapt(feature, table)
    transform = _adapt(feature, table.slice(0, 2))
    with pytest.raises(ValueError, match=r"`raw\['image'\]` must be of shape \(batch, 2\)"):
        transform({"image": np.zeros((4, 3), np.float32)})
    ragged = tf.ragged.constant([[1.0, 2.0], [], [3.0]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold vectors of 2 numbers"):
        transform({"image": ragged})
    assert transform({"image": ragged[:2]})["image"].numpy().tolist() == [[1, 2], [0, 0]]


def test_a_missing_column_or_key_is_named(spec, table, to_raw, adapted):
    transform = adapted
    with pytest.raises(ValueError, match="`table` must be a table with column 'user'"):
        transform.encode(table.drop_columns("user"))
    raw = to_raw(table, spec)
    del raw["user"], raw["age"]
    with pytest.raises(ValueError, match=r"`raw` must be a dict with.*Missing: user, age"):
        transform(raw)
    with pytest.raises(ValueError, match="Missing: device"):
        transform({"city": ["x"], "item": [1]}, features=["where"])
    with pytest.raises(KeyError, match="Did you mean 'user'"):
        transform.encode(table, features=["usr"])


@pytest.mark.parametrize(
    "name, value, error, message",
    [
        ("user", [1], TypeError, "string for Categorical feature `user`. Received: 'int32'"),
        ("item", [1.0], TypeError, "int64 for Categorical feature `item`. Received: 'float32'"),
        ("age", ["a"], TypeError, "float32 for Numeric feature `age`. Received: 'string'"),
        ("user", [None], TypeError, "must be string values.*A missing value is ''"),
        ("history", [["a"]], TypeError, "must be int64 values.*A missing value is -1"),
        ("user", [[["a"]]], ValueError, "must be of 1 axes, batch first, or 0 for a single row"),
        ("title", [["a"]], ValueError, "must be of 1 axes"),
        ("history", 3, ValueError, "must be of 2 axes, batch first, or 1 for a single row"),
    ],
)
def test_tensors_of_another_type_or_shape_are_refused(name, value, error, message, adapted):
    transform = adapted
    value = tf.constant(value) if error is ValueError else value
    with pytest.raises(
        error, match=rf"`raw\['{name}'\]` must be {message}".replace("be must ", "")
    ):
        transform({name: value}, features=[name])


def test_asking_for_what_a_feature_has_not(spec, table, adapted):
    transform = adapted
    with pytest.raises(ValueError, match="`name` must be a feature with a vocabulary"):
        transform.vocabulary("age")
    with pytest.raises(ValueError, match="`name` must be a feature with a vocabulary"):
        transform.counts("where")
    with pytest.raises(ValueError, match="`name` must be a feature that is not hashed"):
        transform.vocabulary("city")
    with pytest.raises(TypeError, match="`spec` must be a FeatureSpec"):
        FeatureTransform([Categorical("a")])
    with pytest.raises(TypeError, match="`feature` must be a feature with a column"):
        columns.read(table, Cross("c", features=("a", "b")))


@pytest.mark.parametrize("column", ["i", "s", "t"])
@pytest.mark.parametrize("kind", [float, bool])
@pytest.mark.parametrize("door", ["arrow", "tensors", "numpy", "lists"])
def test_no_door_takes_floats_or_booleans_for_ids(column, kind, door):
    spec = FeatureSpec(
        (
            Categorical("i", dtype="int64"),
            Sequence("s", "query", "int64", max_length=2),
            Timestamp("t"),
        )
    )
    rows = {"i": [1, 2], "s": [[1], [2]], "t": [1, 2]}
    transform = FeatureTransform(spec).adapt(pa.table(rows))
    wrong = np.array(rows[column]).astype(kind)
    given = {
        "arrow": lambda: transform.encode(pa.table({column: wrong.tolist()}), [column]),
        "tensors": lambda: transform(
            {**{k: tf.constant(v, tf.int64) for k, v in rows.items()}, column: tf.constant(wrong)}
        ),
        "numpy": lambda: transform({**{k: np.array(v) for k, v in rows.items()}, column: wrong}),
        "lists": lambda: transform({**rows, column: wrong.tolist()}),
    }
    with pytest.raises(TypeError, match=r"must be .*int.*Received: '(double|float|bool)"):
        given[door]()
