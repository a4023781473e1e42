import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs import retrieval
from tfrecs.retrieval import Exact

COUNT, DIM = 50, 8
STRINGS = [f"item {place}" for place in range(COUNT)]
INTEGERS = np.arange(COUNT, dtype=np.int64) * 2**40 + 7  # beyond int32

random = np.random.default_rng(0)
VECTORS = random.standard_normal((COUNT, DIM)).astype("float32")
QUERIES = random.standard_normal((9, DIM)).astype("float32")


def as_strings(ids):
    return [[i.decode() if isinstance(i, bytes) else i for i in row] for row in ids.numpy()]


@pytest.mark.parametrize(
    ("k", "batch", "kind", "excluded"),
    list(itertools.product((1, 7, COUNT), (1, 9), ("string", "int64"), (0, 1, 6))),
)
def test_answers_are_those_of_a_full_sort(brute_force, k, batch, kind, excluded):
    ids = STRINGS if kind == "string" else INTEGERS
    queries = QUERIES[:batch]
    _, order = brute_force(VECTORS, queries, COUNT)
    exclude = order[:, :excluded].tolist() if excluded else None
    scores, positions = brute_force(VECTORS, queries, k, exclude=exclude)
    raw = None if exclude is None else [[ids[p] for p in row] for row in exclude]
    index = Exact(k=3).index(VECTORS, ids)
    for _ in range(2):
        found_scores, found_ids = index(queries, k=k, exclude=raw)
        np.testing.assert_allclose(found_scores, scores, atol=1e-5)
        missing = "" if kind == "string" else -1
        expected = [[missing if p < 0 else ids[p] for p in row] for row in positions]
        assert as_strings(found_ids) == expected


@pytest.mark.parametrize("similarity", ["dot", "cosine", "squared_l2"])
@pytest.mark.parametrize("max_scores", [1, 3 * COUNT, 2**25])
def test_blocks_of_queries_change_nothing(brute_force, similarity, max_scores):
    index = Exact(similarity=similarity, max_scores=max_scores).index(VECTORS, STRINGS)
    exclude = np.array([[1, -1]] * 9, "int32")
    scores, positions = index.search(QUERIES, 5, exclude)
    expected = brute_force(VECTORS, QUERIES, 5, similarity, [[1]] * 9)
    np.testing.assert_allclose(scores, expected[0], atol=1e-5)
    np.testing.assert_array_equal(positions, expected[1])


def test_scores_by_hand():
    vectors = [[3.0, 4.0], [1.0, 0.0]]
    query = np.array([[1.0, 1.0]], "float32")
    # dot: 3 + 4, 1; cosine: 7 / (5 sqrt 2), 1 / sqrt 2; squared L2: -(4 + 9), -(0 + 1)
    for similarity, scores in [
        ("dot", [7.0, 1.0]),
        ("cosine", [0.98995, 0.70711]),
        ("squared_l2", [-1.0, -13.0]),
    ]:
        index = Exact(k=2, similarity=similarity).index(vectors, ["a", "b"])
        np.testing.assert_allclose(index(query)[0], [scores], rtol=1e-4)


def test_equal_scores_come_by_position():
    index = Exact().index(np.ones((20, 4)), np.arange(20))
    assert index(np.ones((1, 4), "float32"), k=20)[1].numpy().tolist() == [list(range(20))]


def test_exclusions_may_be_ragged_padded_or_unknown():
    index = Exact(k=2).index(np.diag([3.0, 2.0, 1.0]), ["a", "b", "c"])
    query = np.ones((2, 3), "float32")
    for exclude in (
        tf.ragged.constant([["a"], ["b", "c", "not an item"]]),
        [["a"], ["b", "c", "not an item"]],
        np.array([["a", "", ""], ["b", "c", "not an item"]]),
        tf.constant([["a", "", ""], ["b", "c", "not an item"]]),
    ):
        scores, ids = index(query, exclude=exclude)
        assert as_strings(ids) == [["b", "c"], ["a", ""]]
        assert scores.numpy().tolist() == [[2.0, 1.0], [3.0, float("-inf")]]


def test_nothing_is_found_for_a_query_that_is_not_finite():
    index = Exact(k=2).index(np.eye(3), np.arange(3))
    query = np.array([[np.nan, 1, 1], [np.inf, 0, 0], [0, 0, 1]], "float32")
    scores, ids = index(query)
    assert ids.numpy().tolist() == [[-1, -1], [-1, -1], [2, 0]]
    assert np.isneginf(scores.numpy()[:2]).all()


def test_an_empty_batch_gives_an_empty_answer():
    index = Exact(k=2).index(np.eye(3), np.arange(3))
    assert index(np.empty((0, 3), "float32"))[1].shape == (0, 2)


def test_indexing_again_takes_another_number_of_vectors():
    index = Exact(k=1).index(np.eye(3), ["a", "b", "c"])
    assert as_strings(index(np.eye(3, dtype="float32"))[1]) == [["a"], ["b"], ["c"]]
    index.index(np.eye(5), np.arange(5) + 10)
    assert index.num_candidates == 5
    assert index(np.eye(5, dtype="float32"))[1].numpy().ravel().tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("ids", [STRINGS, INTEGERS], ids=["string", "int64"])
@pytest.mark.parametrize("similarity", ["dot", "cosine", "squared_l2"])
def test_a_saved_index_answers_alike(tmp_path, ids, similarity):
    index = Exact(k=4, similarity=similarity).index(VECTORS, ids)
    for _ in range(2):  # the second time over the first
        index.save(tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    loaded = retrieval.load(tmp_path / "index")
    np.testing.assert_array_equal(loaded(QUERIES)[0], index(QUERIES)[0])
    np.testing.assert_array_equal(loaded(QUERIES)[1], index(QUERIES)[1])
    assert loaded.get_config() == index.get_config()
    np.testing.assert_array_equal(loaded.ids, index.ids)


def test_the_search_runs_in_any_graph():
    index = Exact(k=3).index(VECTORS, STRINGS)
    expected = index.search(QUERIES)[1].numpy()
    compiled = tf.function(lambda q: index.search(q)[1], jit_compile=True)
    np.testing.assert_array_equal(compiled(QUERIES), expected)
    signature = [tf.TensorSpec((None, DIM)), tf.TensorSpec((), tf.int32)]
    graph = tf.function(lambda q, k: index(q, k=k, exclude=q_none(q)), input_signature=signature)
    found = graph(QUERIES, 3)[1]
    assert as_strings(found) == as_strings(index(QUERIES, exclude=[[STRINGS[0]]] * 9)[1])


def q_none(queries):
    return tf.fill([tf.shape(queries)[0], 1], STRINGS[0])


@pytest.mark.parametrize("max_scores", [4 * COUNT, 2**25])
def test_the_exported_module_answers_alike(tmp_path, max_scores):
    index = Exact(max_scores=max_scores).index(VECTORS, STRINGS)
    module = index.export_module()
    assert [type(v).__name__ for v in module.variables] == ["ResourceVariable"]
    signature = [tf.TensorSpec((None, DIM)), tf.TensorSpec((), tf.int32)]
    module.serve = tf.function(
        module.__call__, input_signature=[*signature, tf.TensorSpec((None, None), tf.int32)]
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    serve = loaded.serve
    for batch, exclude in ((0, 0), (1, 0), (9, 0), (9, 3)):
        excluded = np.tile(np.array([[3, 1, -1]], "int32")[:, :exclude], (batch, 1))
        scores, positions = serve(QUERIES[:batch], 6, excluded)
        expected = index.search(QUERIES[:batch], 6, excluded)
        np.testing.assert_allclose(scores, expected[0], atol=1e-6)
        np.testing.assert_array_equal(positions, expected[1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`k` must be between 1"):
        serve(QUERIES, COUNT + 1, np.empty((9, 0), "int32"))


def test_config_round_trip():
    index = Exact(k=4, similarity="cosine", max_scores=99, name="items")
    copy = keras.layers.deserialize(keras.layers.serialize(index))
    assert copy.get_config() == index.get_config()
