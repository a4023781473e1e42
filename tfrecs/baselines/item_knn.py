"""Item-to-item nearest neighbours on co-occurrence."""

import numpy as np
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.neighbours import WEIGHTINGS, Neighbourhood, Weighting, nearest, weigh


class ItemKNN(Neighbourhood):
    """Recommends what is similar to what the query met.

    `similarity(i, j) = <w_i, w_j> / (|w_i| |w_j| + shrinkage)` for the nearest neighbours j of i,
    with w_i the weights of the queries that met i; with "binary" that is
    `n_ij / (sqrt(n_i n_j) + shrinkage)`, n_ij being those that met both.
    `score(q, j) = sum of similarity(i, j) over the candidates i that q met`.

    Similar items are kept sparse: `C x neighbours` numbers.

    Args:
        neighbours: Most neighbours kept of an item. Defaults to 100.
        shrinkage: Pulls the similarity of rare items towards 0, in queries. Defaults to 10.0.
        weighting: "binary", or "tf_idf" or "bm25", by which a query that met much says less of
            each; see `weigh`. Defaults to "binary", the cosine.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "item_id": ["x", "z", "x"]})
    >>> knn = ItemKNN(shrinkage=0.0).fit(events, pa.table({"item_id": ["x", "y", "z"]}), spec)
    >>> scores, positions = knn.recommend(pa.table({"user_id": ["b"]}), k=1)
    >>> positions, scores.round(3)  # z is with x once, of twice and once: 1 / sqrt(2)
    (array([[2]]), array([[0.707]], dtype=float32))

    Reference:
        Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001.
    """

    def __init__(
        self, neighbours: int = 100, shrinkage: float = 10.0, weighting: Weighting = "binary"
    ) -> None:
        check_neighbours(neighbours, shrinkage)
        checks.one_of("weighting", weighting, WEIGHTINGS)
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.weighting: Weighting = weighting

    def _learn(self, times: scipy.sparse.csr_matrix) -> None:
        by_item = weigh(times, self.weighting).T.tocsr()  # (C, Q)
        itself = np.arange(by_item.shape[0])
        self._similar = nearest(by_item, by_item, self.neighbours, self.shrinkage, itself)

    def _score(self, met: scipy.sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
        return np.asarray((met @ self._similar).toarray())


def check_neighbours(neighbours: int, shrinkage: float) -> None:
    """Raises ValueError unless the arguments are in range."""
    checks.positive("neighbours", neighbours)
    if not shrinkage >= 0:
        raise ValueError(checks.expected("shrinkage", "0 or more", shrinkage))
