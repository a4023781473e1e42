"""Errors of predicted ratings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.evaluation.bootstrap import Estimate, resample_means
from tfrecs.evaluation.columns import codes, column
from tfrecs.evaluation.protocols import beaten, best_baseline, paired_differences
from tfrecs.evaluation.results import Results, Setting
from tfrecs.evaluation.splits import Split

METRICS = ("rmse", "mae")
FLOOR = "global mean"


def rating_errors(
    predictors: Mapping[str, Any],
    split: Split,
    tables: Any,
    *,
    clip: tuple[float, float] | None = None,
    num_bootstrap: int = 200,
    seed: int = 0,
) -> Results:
    """Measures how far predicted ratings are from the test's.

    `rmse = sqrt(mean((p - r)^2))`, `mae = mean(|p - r|)`, over test events. Intervals are 95 % by
    bootstrap over users, each with all its events. The mean of the training ratings is added as
    the baseline "global mean".

    Args:
        predictors: By name, whatever has `predict(events) -> (N,)`, as `ModelPredictor` has.
        split: Training and test events, with the label.
        tables: Has `name`, `candidates` and `spec`; the spec names the label.
        clip: Lowest and highest rating, to which predictions are cut; `None` to leave them.
        num_bootstrap: Resamples; 0 for no intervals. Defaults to 200.
        seed: Of the resamples. Defaults to 0.

    Returns:
        The leaderboard; lower is better.

    Raises:
        ValueError: If the spec has no one label, a rating is missing, or a predictor returns an
            array of another shape or a NaN.
    """
    labels = tables.spec.by_role("label")
    if len(labels) != 1:
        raise ValueError(
            "Rating errors need one feature with role='label' in `spec`. "
            f"Received: {[label.name for label in labels]}. "
            "Add Numeric('<column>', role='label')."
        )
    if FLOOR in predictors:
        raise ValueError(
            checks.expected("predictors", f"of other names than {FLOOR!r}", list(predictors))
        )
    label = labels[0].name
    ratings = np.asarray(column(split.test, label), np.float64)
    mean = float(np.mean(np.asarray(column(split.train, label), np.float64)))
    users = codes(split.test, tables.spec.query_id.name)
    scores, resampled = {}, {}
    predictions = {FLOOR: np.full(len(ratings), mean)}
    predictions |= {name: _predict(name, p, split.test) for name, p in predictors.items()}
    for name, predicted in predictions.items():
        if clip is not None:
            predicted = np.clip(predicted, *clip)
        error = predicted - ratings
        sums = [np.bincount(users, weights) for weights in (error**2, np.abs(error))]
        per_user = np.stack([*sums, np.bincount(users)], axis=1)  # (U, 3)
        resampled[name] = _errors(resample_means(per_user, num_bootstrap, seed))
        values = _errors(per_user.mean(axis=0, keepdims=True))[0]
        scores[name] = {
            metric: Estimate.of(values[i], resampled[name][:, i])
            for i, metric in enumerate(METRICS)
        }
    kinds = {name: "baseline" if name == FLOOR else "model" for name in predictions}
    reference = best_baseline(scores, kinds)
    cut = f", cut to {clip[0]:g}..{clip[1]:g}" if clip is not None else ""
    line = f"{split.protocol}; ratings of test events{cut}"
    differences = paired_differences(scores, resampled, reference, METRICS)
    return Results(
        setting=Setting(tables.name, line, int(users.max()) + 1, tables.candidates.num_rows),
        scores=scores,
        kinds=kinds,
        reference=reference,
        differences=differences,
        resampled=resampled,
        warnings=beaten(kinds, reference, differences),
    )


def _predict(name: str, predictor: Any, events: pa.Table) -> np.ndarray:
    predicted = np.asarray(predictor.predict(events), np.float64)
    if predicted.shape != (events.num_rows,) or not np.isfinite(predicted).all():
        raise ValueError(
            checks.expected(
                f"predictors[{name!r}]",
                f"a predictor of {events.num_rows} finite ratings",
                f"shape {predicted.shape}, {int((~np.isfinite(predicted)).sum())} not finite",
            )
        )
    return predicted


def _errors(means: np.ndarray) -> np.ndarray:
    """Turns means of squared error, absolute error and count `(R, 3)` into RMSE and MAE."""
    return np.stack([np.sqrt(means[:, 0] / means[:, 2]), means[:, 1] / means[:, 2]], axis=1)
