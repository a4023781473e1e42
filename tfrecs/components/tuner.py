"""Tuner: options of a training, searched on a part of the training events."""

import json
from typing import Any

from tfrecs import checks
from tfrecs.components.artifacts import ExampleAnomalies, Examples, HyperParameters, Schema
from tfrecs.components.component import Component, Output
from tfrecs.components.example_validator import require_blessed
from tfrecs.components.tables import read_tables, split_of
from tfrecs.recipes import TrainingOptions, recipe
from tfrecs.tuning import Range, Space, tune


def tuner(
    examples: Examples,
    schema: Schema,
    hyperparameters: Output[HyperParameters],
    queries: Examples | None = None,
    candidates: Examples | None = None,
    anomalies: ExampleAnomalies | None = None,
    *,
    space: dict[str, Any] | None = None,
    model: str = "two_tower",
    options: dict[str, Any] = {},  # noqa: B006 read alone
    positive: dict[str, Any] | None = None,
    max_trials: int = 8,
    seed: int = 0,
) -> None:
    """Options of a training, searched on training events that are held out.

    The search is `tfrecs.tuning.tune`: Optuna proposes, bad trials are broken off, the best one is
    that of the task's main metric. The split "eval" is not looked at.

    Args:
        examples: Events.
        schema: Features and roles.
        hyperparameters: best.json, which `trainer` takes, and trials.json with every trial.
        queries: One row a user.
        candidates: One row an item.
        anomalies: Data that are not blessed are refused.
        space: What to search by option or argument of the model: a list of values, or a range as
            `{"low": 0.01, "high": 0.5, "log": true}`; `None` for the model's own.
        model: Name of the model. Defaults to "two_tower".
        options: Options of all trials.
        positive: See `tables.read_tables`.
        max_trials: Trainings at most. Defaults to 8.
        seed: Of the search, the trainings and the held out events. Defaults to 0.
    """
    require_blessed(anomalies)
    tables, train, test = read_tables(examples, schema, queries, candidates, positive)
    split = split_of(recipe(model).task, tables, train, test, "splits of ExampleGen")
    searched = None if space is None else _read(space)
    found = tune(
        model, tables, split, trials=max_trials, space=searched, **{"seed": seed, **options}
    )
    hyperparameters.path.mkdir(exist_ok=True)
    best = {"options": _options(dict(found.best.values)), "value": found.best.score}
    trials = [
        {"options": _options(dict(trial.values)), "value": trial.score, "state": trial.state}
        for trial in found.trials
    ]
    (hyperparameters.path / "best.json").write_text(json.dumps(best["options"]))
    (hyperparameters.path / "trials.json").write_text(json.dumps(trials, indent=1))
    (hyperparameters.path / "trials.svg").write_text(found.plot())
    hyperparameters.properties |= {**best, "metric": found.metric}


Tuner = Component(tuner)


def _read(space: dict[str, Any]) -> Space:
    """Returns a space as `tune` takes it."""
    found: dict[str, Range | tuple[Any, ...]] = {}
    for name, values in space.items():
        if isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log"}:
            found[name] = Range(**values)
        elif isinstance(values, list) and values:
            found[name] = tuple(values)
        else:
            expectation = "a list of values, or a range such as {'low': 0.01, 'high': 0.5}"
            raise ValueError(checks.expected(f"space[{name!r}]", expectation, values))
    return found


def _options(values: dict[str, Any]) -> dict[str, Any]:
    """Returns values as fields of TrainingOptions: others are arguments of the model."""
    fields = TrainingOptions.__dataclass_fields__
    own = {name: value for name, value in values.items() if name in fields}
    rest = {name: value for name, value in values.items() if name not in fields}
    return own | ({"arguments": rest} if rest else {})
