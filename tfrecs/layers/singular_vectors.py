"""Truncated singular value decomposition of sparse matrices, the same at every run."""

import numpy as np
import scipy.sparse


def singular_vectors(
    matrix: scipy.sparse.csr_matrix, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns `U (Q, K)`, `S (K,)`, the largest first, and `V (C, K)` of `X ~ U S V^T`.

    The sign of a pair of vectors is that which makes the greatest entry of V positive. K is less
    than `count` where the matrix has fewer than `count + 1` rows or columns, and 0 where all of it
    is zero.

    Args:
        matrix: `(Q, C)`; it is never made dense.
        count: Most singular values.
        seed: Of the start of the iteration. Defaults to 0.

    Example:

    >>> u, s, v = singular_vectors(scipy.sparse.csr_matrix([[3.0, 0, 0], [0, -2, 0], [0, 0, 1]]), 2)
    >>> s.round(3), (u * s @ v.T).round(3) + 0
    (array([3., 2.]), array([[ 3.,  0.,  0.],
           [ 0., -2.,  0.],
           [ 0.,  0.,  0.]]))
    """
    from scipy.sparse.linalg import svds  # not at tfrecs' import: it takes all of scipy.linalg

    count = min(count, min(matrix.shape) - 1)
    if count < 1 or not matrix.nnz:
        return np.zeros((matrix.shape[0], 0)), np.zeros(0), np.zeros((matrix.shape[1], 0))
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    u, s, v = svds(matrix.astype(np.float64), k=count, v0=start)
    u, s, v = u[:, ::-1], s[::-1], v[::-1].T
    sign = np.sign(v[np.abs(v).argmax(axis=0), np.arange(count)])
    return u * sign, s, v * sign
