"""Who is served how well: by the activity of users and the popularity of items, new ones apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from tfrecs import checks
from tfrecs.evaluation.results import Table
from tfrecs.evaluation.splits import Split
from tfrecs.evaluation.truth import Truth, find_truth
from tfrecs.metrics.ranking import find_hits, per_user

EDGES = (0, 1, 5, 20, 100)
MOST_VALUES = 8


def breakdown(
    recommenders: Mapping[str, Any],
    split: Split,
    tables: Any,
    k: int = 20,
    *,
    edges: Sequence[int] = EDGES,
    batch_size: int = 4096,
) -> dict[str, Table]:
    """Ranks all candidates for every test user, and tells the result group by group.

    - "users": `ndcg@k`, the mean over the users of a group; by what they have in training, or
      brought with them. The group "0" are new users.
    - each column of users with a few values, under its name: `ndcg@k` by value.
    - "items": `recall@k = hits / test events` of the items of a group, all users together; by
      their training events. The group "0" are new items.

    So the columns "0" are the cold-start table. A cell without a test event is empty.

    Args:
        recommenders: By name, whatever has `recommend(queries, k, exclude)`.
        split: Training and test events.
        tables: Has `queries`, `candidates` and `spec`.
        k: Cut-off. Defaults to 20.
        edges: First number of events of each group, rising from 0. Defaults to (0, 1, 5, 20, 100).
        batch_size: Users in one call of `recommend`. Defaults to 4096.

    Returns:
        A table of "users", one of "items" and one of each such column: a row each recommender, and
        the sizes of groups.

    Raises:
        ValueError: If `edges` do not rise from 0, or `k` is out of range.
    """
    if list(edges) != sorted(set(edges)) or not edges or edges[0] != 0:
        raise ValueError(checks.expected("edges", "rising from 0", edges))
    num_candidates = tables.candidates.num_rows
    if not 1 <= k <= num_candidates:
        expectation = f"from 1 to the number of candidates ({num_candidates})"
        raise ValueError(checks.expected("k", expectation, k))
    truth = find_truth(split, tables, seen="train")
    found = {}
    for name, recommender in recommenders.items():
        gains, positions = [], []
        for start in range(0, truth.queries.num_rows, batch_size):
            rows = slice(start, start + batch_size)
            queries = truth.queries.slice(start, batch_size)
            positions.append(recommender.recommend(queries, k, truth.seen[rows])[1])
            gains.append(per_user(positions[-1], truth.relevant[rows], [k])[f"ndcg@{k}"])
        found[name] = np.concatenate(gains), np.concatenate(positions)
    return group_tables(truth, found, k, edges)


def group_tables(
    truth: Truth,
    found: Mapping[str, tuple[np.ndarray, np.ndarray]],
    k: int,
    edges: Sequence[int] = EDGES,
) -> dict[str, Table]:
    """Returns the tables of `breakdown` of what has been recommended.

    Args:
        truth: Test users and what they took.
        found: By recommender, nDCG of each user `(U,)` and positions `(U, k)`.
        k: Cut-off of both.
        edges: First number of events of each group.
    """
    users = _groups(np.diff(truth.seen.indptr), edges)
    items = _groups(truth.popularity, edges)
    relevant = sp.csr_matrix(truth.relevant)
    of_users = np.bincount(users, minlength=len(edges))
    of_items = np.bincount(items[relevant.indices], minlength=len(edges))
    tables = {
        "users": [_row("test users", of_users)],
        "items": [_row("test events", of_items)],
    }
    for name, (gains, positions) in found.items():
        total = np.bincount(users, gains, minlength=len(edges))
        hits = items[positions[find_hits(positions, relevant)[0]]]
        tables["users"].append(_row(name, _shares(total, of_users)))
        tables["items"].append(
            _row(name, _shares(np.bincount(hits, minlength=len(edges)), of_items))
        )
    metric = {"users": f"ndcg@{k}, users of", "items": f"recall@{k}, items of"}
    by_count = {w: Table([metric[w], *_names(edges)], rows) for w, rows in tables.items()}
    of_user = {name: gains for name, (gains, _) in found.items()}
    return by_count | _by_column(truth.queries, of_user, k)


def _by_column(queries: pa.Table, gains: Mapping[str, np.ndarray], k: int) -> dict[str, Table]:
    """Returns a table for each column of text that has from 2 to `MOST_VALUES` values."""
    tables = {}
    for field in queries.schema:
        if not pa.types.is_string(field.type):
            continue
        values = pc.fill_null(queries[field.name], "none").to_numpy()
        names, rows, sizes = np.unique(values, return_inverse=True, return_counts=True)
        if not 1 < len(names) <= MOST_VALUES:
            continue
        lines = [_row("test users", sizes)]
        lines += [_row(n, _shares(np.bincount(rows, own), sizes)) for n, own in gains.items()]
        tables[field.name] = Table([f"ndcg@{k}, users of {field.name}", *map(str, names)], lines)
    return tables


def _groups(counts: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """Returns the group of each count."""
    return np.searchsorted(edges, counts, side="right") - 1


def _names(edges: Sequence[int]) -> list[str]:
    """Returns what groups are called, such as 0, 1-4, 5-19, 20+."""
    names = []
    for first, following in zip(edges, [*edges[1:], None], strict=True):
        last = None if following is None else following - 1
        names.append(
            f"{first}+" if last is None else str(first) if last == first else f"{first}-{last}"
        )
    return names


def _shares(total: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns `total / sizes`, NaN where there is nothing."""
    return np.where(sizes > 0, total / np.maximum(sizes, 1), np.nan)


def _row(name: str, values: np.ndarray) -> list[str]:
    counted = values.dtype.kind == "i"
    return [name, *(("" if v != v else f"{v:,}" if counted else f"{v:.3f}") for v in values)]
