"""User-to-user nearest neighbours on what both met."""

import numpy as np
import scipy.sparse

from tfrecs.baselines.item_knn import check_neighbours
from tfrecs.baselines.neighbours import Neighbourhood, nearest


class UserKNN(Neighbourhood):
    """Recommends what similar queries (users) met.

    `similarity(q, r) = n_qr / (sqrt(n_q n_r) + shrinkage)` for the nearest neighbours r of q, with
    n_q the candidates that q met and n_qr those that both met;
    `score(q, j) = sum of similarity(q, r) over the neighbours r that met j`.

    Neighbours are found when scoring, so a history that `fit` has not seen is answered too.

    Args:
        neighbours: Most neighbours of a query. Defaults to 100.
        shrinkage: Pulls the similarity of short histories towards 0, in candidates. Defaults to
            10.0.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.spec import Categorical, FeatureSpec
    >>> spec = FeatureSpec((
    ...     Categorical("user_id", "query", is_id=True),
    ...     Categorical("item_id", "candidate", is_id=True),
    ... ))
    >>> events = pa.table({"user_id": ["a", "a", "b"], "item_id": ["x", "z", "x"]})
    >>> knn = UserKNN(shrinkage=0.0).fit(events, pa.table({"item_id": ["x", "y", "z"]}), spec)
    >>> knn.score(pa.table({"user_id": ["b"]})).round(3)  # a is like b: 1 / sqrt(2)
    array([[0.707, 0.   , 0.707]], dtype=float32)

    Reference:
        Resnick et al., GroupLens: an open architecture for collaborative filtering, CSCW 1994.
    """

    def __init__(self, neighbours: int = 100, shrinkage: float = 10.0) -> None:
        check_neighbours(neighbours, shrinkage)
        self.neighbours = neighbours
        self.shrinkage = shrinkage

    def _learn(self, times: scipy.sparse.csr_matrix) -> None:
        """Nothing: the events are the model."""

    def _score(self, met: scipy.sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
        similar = nearest(met, self._met, self.neighbours, self.shrinkage, rows)
        return np.asarray((similar @ self._met).toarray())
