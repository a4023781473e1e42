import math
import time

import numpy as np
import pytest
import scipy.sparse as sp

from tfrecs.metrics import per_user

KS = [1, 3, 5]


def plain(ranking, relevant, k):
    """The metrics of one user, by the definitions."""
    rel = [int(item in relevant) for item in ranking[:k]]
    hits = sum(rel)
    first = rel.index(1) + 1 if hits else math.inf
    dcg = sum(r / math.log2(i + 2) for i, r in enumerate(rel))
    ideal = sum(1 / math.log2(i + 2) for i in range(min(k, len(relevant))))
    precisions = [sum(rel[: i + 1]) / (i + 1) for i in range(len(rel)) if rel[i]]
    return {
        "recall": hits / len(relevant),
        "capped_recall": hits / min(k, len(relevant)),
        "precision": hits / k,
        "hr": float(hits > 0),
        "mrr": 1 / first,
        "map": sum(precisions) / len(relevant),
        "ndcg": dcg / ideal,
    }


def random_rankings(num_users=40, num_items=12, depth=5):
    random = np.random.default_rng(0)
    positions = np.argsort(random.random((num_users, num_items)), axis=1)[:, :depth]
    relevant = random.random((num_users, num_items)) < 0.25
    relevant[:3] = [[True] * num_items] * 3
    return positions, relevant


def test_the_values_by_hand():
    # user 0 likes 1, 3 and 4 and is shown 1 2 3; user 1 likes 0 and is shown 2 0, and a gap
    relevant = sp.csr_matrix([[0, 1, 0, 1, 1], [1, 0, 0, 0, 0]])
    values = per_user(np.array([[1, 2, 3], [2, 0, -1]]), relevant, ks=[2, 3])
    expected = {
        "recall@2": [1 / 3, 1],
        "recall@3": [2 / 3, 1],
        "capped_recall@2": [1 / 2, 1],
        "precision@3": [2 / 3, 1 / 3],
        "hr@2": [1, 1],
        "mrr@3": [1, 1 / 2],
        "map@3": [(1 / 1 + 2 / 3) / 3, 1 / 2],
        "ndcg@2": [1 / (1 + 1 / math.log2(3)), 1 / math.log2(3)],
    }
    for name, numbers in expected.items():
        np.testing.assert_allclose(values[name], numbers, err_msg=name)


def test_the_values_are_those_of_the_definitions():
    positions, relevant = random_rankings()
    values = per_user(positions, sp.csr_matrix(relevant), KS)
    assert len(values) == 7 * len(KS)
    for user, row in enumerate(positions):
        liked = set(np.flatnonzero(relevant[user]).tolist())
        for k in KS:
            if liked:
                for name, number in plain(row.tolist(), liked, k).items():
                    assert values[f"{name}@{k}"][user] == pytest.approx(number), (name, k, user)
            else:
                assert all(np.isnan(values[f"{name}@{k}"][user]) for name in ("recall", "ndcg"))


def test_users_without_relevant_candidates_have_nan_in_every_metric():
    values = per_user(np.array([[0], [1]]), sp.csr_matrix([[0, 0], [0, 1]]), ks=[1])
    for name, numbers in values.items():
        assert np.isnan(numbers[0]), name
        assert numbers[1] == 1, name
    assert all(np.isnan(v).all() for v in per_user([[0]], sp.csr_matrix((1, 2)), [1]).values())


def test_an_empty_ranking_is_a_miss():
    values = per_user(np.full((1, 3), -1), sp.csr_matrix([[1, 0]]), ks=[3])
    assert {float(v[0]) for v in values.values()} == {0.0}


def test_how_the_relevance_is_stored_does_not_matter():
    positions = np.array([[2, 0]])
    expected = per_user(positions, sp.csr_matrix([[0, 0, 1]]), ks=[2])
    unsorted = sp.csr_matrix((np.ones(2), [2, 0], [0, 2]), shape=(1, 3))
    unsorted.data[1] = 0  # an explicit zero
    twice = sp.coo_matrix(([1, 1], ([0, 0], [2, 2])), shape=(1, 3))
    weighted = sp.csc_matrix([[0.0, 0.0, 4.5]])
    for relevant in (unsorted, twice, weighted):
        values = per_user(positions, relevant, ks=[2])
        assert {n: v.tolist() for n, v in values.items()} == {
            n: v.tolist() for n, v in expected.items()
        }


def test_a_hundred_recommendations_of_6000_users_take_less_than_a_second():
    positions = (np.arange(6_000)[:, None] + 37 * np.arange(100)) % 4_000
    relevant = sp.random(6_000, 4_000, 0.01, format="csr", random_state=0)
    start = time.process_time()
    per_user(positions, relevant, ks=[10, 20, 100])
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "positions, relevant, ks, message",
    [
        ([[0, 1]], [[1, 0, 0]], [3], r"`ks` must be .* from 1 to 2.*Received: \[3\]"),
        ([[0, 1]], [[1, 0, 0]], [0], "`ks` must be"),
        ([[0, 1]], [[1, 0, 0]], [], r"`ks` must be .*Received: \[\]"),
        ([[0, 3]], [[1, 0, 0]], [1], r"`positions` must be from 0 to 2.*\[0, 3\]"),
        ([[0, -2]], [[1, 0, 0]], [1], "`positions` must be from 0 to 2"),
        ([[1, 1]], [[1, 0, 0]], [1], "`positions` must be different.*row 0"),
        ([[0, 1]], [[1, 0], [1, 0]], [1], r"`relevant` must be of 1 rows.*\(2, 2\)"),
        ([0, 1], [[1, 0]], [1], "`positions` must be an integer array"),
        ([[0.0, 1.0]], [[1, 0]], [1], "`positions` must be an integer array.*float64"),
    ],
)
def test_bad_arguments_are_named(positions, relevant, ks, message):
    with pytest.raises(ValueError, match=message):
        per_user(np.array(positions), sp.csr_matrix(relevant), ks)
