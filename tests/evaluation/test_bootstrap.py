import numpy as np
import pytest

from tfrecs.evaluation import bootstrap
from tfrecs.evaluation.bootstrap import Estimate, resample_means


def test_the_interval_of_a_share_is_that_of_the_binomial():
    # 400 users, a quarter of them hits: standard error sqrt(0.25 * 0.75 / 400) = 0.02165
    values = np.repeat([1.0, 0.0, 0.0, 0.0], 100)[:, None]
    found = Estimate.of(0.25, resample_means(values, 4000)[:, 0])
    assert found.stderr == pytest.approx(0.02165, rel=0.05)
    assert found.low == pytest.approx(0.25 - 1.96 * 0.02165, abs=0.005)
    assert found.high == pytest.approx(0.25 + 1.96 * 0.02165, abs=0.005)


def test_users_who_are_all_alike_leave_no_doubt():
    found = Estimate.of(0.5, resample_means(np.full((7, 1), 0.5), 50)[:, 0])
    assert (found.low, found.high, found.stderr) == (0.5, 0.5, 0.0)


def test_the_same_users_are_drawn_for_the_same_seed():
    values = np.random.default_rng(0).random((50, 1))
    one, two = resample_means(values, 20), resample_means(values + 1.0, 20)
    np.testing.assert_allclose(two - one, 1.0)  # paired: the difference has no spread
    assert not np.allclose(one, resample_means(values, 20, seed=1))


def test_small_chunks_draw_the_same(monkeypatch):
    values = np.random.default_rng(0).random((50, 3))
    whole = resample_means(values, 20)
    monkeypatch.setattr(bootstrap, "_CELLS", 100)
    np.testing.assert_allclose(resample_means(values, 20), whole)


def test_without_resamples_there_is_no_interval():
    assert Estimate.of(0.5, resample_means([[0.5]], 0)[:, 0]) == Estimate(0.5)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`values` must be of shape \(users, numbers\)"):
        resample_means([], 3)
    with pytest.raises(ValueError, match="`num_bootstrap` must be 0 or more"):
        resample_means([[1.0]], -1)


def test_weighted_means_are_those_of_users_who_come_as_often():
    # two users of 0 and 1, weighing 1 and 3: drawn twice, the mean is 0, 3 / 4 or 1
    means = resample_means([[0.0], [1.0]], 4000, weights=[1.0, 3.0])[:, 0]
    values, counts = np.unique(means, return_counts=True)
    np.testing.assert_allclose(values, [0, 0.75, 1])
    np.testing.assert_allclose(counts / 4000, [0.25, 0.5, 0.25], atol=0.03)
    same = resample_means([[0.0], [1.0]], 50, weights=[2.0, 2.0])
    np.testing.assert_allclose(same, resample_means([[0.0], [1.0]], 50))


def test_users_drawn_who_weigh_nothing_have_no_mean():
    means = resample_means([[5.0], [1.0]], 200, weights=[0.0, 3.0])[:, 0]
    assert set(means[~np.isnan(means)]) == {1.0}
    assert 0.1 < np.isnan(means).mean() < 0.4  # a quarter: the first twice


def test_groups_keep_their_sizes():
    values = np.array([[0.0], [1.0], [0.0], [1.0], [1.0]])
    # groups are all alike: whoever is drawn, three of five have 1
    means = resample_means(values, 100, strata=["b", "a", "b", "a", "a"])
    np.testing.assert_allclose(means, 0.6)
    assert resample_means(values, 100).std() > 0.1
    # within a group of 0 and 1: mean 1/2 with variance 1/4 / 2; the other has half of the weight
    means = resample_means([[0.0], [1.0], [3.0], [3.0]], 4000, strata=[1, 1, 2, 2])
    assert means.mean() == pytest.approx(1.75, abs=0.02)
    assert means.var() == pytest.approx(0.125 / 4, rel=0.1)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights": [1.0]}, r"`weights` must be numbers of 0 or more, \(2,\), not all 0"),
        ({"weights": [1.0, -1.0]}, "`weights` must be"),
        ({"weights": [1.0, np.nan]}, "`weights` must be"),
        ({"weights": [0.0, 0.0]}, "not all 0"),
        ({"strata": ["a"]}, r"`strata` must be of shape \(2,\)"),
    ],
)
def test_weights_and_groups_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        resample_means([[0.0], [1.0]], 3, **options)
