"""What the session itself holds most often, then what all sessions do."""

from typing import Self

import numpy as np
import pyarrow as pa

from tfrecs.arrow import as_table
from tfrecs.baselines.session_rules import SessionBaseline
from tfrecs.spec import FeatureSpec


class SessionPopularity(SessionBaseline):
    """Recommends the session's own items again: `score(q, j) = count in q + popularity(j) / max`.

    The second term, less than one event, orders what is level: most items, early in a session.

    Example:

    >>> import pyarrow as pa
    >>> from tfrecs.datasets.sessions import session_spec
    >>> events = pa.table({"session_id": [1, 1, 1], "item_id": ["x", "x", "y"]})
    >>> items = pa.table({"item_id": ["x", "y", "z"]})
    >>> popularity = SessionPopularity().fit(events, items, session_spec())
    >>> popularity.recommend(pa.table({"history": [["z"]]}), k=2)[1]
    array([[2, 0]])

    Reference:
        Hidasi et al. 2016, arXiv:1511.06939, S-POP.
    """

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        items, _ = self._sessions(events, candidates, spec)
        counts = np.bincount(items, minlength=self._num_candidates())
        self._popularity = (counts / (counts.max() + 1)).astype(np.float32)
        return self

    def score(self, queries: pa.Table) -> np.ndarray:
        items, rows = self._histories(queries)
        scores = np.tile(self._popularity, (queries.num_rows, 1))
        np.add.at(scores, (rows, items), 1)
        return scores
