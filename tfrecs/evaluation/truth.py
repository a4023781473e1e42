"""What test users took, as a sparse matrix over the candidates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from tfrecs.baselines.base import find_positions, id_column
from tfrecs.evaluation.known import Seen, known_pairs, pair_matrix, parts_of
from tfrecs.evaluation.splits import Split


@dataclass(frozen=True)
class Truth:
    """The users to evaluate and what they took.

    Args:
        queries: Rows of the U users who have something to find.
        relevant: bool csr `(U, C)`, what they took in the test.
        seen: bool csr `(U, C)`, what is masked for them.
        popularity: Training events of each candidate, int64 `(C,)`.
        left_out: Test events left out, by reason.
    """

    queries: pa.Table
    relevant: sp.csr_matrix
    seen: sp.csr_matrix
    popularity: np.ndarray
    left_out: dict[str, int]


def find_truth(split: Split, tables: Any, seen: Seen) -> Truth:
    """Finds who is evaluated on what.

    A test event is left out if its user has no row in `tables.queries`, its item none in
    `tables.candidates`, or if the pair is masked because it was known before the test.
    Repeated test events of a pair count once.

    Args:
        split: Training and test events.
        tables: Has `queries`, `candidates` and `spec`.
        seen: What is masked, see `known.known_pairs`.

    Raises:
        ValueError: If no test event is left.
    """
    users, items = pair_positions(split.test, tables)
    known = (users >= 0) & (items >= 0)
    shape = (tables.queries.num_rows, tables.candidates.num_rows)
    relevant = pair_matrix(users[known], items[known], shape)
    train_items = candidate_positions(split.train, tables)
    masked = known_pairs(split, tables, tables.queries[tables.spec.query_id.name], seen)
    again = relevant.multiply(masked).astype(bool)
    before = "seen in training" if parts_of(split, seen) == ("train",) else "known before"
    left_out = {
        "user unknown": int((users < 0).sum()),
        "item unknown": int(((users >= 0) & (items < 0)).sum()),
        before: int(again.nnz),
    }
    relevant = relevant > again
    rows = np.nonzero(np.diff(relevant.indptr))[0]
    if len(rows) == 0:
        raise ValueError(
            f"None of the {split.test.num_rows} test events can be evaluated: {left_out}. "
            "Check that ids are the same in `test`, `queries` and `candidates`."
        )
    return Truth(
        queries=tables.queries.take(rows),
        relevant=relevant[rows],
        seen=masked[rows],
        popularity=np.bincount(train_items[train_items >= 0], minlength=shape[1]),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def pair_positions(events: pa.Table, tables: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of `tables.queries` and `tables.candidates` of each event; -1 for none."""
    return query_positions(events, tables), candidate_positions(events, tables)


def query_positions(events: pa.Table, tables: Any) -> np.ndarray:
    """Returns the row of `tables.queries` of each event; -1 for none."""
    return _positions(events, tables.queries, tables.spec.query_id.name, "queries")


def candidate_positions(events: pa.Table, tables: Any) -> np.ndarray:
    """Returns the row of `tables.candidates` of each event; -1 for none."""
    return _positions(events, tables.candidates, tables.spec.candidate_id.name, "candidates")


def _positions(events: pa.Table, known: pa.Table, name: str, argument: str) -> np.ndarray:
    wanted = id_column(events, name, "events")
    return find_positions(wanted, id_column(known, name, argument), name)
