import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfrecs.layers.gelu import gelu

X = np.array([-30.0, -3.0, -1.0, -0.1, 0.0, 0.5, 1.0, 2.0, 30.0], np.float32)


def test_values_and_gradient_are_those_of_the_formula():
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gelu(x)
        loss = tf.reduce_sum(y * tf.range(1.0, 10.0))  # another weight for each
    distribution = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in X.tolist()])
    density = np.exp(-0.5 * X.astype(np.float64) ** 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(y, X * distribution, rtol=1e-6, atol=1e-6)
    expected = np.arange(1, 10) * (distribution + X * density)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-5, atol=1e-6)


def test_by_hand():
    # Phi(1) = 0.841345, phi(1) = 0.241971
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gelu(x)
    assert float(y) == pytest.approx(0.841345, abs=1e-6)
    assert float(tape.gradient(y, x)) == pytest.approx(0.841345 + 0.241971, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_it_is_keras_s_in_every_precision(dtype):
    x = ops.cast(ops.convert_to_tensor(X[1:-1]), dtype)
    assert keras.backend.standardize_dtype(gelu(x).dtype) == dtype
    found, expected = (
        ops.convert_to_numpy(ops.cast(y, "float32"))
        for y in (gelu(x), keras.activations.gelu(x, approximate=False))
    )
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == "float32" else 2e-2)
