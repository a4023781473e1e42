import numpy as np
from keras import ops

from tfrecs.layers import history_vectors

ROWS = np.array([[[1, -2], [3, 0], [-4, 6]], [[5, 5], [0, 0], [0, 0]]], "float32")


def test_minimum_maximum_and_mean_by_hand():
    mask = np.array([[True, True, True], [True, False, False]])
    # minimum (-4, -2), maximum (3, 6), mean (0, 4/3); then a single item three times
    expected = [[-4, -2, 3, 6, 0, 4 / 3, 0], [5, 5, 5, 5, 5, 5, 0]]
    np.testing.assert_allclose(history_vectors(ROWS, mask), expected, atol=1e-6)


def test_an_empty_set_is_zeros_and_a_bit_unlike_an_item_at_the_origin():
    mask = np.array([[False, False, False], [False, True, False]])
    expected = [[0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(history_vectors(ROWS, mask), expected)


def test_a_batch_without_any_history_has_length_zero():
    found = history_vectors(np.zeros((2, 0, 3), "float32"), np.zeros((2, 0), bool))
    np.testing.assert_array_equal(found, [[0] * 9 + [1]] * 2)


def test_more_padding_changes_nothing():
    mask = np.array([[True, True, False], [True, False, False]])
    padded = ops.pad(ROWS, ((0, 0), (0, 4), (0, 0)), constant_values=9)
    wider = ops.pad(mask, ((0, 0), (0, 4)))
    np.testing.assert_allclose(history_vectors(padded, wider), history_vectors(ROWS, mask))
