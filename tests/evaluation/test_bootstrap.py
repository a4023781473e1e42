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
