"""Sequential rules: what came some steps after an item, the near counting more."""

import numpy as np
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.session_rules import SessionRules


class SequentialRules(SessionRules):
    """Recommends what came after the last item: `score(q, j) = sum over (last .. j) of 1/distance`.

    Args:
        max_distance: Most steps between the two. Defaults to 10.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.datasets.sessions import session_spec
    >>> events = pa.table({"session_id": [1, 1, 1], "item_id": ["x", "y", "z"]})
    >>> items = pa.table({"item_id": ["x", "y", "z"]})
    >>> rules = SequentialRules().fit(events, items, session_spec())
    >>> rules.recommend(pa.table({"history": [["x"]]}), k=2)[1]  # 1 for y, 1/2 for z
    array([[1, 2]])

    Reference:
        Ludewig, Jannach 2018, arXiv:1803.09587, section 3.1.
    """

    def __init__(self, max_distance: int = 10) -> None:
        checks.positive("max_distance", max_distance)
        self.max_distance = max_distance

    def rules(self, items: np.ndarray, sessions: np.ndarray) -> scipy.sparse.csr_matrix:
        """Returns the sums of 1 / distance."""
        size = self._num_candidates()
        total = scipy.sparse.csr_matrix((size, size))
        for distance in range(1, self.max_distance + 1):
            same = sessions[distance:] == sessions[:-distance]
            if not same.any():
                break
            weights = np.full(same.sum(), 1 / distance)
            found = self._matrix(items[:-distance][same], items[distance:][same], weights)
            total = scipy.sparse.csr_matrix(total + found)
        return total
