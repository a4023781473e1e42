"""The graph and the Arrow encoding agree exactly, on random tables of every kind."""

import random

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import FeatureTransform
from tfrecs.features.layout import dense
from tfrecs.features.raw import inner_width
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Text

ALPHABET = [*"abcXYZ 019.,;'\"-_+$#\t\n\r\\/", "É", "ß", "İ", "Σ", "漢", "🙂", "\u200d", "\x00"]


def _text(rng, most=4):
    return "".join(rng.choices(ALPHABET, k=rng.randint(0, most)))


def _random_table(spec, rows, seed):
    """Columns of `rows` rows: nulls, missing values, repeats, lists of any length."""
    rng = random.Random(seed)
    words = [_text(rng) for _ in range(30)]
    draw = {
        "string": lambda: rng.choice([*words, None, ""]),
        "int64": lambda: rng.choice([None, -1, rng.randint(-5, 9), rng.randint(-(2**62), 2**62)]),
        "float32": lambda: rng.choice([None, float("nan"), rng.gauss(0, 1e3), rng.randint(-3, 3)]),
    }
    dtypes = {"numeric": "float32", "text": "text", "vector": "float32", "timestamp": "int64"}
    dtypes["attributes"] = "text"
    draw["text"] = lambda: rng.choice([None, _text(rng, 40)])
    arrow = {"string": pa.string(), "int64": pa.int64(), "float32": pa.float32()}
    columns = {}
    for feature in spec:
        if feature.kind == "cross":
            continue
        dtype = dtypes.get(feature.kind) or feature.dtype
        kind = arrow.get(dtype, pa.string())
        if inner_width(feature) is not None:
            columns[feature.name] = _random_lists(rng, feature, rows, draw)
            continue
        if feature.kind == "vector":
            values = [
                rng.choice([None, [draw[dtype]() for _ in range(feature.dim)]]) for _ in range(rows)
            ]
        elif getattr(feature, "aligned_with", None) is not None:
            others = columns[feature.aligned_with].to_pylist()
            values = [rng.choice([None, [draw[dtype]() for _ in r or []]]) for r in others]
        elif feature.kind in ("sequence", "multi_categorical"):
            values = [
                rng.choice([None, [draw[dtype]() for _ in range(rng.randint(0, 6))]])
                for _ in range(rows)
            ]
        else:
            values = [draw[dtype]() for _ in range(rows)]
        lists = feature.kind in ("vector", "sequence", "multi_categorical")
        columns[feature.name] = pa.array(values, pa.list_(kind) if lists else kind)
    return pa.table(columns)


def _random_lists(rng, feature, rows, draw):
    """Lists of vectors or of pairs of texts, some of them missing."""
    if feature.kind == "vector":
        kind = pa.list_(pa.float32())
        one = lambda: rng.choice([None, [draw["float32"]() for _ in range(feature.dim)]])  # noqa: E731
    else:
        kind = pa.struct([("key", pa.string()), ("value", pa.string())])
        one = lambda: {"key": draw["string"](), "value": draw["text"]()}  # noqa: E731
    values = [rng.choice([None, [one() for _ in range(rng.randint(0, 4))]]) for _ in range(rows)]
    return pa.array(values, pa.list_(kind))


@pytest.mark.parametrize("seed", range(4))
def test_encode_equals_the_graph_on_random_tables(spec, to_raw, assert_same, seed):
    transform = FeatureTransform(spec).adapt(_random_table(spec, 60, seed))
    table = _random_table(spec, 40, seed + 100)  # other words too: unknown ones
    encoded = transform.encode(table)
    graph = tf.function(lambda raw: transform(raw))
    assert_same(graph(to_raw(table, spec)), encoded)
    assert_same(graph(to_raw(table, spec, ragged=False)), encoded)
    for name in ("user", "tags", "history", "title", "facts"):
        assert encoded[name].max() < transform.spec[name].size


def test_tables_in_chunks_and_slices_encode_like_whole_ones(spec, assert_same):
    table = _random_table(spec, 50, 3)
    transform = FeatureTransform(spec).adapt(table)
    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])
    assert_same(transform.encode(pieces), transform.encode(table))
    part = transform.encode(table.slice(11, 13))
    for name in ("user", "age", "when", "where"):
        np.testing.assert_array_equal(part[name], transform.encode(table)[name][11:24])


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
        pa.binary(),
        pa.large_binary(),
    ],
)
def test_every_arrow_type_of_text_is_the_same_text(kind, assert_same):
    spec = FeatureSpec((Categorical("a"), Categorical("b", hash_bins=9), Text("c")))
    plain = pa.array(["x y", "é", None, "", "x y", "zz"])
    table = pa.table({"a": plain, "b": plain, "c": plain})
    other = pa.table({name: plain.cast(kind) for name in ("a", "b", "c")})
    chunked = pa.concat_tables([other.slice(0, 2), other.slice(2)])
    transform = FeatureTransform(spec).adapt(table)
    again = FeatureTransform(spec).adapt(chunked)
    assert transform.vocabulary("c").tolist() == again.vocabulary("c").tolist()
    np.testing.assert_array_equal(transform.counts("b"), again.counts("b"))
    assert_same(transform.encode(chunked), transform.encode(table))
    assert_same(again.encode(table), transform.encode(table))


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint16(), pa.int32(), pa.dictionary(pa.int8(), pa.int32())]
)
def test_every_arrow_type_of_integer_is_the_same_integer(kind, assert_same):
    spec = FeatureSpec((Categorical("a", dtype="int64"), Sequence("b", dtype="int64")))
    plain = pa.array([3, 1, None, 3, 100])
    table = pa.table({"a": plain, "b": [[3], [], None, [1, 1], [2]]})
    transform = FeatureTransform(spec).adapt(table)
    indices = pa.array([0, 1, None, 0, 2], pa.int8())
    other = (
        pa.DictionaryArray.from_arrays(indices, pa.array([3, 1, 100], pa.int32()))
        if pa.types.is_dictionary(kind)
        else plain.cast(kind)
    )
    assert_same(transform.encode(table.set_column(0, "a", other)), transform.encode(table))


@pytest.mark.parametrize("kind", [pa.large_list(pa.string()), pa.list_(pa.string(), 2)])
def test_every_arrow_list_is_the_same_list(kind, assert_same):
    spec = FeatureSpec((Sequence("a"),))
    table = pa.table({"a": [["x", "y"], None, ["y", None]]})
    transform = FeatureTransform(spec).adapt(table)
    other = pa.table({"a": pa.array(table["a"].to_pylist(), kind)})
    assert_same(transform.encode(other), transform.encode(table))


def test_times_of_arrow_have_their_own_unit():
    transform = FeatureTransform(FeatureSpec.from_json(TIMES)).adapt(pa.table({"when": [0]}))
    ticks = pa.array([1_999_999, -1, None])
    for table in (
        pa.table({"when": ticks.cast(pa.timestamp("us"))}),
        pa.table({"when": pa.array([1_999, -1, None])}),
    ):
        assert transform.encode(table)["when"].tolist() == [1, -1, -1]
    days = pa.table({"when": pa.array([1, 2], pa.int32()).cast(pa.date32())})
    assert transform.encode(days)["when"].tolist() == [86_400, 172_800]


TIMES = '{"features": [{"kind": "timestamp", "name": "when", "unit": "ms"}]}'


def test_rows_without_gaps_take_the_places_they_have():
    values, mask = dense(
        Sequence("s", max_length=2),
        np.array([5, 6, 7, 8], np.int32),
        np.zeros(4, bool),
        np.array([3, 0, 1]),
    )
    assert values.tolist() == [[6, 7], [0, 0], [8, 0]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
