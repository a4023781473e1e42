import numpy as np
import pyarrow as pa
import pytest

from tfrecs.baselines import EASE, interaction_matrix


def test_scores_by_hand(events, items, spec):
    # a met w, x; b met w, x; c met w, y. X^T X + I of (w, x, y, z):
    # [[4, 2, 1, 0], [2, 3, 0, 0], [1, 0, 2, 0], [0, 0, 0, 1]]; its determinant is 13
    # cofactors over 13: P = [[6, -4, -3], [-4, 7, 2], [-3, 2, 8]] / 13
    ease = EASE(l2=1.0).fit(events, items, spec)
    scores = ease.score(pa.table({"user_id": ["a", "c"]}))
    # a: w from x 4/6, x from w 4/7, y from w and x 3/8 - 2/8; c: w from y 3/6, x from w and y
    expected = [[4 / 6, 4 / 7, 1 / 8, 0], [3 / 6, 4 / 7 - 2 / 7, 3 / 8, 0]]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_the_weights_are_the_minimum_under_a_zero_diagonal(spec):
    rng = np.random.default_rng(0)
    met = rng.random((40, 6)) < 0.4
    users, items = np.nonzero(met)
    events = pa.table({"user_id": [f"u{u}" for u in users], "item_id": [f"i{i}" for i in items]})
    ease = EASE(l2=2.0).fit(events, pa.table({"item_id": [f"i{i}" for i in range(6)]}), spec)
    x = met.astype(float)
    for j in range(6):  # ridge regression of each item on the others
        others = np.delete(np.arange(6), j)
        system = x[:, others].T @ x[:, others] + 2.0 * np.eye(5)
        weights = np.linalg.solve(system, x[:, others].T @ x[:, j])
        np.testing.assert_allclose(ease._weights[others, j], weights, atol=1e-5)


def test_the_checkerboard_is_learned(checkerboard, spec):
    events, users, items = checkerboard
    seen = interaction_matrix(events, users["user_id"], items["item_id"], spec)
    ease = EASE(l2=1.0).fit(events, items, spec)
    np.testing.assert_array_equal(ease.recommend(users, 1, seen)[1][:, 0], np.arange(20))


def test_unknown_users_get_the_popularity_order(events, items, spec):
    scores = EASE().fit(events, items, spec).score(pa.table({"user_id": ["nobody"]}))
    np.testing.assert_array_equal(scores, [[3, 2, 1, 0]])


def test_a_catalogue_that_would_not_fit_is_refused_with_its_size(spec):
    events = pa.table({"user_id": ["a"], "item_id": ["i0"]})
    items = pa.table({"item_id": [f"i{i}" for i in range(2000)]})
    # 3 * 4 * 2000^2 bytes are 0.048 GB
    with pytest.raises(ValueError, match=r"`max_memory` must be the 0.048 GB .* 2,000 candidates"):
        EASE(max_memory=0.04).fit(events, items, spec)


@pytest.mark.parametrize("name", ["l2", "max_memory"])
def test_bad_arguments_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be greater than 0"):
        EASE(**{name: 0.0})
