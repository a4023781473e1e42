import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.optimizers import AdagradMomentum, SparseAdagrad


def slices(values, ids, rows=3):
    values = tf.constant(values)
    return tf.IndexedSlices(values, tf.constant(ids), (rows, values.shape[1]))


def test_two_steps_by_hand():
    # a = 9, 10; v = -0.5, 0.2 * -0.5 - 0.5 / sqrt(10)
    table = keras.Variable([[0.0], [2.0], [0.0]])
    optimizer = AdagradMomentum(0.5, momentum=0.2, epsilon=0.0)
    optimizer.apply_gradients([(slices([[3.0]], [1]), table)])
    np.testing.assert_allclose(table.numpy().ravel(), [0, 1.5, 0], rtol=1e-6)
    optimizer.apply_gradients([(slices([[1.0]], [1]), table)])
    np.testing.assert_allclose(table.numpy()[1], 1.5 - 0.1 - 0.5 / 10**0.5, rtol=1e-6)


def test_the_authors_numbers():
    # their optimizer with momentum 0.2, rate 0.5, the gradients (1, -2), (0.5, -1)
    weight = keras.Variable([1.0, 2.0])
    optimizer = AdagradMomentum(0.5, momentum=0.2)
    for gradient in ([1.0, -2.0], [0.5, -1.0]):
        optimizer.apply_gradients([(tf.constant(gradient), weight)])
    np.testing.assert_allclose(weight.numpy(), [0.1763936, 2.8236067], rtol=1e-5)


def test_rows_that_come_twice_are_summed_first():
    tables = [keras.Variable([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]) for _ in range(2)]
    twice = slices([[1.0, 2.0], [2.0, -5.0], [4.0, 4.0]], [1, 1, 2])
    once = slices([[3.0, -3.0], [4.0, 4.0]], [1, 2])
    for table, gradient in zip(tables, (twice, once), strict=True):
        AdagradMomentum(0.5, momentum=0.3).apply_gradients([(gradient, table)])
    np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), rtol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_dense_and_sparse_agree_while_every_row_comes(momentum):
    rng = np.random.default_rng(0)
    tables = [keras.Variable(np.ones((3, 2), "float32")) for _ in range(2)]
    optimizers = [AdagradMomentum(0.1, momentum=momentum) for _ in range(2)]
    for _ in range(4):
        gradient = rng.normal(size=(3, 2)).astype("float32")
        optimizers[0].apply_gradients([(tf.constant(gradient), tables[0])])
        optimizers[1].apply_gradients([(slices(gradient, [0, 1, 2]), tables[1])])
    np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), rtol=1e-5)


def test_without_momentum_it_is_sparse_adagrad():
    tables = [keras.Variable(np.ones((3, 2), "float32")) for _ in range(2)]
    kwargs = {"initial_accumulator_value": 0.1, "epsilon": 1e-7}
    for table, kind in zip(tables, (AdagradMomentum, SparseAdagrad), strict=True):
        optimizer = kind(0.1, **kwargs)
        for _ in range(3):
            optimizer.apply_gradients([(slices([[1.0, 2.0]], [1]), table)])
    np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), rtol=1e-6)


def test_the_config_gives_it_back():
    optimizer = AdagradMomentum(0.2, momentum=0.3, epsilon=1e-4)
    copy = AdagradMomentum.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()


def test_a_wrong_momentum_is_named():
    with pytest.raises(ValueError, match="`momentum` must be from 0 to below 1"):
        AdagradMomentum(momentum=1.0)


def test_clipping_is_that_of_the_summed_rows():
    table = keras.Variable([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    optimizer = AdagradMomentum(1.0, epsilon=0.0, initial_accumulator_value=1.0, clipvalue=1.0)
    optimizer.apply_gradients([(slices([[3.0, 0.5], [3.0, 0.5]], [1, 1]), table)])
    # the sum (6, 1) becomes (1, 1): steps of 1 / sqrt(1 + 1)
    np.testing.assert_allclose(table.numpy()[1], [-(0.5**0.5)] * 2, rtol=1e-6)
