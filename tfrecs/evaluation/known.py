"""What is known of users: put together here for protocols, recommendations and examples."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from tfrecs.baselines.base import find_positions, id_column
from tfrecs.evaluation.splits import Split

Seen = Literal["train", "disliked", "none", "all"]
PARTS: dict[Seen, tuple[str, ...]] = {
    "none": (),
    "train": ("train", "validation", "given"),
    "disliked": ("train", "validation", "given", "disliked"),
    "all": ("train", "validation", "given", "disliked", "test"),
}
_NAMES = {"train": "training"}  # in sentences; the others are called as they are


def parts_of(split: Split, seen: Seen) -> tuple[str, ...]:
    """Returns the parts of `split` that are known: those of `seen` that the split has."""
    return tuple(part for part in PARTS[seen] if getattr(split, part) is not None)


def told(split: Split, seen: Seen) -> str:
    """Returns what is masked, for a protocol's line.

    Example:

    >>> from tfrecs.evaluation import splits
    >>> events = pa.table({"user": list(range(9))})
    >>> told(splits.random(events, fraction=0.2, validation=0.2), "train")
    'training and validation pairs masked'
    """
    names = [_NAMES.get(part, part) for part in parts_of(split, seen)]
    if not names:
        return "nothing masked"
    return (
        " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names) + " pairs masked"
    )


def known_events(split: Split, seen: Seen, columns: list[str]) -> pa.Table:
    """Returns the events of the parts that are known, of the columns asked for."""
    parts = [getattr(split, part).select(columns) for part in parts_of(split, seen)]
    if not parts:
        return split.train.select(columns).slice(0, 0)
    schema = parts[0].schema
    return pa.concat_tables([part.cast(schema) for part in parts])


def known_pairs(split: Split, tables: Any, queries: Any, seen: Seen) -> sp.csr_matrix:
    """Returns bool `(B, C)`: which candidates are known to which of the queries.

    Args:
        split: The parts of the events.
        tables: Has `candidates` and `spec`.
        queries: The B ids of queries, distinct.
        seen: "train" for what came before the test: training, validation and what test users
            bring along; "disliked" for what users turned down as well; "all" for the test as
            well, as whoever recommends today knows it; "none".
    """
    query, item = tables.spec.query_id.name, tables.spec.candidate_id.name
    events = known_events(split, seen, [query, item])
    rows = find_positions(id_column(events, query, "events"), _flat(queries), query)
    known = id_column(tables.candidates, item, "candidates")
    places = find_positions(id_column(events, item, "events"), known, item)
    there = (rows >= 0) & (places >= 0)
    return pair_matrix(rows[there], places[there], (len(queries), len(known)))


def pair_matrix(rows: Any, columns: Any, shape: tuple[int, int]) -> sp.csr_matrix:
    """Returns a bool csr matrix; a pair that comes twice is there once."""
    ones: Any = np.ones(len(rows), bool)
    return sp.csr_matrix((ones, (rows, columns)), shape=shape)


def with_disliked(split: Split, tables: Any) -> Split:
    """Returns the split with what users turned down, where the tables tell.

    Those are the events that are no positives and whose label is a verdict: a rating below the
    bar, a -1, a "dislike". A label of 0 is none: it is an impression that was not taken.

    Args:
        split: The split of the positives.
        tables: Has `events`, `positive` and `spec`.
    """
    if split.disliked is not None or tables.positive is None or len(tables.spec.ids) < 2:
        return split
    others = tables.events.filter(pc.invert(tables.positive))
    labels = [f.name for f in tables.spec.by_role("label") if f.name in others.column_names]
    verdict = np.zeros(others.num_rows, bool)
    for name in labels:
        verdict |= _verdicts(others[name])
    if not verdict.any():
        return split
    ids = [tables.spec.query_id.name, tables.spec.candidate_id.name]
    return replace(split, disliked=others.select(ids).filter(pa.array(verdict)))


def _verdicts(labels: pa.ChunkedArray) -> np.ndarray:
    """Returns which labels say something: a number that is not 0, a text that is not empty."""
    if pa.types.is_dictionary(labels.type):
        labels = labels.cast(labels.type.value_type)
    empty = "" if pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type) else 0
    told = pc.not_equal(labels, pa.scalar(empty).cast(labels.type))
    return np.asarray(pc.fill_null(told, False)).astype(bool)


def _flat(ids: Any) -> pa.Array:
    return ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else pa.array(ids)
