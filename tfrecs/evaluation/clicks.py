"""How well a model predicts clicks."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks, metrics
from tfrecs.evaluation.bootstrap import Estimate
from tfrecs.evaluation.columns import codes, column
from tfrecs.evaluation.protocols import beaten, best_baseline, paired_differences
from tfrecs.evaluation.results import Results, Setting
from tfrecs.evaluation.splits import Split

FLOOR = "mean rate"
METRICS: dict[str, Callable[..., float]] = {
    "auc": metrics.auc,
    "log_loss": metrics.log_loss,
    "gauc": metrics.grouped_auc,
    "normalized_entropy": metrics.normalized_entropy,
    "calibration": metrics.calibration,
}


def click_quality(
    predictors: Mapping[str, Any],
    split: Split,
    tables: Any,
    *,
    label: str = "click",
    num_bootstrap: int = 100,
    seed: int = 0,
) -> Results:
    """Measures predicted clicks on the test's events: order, probabilities and calibration.

    AUC and log loss are over all events; "gauc" is the mean AUC within a user's events, weighted
    by their number; "normalized_entropy" the log loss over that of the mean rate; "calibration"
    predicted clicks over observed ones. Intervals are 95 % by bootstrap over users, each with all
    its events. The rate of the training events, the same for all, is added as "mean rate". Where
    the spec has no user id, each event stands for itself, and there is no "gauc".

    Args:
        predictors: By name, whatever has `predict(events) -> (N,)`, logits, as `ModelPredictor` of
            a click model has.
        split: Training and test events, with the label.
        tables: Has `name`, `candidates` and `spec`.
        label: Column of clicks, 1 and 0. Defaults to "click".
        num_bootstrap: Resamples; 0 for no intervals. Defaults to 100.
        seed: Of the resamples. Defaults to 0.

    Returns:
        The leaderboard.

    Raises:
        ValueError: If a label is not 0 or 1, or a predictor returns another shape or numbers that
            are not finite.
    """
    if FLOOR in predictors:
        raise ValueError(
            checks.expected("predictors", f"of other names than {FLOOR!r}", list(predictors))
        )
    clicks = _clicks(split.test, label)
    rate = np.clip(_clicks(split.train, label).mean(), 1e-6, 1 - 1e-6)
    scores = {FLOOR: np.full(len(clicks), np.log(rate / (1 - rate)))}
    scores |= {name: _predict(name, p, split.test) for name, p in predictors.items()}
    grouped = "query" in tables.spec.ids
    users = codes(split.test, tables.spec.query_id.name) if grouped else np.arange(len(clicks))
    chosen = {name: METRICS[name] for name in METRICS if grouped or name != "gauc"}
    resampled = {
        name: _resample(chosen, clicks, s, users, num_bootstrap, seed) for name, s in scores.items()
    }
    estimates = {}
    for name, found in scores.items():
        values = _measure(chosen, clicks, found, users)
        estimates[name] = {
            metric: Estimate.of(value, resampled[name][:, i])
            for i, (metric, value) in enumerate(values.items())
        }
    kinds = {name: "baseline" if name == FLOOR else "model" for name in scores}
    reference = best_baseline(estimates, kinds)
    setting = Setting(
        tables.name,
        f"{split.protocol}; clicks of test events",
        int(users.max()) + 1,
        tables.candidates.num_rows,
    )
    differences = paired_differences(estimates, resampled, reference, tuple(chosen))
    curves = {name: metrics.calibration_curve(clicks, scores[name]).tolist() for name in predictors}
    return Results(
        setting,
        estimates,
        kinds,
        reference,
        differences,
        calibration=curves,
        resampled=resampled,
        warnings=beaten(kinds, reference, differences),
    )


def _clicks(events: pa.Table, label: str) -> np.ndarray:
    """Returns a column of clicks, checked: float32 `(N,)` of 1 and 0."""
    clicks = np.asarray(column(events, label)).astype(np.float32)
    wrong = (clicks != 0) & (clicks != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"Column `{label}` must hold clicks, 0 or 1. Received: {clicks[row]:g} in row {row} "
            f"({wrong.sum()} such rows)."
        )
    return clicks


def _measure(
    chosen: Mapping[str, Callable[..., float]],
    clicks: np.ndarray,
    scores: np.ndarray,
    users: np.ndarray,
) -> dict[str, float]:
    return {
        name: function(clicks, scores, users) if name == "gauc" else function(clicks, scores)
        for name, function in chosen.items()
    }


def _resample(
    chosen: Mapping[str, Callable[..., float]],
    clicks: np.ndarray,
    scores: np.ndarray,
    users: np.ndarray,
    num_bootstrap: int,
    seed: int,
) -> np.ndarray:
    """Returns the metrics of users drawn with replacement, `(R, M)`; the same users for a seed."""
    rng = np.random.default_rng(seed)
    order = np.argsort(users, kind="stable")
    starts = np.append(np.searchsorted(users[order], np.arange(users.max() + 1)), len(users))
    rows = np.full((num_bootstrap, len(chosen)), np.nan)
    for number in range(num_bootstrap):
        drawn = rng.integers(0, len(starts) - 1, len(starts) - 1)
        lengths = starts[drawn + 1] - starts[drawn]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        picked = order[np.repeat(starts[drawn], lengths) + within]
        group = np.repeat(np.arange(len(drawn)), lengths)  # a user drawn twice is two users
        rows[number] = list(_measure(chosen, clicks[picked], scores[picked], group).values())
    return rows


def _predict(name: str, predictor: Any, events: pa.Table) -> np.ndarray:
    predicted = np.asarray(predictor.predict(events), np.float64)
    if predicted.shape != (events.num_rows,) or not np.isfinite(predicted).all():
        raise ValueError(
            checks.expected(
                f"predictors[{name!r}]",
                f"a predictor of {events.num_rows} finite scores",
                f"shape {predicted.shape}, {int((~np.isfinite(predicted)).sum())} not finite",
            )
        )
    return predicted
