import itertools

import keras
import numpy as np
from keras import ops

from tfrecs.layers import squared_relu, start_as_products


def dense(*widths):
    """Layers without biases, the first of squared ReLUs."""
    layers = []
    for number, (size, units) in enumerate(itertools.pairwise(widths)):
        start = keras.initializers.RandomNormal(seed=number)
        layers.append(
            keras.layers.Dense(
                units, None if number else squared_relu, use_bias=False, kernel_initializer=start
            )
        )
        layers[-1].build((None, size))
    return layers


def test_two_squared_relus_are_a_square():
    x = np.array([-3.0, 0.0, 2.0], "float32")
    np.testing.assert_allclose(squared_relu(x), [0, 0, 4])
    np.testing.assert_allclose(ops.add(squared_relu(x), squared_relu(-x)), x**2)


def test_units_start_as_the_products_of_pairs_and_others_stay():
    layers = dense(7, 18, 5)
    before = [np.array(layer.kernel) for layer in layers]
    # x in 0 and 1, y in 2 and 3, s 0.5; x in 4, y in 6, s 1: twelve units
    start_as_products(layers, [(0, 2, 2, 0.5), (4, 6, 1, 1.0)])
    first, second = (np.array(layer.kernel) for layer in layers)
    np.testing.assert_array_equal(first[:, 12:], before[0][:, 12:])
    np.testing.assert_array_equal(second[12:], before[1][12:])
    x = np.array([1.0, 2.0, 3.0, -4.0, 5.0, 9.0, -2.0])
    out = np.asarray(squared_relu(x @ first[:, :12])) @ second[:12]
    # 4 s^2 (1 * 3 - 2 * 4) = -5 and 4 * 5 * -2 = -40, with their negatives; nothing for unit 5
    np.testing.assert_allclose(out, [-5, 5, -40, 40, 0], atol=1e-5)


def test_components_without_units_are_left_out():
    layers = dense(4, 5, 1)
    layers[0].kernel.assign(np.zeros((4, 5)))
    start_as_products(layers, [(0, 2, 2, 0.5)])
    out = layers[1](layers[0](np.array([[1.0, 2.0, 3.0, 4.0]])))
    np.testing.assert_allclose(out, [[3]], rtol=1e-6)  # 1 * 3 alone


def test_a_single_layer_stays():
    layers = dense(4, 1)
    before = np.array(layers[0].kernel)
    start_as_products(layers, [(0, 2, 2, 0.5)])
    np.testing.assert_array_equal(layers[0].kernel, before)
