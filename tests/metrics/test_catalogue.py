import numpy as np
import pytest

from tfrecs.metrics import average_popularity, coverage, gini

POSITIONS = np.array([[0, 1, 2], [0, 2, -1], [0, -1, -1]])


def gini_of_pairs(counts):
    """The mean absolute difference of two candidates, over twice the mean."""
    counts = np.asarray(counts, float)
    return np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())


def test_coverage_counts_what_anyone_is_shown():
    assert coverage(POSITIONS, num_candidates=5) == 3 / 5
    assert coverage(POSITIONS, num_candidates=5, k=1) == 1 / 5
    assert coverage(np.full((2, 3), -1), num_candidates=5) == 0


def test_average_popularity_averages_over_lists_then_users():
    popularity = np.array([100.0, 10.0, 1.0])
    expected = ((100 + 10 + 1) / 3 + (100 + 1) / 2 + 100) / 3
    assert average_popularity(POSITIONS, popularity) == pytest.approx(expected)
    assert average_popularity(POSITIONS, popularity, k=1) == 100


def test_average_popularity_leaves_users_without_recommendations_out():
    assert average_popularity(np.array([[1, 0], [-1, -1]]), np.array([4, 2])) == 3
    assert np.isnan(average_popularity(np.array([[-1]]), np.array([4, 2])))


def test_gini_by_hand():
    # exposures 3, 1, 2, 0, 0; sorted 0 0 1 2 3 with the weights -4 -2 0 2 4
    assert gini(POSITIONS, num_candidates=5) == pytest.approx((2 * 2 + 4 * 3) / (5 * 6))


@pytest.mark.parametrize("seed", range(5))
def test_gini_is_the_mean_difference_over_twice_the_mean(seed):
    positions = np.random.default_rng(seed).integers(-1, 9, size=(30, 1)) // (1 + seed)
    counts = [int((positions == item).sum()) for item in range(9)]
    assert gini(positions, num_candidates=9) == pytest.approx(gini_of_pairs(counts))


def test_gini_of_extremes():
    assert gini(np.array([[0], [1], [2]]), num_candidates=3) == 0
    assert gini(np.array([[1], [1], [1]]), num_candidates=4) == pytest.approx(1 - 1 / 4)
    assert np.isnan(gini(np.array([[-1]]), num_candidates=4))


@pytest.mark.parametrize("metric", [coverage, gini])
def test_bad_arguments_are_named(metric):
    with pytest.raises(ValueError, match=r"`positions` must be from 0 to 1.*\[-1, 2\]"):
        metric(POSITIONS, num_candidates=2)
    with pytest.raises(ValueError, match=r"`k` must be from 1 to 3.*Received: 4"):
        metric(POSITIONS, num_candidates=5, k=4)
    with pytest.raises(ValueError, match="`positions` must be an integer array"):
        metric(POSITIONS[0], num_candidates=5)
    with pytest.raises(ValueError, match="`num_candidates` must be greater than 0"):
        metric(POSITIONS, num_candidates=0)
