import numpy as np
import pytest

from tfrecs import scoring

QUERY = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
SHARED = np.array([[0.0, 5.0], [3.0, 4.0], [0.0, 0.0]], "float32")
OWN = np.stack([SHARED, SHARED[::-1]])  # (2, 3, 2): each query's own three candidates

EXPECTED = {
    # q = (1, 2): 1*0 + 2*5, 1*3 + 2*4, 0; q = (3, 4): 3*0 + 4*5, 9 + 16, 0
    "dot": [[10, 11, 0], [20, 25, 0]],
    # over |q| |c|: sqrt(5)*5, sqrt(5)*5, 0; 5*5, 5*5, 0
    "cosine": [[10 / (5 * 5**0.5), 11 / (5 * 5**0.5), 0], [0.8, 1, 0]],
    # -(1 + 9), -(4 + 4), -(1 + 4); -(9 + 1), 0, -(9 + 16)
    "negative_squared_l2": [[-10, -8, -5], [-10, 0, -25]],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_scores_of_shared_candidates_are_those_of_hand_arithmetic(name):
    scores = getattr(scoring, name)(QUERY, SHARED)
    np.testing.assert_allclose(scores, EXPECTED[name], atol=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_scores_of_each_query_s_own_candidates_are_those_of_hand_arithmetic(name):
    scores = getattr(scoring, name)(QUERY, OWN)
    first, second = EXPECTED[name]
    np.testing.assert_allclose(scores, [first, second[::-1]], atol=1e-5)


def test_a_vector_is_at_distance_zero_of_itself_despite_rounding():
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype("float32") * 100
    diagonal = np.diag(scoring.negative_squared_l2(vectors, vectors))
    assert (diagonal <= 0).all()
    np.testing.assert_allclose(diagonal, 0, atol=0.1)  # of squares of about 80,000
