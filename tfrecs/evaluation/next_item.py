"""The leaderboard of next items: every event ranked among all items, beside what was before."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.evaluation.bootstrap import resample_means
from tfrecs.evaluation.guards import all_tied, check_defined, silent
from tfrecs.evaluation.protocols import (
    beaten,
    best_baseline,
    check_ks,
    estimates,
    kind_of,
    paired_differences,
)
from tfrecs.evaluation.results import Results, Setting
from tfrecs.evaluation.sessions import NextItems, next_item_ranks, next_items
from tfrecs.spec import FeatureSpec

METRICS = ("recall", "mrr", "ndcg")  # the main one first


def next_item_ranking(
    recommenders: Mapping[str, Any],
    events: pa.Table,
    judged: Any,
    candidates: pa.Table,
    spec: FeatureSpec,
    *,
    data: str,
    split: str,
    ks: Sequence[int] = (10, 20, 100),
    max_events: int = 20_000,
    num_bootstrap: int = 200,
    seed: int = 0,
) -> Results:
    """Ranks all items for events of sessions, each after what its session held before.

    Nothing is masked, and events count alike; intervals are 95 % by bootstrap over sessions, each
    with all its events. Of equal scores the event's item counts as the last, and a recommender
    that scores all items alike for half of the events has no value: NaN. (`next_item_ranks` can
    count ties as the papers do.)

    Args:
        recommenders: By name, whatever has `score(queries) -> (B, C)`: `SessionScorer`, baselines
            of sessions.
        events: Sessions one after the other in order of time, with `session_id`, the candidate's
            id and the contexts of `spec`.
        judged: bool `(N,)`, which events may be judged; the others are just known.
        candidates: The items ranked, C.
        spec: The features of the model, with the sequence `history`.
        data: Name of the data set.
        split: What the events are, for the protocol's line.
        ks: Cut-offs; the first one is the main one. Defaults to (10, 20, 100).
        max_events: Of more events so many are drawn at random. Defaults to 20,000.
        num_bootstrap: Resamples; 0 for no intervals. Defaults to 200.
        seed: Of draw and resamples. Defaults to 0.

    Returns:
        The leaderboard, in the order of `recommenders`.

    Raises:
        ValueError: No event can be judged: none follows another of its session and is of a
            candidate.
    """
    ks = check_ks(ks, candidates.num_rows)
    found = next_items(events, candidates, spec)
    rows = np.flatnonzero(np.asarray(judged)[found.rows])
    told = f"{split}; all items of the training ranked after each session so far, ties against it"
    left_out = {"first of its session, or of an unknown item": int(np.sum(judged)) - len(rows)}
    if len(rows) > max_events:
        told += f", {max_events:,} of {len(rows):,} events drawn"
        rows = np.sort(np.random.default_rng(seed).choice(rows, max_events, replace=False))
    if len(rows) == 0:
        expectation = "with one that follows another of its session, of an item of the training"
        remedy = "Do sessions have an id of their own, and several events? See --user-column."
        raise ValueError(checks.expected("events", expectation, f"{events.num_rows} rows", remedy))
    found = NextItems(found.queries.take(rows), found.targets[rows], found.rows[rows])
    owners = np.asarray(events["session_id"].take(pa.array(found.rows)))
    owners = np.cumsum(np.r_[False, owners[1:] != owners[:-1]])
    names = [f"{metric}@{k}" for k in ks for metric in METRICS]
    resampled, scores, seconds = {}, {}, {}
    warnings: list[str] = []
    kinds = {name: kind_of(recommender) for name, recommender in recommenders.items()}
    for name, recommender in recommenders.items():
        start = time.perf_counter()
        values, tied = _ranked(name, recommender, found, ks)
        seconds[name] = time.perf_counter() - start
        values, remarks = silent(name, values, tied)
        warnings += remarks
        resampled[name] = _resampled(values, owners, num_bootstrap, seed)
        scores[name] = estimates(names, values.mean(axis=0), resampled[name])
    reference = best_baseline(scores, kinds)
    differences = paired_differences(scores, resampled, reference, names)
    return Results(
        setting=Setting(data, told, len(rows), candidates.num_rows, left_out),
        scores=scores,
        kinds=kinds,
        reference=reference,
        differences=differences,
        warnings=[*warnings, *beaten(kinds, reference, differences)],
        seconds=seconds,
        resampled=resampled,
    )


def _ranked(
    name: str, recommender: Any, events: NextItems, ks: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the metrics of each event, `(N, M)`, and whether it has only ties, `(N,)`."""
    tied: list[np.ndarray] = []

    def score(queries: pa.Table) -> np.ndarray:
        scores: np.ndarray = recommender.score(queries)
        check_defined(name, scores)
        tied.append(all_tied(scores))
        return scores

    ranks = next_item_ranks(score, events, ties="conservative")
    return _values(ranks, ks), np.concatenate(tied)


def _values(ranks: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Returns the metrics of each event, `(N, M)`."""
    columns = []
    for k in ks:
        hits = ranks <= k
        columns += [hits, np.where(hits, 1 / ranks, 0), np.where(hits, 1 / np.log2(ranks + 1), 0)]
    return np.stack(columns, axis=1)


def _resampled(values: np.ndarray, owners: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Returns the means over events of sessions drawn with replacement, `(R, M)`."""
    sums = np.zeros((owners[-1] + 1, values.shape[1] + 1))
    np.add.at(sums, owners, np.column_stack([values, np.ones(len(values))]))
    means = resample_means(sums, number, seed)
    found: np.ndarray = means[:, :-1] / means[:, -1:]
    return found
