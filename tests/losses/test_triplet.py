from functools import partial

import numpy as np
import pytest

from tfrecs.losses import Sampled, Triplet
from tfrecs.testing import check_loss


@pytest.mark.parametrize(
    "check", [pytest.param(c, id=c.name) for c in check_loss(partial(Triplet, margin=2.0))]
)
def test_a_loss_keeps_its_promise(check):
    check.run()


# distances 1 of the positive, 1.2, 0.8 and 5 of the negatives; margin 0.5:
# 0.5 + 1 - 1.2 = 0.3, 0.5 + 1 - 0.8 = 0.7, and 0 for the far one
LABELS, SCORES = [[1, 0, 0, 0]], [[-1.0, -1.2, -0.8, -5.0]]


@pytest.mark.parametrize("mean, expected", [(False, 1.0), (True, 1 / 3)])
def test_each_negative_is_kept_a_margin_further_away(mean, expected):
    assert Triplet(0.5, mean)(LABELS, SCORES).numpy() == pytest.approx(expected)
    ids = np.array([7])
    assert Sampled(Triplet(0.5, mean))(ids, np.array(SCORES)).numpy() == pytest.approx(expected)


def test_an_ignored_negative_counts_for_nothing():
    assert Triplet(0.5, mean=True)([[1, 0, -1, 0]], SCORES).numpy() == pytest.approx(0.3 / 2)


def test_several_positives_are_averaged():
    # positives at 1 and 2, a negative at 1.2: 0.3 and 1.3
    loss = Triplet(0.5)([[1, 1, 0]], [[-1.0, -2.0, -1.2]])
    assert loss.numpy() == pytest.approx((0.3 + 1.3) / 2)


def test_the_margin_is_positive():
    with pytest.raises(ValueError, match="`margin` must be greater than 0"):
        Triplet(0)
