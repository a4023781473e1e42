"""Tuner: options of a training, chosen on a part of the training events."""

import itertools
import json
from typing import Any

import numpy as np

from tfrecs import checks
from tfrecs.components.artifacts import (
    ExampleAnomalies,
    Examples,
    HyperParameters,
    Schema,
    TransformGraph,
)
from tfrecs.components.component import Component, Output
from tfrecs.components.example_validator import require_blessed
from tfrecs.components.tables import events_of, read_tables
from tfrecs.components.trainer import fit
from tfrecs.evaluation import splits
from tfrecs.evaluation.results import LOWER_IS_BETTER
from tfrecs.features import FeatureTransform
from tfrecs.recipes import recipe


def tuner(
    examples: Examples,
    schema: Schema,
    transform_graph: TransformGraph,
    hyperparameters: Output[HyperParameters],
    queries: Examples | None = None,
    candidates: Examples | None = None,
    anomalies: ExampleAnomalies | None = None,
    *,
    space: dict[str, list[Any]],
    model: str = "two_tower",
    options: dict[str, Any] = {},  # noqa: B006 read alone
    positive: dict[str, Any] | None = None,
    max_trials: int = 8,
    seed: int = 0,
) -> None:
    """Options of a training, chosen on a tenth of the training events that is held out.

    Combinations are drawn at random without repetition; the whole grid is tried where it is not
    larger than `max_trials`. The best is that of the task's main metric. The split "eval" is not
    looked at.

    Args:
        examples: Events.
        schema: Features and roles.
        transform_graph: The feature layer.
        hyperparameters: best.json, and trials.json with every trial.
        queries: One row a user.
        candidates: One row an item.
        anomalies: Data that are not blessed are refused.
        space: Values to try by option: `{"learning_rate": [0.05, 0.1], "embedding_dim": [32]}`.
        model: Name of the model. Defaults to "two_tower".
        options: Options of all trials.
        positive: See `tables.read_tables`.
        max_trials: Trainings at most. Defaults to 8.
        seed: Of the draw and of the held out events. Defaults to 0.
    """
    require_blessed(anomalies)
    checks.positive("max_trials", max_trials)
    if not space or not all(space.values()):
        raise ValueError(checks.expected("space", "values by option", space))
    grid = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    order = np.random.default_rng(seed).permutation(len(grid))[:max_trials]
    tables, train, _ = read_tables(examples, schema, queries, candidates, positive)
    chosen = recipe(model)
    adapted = FeatureTransform.load(transform_graph.path)
    split = splits.random(events_of(chosen.task, tables, train), fraction=0.1, seed=seed)
    trials = []
    for place in sorted(order):
        settings = chosen.options(**{**options, **grid[place]})
        results = fit(chosen, tables, split, adapted, settings).judge()
        metric = results.metrics[0]
        trials.append({"options": grid[place], "metric": metric, "value": results[model, metric]})
    sign = -1 if trials[0]["metric"] in LOWER_IS_BETTER else 1
    best = max(trials, key=lambda trial: sign * trial["value"])
    hyperparameters.path.mkdir(exist_ok=True)
    (hyperparameters.path / "best.json").write_text(json.dumps(best["options"]))
    (hyperparameters.path / "trials.json").write_text(json.dumps(trials, indent=1))
    hyperparameters.properties |= best


Tuner = Component(tuner)
