import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import UserKNN, interaction_matrix


def test_scores_are_sums_over_similar_users(events, items, spec):
    # a met w, x; b met w, x; c met w, y: s(a, b) = 2 / (2 + 1), s(a, c) = s(b, c) = 1 / (2 + 1)
    knn = UserKNN(shrinkage=1.0).fit(events, items, spec)
    scores = knn.score(pa.table({"user_id": ["a", "c"]}))
    # a: b gives w and x, c gives w and y; c: a and b give w and x
    np.testing.assert_allclose(scores, [[1, 2 / 3, 1 / 3, 0], [2 / 3, 2 / 3, 0, 0]], rtol=1e-6)


def test_only_the_nearest_users_count(events, items, spec):
    knn = UserKNN(neighbours=1, shrinkage=0.0).fit(events, items, spec)
    np.testing.assert_allclose(knn.score(pa.table({"user_id": ["a"]})), [[1, 1, 0, 0]], rtol=1e-6)


def test_the_checkerboard_is_learned(checkerboard, spec):
    events, users, items = checkerboard
    seen = interaction_matrix(events, users["user_id"], items["item_id"], spec)
    knn = UserKNN().fit(events, items, spec)
    np.testing.assert_array_equal(knn.recommend(users, 1, seen)[1][:, 0], np.arange(20))


@pytest.mark.parametrize("name", ["neighbours", "shrinkage"])
def test_bad_arguments_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        UserKNN(**{name: -1})
