import json
import math

import keras
import numpy as np
import pytest

from tfrecs.losses import (
    BPR,
    CCL,
    GBCE,
    TOP1,
    WARP,
    BPRMax,
    Hardest,
    SharedNegatives,
    Sigmoid,
    Softmax,
    TOP1Max,
    Triplet,
)
from tfrecs.testing import check_loss

# TOP1 pulls scores below 0 up; with softmax weights a low negative that rises takes the
# weight from the highest
PULLED = ("gradient_sign",)
LOSSES = {
    "TOP1": (TOP1, (*PULLED, "least_at_perfect_ranking")),
    "TOP1Max": (TOP1Max, (*PULLED, "least_at_perfect_ranking")),
    "BPRMax": (lambda **kw: BPRMax(0.0, **kw), PULLED),
    "BPRMax_elu": (lambda **kw: BPRMax(0.0, elu=0.5, **kw), PULLED),
}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check.name}")
        for name, (loss, exceptions) in LOSSES.items()
        for check in check_loss(loss)
        if check.name not in exceptions
    ],
)
def test_a_loss_keeps_its_promise(check):
    check.run()


SCORES = [[1.0, 0.5, -2.0]]
WEIGHTS = [math.exp(0.5), math.exp(-2.0)]
WEIGHTS = [w / sum(WEIGHTS) for w in WEIGHTS]


def test_top1_by_hand():
    expected = (sigmoid(0.5 - 1) + sigmoid(0.25) + sigmoid(-2 - 1) + sigmoid(4)) / 2
    assert float(TOP1()([[1, 0, 0]], SCORES)) == pytest.approx(expected)


def test_top1_max_weighs_by_the_softmax_of_the_negatives():
    terms = [sigmoid(0.5 - 1) + sigmoid(0.25), sigmoid(-2 - 1) + sigmoid(4)]
    expected = sum(w * t for w, t in zip(WEIGHTS, terms, strict=True))
    assert float(TOP1Max()([[1, 0, 0]], SCORES)) == pytest.approx(expected)


def test_bpr_max_by_hand():
    chance = WEIGHTS[0] * sigmoid(1 - 0.5) + WEIGHTS[1] * sigmoid(1 + 2)
    norm = WEIGHTS[0] * 0.25 + WEIGHTS[1] * 4
    expected = -math.log(chance) + 0.7 * norm
    assert float(BPRMax(0.7)([[1, 0, 0]], SCORES)) == pytest.approx(expected)


def test_bpr_max_with_elu_is_that_of_the_bounded_scores():
    bounded = [[1.0, 0.5, 0.5 * (math.exp(-2) - 1)]]
    expected = float(BPRMax(0.7)([[1, 0, 0]], bounded))
    assert float(BPRMax(0.7, elu=0.5)([[1, 0, 0]], SCORES)) == pytest.approx(expected)


def test_bpr_max_is_the_authors_code_s_number():
    # theirs, on these scores with bpreg 0.7, sums the two rows
    scores = np.array([[1.0, 0.0, 0.5, 2.0], [0.0, 1.0, -1.0, 0.3]], "float32")
    ids = np.array([5, 6])
    for elu, expected in ((0.5, 3.4527), (0.0, 3.5304)):
        loss = SharedNegatives(BPRMax(0.7, elu=elu), reduction="sum")
        assert float(loss(ids, scores)) == pytest.approx(expected, abs=1e-4)
    loss = SharedNegatives(Softmax(), reduction="sum")
    assert float(loss(ids, scores)) == pytest.approx(2.2391, abs=1e-4)


def test_bpr_max_is_right_however_far_scores_are_apart():
    rng = np.random.default_rng(0)
    for scale in (0.1, 1, 10, 100):
        positive = scale * rng.normal(size=(20, 1))
        negatives = scale * rng.normal(size=(20, 6))
        counts = rng.integers(1, 4, 6)
        # log of w_n sigmoid(s_p - s_n), in float64
        log_weights = negatives + np.log(counts)
        log_weights -= np.logaddexp.reduce(log_weights, axis=1, keepdims=True)
        log_terms = log_weights - np.logaddexp(0, negatives - positive)
        norms = np.sum(np.exp(log_weights) * negatives**2, axis=1)
        expected = -np.logaddexp.reduce(log_terms, axis=1) + 0.01 * norms
        scores = (x.astype("float32") for x in (positive, negatives))
        found = BPRMax(0.01).pairs(*scores, np.float32(6), counts.astype("float32"))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", [Softmax(), BPRMax(0.7), BPRMax(0.7, elu=0.5)])
def test_gradients_of_far_scores_are_finite(loss):
    import tensorflow as tf

    wrapped = SharedNegatives(loss, reduction="sum")
    label = np.array([[7, 0, 9, 4], [1, 0, 1, 2]])
    for far in (-1e3, 1e3):
        scores = tf.constant(far * np.eye(3, 4, dtype="float32"))
        with tf.GradientTape() as tape:
            tape.watch(scores)
            value = wrapped(label, scores)
        gradient = np.asarray(tape.gradient(value, scores))
        assert np.isfinite([float(value), *gradient.ravel()]).all()
        assert not gradient[1].any()  # padding
        assert not gradient[:, 1].any()
        assert (np.diag(gradient) <= 0).all()


@pytest.mark.parametrize("loss", [TOP1, TOP1Max, BPRMax])
def test_several_positives_count_alike(loss):
    scores = np.array([[0.3, 1.0, -0.5, 0.2]], "float32")
    single = [float(loss()([labels], scores)) for labels in ([1, -1, 0, 0], [-1, 1, 0, 0])]
    assert float(loss()([[1, 1, 0, 0]], scores)) == pytest.approx(np.mean(single), rel=1e-5)


@pytest.mark.parametrize("arguments", [{"score_regularization": -1.0}, {"elu": -0.5}])
def test_a_wrong_argument_is_named(arguments):
    with pytest.raises(ValueError, match=rf"`{next(iter(arguments))}` must be 0 or more"):
        BPRMax(**arguments)


@pytest.mark.parametrize("loss", [Softmax, BPR, TOP1, TOP1Max, BPRMax])
def test_shared_negatives_equal_the_loss_of_labels(loss):
    scores = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    labels = np.zeros((3, 7))
    labels[np.arange(3), np.arange(3)] = 1
    expected = loss(reduction=None)(labels, scores)
    found = SharedNegatives(loss(), reduction=None)(np.array([7, 7, 9]), scores)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [Softmax, BPR, TOP1, TOP1Max, BPRMax])
def test_padding_is_neither_a_row_nor_a_negative(loss):
    scores = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    found = SharedNegatives(loss(), reduction=None)(np.array([7, 0, 9]), scores)
    kept = scores[np.ix_([0, 2], [0, 2, 3, 4])]
    expected = SharedNegatives(loss(), reduction=None)(np.array([7, 9]), kept)
    np.testing.assert_allclose(found, [expected[0], 0, expected[1]], rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        Softmax(),
        BPR(),
        BPR(form="sigmoid"),
        Sigmoid(),
        TOP1(),
        TOP1Max(),
        BPRMax(0.7),
        BPRMax(0.7, elu=0.5),
        CCL(),
        GBCE(100),
        Triplet(),
        WARP(),
        Hardest(Softmax(), 2),
        Hardest(BPR(), 6),
        Hardest(TOP1(), 50),
    ],
    ids=lambda loss: loss.name,
)
def test_a_column_that_counts_thrice_is_three_columns(loss):
    scores = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    counts = np.array([1, 0, 1, 3, 1, 2], "int32")  # row 1 is padding
    label = np.stack([[7, 0, 9, 4, 5, 6], counts])
    found = SharedNegatives(loss, reduction=None)(label, scores)
    every = [0, 1, 2, 3, 3, 3, 4, 5, 5]
    expected = SharedNegatives(loss, reduction=None)(np.array([7, 0, 9]), scores[:, every])
    assert np.abs(np.asarray(expected)).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    unseen = np.concatenate([scores, np.full((3, 1), 50, "float32")], axis=1)
    label = np.concatenate([label, [[0], [0]]], axis=1)  # a column that does not count
    found = SharedNegatives(loss, reduction=None)(label, unseen)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [Softmax(), BPRMax(0.7, elu=0.5)])
def test_a_batch_may_have_a_single_row_or_any_number(loss):
    import tensorflow as tf

    wrapped = SharedNegatives(loss, reduction=None)
    shapes = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, None])]
    any_number = tf.function(lambda ids, scores: wrapped(ids, scores), input_signature=shapes)
    scores = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    for size in (1, 2, 3):
        ids = np.arange(7, 7 + size)
        labels = np.eye(size, 6)
        expected = type(loss).from_config(loss.get_config() | {"reduction": None})
        expected = expected(labels, scores[:size])
        np.testing.assert_allclose(wrapped(ids, scores[:size]), expected, rtol=1e-5)
        np.testing.assert_allclose(any_number(ids, scores[:size]), expected, rtol=1e-5)


def test_counts_weigh_by_hand():
    # log(e^1 + 1 + 2 e^0.5) - 1 and log(e^2 + 1 + 2 e^-1) - 2
    scores = np.array([[1.0, 0.0, 0.5], [0.0, 2.0, -1.0]], "float32")
    label = np.array([[4, 5, 6], [1, 1, 2]])
    expected = [math.log(math.e + 1 + 2 * math.exp(0.5)) - 1]
    expected += [math.log(math.exp(2) + 1 + 2 * math.exp(-1)) - 2]
    found = SharedNegatives(Softmax(), reduction=None)(label, scores)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_counts_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match=r"`y_true` must be the ids of the positives, integers"):
        SharedNegatives(Softmax())(np.ones((2, 3), "float32"), np.zeros((2, 3), "float32"))


def test_shared_negatives_come_back_from_their_config():
    loss = SharedNegatives(BPRMax(0.5, elu=1.0), reduction="sum")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()
    assert (copy.loss.score_regularization, copy.loss.elu) == (0.5, 1.0)


def test_scores_of_too_few_candidates_are_refused():
    with pytest.raises(ValueError, match=r"`y_pred` must be the scores of the B positives"):
        SharedNegatives(Softmax())(np.array([7, 8, 9]), np.zeros((3, 2), "float32"))
