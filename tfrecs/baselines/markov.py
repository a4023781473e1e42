"""A first-order Markov chain over the items of sessions."""

import numpy as np
import scipy.sparse

from tfrecs.baselines.session_rules import SessionRules


class Markov(SessionRules):
    """Recommends what came right after the last item: `score(q, j) = count(last -> j)`.

    The order is that of the transition probabilities. An item is no rule for itself.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.datasets.sessions import session_spec
    >>> events = pa.table({"session_id": [1, 1, 2, 2], "item_id": ["x", "y", "x", "y"]})
    >>> chain = Markov().fit(events, pa.table({"item_id": ["x", "y"]}), session_spec())
    >>> chain.recommend(pa.table({"history": [["x"]]}), k=1)[1]
    array([[1]])

    Reference:
        Ludewig, Jannach 2018, arXiv:1803.09587, section 3.1.
    """

    def rules(self, items: np.ndarray, sessions: np.ndarray) -> scipy.sparse.csr_matrix:
        """Returns how often each item came right after each other."""
        same = sessions[1:] == sessions[:-1]
        return self._matrix(items[:-1][same], items[1:][same], np.ones(same.sum()))
