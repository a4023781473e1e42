"""Trainer: a model of the zoo, by its recipe."""

import json
from typing import Any

import keras

from tfrecs.components.artifacts import (
    ExampleAnomalies,
    Examples,
    HyperParameters,
    Model,
    Schema,
    TransformGraph,
    damaged,
)
from tfrecs.components.component import Component, Output
from tfrecs.components.example_validator import require_blessed
from tfrecs.components.tables import read_tables, split_of
from tfrecs.features import FeatureTransform
from tfrecs.models.growing import expand_tables
from tfrecs.recipes import recipe
from tfrecs.run import fit


def trainer(
    examples: Examples,
    schema: Schema,
    transform_graph: TransformGraph,
    trained: Output[Model],
    queries: Examples | None = None,
    candidates: Examples | None = None,
    anomalies: ExampleAnomalies | None = None,
    hyperparameters: HyperParameters | None = None,
    base_model: Model | None = None,
    *,
    model: str = "two_tower",
    options: dict[str, Any] = {},  # noqa: B006 read alone
    positive: dict[str, Any] | None = None,
) -> None:
    """A model of the zoo, by its recipe, on the split "train".

    Args:
        examples: Events; the split "eval" goes with the model, to be judged by.
        schema: Features and roles.
        transform_graph: The feature layer.
        trained: The run: model, features and tables.
        queries: One row a user.
        candidates: One row an item.
        anomalies: Data that are not blessed are refused.
        hyperparameters: Options of a Tuner, which go before `options`.
        base_model: Model to be trained further, its tables grown to the vocabularies of
            `transform_graph`; `None` begins anew.
        model: Name of the model. Defaults to "two_tower".
        options: Fields of `recipes.TrainingOptions`.
        positive: See `tables.read_tables`.
    """
    require_blessed(anomalies)
    tables, train, test = read_tables(examples, schema, queries, candidates, positive)
    chosen = recipe(model)
    if hyperparameters is not None:
        with damaged(hyperparameters.path / "best.json") as file:
            best = json.loads(file.read_text())
        arguments = options.get("arguments", {}) | best.get("arguments", {})
        options = {**options, **best, "arguments": arguments}
    settings = chosen.options(**options)
    adapted = FeatureTransform.load(transform_graph.path)
    about = str(examples.properties.get("protocol", "splits of ExampleGen"))
    split = split_of(chosen.task, tables, train, test, about)
    initial = None
    if base_model is not None:
        loaded = keras.models.load_model(base_model.path / "model.keras")
        initial = expand_tables(loaded, adapted.spec)
    keras.utils.clear_session(free_memory=False)  # names of layers count from 1 again
    keras.utils.set_random_seed(settings.seed)
    run = fit(tables, split, trained.path, settings, transform=adapted, initial=initial)
    run.save()
    trained.properties |= {
        "model": model,
        "span": examples.properties.get("span"),
        "seconds": round(run.seconds, 1),
        "loss": run.history["loss"][-1] if run.history.get("loss") else None,
        "warm_started_from": None if base_model is None else base_model.digest,
    }


Trainer = Component(trainer)
