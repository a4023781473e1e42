import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse

from tfrecs.baselines import EASE, ItemKNN, UserKNN
from tfrecs.baselines.neighbours import weigh
from tfrecs.spec import FeatureSpec, Sequence


def test_tf_idf_by_hand():
    times = scipy.sparse.csr_matrix([[4.0, 1.0, 0.0], [0.0, 9.0, 0.0]])
    # ln(3 / (1 + 2)) + 1 = 1 for the first query, ln(3 / 2) + 1 for the second
    expected = [[2, 1, 0], [0, 3 * (np.log(1.5) + 1), 0]]
    np.testing.assert_allclose(weigh(times, "tf_idf").toarray(), expected, rtol=1e-6)


def test_bm25_by_hand():
    times = scipy.sparse.csr_matrix([[4.0, 1.0], [0.0, 1.0]])
    # candidates were met 4 and 2 times, 3 on average: lengths 0.2 + 0.8 * 4/3 and 0.2 + 0.8 * 2/3
    first, second = 100 * (0.2 + 3.2 / 3), 100 * (0.2 + 1.6 / 3)
    idf = np.log(2 / 3) + 1, np.log(2 / 2) + 1
    expected = [[idf[0] * 404 / (first + 4), idf[0] * 101 / (second + 1)]]
    expected += [[0, idf[1] * 101 / (second + 1)]]
    np.testing.assert_allclose(weigh(times, "bm25").toarray(), expected, rtol=1e-6)


@pytest.mark.parametrize("weighting", ["tf_idf", "bm25"])
def test_item_knn_uses_the_weights(events, items, spec, weighting):
    knn = ItemKNN(shrinkage=0.0, weighting=weighting).fit(events, items, spec)
    # users a, b, c met w, x, y 1 1 0, 1 1 0 and 1 0 2 times
    w = weigh(scipy.sparse.csr_matrix([[1.0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 2, 0]]), weighting)
    columns = w.toarray().T
    cosine = columns[0] @ columns[1] / np.linalg.norm(columns[0]) / np.linalg.norm(columns[1])
    scores = knn.score(pa.table({"user_id": ["a"]}))
    np.testing.assert_allclose(scores[0, :2], [cosine, cosine], rtol=1e-5)


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="`weighting` must be one of 'binary', 'tf_idf', 'bm25'"):
        ItemKNN(weighting="tfidf")


@pytest.mark.parametrize("baseline", [ItemKNN, UserKNN, EASE])
def test_a_history_answers_for_a_query_that_fit_has_not_seen(events, items, spec, baseline):
    spec = FeatureSpec((*spec, Sequence("history", "query", shared_with="item_id")))
    fitted = baseline().fit(events, items, spec)
    histories = pa.array([["w", "x", "x"], ["nothing known"], None], pa.list_(pa.string()))
    queries = pa.table({"user_id": ["new", "b", "new"], "history": histories})
    scores = fitted.score(queries)
    of_b = fitted.score(pa.table({"user_id": ["b"]}))[0]  # who met w and x
    np.testing.assert_allclose(scores[1], of_b, rtol=1e-6)
    if baseline is not UserKNN:  # which counts b itself among the neighbours of a stranger
        np.testing.assert_allclose(scores[0], of_b, rtol=1e-6)
    np.testing.assert_array_equal(scores[2], [3, 2, 1, 0])
