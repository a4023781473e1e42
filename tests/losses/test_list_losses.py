import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.losses import BPR, Sigmoid, Softmax
from tfrecs.testing import check_loss

LOSSES = [Softmax, BPR, Sigmoid]


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


@pytest.mark.parametrize(
    "check",
    [pytest.param(c, id=f"{loss.__name__}-{c.name}") for loss in LOSSES for c in check_loss(loss)],
)
def test_a_loss_keeps_its_promise(check):
    check.run()


def test_softmax_is_the_log_of_the_share_of_the_positive():
    # scores log 2, log 3, log 5: shares 2/10, 3/10, 5/10
    scores = np.log([[2.0, 3.0, 5.0]])
    assert Softmax()([[0, 1, 0]], scores).numpy() == pytest.approx(-math.log(0.3))


def test_softmax_averages_over_positives_that_share_one_sum():
    scores = np.log([[2.0, 3.0, 5.0]])
    expected = -(math.log(0.2) + math.log(0.3)) / 2
    assert Softmax()([[1, 1, 0]], scores).numpy() == pytest.approx(expected)


def test_bpr_is_the_mean_over_pairs():
    # pairs (2, 1), (2, 0), (0.5, 1), (0.5, 0)
    expected = -sum(map(log_sigmoid, (1.0, 2.0, -0.5, 0.5))) / 4
    assert BPR()([[1, 0, 1, 0]], [[2.0, 1.0, 0.5, 0.0]]).numpy() == pytest.approx(expected)


def test_sigmoid_is_the_mean_over_the_candidates_that_count():
    expected = -(log_sigmoid(2.0) + log_sigmoid(-1.0)) / 2
    assert Sigmoid()([[1, 0, -1]], [[2.0, 1.0, 7.0]]).numpy() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_default_reduction_is_the_mean_over_rows(loss):
    labels, scores = np.array([[1, 0], [0, 1]]), np.array([[0.2, 0.1], [0.9, 0.3]])
    rows = loss(reduction=None)(labels, scores).numpy()
    assert loss()(labels, scores).numpy() == pytest.approx(rows.mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_may_have_more_axes_than_two(loss):
    labels, scores = np.array([[1, 0, -1], [0, 0, 1]]), np.array([[0.2, 0.1, 4.0], [0.9, 0.3, 0.5]])
    rows = loss(reduction=None)(labels, scores).numpy()
    stacked = loss(reduction=None)(labels[None], scores[None]).numpy()
    np.testing.assert_allclose(stacked, rows[None], rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_of_float16_are_computed_in_float32(loss):
    value = loss()(np.array([[1, 0]]), np.array([[1.0, 0.5]], np.float16))
    assert value.dtype == tf.float32


@pytest.mark.parametrize("loss", LOSSES)
def test_the_dtype_can_be_chosen_and_is_remembered(loss):
    made = loss(dtype="float16")
    assert made([[1, 0]], [[1.0, 0.5]]).dtype == tf.float16
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert copy.dtype == "float16"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_nan_score_makes_the_loss_nan(loss):
    assert np.isnan(loss()([[1, 0]], [[float("nan"), 0.5]]).numpy())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_trains_with_fit(loss):
    inputs, labels = np.eye(4, dtype=np.float32), np.eye(4)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model.compile(keras.optimizers.SGD(5.0), loss())
    before = loss()(labels, model(inputs)).numpy()
    model.fit(np.tile(inputs, (30, 1)), np.tile(labels, (30, 1)), batch_size=4, verbose=0)
    assert loss()(labels, model(inputs)).numpy() < 0.2 * before


def test_a_wrong_label_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"`y_true` must be 1 .* Received: 2.0. .* at \(0, 2\)"):
        Softmax()([[1.0, 0.0, 2.0]], [[0.1, 0.2, 0.3]])


def test_labels_of_another_shape_are_an_error_that_names_in_batch():
    with pytest.raises(ValueError, match=r"of the shape of the scores, \(2, 2\).*use InBatch"):
        Softmax()(np.array([1, 0]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"Received: \(2, 3\)"):
        Softmax()(np.zeros((2, 3)), np.zeros((2, 2)))
