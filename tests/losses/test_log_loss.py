import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.losses import LogLoss

LABELS, SCORES = [1, 0, 0, -1], [0.5, -1.0, 2.0, 9.0]


def softplus(x):
    return math.log1p(math.exp(x))


def test_each_row_has_its_own_loss_and_an_ignored_one_none():
    losses = LogLoss(reduction=None)(LABELS, SCORES)
    expected = [softplus(-0.5), softplus(-1.0), softplus(2.0), 0]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_without_weights_it_is_keras_s_own():
    theirs = keras.losses.BinaryCrossentropy(from_logits=True)([1.0, 0.0], [0.5, 2.0])
    np.testing.assert_allclose(LogLoss()([1, 0], [0.5, 2.0]), theirs, rtol=1e-6)


def test_weights_weigh_rows():
    weighted = LogLoss()([1, 0], [0.5, 2.0], sample_weight=np.array([3.0, 0.0]))
    np.testing.assert_allclose(weighted, 3 * softplus(-0.5) / 2, rtol=1e-6)


def test_extreme_scores_are_finite():
    np.testing.assert_allclose(LogLoss(reduction=None)([1, 0], [-1e4, 1e4]), [1e4, 1e4])


@pytest.mark.parametrize("label", [2, 0.5, float("nan")])
def test_a_label_that_is_no_click_is_an_error_and_in_a_graph_nan(label):
    with pytest.raises(ValueError, match=r"`y_true` must be 1 \(positive\).*stands at \(1,\)"):
        LogLoss()([1, label], [0.0, 0.0])
    graph = tf.function(LogLoss(), autograph=False)
    assert np.isnan(graph(tf.constant([1, label]), tf.constant([0.0, 0.0])))


def test_the_config_gives_it_back():
    loss = LogLoss(reduction="sum", name="clicks")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()
