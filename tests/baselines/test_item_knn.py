import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse

from tfrecs.baselines import ItemKNN, interaction_matrix


@pytest.mark.parametrize(
    "shrinkage, expected",
    [
        # n_w = 3, n_x = 2, n_y = 1 users; w and x share 2, w and y share 1, x and y none
        # a met w and x: score(w) = s(x, w), score(x) = s(w, x), score(y) = s(w, y)
        (0.0, [2 / np.sqrt(6), 2 / np.sqrt(6), 1 / np.sqrt(3), 0.0]),
        (2.0, [2 / (np.sqrt(6) + 2), 2 / (np.sqrt(6) + 2), 1 / (np.sqrt(3) + 2), 0.0]),
    ],
)
def test_scores_are_sums_of_shrunk_cosines(events, items, spec, shrinkage, expected):
    knn = ItemKNN(shrinkage=shrinkage).fit(events, items, spec)
    scores = knn.score(pa.table({"user_id": ["a"]}))
    np.testing.assert_allclose(scores, [expected], rtol=1e-6)  # float32


def test_a_repeated_event_counts_once(events, items, spec):
    once = events.slice(0, 6)
    queries = pa.table({"user_id": ["a", "b", "c"]})
    np.testing.assert_array_equal(
        ItemKNN().fit(events, items, spec).score(queries),
        ItemKNN().fit(once, items, spec).score(queries),
    )


def test_only_the_nearest_neighbours_count(events, items, spec):
    knn = ItemKNN(neighbours=1, shrinkage=0.0).fit(events, items, spec)
    # w keeps x (0.816) and drops y (0.577); x keeps w; y keeps w
    scores = knn.score(pa.table({"user_id": ["a", "c"]}))
    np.testing.assert_allclose(
        scores,
        [[2 / np.sqrt(6), 2 / np.sqrt(6), 0, 0], [1 / np.sqrt(3), 2 / np.sqrt(6), 0, 0]],
        rtol=1e-6,
    )


def test_neighbours_level_with_each_other_are_kept_in_order_of_position(spec):
    # w is with x, y and z once each
    events = pa.table({"user_id": ["a", "a", "a", "a"], "item_id": ["w", "x", "y", "z"]})
    items = pa.table({"item_id": ["w", "x", "y", "z"]})
    knn = ItemKNN(neighbours=1, shrinkage=0.0).fit(events, items, spec)
    assert knn._similar[0].indices.tolist() == [1]
    assert knn._similar[3].indices.tolist() == [0]


def test_unknown_users_get_the_popularity_order(events, items, spec):
    scores, positions = (
        ItemKNN().fit(events, items, spec).recommend(pa.table({"user_id": ["nobody"]}), 4)
    )
    np.testing.assert_array_equal(positions, [[0, 1, 2, 3]])
    np.testing.assert_array_equal(scores, [[3, 2, 1, 0]])  # users, not events


def test_the_checkerboard_is_learned(checkerboard, spec):
    events, users, items = checkerboard
    seen = interaction_matrix(events, users["user_id"], items["item_id"], spec)
    knn = ItemKNN().fit(events, items, spec)
    np.testing.assert_array_equal(knn.recommend(users, 1, seen)[1][:, 0], np.arange(20))


@pytest.mark.parametrize("block", [1, 7])
def test_blocks_change_nothing(checkerboard, spec, monkeypatch, block):
    events, users, items = checkerboard
    expected = ItemKNN(neighbours=3).fit(events, items, spec).score(users)
    monkeypatch.setattr("tfrecs.baselines.neighbours._MAX_BLOCK", block)
    np.testing.assert_array_equal(
        ItemKNN(neighbours=3).fit(events, items, spec).score(users), expected
    )


def test_scores_equal_the_formula_on_random_events(spec):
    rng = np.random.default_rng(0)
    met = rng.random((30, 12)) < 0.3
    met[:, 0] = True  # every user has an event
    users, items = np.nonzero(met)
    events = pa.table({"user_id": [f"u{u}" for u in users], "item_id": [f"i{i}" for i in items]})
    knn = ItemKNN(neighbours=12, shrinkage=5.0)
    knn.fit(events, pa.table({"item_id": [f"i{i}" for i in range(12)]}), spec)
    together = met.T.astype(float) @ met
    norms = np.sqrt(np.diag(together))
    similar = together / (np.outer(norms, norms) + 5.0)
    np.fill_diagonal(similar, 0.0)
    scores = knn.score(pa.table({"user_id": [f"u{u}" for u in range(30)]}))
    np.testing.assert_allclose(scores, met @ similar, rtol=1e-5)  # sums of float32


def test_similarities_stay_sparse(spec):
    num_items = 20_000  # dense, the similarities would take 1.6 GB
    events = pa.table(
        {
            "user_id": [f"u{n // 4}" for n in range(num_items)],
            "item_id": [f"i{n}" for n in range(num_items)],
        }
    )
    knn = ItemKNN(neighbours=2).fit(events, events.select(["item_id"]), spec)
    assert isinstance(knn._similar, scipy.sparse.csr_matrix)
    assert knn._similar.nnz == 2 * num_items


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"neighbours": 0}, "`neighbours` must be greater than 0"),
        ({"shrinkage": -1.0}, "`shrinkage` must be 0 or more. Received: -1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ItemKNN(**arguments)
