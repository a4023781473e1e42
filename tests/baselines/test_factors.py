import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse

from tfrecs.baselines import NMF, SVD, interaction_matrix
from tfrecs.baselines.factors import rating_matrix
from tfrecs.baselines.svd import truncated_svd
from tfrecs.spec import FeatureSpec, Numeric


def rated(spec):
    return FeatureSpec((*spec, Numeric("rating", "label")))


def test_ratings_stand_in_the_matrix_views_by_their_weight_and_the_last_event_counts(spec):
    events = pa.table(
        {
            "user_id": ["a", "a", "b", "a"],
            "item_id": ["x", "y", "x", "x"],
            "rating": [0.0, 1.0, -1.0, 1.0],
        }
    )
    ids = pa.array(["a", "b"]), pa.array(["x", "y"])
    matrix = rating_matrix(events, *ids, rated(spec), view_weight=0.25)
    np.testing.assert_array_equal(matrix.toarray(), [[1, 1], [-1, 0]])
    first = rating_matrix(events.slice(0, 1), *ids, rated(spec), view_weight=0.25)
    np.testing.assert_array_equal(first.toarray(), [[0.25, 0], [0, 0]])


def test_the_decomposition_is_that_of_the_dense_matrix():
    matrix = scipy.sparse.random(30, 20, 0.3, random_state=0, format="csr")
    factors = truncated_svd(matrix, 4)
    u, s, v = np.linalg.svd(matrix.toarray())
    best = u[:, :4] * s[:4] @ v[:4]
    np.testing.assert_allclose(factors.query @ factors.candidate.T, best, atol=1e-5)
    np.testing.assert_allclose(factors.inverse, 1 / s[:4], rtol=1e-5)


def test_folding_in_known_rows_gives_their_vectors_and_a_new_item_stays_at_zero():
    matrix = scipy.sparse.random(30, 20, 0.3, random_state=0, format="csr")
    matrix = scipy.sparse.hstack([matrix, scipy.sparse.csr_matrix((30, 1))]).tocsr()
    factors = truncated_svd(matrix, 4)
    np.testing.assert_allclose(factors.fold_in(matrix), factors.query, atol=1e-5)
    np.testing.assert_allclose(factors.candidate[-1], np.zeros(4), atol=1e-7)


def test_a_matrix_smaller_than_the_dimension_leaves_zeros():
    factors = truncated_svd(scipy.sparse.csr_matrix(np.ones((2, 3))), 5)
    assert factors.query.shape == (2, 5)
    assert factors.candidate.shape == (3, 5)
    np.testing.assert_allclose(factors.query @ factors.candidate.T, np.ones((2, 3)), atol=1e-5)
    assert not factors.query[:, 1:].any()
    assert not truncated_svd(scipy.sparse.csr_matrix((4, 4)), 2).candidate.any()


def test_one_dimension_of_nmf_is_the_first_singular_pair(events, items, spec):
    svd = SVD(dim=1).fit(events, items, spec)
    nmf = NMF(dim=1, iterations=200).fit(events, items, spec)
    users = pa.table({"user_id": ["a", "b", "c"]})
    np.testing.assert_allclose(nmf.score(users), svd.score(users), atol=1e-4)


@pytest.mark.parametrize("model", [SVD(dim=2), NMF(dim=2, iterations=200)])
def test_the_checkerboard_is_learned(model, checkerboard, spec):
    events, users, items = checkerboard
    seen = interaction_matrix(events, users["user_id"], items["item_id"], spec)
    model.fit(events, items, spec)
    np.testing.assert_array_equal(model.recommend(users, 1, seen)[1][:, 0], np.arange(20))


def test_unknown_users_score_zero(events, items, spec):
    scores = SVD(dim=2).fit(events, items, spec).score(pa.table({"user_id": ["nobody"]}))
    np.testing.assert_array_equal(scores, np.zeros((1, 4)))


def test_bad_arguments_are_refused():
    for build in (SVD, NMF):
        with pytest.raises(ValueError, match="`dim` must be greater than 0"):
            build(dim=0)
    with pytest.raises(ValueError, match="`iterations` must be greater than 0"):
        NMF(iterations=0)
