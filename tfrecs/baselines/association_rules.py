"""Association rules of two items: what was in the same sessions."""

import numpy as np
import scipy.sparse

from tfrecs import checks
from tfrecs.baselines.session_rules import SessionRules


class AssociationRules(SessionRules):
    """Recommends what was in a session with the last item: `score(q, j) = n_ij`.

    With `cosine` it is item-kNN for sessions, `n_ij / sqrt(n_i n_j)`; n are numbers of sessions.
    Sessions of more than `max_length` items count with their last ones.

    Args:
        cosine: Whether to divide by how frequent both are. Defaults to `False`.
        max_length: Most items of a session, of which all pairs count. Defaults to 100.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.datasets.sessions import session_spec
    >>> events = pa.table({"session_id": [1, 1, 2, 2], "item_id": ["x", "y", "x", "y"]})
    >>> rules = AssociationRules().fit(events, pa.table({"item_id": ["x", "y"]}), session_spec())
    >>> rules.recommend(pa.table({"history": [["y"]]}), k=1)[1]
    array([[0]])

    Reference:
        Ludewig, Jannach 2018, arXiv:1803.09587, section 3.1; Sarwar et al. 2001 (item-kNN).
    """

    def __init__(self, cosine: bool = False, max_length: int = 100) -> None:
        checks.positive("max_length", max_length)
        self.cosine = cosine
        self.max_length = max_length

    def rules(self, items: np.ndarray, sessions: np.ndarray) -> scipy.sparse.csr_matrix:
        """Returns in how many sessions both were."""
        ends = np.r_[np.flatnonzero(np.diff(sessions)), len(sessions) - 1]
        late = ends[sessions] - np.arange(len(sessions)) < self.max_length
        shape = (int(sessions.max(initial=0)) + 1, self._num_candidates())
        ones = np.ones(late.sum(), np.float32)
        met = scipy.sparse.csr_matrix((ones, (sessions[late], items[late])), shape=shape)
        met.data[:] = 1
        together = (met.T @ met).tocoo()
        if self.cosine:
            counts = np.asarray(met.sum(axis=0)).ravel()
            together.data /= np.sqrt(counts[together.row] * counts[together.col])
        return scipy.sparse.csr_matrix(together)
