"""Cases of models that predict clicks from features of every kind."""

from collections.abc import Callable
from typing import Any

import keras

from tfrecs.models import Ranker
from tfrecs.spec import (
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Vector,
)
from tfrecs.testing.case import ModelCase

CLICKS = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Categorical("country", "query"),
        Numeric("age", "query", normalize="standard"),
        Categorical("item_id", "candidate", is_id=True),
        Categorical("kind", "candidate"),
        MultiCategorical("tags", "candidate"),
        Numeric("price", "candidate", normalize="quantile", num_bins=4),
        Vector("image", "candidate", dim=3),
        Cross("country_kind", "context", ("country", "kind"), hash_bins=8),
        Numeric("click", "label"),
    )
)
FEW = CLICKS.select("user_id", "item_id", "age", "click")


def click_case(name: str, build: Callable[[FeatureSpec], Ranker], **options: Any) -> ModelCase:
    """Returns the case of a model of logits, by default on features of every kind.

    Args:
        name: Name of the case, the model's in snake case.
        build: Returns a new model for a spec whose sizes are known.
        options: Of `ModelCase`.

    Example:

    >>> from tfrecs.models import LogisticRegression
    >>> click_case("logistic_regression", LogisticRegression).label
    'click'
    """
    return ModelCase(
        name,
        build=build,
        loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        label="click",
        **{"spec": CLICKS, **options},
    )
