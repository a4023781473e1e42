"""Non-negative matrix factorization of the rating matrix."""

import numpy as np
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.factors import Factors

_EPSILON = 1e-9  # below all denominators


class NMF(Factors):
    """Scores by a factorization into vectors without negative entries.

    `min |X - W H^T|^2, W, H >= 0`, by multiplicative updates `W <- W * (X H) / (W H^T H)`.
    Negative ratings count as 0, as entries without an event do.

    Args:
        dim: Length of the vectors. Defaults to 32.
        iterations: Updates of both sides. Defaults to 60.
        view_weight: What a view without a rating counts. Defaults to 0.1.
        seed: Of the start. Defaults to 0.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"]})
    >>> nmf = NMF(dim=1).fit(events, pa.table({"item_id": ["x", "y"]}), spec)
    >>> nmf.score(pa.table({"user_id": ["b"]})).round(2)
    array([[0.72, 0.45]], dtype=float32)

    Reference:
        Lee, Seung 2001, Algorithms for non-negative matrix factorization.
    """

    def __init__(
        self, dim: int = 32, iterations: int = 60, view_weight: float = 0.1, seed: int = 0
    ) -> None:
        checks.positive("dim", dim)
        checks.positive("iterations", iterations)
        self.dim = dim
        self.iterations = iterations
        self.view_weight = view_weight
        self.seed = seed

    def _factorize(self, matrix: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        x = matrix.maximum(0).tocsr()
        transposed = x.T.tocsr()
        rng = np.random.default_rng(self.seed)
        scale = np.float32(np.sqrt(x.sum() / (x.shape[0] * x.shape[1] * self.dim)) + _EPSILON)
        w, h = (
            scale * rng.uniform(0.5, 1.5, (size, self.dim)).astype(np.float32) for size in x.shape
        )
        for _ in range(self.iterations):
            w *= (x @ h) / (w @ (h.T @ h) + _EPSILON)
            h *= (transposed @ w) / (h @ (w.T @ w) + _EPSILON)
        return w, h
