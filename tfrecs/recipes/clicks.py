"""Training on clicks, judged by AUC, log loss and calibration."""

from typing import Any

import keras
import numpy as np
import pyarrow as pa

from tfrecs import losses, models, optimizers
from tfrecs.datasets import Tables
from tfrecs.evaluation import ModelPredictor, Results, click_quality
from tfrecs.evaluation.predictor import join_events
from tfrecs.models import FactorizationMachine, RecModel, WideDeep
from tfrecs.recipes.base import History, Recipe, Task, Trained, Training
from tfrecs.spec import FeatureSpec, Role

LABEL = "click"


def clicks(tables: Tables) -> pa.Table:
    """Returns all events with a column `click`: 1 where the event is positive, else 0.

    Without `positive` the events are positive by their label, which must be 0 or 1.

    Raises:
        ValueError: If there is neither, or all events are alike.
    """
    events, labels = tables.events, tables.spec.by_role("label")
    if tables.positive is not None:
        rows = pa.array(np.arange(events.num_rows))
        positive = events.append_column("__row__", rows).filter(tables.positive)["__row__"]
        found = np.isin(np.arange(events.num_rows), positive.to_numpy())
    elif labels:
        values = np.asarray(events[labels[0].name])
        found = values == 1
        if not (found | (values == 0)).all():
            row = int(np.argmax(~found & (values != 0)))
            raise ValueError(
                f"Column `{labels[0].name}` must hold clicks, 0 or 1. Received: {values[row]:g} in "
                f"row {row} of the events. Say which labels are positive, or train --model "
                "matrix_factorization, which learns from any labels."
            )
    else:
        found = np.ones(events.num_rows, bool)
    if found.all() or not found.any():
        raise ValueError(
            f"Click models learn from events of both kinds. Received: {events.num_rows:,} events, "
            f"{'all' if found.all() else 'none'} of them positive. Name a column of labels "
            "(--label-column), or train --model two_tower, which learns from positive events."
        )
    if LABEL in events.column_names:
        events = events.drop_columns([LABEL])
    return events.append_column(LABEL, pa.array(found.astype(np.int8)))


def judge(trained: Trained, ks: tuple[int, ...] = (), seed: int = 0) -> Results:
    """Measures AUC, log loss, grouped AUC, normalised entropy and calibration."""
    del ks  # of no use to clicks
    predictor = ModelPredictor(trained.model, trained.transform, trained.tables)
    predictors = {trained.options.model: predictor}
    return click_quality(predictors, trained.split, trained.tables, label=LABEL, seed=seed)


CLICK = Task("click", clicks, judge, logits=True, ids=False)


def features(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of ids, lists of ids, numbers and vectors of both sides.

    What is known of the event (hour, device, position) is read too: impressions are judged as
    they were given; a catalogue can be ranked with contexts given alone.
    """
    kinds = ("categorical", "multi_categorical", "sequence", "numeric", "vector")
    roles: tuple[Role, ...] = ("query", "candidate")
    read = spec.by_role(*roles, "context")
    chosen = [f for f in read if f.kind in kinds and getattr(f, "dtype", "") != "float32"]
    return spec.select(*(feature.name for feature in chosen if feature.name != LABEL))


def prepared(training: Training) -> dict[str, np.ndarray]:
    """Returns the arrays of the training events, with what is known of both sides."""
    arrays = training.transform.encode(join_events(training.events, training.tables))
    return {**arrays, LABEL: np.asarray(training.events[LABEL]).astype(np.float32)}


def optimizer(model: RecModel, rate: float) -> keras.optimizers.Optimizer:
    """Returns lazy Adam, and FTRL with L1 for a wide part."""
    adam = optimizers.LazyAdam(rate)
    if not isinstance(model, WideDeep):
        return adam
    parts = {"wide/.*": optimizers.SparseFTRL(0.05, l1_regularization_strength=1e-5)}
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(adam, parts))


def fit(training: Training) -> tuple[RecModel, History]:
    """Trains by the log loss."""
    arrays = prepared(training)
    model: Any = training.initial
    if model is None:
        model = training.build(l2=1e-3)
        model.compile(optimizer(model, training.options.learning_rate), losses.LogLoss())
    return model, training.fit(model, arrays, LABEL)


def fit_fnn(training: Training) -> tuple[RecModel, History]:
    """Trains a factorization machine, then the network that starts from it."""
    if training.initial is not None:
        return fit(training)
    arrays, options = prepared(training), training.options
    machine = FactorizationMachine(
        training.transform.spec, options.embedding_dim, l2=1e-3, seed=options.seed
    )
    machine.compile(optimizer(machine, options.learning_rate), losses.LogLoss())
    before = training.fit(machine, arrays, LABEL)
    model = training.build(l2=1e-3)
    model.start_from(machine)
    model.compile(optimizer(model, options.learning_rate), losses.LogLoss())
    after = training.fit(model, arrays, LABEL)
    return model, {name: before[name] + after[name] for name in after}


_DEFAULTS = {"embedding_dim": 16, "epochs": 4, "batch_size": 1024, "learning_rate": 0.003}
CLICK_RECIPES = tuple(
    Recipe(model, CLICK, features, fit_fnn if model is models.FNN else fit, _DEFAULTS)
    for model in (
        models.LogisticRegression,
        models.FactorizationMachine,
        models.FNN,
        models.IPNN,
        models.OPNN,
        models.PNNStar,
        models.WideDeep,
        models.FMDNN,
        models.DeepFM,
        models.DCNv2,
        models.DLRM,
    )
)
