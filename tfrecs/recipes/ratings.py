"""Training on ratings, judged by RMSE and MAE."""

import keras
import numpy as np
import pyarrow as pa

from tfrecs import optimizers
from tfrecs.datasets import Tables
from tfrecs.evaluation import ModelPredictor, Results, rating_errors
from tfrecs.models import MatrixFactorization
from tfrecs.recipes.base import SPACE, History, Range, Recipe, Task, Trained, Training
from tfrecs.spec import FeatureSpec

_LARGEST = 1e15  # a batch of such labels, squared and summed, stays below float32's 3e38


def label(spec: FeatureSpec) -> str:
    """Returns the name of the label.

    Raises:
        ValueError: If there is none.
    """
    labels = spec.by_role("label")
    if not labels:
        raise ValueError(
            "Model 'matrix_factorization' needs a rating for every event, and the spec has no "
            "feature with role 'label'. Name its column with --label-column, or train --model "
            "two_tower."
        )
    return labels[0].name


def rated(tables: Tables) -> pa.Table:
    """Returns all events."""
    return tables.events


def judge(trained: Trained, ks: tuple[int, ...] = (), seed: int = 0) -> Results:
    """Measures RMSE and MAE of the predicted ratings, beside the means' own."""
    del ks  # of no use to ratings
    predictor = ModelPredictor(trained.model, trained.transform, trained.tables)
    ratings = trained.split.train[label(trained.tables.spec)].to_numpy()
    clip = float(ratings.min()), float(ratings.max())
    predictors = {trained.options.model: predictor}
    return rating_errors(predictors, trained.split, trained.tables, clip=clip, seed=seed)


RATING = Task("rating", rated, judge)


def ids_and_label(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the two ids and the first label."""
    return spec.select(spec.query_id.name, spec.candidate_id.name, label(spec))


def check_labels(name: str, labels: np.ndarray) -> None:
    """Raises ValueError where the square of a label is no float32."""
    wrong = ~(np.abs(labels) < _LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"Column `{name}` must hold labels of at most {_LARGEST:g}, whose squared error is a "
            f"float32. Received: {labels[row]:g} in row {row} of the training events "
            f"({wrong.sum()} such rows). Drop those rows, or scale the column."
        )


def fit(training: Training) -> tuple[MatrixFactorization, History]:
    """Trains by squared error, by lazy Adam whose rate falls as a cosine to a hundredth."""
    name, options = label(training.transform.spec), training.options
    arrays = training.transform.encode(training.events)
    check_labels(name, arrays[name])
    model = training.initial
    if model is None:
        model = training.build(mean=float(np.mean(arrays[name])), l2=0.055)
        steps = max(1, training.events.num_rows // options.batch_size) * options.epochs
        rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps, alpha=0.01)
        model.compile(optimizer=optimizers.LazyAdam(rate), loss="mean_squared_error")
    return model, training.fit(model, arrays, name)


MATRIX_FACTORIZATION = Recipe(
    MatrixFactorization,
    RATING,
    ids_and_label,
    fit,
    {"batch_size": 1024, "learning_rate": 4e-3},
    space={**SPACE, "l2": Range(1e-3, 0.3)},
)
