"""What baselines for sessions share: sessions as positions, and rules from the last item."""

from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.baselines.base import Baseline, event_positions, find_positions
from tfrecs.spec import FeatureSpec


class SessionBaseline(Baseline):
    """Base of baselines that read the session so far: the column `history` of the queries.

    `fit` takes events with a `session_id`, sessions one after the other in order of time.
    """

    def _sessions(
        self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the position of each event's candidate and the number of its session."""
        self._prepare(candidates, spec)
        name = spec.candidate_id.name
        items = event_positions(events, name, self._candidate_ids, "candidates")
        if "session_id" not in events.column_names:
            expectation = "a table with the column 'session_id'"
            raise ValueError(checks.expected("events", expectation, events.column_names))
        ids = np.asarray(events["session_id"])
        return items, np.cumsum(np.r_[False, ids[1:] != ids[:-1]])[: len(ids)]

    def _histories(self, queries: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """Returns positions of all items so far, those unknown left out, and their query."""
        self._num_candidates()
        if "history" not in queries.column_names:
            expectation = "a table with the column 'history'"
            raise ValueError(checks.expected("queries", expectation, queries.column_names))
        lists = queries["history"].combine_chunks()
        name = self._spec.candidate_id.name
        found = find_positions(pc.list_flatten(lists), self._candidate_ids, name)
        rows = np.asarray(pc.list_parent_indices(lists))
        return found[found >= 0], rows[found >= 0]


class SessionRules(SessionBaseline):
    """Base of the baselines that look at the last item alone: `score(q, j) = rule(last, j)`.

    A session whose items are all unknown gets the popularity order, as does a session between
    candidates that no rule of its last item tells apart. Subclasses write `rules`.
    """

    def fit(self, events: pa.Table, candidates: pa.Table, spec: FeatureSpec) -> Self:
        events = as_table("events", events)
        candidates = as_table("candidates", candidates)
        items, sessions = self._sessions(events, candidates, spec)
        size = self._num_candidates()
        counts = np.bincount(items, minlength=size)
        self._popularity = (counts / max(counts.max(), 1)).astype(np.float32)
        rules = self.rules(items, sessions)
        rules.setdiag(0)
        rules.eliminate_zeros()
        # so small that it orders just what the rules leave level
        self._least = 1e-3 * float(rules.data.min(initial=1.0))
        self._rules = rules.astype(np.float32)
        return self

    def rules(self, items: np.ndarray, sessions: np.ndarray) -> scipy.sparse.csr_matrix:
        """Returns the rules `(C, C)`, row by item met, from positions and session numbers."""
        raise NotImplementedError

    def score(self, queries: pa.Table) -> np.ndarray:
        items, rows = self._histories(queries)
        last = np.full(queries.num_rows, -1)
        last[rows] = items  # the last one assigned stays
        scores = np.tile(self._least * self._popularity, (queries.num_rows, 1))
        known = last >= 0
        scores[known] += self._rules[last[known]].toarray()
        return scores

    def _matrix(
        self, before: np.ndarray, after: np.ndarray, weights: np.ndarray
    ) -> scipy.sparse.csr_matrix:
        size = self._num_candidates()
        return scipy.sparse.csr_matrix((weights, (before, after)), shape=(size, size))
