"""Truncated singular value decomposition of the rating matrix."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.factors import Factors
from tfrecs.layers import singular_vectors

_SMALLEST = 1e-6  # of a singular value, relative to the first


@dataclass(frozen=True)
class SVDFactors:
    """`X ~ U S V^T`, shared evenly: `U sqrt(S)` and `V sqrt(S)`.

    Args:
        query: float32 `(Q, K)`, `U sqrt(S)`.
        candidate: float32 `(C, K)`, `V sqrt(S)`.
        inverse: float32 `(K,)`, `1 / S`, 0 where S is.
    """

    query: np.ndarray
    candidate: np.ndarray
    inverse: np.ndarray

    def fold_in(self, ratings: scipy.sparse.csr_matrix) -> np.ndarray:
        """Returns vectors of new rows `(B, K)` from their ratings `(B, C)`: `X V / sqrt(S)`.

        For the rows that were factorized it gives `query` again.
        """
        return np.asarray(ratings @ (self.candidate * self.inverse), np.float32)


def truncated_svd(matrix: scipy.sparse.csr_matrix, dim: int, seed: int = 0) -> SVDFactors:
    """Returns the first `dim` singular vectors of a sparse matrix; it is never made dense.

    A matrix of fewer than `dim + 1` rows or columns has fewer; the rest is zeros. For the signs see
    `layers.singular_vectors`.

    Args:
        matrix: `(Q, C)`.
        dim: Number of singular values, K.
        seed: Of the start of the iteration. Defaults to 0.

    Example:

    >>> factors = truncated_svd(scipy.sparse.csr_matrix([[3.0, 0, 0], [0, 2, 0], [0, 0, 1]]), 2)
    >>> (factors.query @ factors.candidate.T).round(3) + 0
    array([[3., 0., 0.],
           [0., 2., 0.],
           [0., 0., 0.]], dtype=float32)
    """
    checks.positive("dim", dim)
    u, s, v = singular_vectors(matrix, dim, seed)
    s = s * (s > _SMALLEST * s.max(initial=0))
    inverse = np.divide(1, s, out=np.zeros_like(s), where=s > 0)
    widths = ((0, 0), (0, dim - len(s)))
    root = np.sqrt(s)
    return SVDFactors(
        np.pad(u * root, widths).astype(np.float32),
        np.pad(v * root, widths).astype(np.float32),
        np.pad(inverse, widths[1]).astype(np.float32),
    )


class SVD(Factors):
    """Scores by the truncated SVD of the rating matrix.

    `X ~ U S V^T; score = U sqrt(S) . V sqrt(S)`

    Args:
        dim: Number of singular values. Defaults to 32.
        view_weight: What a view without a rating counts. Defaults to 0.1.
        seed: Of the start of the iteration. Defaults to 0.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"]})
    >>> svd = SVD(dim=1).fit(events, pa.table({"item_id": ["x", "y"]}), spec)
    >>> svd.score(pa.table({"user_id": ["b"]})).round(2)
    array([[0.72, 0.45]], dtype=float32)
    """

    def __init__(self, dim: int = 32, view_weight: float = 0.1, seed: int = 0) -> None:
        checks.positive("dim", dim)
        self.dim = dim
        self.view_weight = view_weight
        self.seed = seed

    def _factorize(self, matrix: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        factors = truncated_svd(matrix, self.dim, self.seed)
        return factors.query, factors.candidate
