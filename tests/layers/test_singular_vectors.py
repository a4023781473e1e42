import numpy as np
import pytest
import scipy.sparse

from tfrecs.layers import singular_vectors


def test_vectors_are_numpy_s_with_the_greatest_entry_of_v_positive():
    matrix = np.random.default_rng(0).standard_normal((7, 5))
    u, s, v = singular_vectors(scipy.sparse.csr_matrix(matrix), 3)
    _, expected, rows = np.linalg.svd(matrix)
    np.testing.assert_allclose(s, expected[:3])
    np.testing.assert_allclose(np.abs(v.T), np.abs(rows[:3]), atol=1e-9)
    np.testing.assert_allclose(u * s, matrix @ v, atol=1e-9)
    assert (v[np.abs(v).argmax(axis=0), range(3)] > 0).all()


@pytest.mark.parametrize("matrix, count", [(np.zeros((4, 3)), 2), (np.ones((1, 3)), 2)])
def test_what_has_no_values_has_no_vectors(matrix, count):
    u, s, v = singular_vectors(scipy.sparse.csr_matrix(matrix), count)
    assert (u.shape, s.shape, v.shape) == ((len(matrix), 0), (0,), (3, 0))
