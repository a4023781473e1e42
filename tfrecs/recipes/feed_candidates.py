"""Candidates of the iki feed from a training's tables, and what they reach."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse
import tensorflow as tf

from tfrecs.baselines.factors import rating_matrix
from tfrecs.datasets import Tables
from tfrecs.evaluation.truth import query_positions
from tfrecs.models import IkiRanker
from tfrecs.models.iki import DISLIKED, LIKED, TAGS, VIEWED
from tfrecs.recipes.feed import FEEDBACK, VIEW_WEIGHT, catalogue, observed
from tfrecs.retrieval.tag_candidates import SOURCES, CandidateOptions, TagCandidates
from tfrecs.spec import NUM_RESERVED_IDS, Timestamp


def tag_candidates(
    model: IkiRanker,
    transform: Any,
    events: pa.Table,
    tables: Tables,
    options: CandidateOptions | None = None,
) -> TagCandidates:
    """Builds the sources of candidates from training events.

    Args:
        model: The ranker, whose content they share.
        transform: Its features.
        events: Training events, with the feedback; of those with times the last ones count.
        tables: Users and items, prepared.
        options: How far each source reaches.
    """
    spec, item = tables.spec, transform.spec.candidate_id.name
    items, lists = catalogue(transform, tables)
    size = transform.spec[item].size
    events = observed(events)
    known = tables.candidates[item].combine_chunks(), tables.queries[spec.query_id.name]
    ids = scipy.sparse.csr_matrix(
        (np.ones(len(items), np.float32), (np.arange(len(items)), items)),
        shape=(len(items), size),
    )
    users = known[1].combine_chunks()
    ratings = rating_matrix(events, users, known[0], spec, VIEW_WEIGHT) @ ids
    order = None
    times = [f.name for f in spec.by_role("time") if f.name in events.column_names]
    if times:
        seconds = pc.cast(events[times[0]], pa.int64()).to_numpy().astype(np.float64)
        stamped = events.set_column(
            events.column_names.index(FEEDBACK), FEEDBACK, pa.array(1 + seconds - seconds.min())
        )
        order = rating_matrix(stamped, users, known[0], spec, VIEW_WEIGHT).astype(np.float64) @ ids
    tags = _items_by_tag(lists, items, transform.spec[TAGS].size)
    newest = _newest(tables, items, size)
    return TagCandidates(
        model.content.value, tags, ratings, order=order, newest=newest, options=options
    )


def _items_by_tag(tags: np.ndarray, items: np.ndarray, size: int) -> list[np.ndarray]:
    rows, places = np.nonzero(tags >= NUM_RESERVED_IDS)
    pairs = np.unique(np.stack([tags[rows, places], items[rows]]), axis=1)
    return np.split(pairs[1], np.cumsum(np.bincount(pairs[0], minlength=size))[:-1])


def _newest(tables: Tables, ids: np.ndarray, size: int) -> np.ndarray | None:
    stamps = [f.name for f in tables.spec.by_role("candidate") if isinstance(f, Timestamp)]
    if not stamps:
        return None
    newest = np.full(size, -np.inf)
    newest[ids] = pc.fill_null(pc.cast(tables.candidates[stamps[0]], pa.int64()), 0).to_numpy()
    return newest


@dataclass(frozen=True)
class CandidateReport:
    """What the sources gave, on average over pairs of a user and a tag.

    Args:
        pairs: Number of pairs.
        counts: Candidates by source, and "union".
        recall: Share of the held-out likes of the tag that are among them, by source and "union".
        recall_at: The same of the most promising k, by k.
    """

    pairs: int
    counts: dict[str, float]
    recall: dict[str, float]
    recall_at: dict[int, float]


def report_candidates(
    candidates: TagCandidates,
    transform: Any,
    test: pa.Table,
    tables: Tables,
    *,
    ks: tuple[int, ...] = (100, 500),
    max_pairs: int = 1000,
    seed: int = 0,
) -> CandidateReport:
    """Measures candidates against held-out likes, for pairs of a user and a tag of such a like.

    Args:
        candidates: The sources.
        transform: The features.
        test: Held-out events.
        tables: Users and items, prepared from the training events.
        ks: Where to cut.
        max_pairs: Pairs drawn where there are more. Defaults to 1,000.
        seed: Of the draw. Defaults to 0.
    """
    pairs = like_pairs(transform, test, tables, max_pairs, seed)
    queries = histories(transform, tables)
    find = tf.function(candidates.__call__, autograph=False)
    counts, hits = np.zeros(len(SOURCES) + 1), np.zeros(len(SOURCES) + 1)
    at = np.zeros(len(ks))
    for (user, tag), wanted in pairs.items():
        ids, bits = find(tf.constant(tag), *(values[user] for values in queries.values()))
        ids, bits = ids.numpy(), bits.numpy()
        right = np.isin(ids, wanted)
        for place in range(len(SOURCES)):
            of_source = bits >> place & 1 > 0
            counts[place] += of_source.sum()
            hits[place] += (right & of_source).sum() / len(wanted)
        counts[-1] += len(ids)
        hits[-1] += right.sum() / len(wanted)
        at += [right[:k].sum() / len(wanted) for k in ks]
    total = max(len(pairs), 1)
    names = (*SOURCES, "union")
    return CandidateReport(
        len(pairs),
        dict(zip(names, (counts / total).tolist(), strict=True)),
        dict(zip(names, (hits / total).tolist(), strict=True)),
        dict(zip(ks, (at / total).tolist(), strict=True)),
    )


def by_radius(
    candidates: TagCandidates, radii: tuple[float, ...], **arguments: Any
) -> Mapping[float, CandidateReport]:
    """Returns `report_candidates` for several radii of the neighbourhoods.

    Args:
        candidates: The sources; they keep the last radius only while it is measured.
        radii: Cosines.
        **arguments: Of `report_candidates`.
    """
    options, found = candidates.options, {}
    for radius in radii:
        candidates.options = replace(options, radius=radius)
        found[radius] = report_candidates(candidates, **arguments)
    candidates.options = options
    return found


def histories(transform: Any, tables: Tables) -> dict[str, tf.Tensor]:
    """Returns the lists of all users as ids `(U, L)`, in the order of `TagCandidates`' call."""
    names = (LIKED, DISLIKED, VIEWED)
    encoded = transform.encode(tables.queries, names)
    return {name: tf.constant(encoded[name]) for name in names}


def like_pairs(
    transform: Any, test: pa.Table, tables: Tables, max_pairs: int, seed: int
) -> dict[tuple[int, int], np.ndarray]:
    """Returns the held-out likes, ids, by row of the user and id of the tag."""
    item = transform.spec.candidate_id.name
    items, lists = catalogue(transform, tables)
    tags = dict(zip(items.tolist(), lists, strict=True))
    likes = test.filter(pc.field(FEEDBACK) == 1)
    ids = transform.encode(likes.select([item]), [item])[item].tolist()
    found: dict[tuple[int, int], list[int]] = {}
    for user, liked in zip(query_positions(likes, tables).tolist(), ids, strict=True):
        for tag in tags.get(liked, ()):
            if user >= 0 and tag >= NUM_RESERVED_IDS:
                found.setdefault((user, int(tag)), []).append(liked)
    keys = sorted(found)
    chosen = np.random.default_rng(seed).permutation(len(keys))[:max_pairs]
    return {keys[place]: np.unique(found[keys[place]]) for place in sorted(chosen)}
