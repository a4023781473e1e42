"""Several vectors a row, shares of values, aligned lists, attributes: what is their own."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.features import (
    FeatureTransform,
    from_arrow,
    from_parquet,
    from_tfrecord,
    write_tfrecord,
)
from tfrecs.features.cdf import cdf, cdf_tensor
from tfrecs.features.expanding import expand_vocabulary
from tfrecs.features.statistics import QuantileSketch
from tfrecs.spec import (
    Attributes,
    Categorical,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Vector,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


def adapt(*features, **columns):
    return FeatureTransform(FeatureSpec(features)).adapt(pa.table(columns))


# shares of values


def test_shares_are_linear_between_edges_and_the_middle_of_a_jump():
    edges = np.float32([0, 1, 1, 3, 7])  # F = 0, 1/4 and 2/4, 3/4, 1
    values = np.float32([-9, 0, 0.5, 1, 2, 3, 5, 7, 8, np.nan])
    expected = [0, 0, 0.125, 0.375, 0.625, 0.75, 0.875, 1, 1, 0.5]
    assert cdf(edges, values).tolist() == expected
    assert cdf_tensor(edges, tf.constant(values)).numpy().tolist() == expected
    infinite = tf.constant([np.inf, -np.inf], tf.float32)
    assert cdf_tensor(edges, infinite).numpy().tolist() == [0.5, 0.5]


@settings(max_examples=60, deadline=None)
@given(st.lists(FLOATS, min_size=3, max_size=9), st.lists(FLOATS, min_size=1, max_size=9))
def test_shares_never_fall_stay_within_0_and_1_and_are_the_same_twice(edges, values):
    edges, values = np.sort(np.float32(edges)), np.sort(np.float32([*values, *edges]))
    shares = cdf(edges, values)
    assert (np.diff(shares) >= 0).all()
    assert shares[0] >= 0
    assert shares[-1] <= 1
    np.testing.assert_array_equal(cdf_tensor(edges, tf.constant(values)).numpy(), shares)
    alone = np.flatnonzero(np.bincount(np.unique(edges, return_inverse=True)[1]) == 1)
    for value in np.unique(edges)[alone]:
        place = np.flatnonzero(edges == value)[0] / (len(edges) - 1)
        assert cdf(edges, np.array([value])) == np.float32(place)


def test_edges_are_the_extremes_and_the_quantiles_between():
    sketch = QuantileSketch()
    for part in np.split(np.float32([5, 1, 3, 2, 4, 8, 7, 6, np.nan]), 3):
        sketch.update(part)
    assert sketch.edges(4).tolist() == [1, 3, 5, 7, 8]
    many = QuantileSketch()
    many.update(np.random.default_rng(0).permutation(100_000).astype(np.float32))
    assert many.edges(2)[[0, -1]].tolist() == [0, 99_999]  # which merging may have dropped


def test_shares_of_what_was_learned_are_uniform_and_survive_growth_and_saving(tmp_path):
    values = np.random.default_rng(0).lognormal(size=20_000).astype(np.float32)
    first = adapt(Numeric("x", normalize="cdf", num_bins=50), x=values)
    shares = first.encode(pa.table({"x": values}))["x"]
    heights = np.histogram(shares, 10, (0, 1))[0]
    # exact at the edges, so every tenth holds 2,000 but for the ends of bins
    assert np.abs(heights - 2_000).max() < 50
    grown = expand_vocabulary(first, pa.table({"x": values * 100}))
    grown.save(tmp_path / "f")
    again = FeatureTransform.load(tmp_path / "f")
    np.testing.assert_array_equal(again({"x": values})["x"], shares)
    assert again.spec["x"].size is None


def test_a_constant_column_is_0_below_the_middle_at_and_1_above(caplog):
    constant = adapt(Numeric("x", normalize="cdf"), x=[3.0, 3.0, None])
    assert constant({"x": [2.0, 3.0, 4.0]})["x"].numpy().tolist() == [0, 0.5, 1]
    assert "no number" not in caplog.text
    adapt(Numeric("x", normalize="cdf"), x=[None, None])
    assert "Feature 'x' has no number: its quantiles are taken as 0" in caplog.text


def test_lists_of_candidates_have_missing_shares_where_they_are_padded():
    transform = adapt(Numeric("x", normalize="cdf", num_bins=2), x=[0.0, 1.0, 2.0])
    encoded = transform.encode(pa.table({"x": [[0.0, 2.0], [1.0]]}))
    assert encoded["x"].tolist() == [[0, 1], [0.5, 0.5]]
    assert encoded["x_missing"].tolist() == [[False, False], [False, True]]
    batch = transform({"x": tf.ragged.constant([[0.0, 2.0], [1.0]])})
    np.testing.assert_array_equal(batch["x"], encoded["x"])
    np.testing.assert_array_equal(batch["x_missing"], encoded["x_missing"])


# aligned lists

SHOWN = (
    Sequence("shown", max_length=2),
    Sequence("prices", dtype="float32", max_length=2, aligned_with="shown"),
)


def test_lists_of_two_lengths_are_named_with_row_and_columns():
    good = pa.table({"shown": [["a", "b"], []], "prices": [[1.0, 2.0], None]})
    bad = pa.table({"shown": [["a"], ["a", "b"]], "prices": [[1.0], [1.0]]})
    message = "`row 1 of columns shown and prices` must be aligned lists of one length.*'2 and 1'"
    with pytest.raises(ValueError, match=message):
        adapt(*SHOWN, **dict(zip(bad.column_names, bad.columns, strict=True)))
    with pytest.raises(ValueError, match="`row 3 of columns shown and prices`"):
        FeatureTransform(FeatureSpec(SHOWN)).adapt([good, bad])
    transform = FeatureTransform(FeatureSpec(SHOWN)).adapt(good)
    with pytest.raises(ValueError, match=message):
        transform.encode(bad)
    longer = pa.table(
        {"shown": [[]], "prices": [[1.0]]},
        pa.schema([("shown", pa.list_(pa.string())), ("prices", pa.list_(pa.float32()))]),
    )
    with pytest.raises(ValueError, match="Received: '0 and 1'"):
        transform.encode(longer)


def test_tensors_that_do_not_fit_are_refused():
    transform = adapt(*SHOWN, shown=[["a", "b"]], prices=[[1.0, 2.0]])
    ragged = {
        "shown": tf.ragged.constant([["a", "b"], ["a"]]),
        "prices": tf.ragged.constant([[1.0], [1.0]]),
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be aligned lists of one length"):
        transform(ragged)
    padded = {"shown": np.array([["a"]]), "prices": np.float32([[1, np.nan]])}
    assert transform(padded)["prices"].numpy().tolist() == [[1.0]]  # padding is no value
    padded["prices"] = np.float32([[1, 2]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be aligned lists of one length"):
        transform(padded)


def test_ragged_and_padded_lists_may_stand_side_by_side():
    transform = adapt(*SHOWN, shown=[["a", "b"]], prices=[[1.0, 2.0]])
    raw = {
        "shown": np.array([["a", "b", ""], ["b", "", ""]]),
        "prices": tf.ragged.constant([[5.0, 6.0], [7.0]]),
    }
    batch = transform(raw)
    assert batch["prices"].numpy().tolist() == [[5, 6], [7, 0]]
    assert batch["prices_mask"].numpy().tolist() == batch["shown_mask"].numpy().tolist()


def test_a_follower_alone_needs_the_column_that_it_follows():
    transform = adapt(*SHOWN, shown=[["a", "b", "c"]], prices=[[1.0, 2.0, 3.0]])
    assert list(transform.raw_signature(["prices"])) == ["shown", "prices"]
    encoded = transform.encode(
        pa.table({"shown": [["a", "b", "c"]], "prices": [[1.0, 2, 3]]}), ["prices"]
    )
    assert list(encoded) == ["prices", "prices_mask"]
    assert encoded["prices"].tolist() == [[2.0, 3.0]]
    with pytest.raises(ValueError, match="Missing: shown"):
        transform({"prices": [[1.0]]}, ["prices"])


def test_a_value_missing_in_the_middle_is_masked_alone():
    transform = adapt(*SHOWN, shown=[["a", None]], prices=[[1.0, 2.0]])
    table = pa.table({"shown": [[None, "a"], ["a", "a"]], "prices": [[8.0, 9.0], [None, 4.0]]})
    encoded = transform.encode(table)
    assert encoded["shown_mask"].tolist() == [[False, True], [True, True]]
    assert encoded["prices"].tolist() == [[8, 9], [0, 4]]
    assert encoded["prices_mask"].tolist() == [[True, True], [False, True]]


# several vectors

PHOTOS = Vector("photos", dim=2, max_count=3)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float64())),
        pa.large_list(pa.list_(pa.float32(), 2)),
        pa.list_(pa.large_list(pa.int32())),
        pa.list_(pa.list_(pa.float16(), 2), 2),
    ],
)
def test_every_arrow_list_of_vectors_is_the_same(kind):
    rows = [[[1, 2], [3, 4]], None, [None, [5, 6]]]
    transform = adapt(PHOTOS, photos=pa.array(rows[:1], kind))
    encoded = transform.encode(pa.table({"photos": pa.array(rows, kind)}))
    assert encoded["photos"].tolist() == [[[1, 2], [3, 4]], [[0, 0]] * 2, [[0, 0], [5, 6]]]
    assert encoded["photos_mask"].tolist() == [[True, True], [False] * 2, [False, True]]
    (raw,) = from_arrow(pa.table({"photos": pa.array(rows, kind)}), 3, spec=transform.spec)
    np.testing.assert_array_equal(transform(raw)["photos"], encoded["photos"])


def test_vectors_of_another_length_are_named_with_their_row():
    kind = pa.list_(pa.list_(pa.float32()))
    bad = pa.array([[[1, 2]], [[1, 2], [1, 2, 3]]], kind)
    message = "`row {} of column photos` must be vectors of 2 numbers, or null. Received: '3 num"
    with pytest.raises(ValueError, match=message.format(1)):
        adapt(PHOTOS, photos=bad)
    with pytest.raises(ValueError, match=message.format(1)):
        from_arrow(pa.table({"photos": bad}), 2, spec=FeatureSpec((PHOTOS,)))
    infinite = pa.array([[[1, 2]], [[1, float("inf")]]], kind)
    with pytest.raises(ValueError, match="`row 1 of column photos` must be a finite number"):
        adapt(PHOTOS, photos=infinite)
    for other in ([[1.0, 2.0]], [1.0], [["a"]], [[["a", "b"]]]):
        with pytest.raises(
            TypeError, match="`column photos` must be lists of vectors of 2 numbers"
        ):
            adapt(PHOTOS, photos=other)


def test_tensors_of_vectors_are_read_in_every_form():
    transform = adapt(PHOTOS, photos=pa.array([[[1, 2]]], pa.list_(pa.list_(pa.float32()))))
    nested = [[[1.0, 2.0], [3.0, 4.0]], []]
    inner = tf.ragged.constant([[1.0, 2.0], []])
    for raw in (nested, tf.ragged.constant(nested, ragged_rank=1, inner_shape=(2,))):
        batch = transform({"photos": raw})
        assert batch["photos"].numpy().tolist() == [[[1, 2], [3, 4]], [[0, 0], [0, 0]]]
        assert batch["photos_mask"].numpy().tolist() == [[True, True], [False, False]]
    deep = tf.RaggedTensor.from_row_lengths(inner, [2, 0])
    assert transform({"photos": deep})["photos_mask"].numpy().tolist() == [[True], [False]]
    assert transform({"photos": [[1.0, 2.0]]})["photos"].shape == (1, 1, 2)  # a single row
    assert transform({"photos": [[], []]})["photos"].numpy().tolist() == [[[0, 0]], [[0, 0]]]
    with pytest.raises(ValueError, match=r"must be of shape \(batch, any, 2\)"):
        transform({"photos": np.zeros((1, 2, 3), np.float32)})
    wrong = tf.RaggedTensor.from_row_lengths(tf.ragged.constant([[1.0], [1.0, 2.0]]), [2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold lists of 2 values"):
        transform({"photos": wrong})
    with pytest.raises(ValueError, match="must be of 3 axes, batch first, or 2 for a single row"):
        transform({"photos": np.zeros(2, np.float32)})


def test_an_example_with_half_a_vector_is_refused():
    transform = adapt(PHOTOS, photos=pa.array([[[1, 2]]], pa.list_(pa.list_(pa.float32()))))
    listed = tf.train.Feature(float_list=tf.train.FloatList(value=[1.0, 2.0, 3.0]))
    example = tf.train.Example(features=tf.train.Features(feature={"photos": listed}))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold a multiple of 2 values"):
        transform.parse_example([example.SerializeToString()] * 2)


# attributes


def test_every_arrow_form_of_attributes_is_the_same():
    rows = [[("brand", "Acme"), ("size", "7")], [("brand", None), ("size", "8")]]
    text = pa.string()
    forms = {
        "map": pa.array(rows, pa.map_(text, text)),
        "large map": pa.array(rows, pa.map_(pa.large_string(), pa.large_string())),
        "structs": pa.array([[{"key": k, "value": v} for k, v in row] for row in rows]),
        "lists": pa.array([[list(pair) for pair in row] for row in rows]),
        "pairs": pa.array([[list(p) for p in row] for row in rows], pa.list_(pa.list_(text, 2))),
        "fields": pa.array([{"brand": "Acme", "size": 7}, {"brand": None, "size": 8}]),
        "binary": pa.array(
            [[[k.encode(), v and v.encode()] for k, v in row] for row in rows],
            pa.list_(pa.list_(pa.binary(), 2)),
        ),
    }
    for name, column in forms.items():
        transform = adapt(Attributes("facts"), facts=column)
        assert transform.vocabulary("facts").tolist() == ["7", "8", "acme"], name
        assert transform.vocabulary("facts_keys").tolist() == ["size", "brand"], name
        table = pa.table({"facts": column}).slice(1)  # slices keep their own rows
        assert transform.encode(table)["facts"].tolist() == [[[3]]], name
        assert transform.encode(table)["facts_keys"].tolist() == [[2]], name
        (raw,) = from_arrow(table, 1, spec=transform.spec)
        assert raw["facts"].to_list()[0][-1] == [b"size", b"8"], name


def test_values_that_are_no_text_are_read_as_their_text():
    column = pa.array([{"new": True, "count": 3, "weight": 0.5}, {"new": False, "count": None}])
    transform = adapt(Attributes("facts", keys=("weight", "new")), facts=column)
    assert sorted(transform.vocabulary("facts")) == ["0", "3", "5", "false", "true"]
    encoded = transform.encode(pa.table({"facts": column}))
    # fields in their order: new, count (no key that is known), weight; 0.5 is two tokens
    assert encoded["facts_keys"].tolist() == [[3, 1, 2], [3, 0, 0]]
    assert encoded["facts_mask"].sum(axis=2).tolist() == [[1, 1, 2], [1, 0, 0]]


def test_what_holds_no_attributes_is_refused():
    message = "`column facts` must be maps, lists of structs {key, value}"
    for column in (["a"], [["a"]], [[{"key": "a", "worth": "b"}]]):
        with pytest.raises(TypeError, match=message):
            adapt(Attributes("facts"), facts=column)
    with pytest.raises(TypeError, match="must be keys and values of text, numbers or booleans"):
        adapt(Attributes("facts"), facts=[{"colours": ["red", "blue"]}])
    with pytest.raises(ValueError, match=r"`row 1 of column facts` must be pairs.*'3 texts'"):
        adapt(Attributes("facts"), facts=[[["a", "b"]], [["a", "b", "c"]]])
    bad = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    struct = pa.StructArray.from_arrays([pa.array(["k"]), bad], ["key", "value"])
    with pytest.raises(ValueError, match="`row 0 of column facts` must be valid UTF-8"):
        adapt(Attributes("facts"), facts=pa.ListArray.from_arrays([0, 1], struct))


def test_keys_and_tokens_grow_with_new_rows(tmp_path):
    kind = pa.map_(pa.string(), pa.string())
    first = adapt(Attributes("facts"), facts=pa.array([[("brand", "acme")]], kind))
    new = pa.table({"facts": pa.array([[("colour", "deep red"), ("brand", "acme")]], kind)})
    grown = expand_vocabulary(first, new)
    grown.save(tmp_path / "f")
    again = FeatureTransform.load(tmp_path / "f")
    assert again.vocabulary("facts").tolist() == ["acme", "deep", "red"]
    assert again.vocabulary("facts_keys").tolist() == ["brand", "colour"]
    assert (again.spec["facts"].size, again.spec["facts"].num_keys) == (5, 4)
    closed = Attributes("facts", keys=("brand",), vocabulary=("acme",))
    shut = adapt(closed, facts=pa.array([[("brand", "acme")]], kind))
    assert expand_vocabulary(shut, new).spec["facts"] == shut.spec["facts"]


# all of them through every door

SPEC = FeatureSpec(
    (
        Categorical("user"),
        Sequence("history", max_length=3),
        Sequence("prices", dtype="float32", max_length=3, aligned_with="history"),
        MultiCategorical("tags", "candidate", max_length=2),
        MultiCategorical("sources", "candidate", max_length=2, aligned_with="tags"),
        Numeric("rank", normalize="cdf", num_bins=4),
        Vector("photos", dim=3, max_count=2),
        Attributes("facts", max_count=2, max_length=2),
    )
)
WORDS = st.sampled_from([None, "", "a", "b c", "É!", "x\ny", "a b c d"])
NUMBERS = st.one_of(st.none(), FLOATS)


def _rows_of(words, numbers):
    aligned = st.lists(st.tuples(words, numbers), max_size=5)
    vectors = st.lists(st.one_of(st.none(), st.lists(numbers, min_size=3, max_size=3)), max_size=4)
    return st.fixed_dictionaries(
        {
            "user": words,
            "bought": st.one_of(st.none(), aligned),
            "sourced": st.one_of(st.none(), st.lists(st.tuples(words, words), max_size=5)),
            "rank": numbers,
            "photos": st.one_of(st.none(), vectors),
            "facts": st.one_of(st.none(), st.lists(st.tuples(words, words), max_size=4)),
        }
    )


def _table(rows):
    def part(name, place):
        return [None if row[name] is None else [pair[place] for pair in row[name]] for row in rows]

    pair = pa.struct([("key", pa.string()), ("value", pa.string())])
    facts = [
        None if row["facts"] is None else [{"key": k, "value": v} for k, v in row["facts"]]
        for row in rows
    ]
    return pa.table(
        {
            "user": pa.array([row["user"] for row in rows], pa.string()),
            "history": pa.array(part("bought", 0), pa.list_(pa.string())),
            "prices": pa.array(part("bought", 1), pa.list_(pa.float32())),
            "tags": pa.array(part("sourced", 0), pa.list_(pa.string())),
            "sources": pa.array(part("sourced", 1), pa.list_(pa.string())),
            "rank": pa.array([row["rank"] for row in rows], pa.float32()),
            "photos": pa.array([r["photos"] for r in rows], pa.list_(pa.list_(pa.float32()))),
            "facts": pa.array(facts, pa.list_(pair)),
        }
    )


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    row = {
        "user": "a",
        "bought": [("a", 1.0), ("b c", 2.0)],
        "sourced": [("a", "b"), ("x\ny", "É!")],
        "rank": 1.0,
        "photos": [[1.0, 2.0, 3.0]],
        "facts": [("a", "b c"), ("É!", "a b")],
    }
    transform = FeatureTransform(SPEC).adapt(_table([row, row | {"rank": 5.0}]))
    return transform, tmp_path_factory.mktemp("doors")


@settings(max_examples=6, deadline=None)
@given(st.lists(_rows_of(WORDS, NUMBERS), min_size=1, max_size=4))
def test_every_door_gives_the_same(everywhere, rows):
    transform, folder = everywhere
    table = _table(rows)
    expected = transform.encode(table)
    pq.write_table(table, folder / "a.parquet")
    write_tfrecord(table, folder / "a.tfrecord", spec=SPEC)
    doors = {
        "arrow": from_arrow(table, len(rows), spec=SPEC),
        "parquet": from_parquet(folder / "a.parquet", len(rows), spec=SPEC),
        "tfrecord": from_tfrecord(folder / "a.tfrecord", SPEC, len(rows)),
    }
    for name, data in doors.items():
        (raw,) = data
        batch = transform(raw)
        assert list(batch) == list(expected)
        for key, value in expected.items():
            assert batch[key].dtype == value.dtype, (name, key)
            np.testing.assert_array_equal(batch[key], value, err_msg=f"{name} {key}")


def test_an_extra_row_changes_nothing_but_padding(everywhere):
    transform, _ = everywhere
    short = {"user": "a", "bought": [("a", 1.0)], "sourced": None, "rank": 3.0}
    short |= {"photos": [[1.0, None, 3.0]], "facts": [("a", "c")]}
    long = short | {"bought": [("b c", 2.0)] * 3, "photos": [[9.0] * 3] * 2}
    long |= {"facts": [("a", "b c"), ("a", "a")], "sourced": [("a", "b")] * 2}
    alone, beside = transform.encode(_table([short])), transform.encode(_table([short, long]))
    for key, value in alone.items():
        part = beside[key][:1][tuple(slice(0, n) for n in value.shape)]
        np.testing.assert_array_equal(part, value, err_msg=key)
        assert np.count_nonzero(beside[key][:1]) == np.count_nonzero(value), key


def test_the_spec_of_adapted_kinds_comes_back_from_json_and_schema(everywhere):
    spec = everywhere[0].spec
    assert FeatureSpec.from_json(json.dumps(json.loads(spec.to_json()))) == spec
    assert FeatureSpec.from_schema(spec.to_schema()) == spec
