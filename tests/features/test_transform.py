"""FeatureTransform on a table small enough to work out by hand."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import FeatureTransform
from tfrecs.spec import Categorical, Cross, FeatureSpec, MultiCategorical, Numeric, Sequence

EXPECTED = {
    # b twice, then by value: a, é\n
    "user": [2, 3, 0, 4, 2],
    # 3 twice, then 1, 2
    "item": [3, 4, 2, 0, 2],
    # the vocabulary given, in its order; toaster is unknown
    "device": [3, 2, 1, 0, 3],
    # x three times, then y, z; sets leave missing values out and keep the first two
    "tags": [[2, 3], [0, 0], [0, 0], [4, 2], [0, 0]],
    "tags_mask": [[1, 1], [0, 0], [0, 0], [1, 1], [0, 0]],
    # item's ids, the last three: [2, 3, 9]; a missing value keeps its place, one at the end ends
    "history": [[4, 2, 1], [0, 2, 0], [2, 0, 0], [0, 0, 0], [0, 0, 0]],
    "history_mask": [[1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]],
    "dwell": [[2, 3, 4], [0, 2, 0], [0, 0, 0], [0, 0, 0], [5, 0, 0]],
    "dwell_mask": [[1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]],
    # mean 30, deviation sqrt((100 + 100 + 0) / 3)
    "age": [-10 / (200 / 3) ** 0.5, 10 / (200 / 3) ** 0.5, 0, 0, 0],
    # bins [1], [2], [3, 4]
    "price": [2, 3, 4, 4, 0],
    "label": [1, 0, 1, 0, 1],
    # at the places of the history kept: of [2, 3, 9], [None, 3] and [3]
    "prices": [[0.2, 0.3, 0.9], [0.5, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
    "prices_mask": [[1, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
    # v three times, then b, c
    "actions": [[4, 2, 3], [2, 0, 0], [4, 0, 0], [0, 0, 0], [0, 0, 0]],
    "actions_mask": [[1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]],
    # of the tags kept: p, q of x, y; r, t of z, x
    "sources": [[2, 3], [0, 0], [0, 0], [4, 6], [0, 0]],
    "sources_mask": [[1, 1], [0, 0], [0, 0], [1, 1], [0, 0]],
    # edges 0, 4, 8
    "rank": [0, 0.25, 0.5, 0.5, 1],
    "rank_missing": [0, 0, 1, 0, 0],
    "photos": [[[1, 2], [3, 4]], [[0, 0]] * 2, [[0, 0], [1, 0]], [[7, 8], [0, 0]], [[0, 0]] * 2],
    "photos_mask": [[1, 1], [0, 0], [0, 1], [1, 0], [0, 0]],
    # red three times, then acme, inc; the first two tokens of the first two pairs
    "facts": [[[3, 4], [2, 2]], [[0, 0]] * 2, [[2, 0], [0, 0]], [[0, 0]] * 2, [[3, 0], [0, 0]]],
    "facts_mask": [
        [[1, 1], [1, 1]],
        [[0, 0]] * 2,
        [[1, 0], [0, 0]],
        [[0, 0]] * 2,
        [[1, 0], [0, 0]],
    ],
    # brand twice, then colour, title
    "facts_keys": [[2, 4], [0, 0], [3, 0], [0, 0], [2, 0]],
    "title_mask": [[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]],
    "image": [[1, 2], [0, 0], [3, 4], [5, 0], [0, 1]],
    # floor(-1.5) = -2
    "when": [1, -2, -1, 3, 0],
}


def test_batch_is_what_hand_arithmetic_says(spec, table, to_raw, adapted):
    transform = adapted
    batch = transform(to_raw(table, spec))
    for name, expected in EXPECTED.items():
        np.testing.assert_allclose(batch[name], expected, rtol=1e-6, err_msg=name)
    # one token each but for a, b, c, don't -> don, t: cut to the first three
    assert transform.vocabulary("title").tolist() == [
        *("a", "b", "c", "hello", "world", "ça", "ünder")
    ]
    assert batch["title"].numpy().tolist()[:2] == [[5, 6, 0], [8, 7, 0]]
    assert batch["user"].dtype == tf.int32
    assert batch["when"].dtype == tf.int64


def test_hashed_ids_are_those_of_to_hash_bucket_fast(spec, table, to_raw, adapted):
    batch = adapted(to_raw(table, spec))
    city = tf.strings.to_hash_bucket_fast(["x", "y", "x"], 7).numpy() + 2
    assert batch["city"].numpy().tolist() == [*city, 0, 0]
    ten, eleven = tf.strings.to_hash_bucket_fast(["10", "11"], 5).numpy() + 2
    assert batch["page"].numpy().tolist() == [ten, 0, eleven, ten, 0]
    crossed = tf.strings.to_hash_bucket_fast(
        [f"{batch['city'][i]}_{batch['device'][i]}_{batch['item'][i]}" for i in range(3)], 50
    )
    assert batch["where"].numpy().tolist() == [*(crossed.numpy() + 2), 0, 0]


def test_sizes_vocabularies_and_counts(spec, adapted):
    transform = adapted
    sizes = {f.name: f.size for f in transform.spec if getattr(f, "size", None) is not None}
    assert sizes == {
        "user": 5,
        "item": 5,
        "city": 9,
        "page": 7,
        "device": 4,
        "tags": 5,
        "history": 5,
        "actions": 5,
        "sources": 8,
        "facts": 5,
        "price": 5,
        "title": 9,
        "where": 52,
    }
    assert transform.spec["facts"].num_keys == 5
    assert transform.vocabulary("facts").tolist() == ["red", "acme", "inc"]
    assert transform.vocabulary("facts_keys").tolist() == ["brand", "colour", "title"]
    assert transform.counts("facts").tolist() == [0, 0, 3, 2, 1]
    assert transform.counts("facts_keys").tolist() == [0, 0, 2, 1, 1]
    assert transform.vocabulary("user").tolist() == ["b", "a", "é\n"]
    assert transform.vocabulary("history").tolist() == [3, 1, 2]
    assert transform.counts("user").tolist() == [1, 0, 2, 1, 1]  # missing, unknown, b, a, é\n
    assert transform.counts("history").tolist() == [1, 0, 2, 1, 1]  # item's, its own not counted
    assert transform.counts("device").tolist() == [1, 1, 1, 2]
    assert transform.counts("city").sum() == 5
    assert transform.counts("tags").tolist() == [2, 0, 3, 1, 1]


def test_min_count_and_max_size_send_the_rare_to_unknown():
    table = pa.table({"a": list("zzzyyxxw"), "b": list("zzzyyxxw")})
    spec = FeatureSpec((Categorical("a", min_count=2), Categorical("b", max_size=2)))
    transform = FeatureTransform(spec).adapt(table)
    assert transform.vocabulary("a").tolist() == ["z", "x", "y"]  # x and y tie: by value
    assert transform.vocabulary("b").tolist() == ["z", "x"]
    assert transform.counts("a").tolist() == [0, 1, 3, 2, 2]
    assert transform.counts("b").tolist() == [0, 3, 3, 2]  # y twice, w once
    assert transform.encode(table)["b"].tolist() == [2, 2, 2, 1, 1, 3, 3, 1]


def test_features_learn_from_every_source_that_has_their_column():
    events = pa.table({"user": ["a", "a"], "item": ["x", "y"]})
    items = pa.table({"item": ["z", "x"], "price": [1.0, 3.0]})
    spec = FeatureSpec((Categorical("user"), Categorical("item"), Numeric("price")))
    transform = FeatureTransform(spec).adapt(events, items)
    assert transform.vocabulary("item").tolist() == ["x", "y", "z"]
    assert transform.counts("item").tolist() == [0, 0, 2, 1, 1]


def test_any_source_in_any_cut_teaches_the_same(spec, table, to_raw, assert_same, adapted):
    whole = adapted
    raw = to_raw(table, spec)
    sources = {
        "record batches": table.to_reader(max_chunksize=2),
        "slices": [table.slice(0, 1), table.slice(1)],
        "record batch": table.combine_chunks().to_batches()[0],
        "dict of columns": {name: table[name] for name in table.column_names},
        "dict of tensors": dict(raw),
        "dataset": tf.data.Dataset.from_tensor_slices(raw).batch(2),
        "dataset with labels": tf.data.Dataset.from_tensor_slices((raw, [0] * 5)).batch(3),
    }
    for name, source in sources.items():
        other = FeatureTransform(spec).adapt(source)
        assert other.spec == whole.spec, name
        assert_same(other.encode(table), whole.encode(table))
        for feature in ("user", "item", "city", "tags", "title", "facts", "facts_keys"):
            np.testing.assert_array_equal(other.counts(feature), whole.counts(feature))


def test_numpy_arrays_and_lists_are_a_source():
    spec = FeatureSpec((Categorical("a"), Categorical("n", dtype="int64"), Sequence("h")))
    transform = FeatureTransform(spec).adapt(
        {
            "a": np.array(["x", "y", "x"]),
            "n": np.array([5, 5, -1], np.int32),
            "h": [["p"], [], ["q", "q"]],
        },
        {"a": np.array([b"x", b""]), "n": [7, None], "h": np.array([["p", ""], ["r", "p"]])},
    )
    assert transform.vocabulary("a").tolist() == ["x", "y"]
    assert transform.counts("a").tolist() == [1, 0, 3, 1]
    assert transform.vocabulary("n").tolist() == [5, 7]
    assert transform.counts("n").tolist() == [2, 0, 2, 1]
    assert transform.vocabulary("h").tolist() == ["p", "q", "r"]


def test_ragged_padded_and_single_rows_give_the_same(spec, table, to_raw, assert_same, adapted):
    transform = adapted
    ragged = transform(to_raw(table, spec))
    assert_same(transform(to_raw(table, spec, ragged=False)), ragged)
    for row in range(len(table)):
        single = transform({k: v[row] for k, v in to_raw(table, spec).items()})
        one = transform.encode(table.slice(row, 1))
        assert_same(single, one)


def test_python_lists_are_read_as_the_spec_says(adapted):
    transform = adapted
    raw = {"user": ["a", "zzz"], "history": [[1, 2], []], "label": [1, 0], "title": ["World"]}
    batch = transform(raw, features=list(raw))
    assert batch["user"].numpy().tolist() == [3, 1]
    assert batch["history"].numpy().tolist() == [[3, 4], [0, 0]]
    assert batch["label"].dtype == tf.float32
    assert batch["title"].numpy().tolist() == [[6]]
    assert transform({"user": []}, features=["user"])["user"].shape == (0,)


def test_no_rows_at_all_pass(spec, table, to_raw, assert_same, adapted):
    transform = adapted
    empty = table.slice(0, 0)
    for ragged in (True, False):
        assert_same(transform(to_raw(empty, spec, ragged)), transform.encode(empty))
    assert transform.encode(empty)["history"].shape == (0, 1)


def test_a_feature_of_nothing_but_nulls_is_all_unknown(caplog):
    spec = FeatureSpec(
        (
            Categorical("a"),
            Categorical("n", dtype="int64"),
            Numeric("x", normalize="standard"),
            Numeric("q", normalize="quantile"),
        )
    )
    nulls = pa.table({"a": [None, ""], "n": [None, -1], "x": [None, None], "q": [None, None]})
    transform = FeatureTransform(spec).adapt(nulls)
    assert "Feature 'a' has no known value" in caplog.text
    assert "Feature 'x' has no number" in caplog.text
    assert transform.spec["a"].size == 2
    raw = {"a": ["", "b"], "n": [-1, 3], "x": [2.0, float("nan")], "q": [2.0, float("nan")]}
    batch = {name: value.numpy().tolist() for name, value in transform(raw).items()}
    assert batch["a"] == batch["n"] == [0, 1]
    assert batch["x"] == [2.0, 0.0]
    assert batch["q"][1] == 0


def test_lists_of_candidates_keep_their_second_axis(assert_same):
    table = pa.table({"item": [["a", "b", None], ["c"]], "price": [[1.0, 2.0, None], [4.0]]})
    context = pa.table({"country": ["nl", "be"]})
    spec = FeatureSpec(
        (
            Categorical("item", "candidate"),
            Categorical("country"),
            Numeric("price", "candidate"),
            Cross("both", features=("country", "item")),
        )
    )
    known = {"item": ["a", "b", "c"], "price": [1.0, 2.0, 4.0]}
    transform = FeatureTransform(spec).adapt(known, context)
    raw = {
        "item": [["a", "b", ""], ["c", "", ""]],
        "price": [[1.0, 2.0, float("nan")], [4.0, float("nan"), float("nan")]],
        "country": ["nl", "be"],
    }
    batch = transform({name: np.array(value) for name, value in raw.items()})
    assert batch["item"].numpy().tolist() == [[2, 3, 0], [4, 0, 0]]
    assert batch["price"].numpy().tolist() == [[1, 2, 0], [4, 0, 0]]
    assert (batch["both"].numpy() > 0).tolist() == [[True, True, False], [True, False, False]]
    assert_same(transform.encode(table.append_column("country", context["country"])), batch)


def test_transform_runs_in_a_dataset_and_leaves_other_keys_alone(
    spec, table, to_raw, assert_same, adapted
):
    transform = adapted
    raw = to_raw(table, spec) | {"something": tf.zeros(5)}
    data = tf.data.Dataset.from_tensor_slices(raw).batch(5).map(transform)
    assert_same(next(iter(data)), transform.encode(table))
    some = transform({"user": ["b"], "city": ["x"]}, features=["city"])
    assert list(some) == ["city"]


def test_a_cross_needs_its_parts_and_returns_only_itself(spec, table, to_raw, adapted):
    transform = adapted
    parts = ["city", "device", "item"]
    assert list(transform.raw_signature(["where"])) == parts
    raw = to_raw(table, spec)
    batch = transform({name: raw[name] for name in parts}, features=["where"])
    assert list(batch) == ["where"]


def test_examples_parse_into_raw_tensors_and_lack_what_is_missing(adapted):
    transform = adapted

    def feature(value):
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], str):
            return tf.train.Feature(bytes_list={"value": [v.encode() for v in values]})
        if isinstance(values[0], float):
            return tf.train.Feature(float_list={"value": values})
        return tf.train.Feature(int64_list={"value": values})

    row = {
        "user": "b",
        "history": [1, 2],
        "tags": ["x"],
        "age": 20.0,
        "image": [1.0, 2.0],
        "photos": [1.0, 2.0, 3.0, 4.0],
        "facts": ["brand", "Acme", "title", "unheard of"],
        "when": 1500,
    }
    example = tf.train.Example(
        features={"feature": {name: feature(value) for name, value in row.items()}}
    )
    for serialized in ([example.SerializeToString()], example.SerializeToString()):
        batch = transform(transform.parse_example(serialized))
        assert batch["user"].numpy().tolist() == [2]
        assert batch["history"].numpy().tolist() == [[3, 4]]
        assert batch["tags"].numpy().tolist() == [[2]]
        assert batch["image"].numpy().tolist() == [[1.0, 2.0]]
        assert batch["photos"].numpy().tolist() == [[[1.0, 2.0], [3.0, 4.0]]]
        assert batch["facts_keys"].numpy().tolist() == [[2, 4]]
        assert batch["facts"].numpy().tolist() == [[[3, 0], [1, 1]]]
        assert batch["prices"].shape == batch["history"].shape
        assert not batch["prices_mask"].numpy().any()
        assert batch["when"].numpy().tolist() == [1]
        assert batch["title_mask"].numpy().tolist() == [[False]]
        assert batch["item"].numpy().tolist() == batch["price"].numpy().tolist() == [0]


def test_signature_names_dtypes_and_shapes(adapted):
    signature = adapted.raw_signature(["user", "prices", "image", "photos", "facts"])
    assert signature == {
        "user": tf.TensorSpec((None,), tf.string, "user"),
        "history": tf.TensorSpec((None, None), tf.int64, "history"),
        "prices": tf.TensorSpec((None, None), tf.float32, "prices"),
        "image": tf.TensorSpec((None, 2), tf.float32, "image"),
        "photos": tf.TensorSpec((None, None, 2), tf.float32, "photos"),
        "facts": tf.TensorSpec((None, None, 2), tf.string, "facts"),
    }


def test_adapting_again_forgets():
    transform = FeatureTransform(FeatureSpec((MultiCategorical("tags"),)))
    transform.adapt(pa.table({"tags": [["a"]]}))
    transform.adapt(pa.table({"tags": [["b"], ["b"]]}))
    assert transform.vocabulary("tags").tolist() == ["b"]
    assert transform.counts("tags").tolist() == [0, 0, 2]


def test_an_unadapted_transform_says_what_to_call(spec):
    with pytest.raises(RuntimeError, match="Call `adapt\\(table\\)` first"):
        FeatureTransform(spec).spec  # noqa: B018
