import numpy as np
from keras import ops

from tfrecs.layers import fold_in


def test_a_row_by_hand():
    # entries (1, 0) and (1, 1), Gramian diag(2, 1), l2 0.5:
    # [[2 + 2 + 0.5, 1], [1, 1 + 1 + 0.5]] x = (2, 1), whose determinant is 4.5 * 2.5 - 1 = 10.25
    entries = np.array([[[1.0, 0.0], [1.0, 1.0], [9.0, 9.0]]])
    mask = np.array([[True, True, False]])
    x = fold_in(entries, mask, np.diag([2.0, 1.0]).astype("float32"), np.array([0.5]))
    np.testing.assert_allclose(x, [[(2 * 2.5 - 1) / 10.25, (4.5 - 2) / 10.25]], rtol=1e-6)


def test_a_row_without_events_is_zero_and_axes_may_be_more():
    entries = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    mask = np.ones((2, 3, 4), bool)
    mask[1, 2] = False
    x = ops.convert_to_numpy(fold_in(entries, mask, np.eye(5, dtype="float32"), np.ones((2, 3))))
    assert x.shape == (2, 3, 5)
    assert (x[1, 2] == 0).all()
    assert (x[1, 1] != 0).all()
