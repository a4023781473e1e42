"""EASE: a linear item-to-item model in closed form."""

import numpy as np
import scipy
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.neighbours import Neighbourhood

_COPIES = 3  # of a C x C matrix of float32, while it is inverted
_GB = 1e9


class EASE(Neighbourhood):
    """Scores by the item-to-item weights that explain best what queries met, the diagonal 0.

    `B = argmin |X - X B|^2 + l2 |B|^2` with `diag(B) = 0`: `B_ij = -P_ij / P_jj` off the
    diagonal, with `P = (X^T X + l2 I)^-1` and X of 1 where a query met a candidate;
    `score(q, j) = sum of B_ij over the candidates i that q met`.

    Memory: three matrices of `C x C` float32 while fitting, 12 bytes x C^2 (1.2 GB for 10,000
    candidates), one of them afterwards. Time grows with C^3.

    Args:
        l2: Above 0; more for sparser data. Defaults to 500.0.
        max_memory: Most memory it may take, in GB; beyond, `fit` refuses. Defaults to 4.0.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "item_id": ["x", "z", "x"]})
    >>> ease = EASE(l2=1.0).fit(events, pa.table({"item_id": ["x", "y", "z"]}), spec)
    >>> ease.score(pa.table({"user_id": ["b"]})).round(3)  # P of x and z: [[2, -1], [-1, 3]] / 5
    array([[0.   , 0.   , 0.333]], dtype=float32)

    Reference:
        Steck 2019, Embarrassingly shallow autoencoders for sparse data, arXiv:1905.03375.
    """

    def __init__(self, l2: float = 500.0, max_memory: float = 4.0) -> None:
        checks.positive("l2", l2)
        checks.positive("max_memory", max_memory)
        self.l2 = l2
        self.max_memory = max_memory

    def _learn(self, times: scipy.sparse.csr_matrix) -> None:
        num_items = times.shape[1]
        needed = _COPIES * 4 * num_items**2 / _GB
        if needed > self.max_memory:
            raise ValueError(
                checks.expected(
                    "max_memory",
                    f"the {needed:.3g} GB or more that EASE takes for {num_items:,} candidates",
                    self.max_memory,
                    "Raise it where there is as much, or take ItemKNN, which is sparse.",
                )
            )
        gram = (self._met.T @ self._met).toarray().astype(np.float32)
        diagonal = np.diag_indices_from(gram)
        gram[diagonal] += self.l2
        weights = scipy.linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights /= -weights[diagonal]
        weights[diagonal] = 0.0
        self._weights = weights

    def _score(self, met: scipy.sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
        return np.asarray(met @ self._weights)
