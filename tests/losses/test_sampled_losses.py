"""WARP, CCL, GBCE, hard negatives and the bounded form of BPR."""

import math
from functools import partial

import keras
import numpy as np
import pytest

from tfrecs.losses import BPR, CCL, GBCE, WARP, Hardest, InBatch, Sampled, Sigmoid
from tfrecs.testing import check_loss

# margins that every negative of the contract's scores violates, so that each has a gradient
BUILDS = {
    "warp": partial(WARP, margin=8.0),
    "ccl": partial(CCL, margin=-8.0),
    "gbce": partial(GBCE, num_candidates=9),
    "hardest": partial(Hardest, BPR(), 3),
    "bpr_sigmoid": partial(BPR, form="sigmoid"),
}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name, build in BUILDS.items()
        for check in check_loss(build)
    ],
)
def test_a_loss_keeps_its_promise(check):
    check.run()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_the_sigmoid_form_of_bpr_is_the_chance_of_the_wrong_order():
    # pairs (2, 1) and (2, 0): 1 - sigmoid(1), 1 - sigmoid(2)
    value = BPR(form="sigmoid")([[1, 0, 0]], [[2.0, 1.0, 0.0]])
    assert float(value) == pytest.approx((2 - sigmoid(1.0) - sigmoid(2.0)) / 2)


def test_warp_weighs_the_hinges_by_the_log_of_the_rank():
    # margin 1: s_p = 2 is violated by 3 (hinge 2) and 1.5 (0.5), not by 0
    value = float(WARP()([[1, 0, 0, 0]], [[2.0, 3.0, 1.5, 0.0]]))
    assert value == pytest.approx(math.log(3) / 2 * 2.5)
    # a second positive, 5, is above all: the mean of both
    value = float(WARP()([[1, 0, 0, 0, 1]], [[2.0, 3.0, 1.5, 0.0, 5.0]]))
    assert value == pytest.approx(math.log(3) / 2 * 2.5 / 2)


def test_ccl_leaves_negatives_below_the_margin_alone():
    # 1 - 0.75, and half of 3 (0.9 - 0.5)
    value = CCL(margin=0.5, weight=3.0)([[1, 0, 0]], [[0.75, 0.9, 0.25]])
    assert float(value) == pytest.approx(0.25 + 3 / 2 * 0.4)


def test_gbce_damps_the_positive_by_the_rate_of_sampling():
    # 2 of 8 others: a = 1/4, b = 0.75 (1/4 - 1) + 1 = 0.4375
    value = float(GBCE(num_candidates=9)([[1, 0, 0]], [[1.0, 0.5, -0.5]]))
    far = -math.log(sigmoid(-0.5)) - math.log(sigmoid(0.5))
    assert value == pytest.approx((0.4375 * -math.log(sigmoid(1.0)) + far) / 3)


def test_the_hardest_negatives_alone_count():
    # of the negatives 1, 0.5 and -3 of the positive 2, the first two
    hard, scores = Hardest(BPR(), 2), [[2.0, 1.0, -3.0, 0.5]]
    expected = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(-1.5))) / 2
    assert float(hard([[1, 0, 0, 0]], scores)) == pytest.approx(expected)
    assert float(Sampled(hard)(np.array([7]), scores)) == pytest.approx(expected)


def test_the_hardest_negatives_of_a_batch_are_not_its_accidental_hits():
    # row 0 and 2 have the same item: row 0's only negative is column 1
    scores = np.array([[1.0, 0.5, 9.0], [0.0, 0.0, 0.0], [9.0, 0.5, 1.0]], "float32")
    value = InBatch(Hardest(BPR(), 1), reduction=None)(np.array([7, 8, 7]), scores)
    assert float(value[0]) == pytest.approx(math.log1p(math.exp(-0.5)))


def test_gbce_without_calibration_is_binary_cross_entropy():
    labels, scores = np.array([[1, 0, 0, -1]]), np.array([[1.0, 0.5, -0.5, 3.0]])
    plain = float(Sigmoid()(labels, scores))
    assert float(GBCE(9, calibration=0.0)(labels, scores)) == pytest.approx(plain)


@pytest.mark.parametrize("build", BUILDS.values(), ids=list(BUILDS))
def test_sampled_negatives_give_what_labels_give(build):
    scores = np.array([[0.5, 0.2, -0.3], [0.1, 0.9, 0.4]], "float32")
    labels = np.array([[1, 0, 0], [1, 0, 0]])
    sampled = Sampled(build())(np.array([7, 8]), scores)
    assert float(sampled) == pytest.approx(float(build()(labels, scores)), rel=1e-6)


@pytest.mark.parametrize("build", BUILDS.values(), ids=list(BUILDS))
def test_a_copy_has_the_same_arguments(build):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(build()))
    labels, scores = np.array([[1, 0, 0]]), np.array([[0.5, 0.2, -0.3]])
    assert float(copy(labels, scores)) == float(build()(labels, scores))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: BPR(form="log"), "`form` must be one of 'log_sigmoid', 'sigmoid'"),
        (lambda: WARP(margin=0), "`margin` must be greater than 0"),
        (lambda: CCL(weight=0), "`weight` must be greater than 0"),
        (lambda: Hardest(BPR(), 0), "`num_negatives` must be greater than 0"),
        (lambda: GBCE(1), "`num_candidates` must be 2 or more"),
        (lambda: GBCE(5, calibration=1.5), "`calibration` must be from 0 to 1"),
    ],
)
def test_a_wrong_argument_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_hardest_of_what_is_no_loss_is_refused():
    with pytest.raises(TypeError, match="`loss` must be a list loss"):
        Hardest("bpr", 2)
