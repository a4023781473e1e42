import numpy as np
import pytest

from tfrecs.retrieval import Exact, Quantized, ScaNN, recall_at_k, updated

OLD = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
INDEXES = [Exact(k=2), Quantized(k=2), Quantized(k=2, table_dtype="bfloat16"), ScaNN(k=2)]


@pytest.mark.parametrize("index", INDEXES, ids=["exact", "int8", "bfloat16", "scann"])
def test_candidates_are_added_changed_and_removed(index):
    old = index.index(OLD, ["a", "b", "c"])
    new = updated(old, [[0, 4], [2, 0]], ["b", "d"], removed=["c"])
    assert new.ids.tolist() == ["a", "b", "d"]
    np.testing.assert_allclose(new.vectors, [[1, 0], [0, 4], [2, 0]], rtol=1e-6)
    assert new.get_config() == old.get_config()
    # (1, 1) . a = 1, b = 4, d = 2
    scores, ids = new(np.ones((1, 2), np.float32), k=3)
    np.testing.assert_allclose(scores, [[4, 2, 1]], rtol=1e-6)
    assert np.asarray(ids).tolist() == [[b"b", b"d", b"a"]]
    # the old one answers as before: c = 2, a = b = 1
    assert np.asarray(old(np.ones((1, 2), np.float32), k=1)[1]).tolist() == [[b"c"]]


@pytest.mark.parametrize("similarity", ["cosine", "squared_l2"])
def test_each_similarity_keeps_its_own(similarity):
    old = Exact(k=1, similarity=similarity).index(OLD, [1, 2, 3])
    new = updated(old, np.zeros((0, 2)), [], removed=[1])
    query = np.array([[0.9, 1.1]], np.float32)
    scores, ids = new(query)
    assert np.asarray(ids).tolist() == [[3]]
    # cosine: 2 / (|q| sqrt 2); squared L2: -(0.1^2 + 0.1^2)
    wanted = 2 / np.sqrt(2.02 * 2) if similarity == "cosine" else -0.02
    np.testing.assert_allclose(scores, [[wanted]], atol=1e-5)


def test_scann_reaches_its_recall_again(clusters):
    vectors, queries = clusters
    ids = np.arange(len(vectors))
    old = ScaNN(k=20, recall=0.95).index(vectors[:4_000], ids[:4_000], queries)
    new = updated(old, vectors[3_000:], ids[3_000:], removed=range(100), queries=queries)
    assert new.ids.tolist() == [*range(100, 6_000)]
    exact = Exact(k=20).index(vectors[100:], ids[100:])
    assert recall_at_k(new, exact, queries, 20) > 0.94


@pytest.mark.parametrize(
    "vectors, ids, removed, message",
    [
        ([[1, 2]], ["d"], ["e"], r"`removed` must be ids of the index .*\['e'\]"),
        ([[1, 2]], ["a"], ["a"], r"that are not among `ids`.*\['a'\]"),
        ([[1, 2, 3]], ["d"], [], r"`vectors` must be of shape \(1, 2\)"),
        ([[1, 2], [3, 4]], ["d"], [], r"`vectors` must be of shape \(1, 2\)"),
        ([[1, 2], [3, 4]], ["d", "d"], [], "`ids` must be"),
    ],
)
def test_what_does_not_fit_is_an_error(vectors, ids, removed, message):
    old = Exact(k=1).index(OLD, ["a", "b", "c"])
    with pytest.raises(ValueError, match=message):
        updated(old, vectors, ids, removed=removed)
