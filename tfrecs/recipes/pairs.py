"""Training on positive pairs: what comes next, judged by ranking all candidates."""

from typing import Any

import pyarrow as pa

from tfrecs import baselines, losses, optimizers
from tfrecs.datasets import Tables
from tfrecs.evaluation import ModelRecommender, Results, full_ranking
from tfrecs.features import log_q
from tfrecs.models import TwoTower
from tfrecs.recipes.base import SPACE, History, Range, Recipe, Task, Trained, Training
from tfrecs.spec import FeatureSpec

_EASE_CANDIDATES = 5_000  # its time grows with their third power: 4 seconds at 5,000


def positives(tables: Tables) -> pa.Table:
    """Returns the positive events.

    Raises:
        ValueError: If there are none.
    """
    if tables.positives.num_rows == 0:
        raise ValueError(
            f"None of the {tables.events.num_rows:,} events is positive: {tables.positive}. "
            "Name another column of labels (--label-column), or train --model "
            "matrix_factorization, which learns from all labels."
        )
    return tables.positives


def judge(trained: Trained, ks: tuple[int, ...] = (10, 20, 100), seed: int = 0) -> Results:
    """Ranks all candidates for every test user, beside what a model must beat.

    That is random, popularity, item-kNN, user-kNN, EASE where the catalogue is small enough for
    it, and in a generated world the oracle.
    """
    tables, split = trained.tables, trained.split
    size = tables.candidates.num_rows
    recommenders: dict[str, Any] = {
        "random": baselines.Random(seed=seed),
        "popularity": baselines.Popularity(),
        "item-kNN": baselines.ItemKNN(),
        "user-kNN": baselines.UserKNN(),
    }
    if size <= _EASE_CANDIDATES:
        recommenders["EASE"] = baselines.EASE()
    for baseline in recommenders.values():
        baseline.fit(split.train, tables.candidates, tables.spec)
    model = ModelRecommender(trained.model, trained.transform, tables.candidates)
    recommenders[trained.options.model] = model
    if tables.truth is not None:
        oracle = baselines.Oracle(tables.truth.click_probability)
        recommenders["oracle"] = oracle.fit(split.train, tables.candidates, tables.spec)
    ks = tuple(k for k in ks if k <= size) or (size,)
    return full_ranking(recommenders, split, tables, ks=ks, seed=seed)


NEXT_ITEM = Task("next item", positives, judge, ordered=True)


def ids(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the two ids."""
    return spec.select(spec.query_id.name, spec.candidate_id.name)


def fit(training: Training) -> tuple[TwoTower, History]:
    """Trains by in-batch softmax with the logQ correction, by row-sparse Adagrad."""
    spec, options = training.transform.spec, training.options
    arrays = training.transform.encode(training.events)
    query, candidate = spec.query_id.name, spec.candidate_id.name
    arrays[f"{candidate}_log_q"] = log_q(arrays[candidate])
    model = training.initial
    if model is None:
        model = training.build(temperature=0.2)
        optimizer = optimizers.SparseAdagrad(options.learning_rate, initial_accumulator_value=1e-8)
        model.compile(optimizer=optimizer, loss=losses.InBatch(losses.Softmax()))
    history = training.fit(model, arrays, candidate)
    model.set_unknown_query(arrays[query])
    return model, history


TWO_TOWER = Recipe(TwoTower, NEXT_ITEM, ids, fit, space={**SPACE, "temperature": Range(0.05, 1.0)})
