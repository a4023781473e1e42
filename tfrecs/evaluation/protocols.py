"""Protocols: how recommenders are made comparable."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tfrecs import checks
from tfrecs.baselines import Baseline, Oracle
from tfrecs.evaluation.bootstrap import Estimate, check_weights, resample_means
from tfrecs.evaluation.breakdown import group_tables
from tfrecs.evaluation.guards import MOST_TIED, all_tied, best_of, check_defined, silent
from tfrecs.evaluation.known import told
from tfrecs.evaluation.results import LOWER_IS_BETTER, Results, Setting
from tfrecs.evaluation.splits import Split
from tfrecs.evaluation.truth import Truth, find_truth
from tfrecs.metrics import catalogue
from tfrecs.metrics.ranking import find_hits, per_user

METRICS = ("ndcg", "recall", "hr", "mrr", "map", "precision")  # the main one first
_SAME_FIRST = 0.5  # share of users with the same first recommendation that is worth a warning
_PROBED = 32  # users whose ties are looked at over the whole catalogue


def full_ranking(
    recommenders: Mapping[str, Any],
    split: Split,
    tables: Any,
    ks: Sequence[int] = (10, 20, 100),
    *,
    seen: Literal["train", "disliked", "none"] = "train",
    weight: str | None = None,
    strata: str | None = None,
    num_bootstrap: int = 200,
    seed: int = 0,
    batch_size: int = 4096,
) -> Results:
    """Ranks all candidates for every test user: no sampling, nothing preselected.

    Users count alike, unless they have weights: a metric is a mean over the users who took
    something in the test. Intervals
    are 95 % by bootstrap over users; differences to the best baseline are of the same users.
    Equal scores are in the order of the table, and a recommender that scores all candidates alike
    for half of the users has no value: NaN. Coverage, average popularity (training events of what
    is recommended) and Gini are of the first `ks[0]` recommendations, and so are the groups of
    users and items (`breakdown`).

    Args:
        recommenders: By name, whatever has `recommend(queries, k, exclude)`: `ModelRecommender`,
            baselines, the oracle.
        split: Training and test events.
        tables: Has `name`, `queries`, `candidates` and `spec`.
        ks: Cut-offs; the first one is the main one. Defaults to (10, 20, 100).
        seen: "train" masks what was known of a user before the test (training, validation, what
            the split calls given), and does not count it as a hit, as papers do; "disliked" masks
            what the user turned down as well; "none" masks nothing. Defaults to "train".
        weight: Column of `tables.queries` by which users count, 0 or more, in the metrics and their
            intervals; catalogue metrics and groups are of users alike. Defaults to none.
        strata: Column of `tables.queries`: resamples have as many users of each value as there
            are. Defaults to none.
        num_bootstrap: Resamples; 0 for no intervals. Defaults to 200.
        seed: Of the resamples. Defaults to 0.
        batch_size: Users in one call of `recommend`. Defaults to 4096.

    Returns:
        The leaderboard, in the order of `recommenders`.

    Raises:
        ValueError: If an argument is out of range, no test event can be evaluated, or a
            recommender returns a masked candidate, a NaN score or an array of another shape.
    """
    checks.one_of("seen", seen, ("train", "disliked", "none"))
    checks.positive("batch_size", batch_size)
    ks = check_ks(ks, tables.candidates.num_rows)
    truth = find_truth(split, tables, seen=seen)
    weights, groups = (_of_users(truth, name) for name in (weight, strata))
    heavy = check_weights(weights, truth.queries.num_rows)
    resampled: dict[str, np.ndarray] = {}
    scores: dict[str, dict[str, Estimate]] = {}
    exposure = {"test": _tenths(truth, np.asarray(truth.relevant.sum(axis=0)).ravel())}
    warnings, seconds, firsts = [], {}, {}
    kinds = {name: kind_of(recommender) for name, recommender in recommenders.items()}
    for name, recommender in recommenders.items():
        start = time.perf_counter()
        values, first, tied = rank_users(name, recommender, truth, ks, batch_size)
        seconds[name] = time.perf_counter() - start
        values, remarks = silent(name, values, tied)
        warnings += remarks
        resampled[name] = resample_means(
            values, num_bootstrap, seed, weights=weights, strata=groups
        )
        means = np.average(values, axis=0, weights=heavy)
        scores[name] = estimates(metric_names(ks), means, resampled[name])
        scores[name] |= _catalogue(first, truth, ks[0])
        firsts[name] = values[:, 0], first
        exposure[name] = _tenths(truth, catalogue.exposure(first, len(truth.popularity)))
        if kinds[name] == "model":
            warnings += _degenerate(name, first)
    protocol = f"{split.protocol}; all candidates ranked, {told(split, seen)}, ties by position"
    protocol += f", users weighed by {weight}" * (weight is not None)
    protocol += f", resampled within {strata}" * (strata is not None)
    num_users, num_candidates = truth.relevant.shape
    reference = best_baseline(scores, kinds)
    differences = paired_differences(scores, resampled, reference, metric_names(ks))
    return Results(
        setting=Setting(tables.name, protocol, num_users, num_candidates, truth.left_out),
        scores=scores,
        kinds=kinds,
        reference=reference,
        differences=differences,
        exposure=exposure,
        groups=group_tables(truth, firsts, ks[0]),
        warnings=[*warnings, *beaten(kinds, reference, differences)],
        seconds=seconds,
        resampled=resampled,
    )


def _of_users(truth: Truth, name: str | None) -> np.ndarray | None:
    """Returns a column of the users to evaluate, as NumPy."""
    if name is None:
        return None
    checks.one_of("column of tables.queries", name, truth.queries.column_names)
    values: np.ndarray = truth.queries[name].to_numpy()
    return values.astype(str) if values.dtype == object else values


def check_ks(ks: Sequence[int], num_candidates: int) -> tuple[int, ...]:
    """Returns `ks` as a tuple, checked to be of 1..C."""
    if not ks or any(not 1 <= k <= num_candidates for k in ks):
        expectation = f"cut-offs from 1 to the number of candidates ({num_candidates})"
        raise ValueError(checks.expected("ks", expectation, ks))
    return tuple(int(k) for k in ks)


def best_baseline(scores: Mapping[str, Mapping[str, Estimate]], kinds: Any) -> str | None:
    """Returns the baseline that is best by the first metric, `None` without one that has it."""
    baselines = [name for name in scores if kinds[name] == "baseline"]
    if not baselines:
        return None
    main = next(iter(scores[baselines[0]]))
    values = {name: scores[name][main].value for name in baselines}
    return best_of(baselines, values, main in LOWER_IS_BETTER)


def estimates(
    names: Sequence[str], values: np.ndarray, resampled: np.ndarray
) -> dict[str, Estimate]:
    """Returns an estimate for each name, from values `(M,)` and resamples `(R, M)`."""
    return {
        name: Estimate.of(values[column], resampled[:, column]) for column, name in enumerate(names)
    }


def paired_differences(
    scores: Mapping[str, Mapping[str, Estimate]],
    resampled: Mapping[str, np.ndarray],
    reference: str | None,
    names: Sequence[str],
) -> dict[str, dict[str, Estimate]]:
    """Returns the difference of every recommender to the reference, with intervals."""
    if reference is None:
        return {}
    base = np.array([scores[reference][name].value for name in names])
    differences = {}
    for model in scores:
        if model != reference:
            values = np.array([scores[model][name].value for name in names])
            differences[model] = estimates(
                names, values - base, resampled[model] - resampled[reference]
            )
    return differences


def beaten(
    kinds: Mapping[str, str],
    reference: str | None,
    differences: Mapping[str, Mapping[str, Estimate]],
) -> list[str]:
    """Returns a sentence for each model that is not above the best baseline beyond chance."""
    lines = []
    for name, found in differences.items():
        metric, difference = next(iter(found.items()))
        lower = metric in LOWER_IS_BETTER
        gain = -difference.value if lower else difference.value
        end = difference.high if lower else difference.low
        least = gain if end is None else -end if lower else end
        if kinds[name] == "model" and least <= 0:
            worse = "is worse than" if gain < 0 else "is not better than"
            lines.append(
                f"{name} {worse} the baseline {reference} by {metric} ({difference.value:+.4f}): "
                "tune it, or serve the baseline."
            )
    return lines


def rank_users(
    name: str, recommender: Any, truth: Truth, ks: tuple[int, ...], batch_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns metrics `(U, M)`, the first `(U, ks[0])` recommended, who has only ties `(U,)`."""
    values, first, tied = [], [], []
    depth = min(max(*ks, 2), truth.relevant.shape[1])  # one score alone would not tell of ties
    for start in range(0, truth.queries.num_rows, batch_size):
        rows = slice(start, start + batch_size)
        queries, seen = truth.queries.slice(start, batch_size), truth.seen[rows]
        scores, positions = recommender.recommend(queries, depth, seen)
        if positions.shape != (queries.num_rows, depth):
            raise ValueError(
                checks.expected(
                    f"recommenders[{name!r}]",
                    f"a recommender that returns positions {(queries.num_rows, depth)}",
                    positions.shape,
                )
            )
        check_defined(name, scores)
        tied.append(all_tied(scores, positions >= 0))
        if find_hits(positions, seen)[0].any():
            raise ValueError(
                checks.expected(
                    f"recommenders[{name!r}]",
                    "a recommender that leaves out what `exclude` masks",
                    "masked candidates",
                )
            )
        found = per_user(positions, truth.relevant[rows], ks)
        values.append(np.stack([found[metric] for metric in metric_names(ks)], axis=1))
        first.append(positions[:, : ks[0]].astype(np.int32))
    only_ties = _confirmed(recommender, truth, np.concatenate(tied))
    return np.concatenate(values), np.concatenate(first), only_ties


def _confirmed(recommender: Any, truth: Truth, tied: np.ndarray) -> np.ndarray:
    """Returns `tied` if all candidates, and not only the first ones, tie for most of some users."""
    rows = np.flatnonzero(tied)[:_PROBED]
    if not len(rows):
        return tied
    size = truth.relevant.shape[1]
    scores, positions = recommender.recommend(truth.queries.take(rows), size, truth.seen[rows])
    whole: np.ndarray = tied & (all_tied(scores, positions >= 0).mean() >= MOST_TIED)
    return whole


def metric_names(ks: tuple[int, ...]) -> list[str]:
    """Returns the names of what `rank_users` measures, in its order."""
    return [f"{metric}@{k}" for k in ks for metric in METRICS]


def _catalogue(first: np.ndarray, truth: Truth, k: int) -> dict[str, Estimate]:
    num_candidates = len(truth.popularity)
    return {
        f"coverage@{k}": Estimate(catalogue.coverage(first, num_candidates)),
        f"average_popularity@{k}": Estimate(catalogue.average_popularity(first, truth.popularity)),
        f"gini@{k}": Estimate(catalogue.gini(first, num_candidates)),
    }


def _tenths(truth: Truth, counts: np.ndarray) -> list[float]:
    """Returns the share of `counts` in each tenth of the catalogue, the most popular first."""
    order = np.argsort(-truth.popularity, kind="stable")
    tenths = np.array([part.sum() for part in np.array_split(counts[order], 10)], float)
    return [float(share) for share in tenths / max(tenths.sum(), 1)]


def kind_of(recommender: Any) -> str:
    """Returns "ceiling", "baseline" or "model"."""
    if isinstance(recommender, Oracle):
        return "ceiling"
    return "baseline" if isinstance(recommender, Baseline) else "model"


def _degenerate(name: str, first: np.ndarray) -> list[str]:
    tops = first[:, 0][first[:, 0] >= 0]
    share = np.bincount(tops).max() / len(first) if len(tops) else 1.0
    if share < _SAME_FIRST or len(first) < 2:
        return []
    return [
        f"{name} recommends the same candidate first to {100 * share:.0f} % of users: "
        "has it learned anything about them?"
    ]
