"""Ranking among given candidates: the protocol of papers that sample negatives."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.baselines import Baseline
from tfrecs.baselines.base import find_positions, id_column
from tfrecs.evaluation.bootstrap import resample_means
from tfrecs.evaluation.guards import all_tied, check_defined, silent
from tfrecs.evaluation.protocols import (
    beaten,
    best_baseline,
    estimates,
    kind_of,
    paired_differences,
)
from tfrecs.evaluation.recommender import ModelRecommender
from tfrecs.evaluation.results import Results, Setting
from tfrecs.evaluation.truth import pair_positions

BIASED = (
    "Metrics among sampled candidates are not those of the catalogue, and may order recommenders "
    "otherwise (Krichene and Rendle, 2020): compare them with papers that sampled likewise, and "
    "choose by full_ranking."
)
_CELLS = 1 << 22  # scores of baselines in memory at once


def sampled_ranking(
    recommenders: Mapping[str, Any],
    test: pa.Table,
    tables: Any,
    ks: Sequence[int] = (10,),
    *,
    negatives: str = "negatives",
    protocol: str = "given negatives",
    num_bootstrap: int = 200,
    seed: int = 0,
) -> Results:
    """Ranks each test event's item among the negatives given with it.

    `rank = number of negatives that score at least as high`, so a tie counts against the item;
    `hr@k = [rank < k]`, `ndcg@k = [rank < k] / log2(rank + 2)`, `mrr@k = [rank < k] / (rank + 1)`.
    A rival that comes twice counts once, a test event without a known rival is left out, and a
    recommender that scores all candidates alike for half of the events has no value: NaN.
    Numbers of this protocol are much higher than those of a full ranking, and order recommenders
    differently: use it to compare with papers that did.

    Args:
        recommenders: By name, whatever has `recommend`; a `ModelRecommender` scores the given
            candidates alone.
        test: Table with the query id, the candidate id and a list column of candidate ids.
        tables: Has `name`, `queries`, `candidates` and `spec`.
        ks: Cut-offs. Defaults to (10,).
        negatives: Name of the list column. Defaults to "negatives".
        protocol: What to call the split. Defaults to "given negatives".
        num_bootstrap: Resamples of test events; 0 for no intervals. Defaults to 200.
        seed: Of the resamples. Defaults to 0.

    Returns:
        The leaderboard.

    Raises:
        ValueError: If the column is missing or of no lists, no test event can be evaluated, or a
            recommender gives a NaN score.

    Reference:
        - [He et al., 2017](https://arxiv.org/abs/1708.05031)
        - [Krichene and Rendle, 2020](https://doi.org/10.1145/3394486.3403226) on its bias.
    """
    if not ks or min(ks) < 1:
        raise ValueError(checks.expected("ks", "cut-offs from 1", ks))
    users, items = pair_positions(test, tables)
    known = (users >= 0) & (items >= 0)
    if not known.any():
        raise ValueError(
            checks.expected("test", "events of known users and items", f"{len(test)} unknown rows")
        )
    others = _negatives(test, tables, negatives)
    left_out = {
        "user or item unknown": int((~known).sum()),
        "negatives unknown": int((others[known] == -2).sum()),
    }
    others, repeated = _rivals(others, items)
    alone = known & ~(others >= 0).any(axis=1)
    left_out["repeated negatives"] = int(repeated[known].sum())
    left_out["test events without a rival"] = int(alone.sum())
    known &= ~alone
    if not known.any():
        received = f"{len(test)} rows without a known rival"
        raise ValueError(checks.expected(negatives, "lists with candidates of `tables`", received))
    positions = np.concatenate([items[known, None], others[known]], axis=1)
    queries = tables.queries.take(users[known])
    names = [f"{metric}@{k}" for k in ks for metric in ("ndcg", "hr", "mrr")]
    scores, resampled = {}, {}
    warnings = [BIASED]
    for name, recommender in recommenders.items():
        found = _score(recommender, queries, positions, tables.candidates.num_rows)
        check_defined(name, found)
        values, remarks = silent(
            name, _metrics(found, positions, ks), all_tied(found, positions >= 0)
        )
        warnings += remarks
        resampled[name] = resample_means(values, num_bootstrap, seed)
        scores[name] = estimates(names, values.mean(axis=0), resampled[name])
    kinds = {name: kind_of(recommender) for name, recommender in recommenders.items()}
    reference = best_baseline(scores, kinds)
    differences = paired_differences(scores, resampled, reference, names)
    most = int((positions >= 0).sum(axis=1).max())
    line = f"{protocol}; {most} given candidates ranked, ties against the test item"
    return Results(
        setting=Setting(
            tables.name,
            line,
            int(known.sum()),
            most,
            {reason: count for reason, count in left_out.items() if count},
        ),
        scores=scores,
        kinds=kinds,
        reference=reference,
        differences=differences,
        resampled=resampled,
        warnings=[*warnings, *beaten(kinds, reference, differences)],
    )


def _negatives(test: pa.Table, tables: Any, name: str) -> np.ndarray:
    """Returns positions `(N, M)`, -1 past the end of a row's list, -2 for unknown ids."""
    if name not in test.column_names:
        raise ValueError(
            checks.expected(
                "test",
                f"a table with the column {name!r}",
                test.column_names,
                checks.did_you_mean(name, test.column_names),
            )
        )
    lists = test[name].combine_chunks()
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        raise ValueError(checks.expected(name, "a column of lists of ids", str(lists.type)))
    candidate = tables.spec.candidate_id.name
    known = id_column(tables.candidates, candidate, "candidates")
    found = find_positions(lists.flatten(), known, candidate)
    widths = np.asarray(lists.value_lengths().fill_null(0))
    rows = np.repeat(np.arange(len(widths)), widths)
    starts = np.cumsum(widths) - widths
    positions = np.full((len(widths), max(widths.max(initial=0), 1)), -1, np.int64)
    positions[rows, np.arange(len(found)) - starts[rows]] = np.where(found < 0, -2, found)
    return positions


def _rivals(others: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the negatives, -1 where unknown, repeated, or the row's item; and repeats `(N,)`."""
    order = np.argsort(others, axis=1, kind="stable")
    ordered = np.take_along_axis(others, order, axis=1)
    again = np.zeros(others.shape, bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    again &= others >= 0
    kept = (others >= 0) & ~again & (others != items[:, None])
    return np.where(kept, others, -1), again.sum(axis=1)


def _score(
    recommender: Any, queries: pa.Table, positions: np.ndarray, num_candidates: int
) -> np.ndarray:
    """Returns the scores `(N, 1 + M)` of the given candidates."""
    if isinstance(recommender, ModelRecommender):
        return recommender.score(queries, positions)
    # whoever cannot score given candidates scores them all
    block = max(1, _CELLS // num_candidates)
    scores = np.empty(positions.shape, np.float32)
    for start in range(0, queries.num_rows, block):
        rows = slice(start, start + block)
        every = _score_all(recommender, queries.slice(start, block), num_candidates)
        scores[rows] = np.take_along_axis(every, np.maximum(positions[rows], 0), axis=1)
    return scores


def _score_all(recommender: Any, queries: pa.Table, num_candidates: int) -> np.ndarray:
    """Returns the scores `(B, C)`."""
    if isinstance(recommender, Baseline):
        return recommender.score(queries)
    best, place = recommender.recommend(queries, num_candidates)
    every = np.full(best.shape, -np.inf, np.float32)
    ranked = np.nonzero(place >= 0)
    every[ranked[0], place[ranked]] = best[ranked]
    return every


def _metrics(scores: np.ndarray, positions: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Returns ndcg, hr, mrr at each cut-off, `(N, 3 * len(ks))`; column 0 is the test item."""
    rivals = positions[:, 1:] >= 0
    rank = ((scores[:, 1:] >= scores[:, :1]) & rivals).sum(axis=1)
    gains = (1 / np.log2(rank + 2), np.ones(len(rank)), 1 / (rank + 1))
    return np.stack([gain * (rank < k) for k in ks for gain in gains], axis=1)
