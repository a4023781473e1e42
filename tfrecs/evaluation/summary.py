"""What a report says about data and users: counts, and a few users with their recommendations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.evaluation.known import Seen
from tfrecs.evaluation.splits import Split
from tfrecs.evaluation.truth import (
    candidate_positions,
    find_truth,
    pair_positions,
    query_positions,
)
from tfrecs.spec import Categorical


@dataclass(frozen=True)
class Summary:
    """A data set in numbers.

    Args:
        facts: Plain values, to be printed line by line.
        user_events: Training events of each user who has any, int64; empty without user ids.
        item_events: Training events of each item, int64 `(C,)`; empty without item ids.
    """

    facts: Mapping[str, int | str]
    user_events: np.ndarray
    item_events: np.ndarray


@dataclass(frozen=True)
class Example:
    """A test user: what it is known by, and what it is recommended.

    Args:
        query: The user's id.
        about: The user's other columns.
        history: Titles of training events, the last one first.
        taken: Titles of test events.
        recommended: Title, score, and whether the user took it in the test.
    """

    query: str
    about: str
    history: Sequence[str]
    taken: Sequence[str]
    recommended: Sequence[tuple[str, float, bool]]


@dataclass(frozen=True)
class ItemMap:
    """Items in two dimensions.

    Args:
        points: `(N, 2)` float, by principal components.
        share: Of the variance of the vectors, what the two dimensions hold.
        column: What `groups` are values of; "" where nothing groups the items.
        groups: The group of each point, "" for none.
    """

    points: np.ndarray
    share: float
    column: str
    groups: Sequence[str]


def summarize(tables: Any, split: Split) -> Summary:
    """Counts what a data set and its split hold.

    Args:
        tables: A data set.
        split: Its training and test events.
    """
    sides = {
        "query": (query_positions, tables.queries),
        "candidate": (candidate_positions, tables.candidates),
    }
    counts = dict.fromkeys(sides, np.zeros(0, np.int64))
    for role in tables.spec.ids:
        find, table = sides[role]
        rows = find(split.train, tables)
        counts[role] = np.bincount(rows[rows >= 0], minlength=table.num_rows)
    user_events = counts["query"]
    facts = dict(tables.describe())
    facts["training events"] = split.train.num_rows
    facts["test events"] = split.test.num_rows
    if split.validation is not None:
        facts["validation events"] = split.validation.num_rows
    facts["split"] = split.protocol
    return Summary(facts, user_events[user_events > 0], counts["candidate"])


def find_examples(
    recommender: Any,
    split: Split,
    tables: Any,
    *,
    num_users: int = 4,
    k: int = 10,
    seed: int = 0,
    display: str = "title",
    seen: Seen = "train",
) -> list[Example]:
    """Recommends to a few test users, drawn at random, in words.

    What is known of an event (hour, device) is that of the user's first test event.

    Args:
        recommender: Whatever has `recommend`.
        split: Training and test events.
        tables: Has `queries`, `candidates` and `spec`.
        num_users: Users to draw. Defaults to 4.
        k: Recommendations and titles of history, at most. Defaults to 10.
        seed: Of the draw. Defaults to 0.
        display: Column of titles; the id where there is none. Defaults to "title".
        seen: What is not recommended, see `known.known_pairs`. Defaults to "train".
    """
    checks.positive("num_users", num_users)
    truth = find_truth(split, tables, seen=seen)
    total = truth.queries.num_rows
    rows = np.random.default_rng(seed).choice(total, min(num_users, total), replace=False)
    queries, known, relevant = truth.queries.take(rows), truth.seen[rows], truth.relevant[rows]
    queries = _with_contexts(queries, split, tables)
    k = min(k, tables.candidates.num_rows)
    scores, positions = recommender.recommend(queries, k, known)
    titles = _titles(tables, display)
    train = split.train
    times = [f.name for f in tables.spec.by_role("time") if f.name in train.column_names]
    if times:
        train = train.sort_by([(name, "ascending") for name in times])
    users, items = pair_positions(train, tables)
    places = query_positions(queries, tables)
    examples = []
    for row in range(len(rows)):
        history = items[(users == places[row]) & (items >= 0)][-k:]
        hits = set(relevant[row].indices.tolist())
        fields = queries.slice(row, 1).to_pylist()[0]
        name = str(fields.pop(tables.spec.query_id.name))
        about = " · ".join(f"{key}: {_short(value)}" for key, value in fields.items() if value)
        best = [(int(p), float(s)) for p, s in zip(positions[row], scores[row], strict=True)]
        examples.append(
            Example(
                query=name,
                about=about,
                history=[titles[p] for p in history[::-1]],
                taken=[titles[p] for p in sorted(hits)[:k]],
                recommended=[(titles[p], s, p in hits) for p, s in best if p >= 0],
            )
        )
    return examples


def _with_contexts(queries: pa.Table, split: Split, tables: Any) -> pa.Table:
    """Returns the queries with the contexts of the first test event of each."""
    test = split.test
    names = [f.name for f in tables.spec.by_role("context") if f.name in test.column_names]
    places, rows = np.unique(query_positions(test, tables), return_index=True)
    first = test.take(rows[np.searchsorted(places, query_positions(queries, tables))])
    for name in names:
        if name not in queries.column_names:
            queries = queries.append_column(name, first[name])
    return queries


def map_items(
    vectors: np.ndarray, tables: Any, *, max_points: int = 1000, max_groups: int = 6, seed: int = 0
) -> ItemMap:
    """Draws items of a catalogue and maps their vectors to two dimensions.

    Args:
        vectors: `(C, D)` float, in the order of `tables.candidates`.
        tables: Has `candidates` and `spec`.
        max_points: Items to draw. Defaults to 1,000.
        max_groups: Values of the first category of items that are groups, the most frequent ones.
            Defaults to 6.
        seed: Of the draw. Defaults to 0.

    Raises:
        ValueError: If there is not a vector for each candidate.
    """
    if len(vectors) != tables.candidates.num_rows:
        expectation = f"a row for each of {tables.candidates.num_rows} candidates"
        raise ValueError(checks.expected("vectors", expectation, vectors.shape))
    rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:max_points])
    drawn = np.asarray(vectors, "float64")[rows]
    left, sizes, _ = np.linalg.svd(drawn - drawn.mean(axis=0), full_matrices=False)
    total = float((sizes**2).sum())
    points = np.zeros((len(rows), 2))
    points[:, : len(sizes)] = (left * sizes)[:, :2]
    share = float((sizes[:2] ** 2).sum()) / total if total else 1.0
    kinds = [f for f in tables.spec.by_role("candidate") if isinstance(f, Categorical)]
    column = next((f.name for f in kinds if not f.is_id), "")
    if not column:
        return ItemMap(points, share, "", [""] * len(rows))
    values = tables.candidates[column].take(rows).to_pylist()
    names = [name for name, _ in Counter(v for v in values if v is not None).most_common()]
    shown = set(names[:max_groups])
    return ItemMap(points, share, column, [str(v) if v in shown else "" for v in values])


def _titles(tables: Any, display: str) -> list[str]:
    name = tables.spec.candidate_id.name
    ids = tables.candidates[name].to_pylist()
    if display not in tables.candidates.column_names:
        return [str(value) for value in ids]
    texts = tables.candidates[display].to_pylist()
    return [str(text) if text else str(value) for text, value in zip(texts, ids, strict=True)]


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
