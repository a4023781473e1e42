"""What a contract is made of: cases, named checks, and the error of a broken promise."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfrecs.models import RecModel
from tfrecs.spec import Categorical, FeatureSpec

Batch = dict[str, Any]
IDS = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Categorical("item_id", "candidate", is_id=True),
    )
)


class ContractError(AssertionError):
    """A model, loss, metric or index breaks a promise."""


@dataclass(frozen=True)
class Check:
    """One named check.

    Args:
        name: Name of the check, in snake case.
        run: Runs it; raises `ContractError`.
        exception: Why the check does not apply; empty when it does.
    """

    name: str
    run: Callable[[], None]
    exception: str = ""


@dataclass(frozen=True)
class ModelCase:
    """A model as `check_model` shall see it: small, and trained in seconds.

    Args:
        name: Name of the case, the model's in snake case.
        build: Returns a new model for a spec whose sizes are known; seeded, so that two calls
            give the same weights.
        loss: Returns the loss that the model is trained with.
        label: What the loss takes as `y_true`: the name of a key of the batch.
        spec: The features. Defaults to ids of users and items. Rows are made up for it: 32 of
            them, each with a query and a candidate of its own.
        batch: Returns the batch with what training needs beside the features, such as
            `<name>_log_q`; `None` for nothing.
        learning_rate: Learning rate of Adam. Defaults to 0.05.
        steps: Steps of Adam in which 32 rows are learned by heart. Defaults to 100.
        exceptions: Why a check does not apply, by the name of the check.

    Example:

    >>> from tfrecs.losses import InBatch, Softmax
    >>> from tfrecs.models import TwoTower
    >>> case = ModelCase(
    ...     "two_tower",
    ...     build=lambda spec: TwoTower(spec, embedding_dim=4, log_q=False),
    ...     loss=lambda: InBatch(Softmax()),
    ...     label="item_id",
    ... )
    """

    name: str
    build: Callable[[FeatureSpec], RecModel]
    loss: Callable[[], keras.losses.Loss]
    label: str
    spec: FeatureSpec = IDS
    batch: Callable[[Batch], Batch] | None = None
    learning_rate: float = 0.05
    steps: int = 100
    exceptions: dict[str, str] = dataclasses.field(default_factory=dict)


def expect(condition: bool, message: str) -> None:
    """Raises ContractError with `message` unless `condition` holds."""
    if not condition:
        raise ContractError(message)


def expect_close(actual: Any, expected: Any, what: str, tolerance: float = 1e-5) -> None:
    """Raises ContractError unless the arrays have one shape and differ by at most `tolerance`.

    The difference counts as absolute below 1 and as relative above, and NaN differs from all.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    expect(
        actual.shape == expected.shape,
        f"{what}: shape {actual.shape} instead of {expected.shape}.",
    )
    error = np.abs(actual - expected) / np.maximum(np.abs(expected), 1)
    worst = float(np.max(error, initial=0))
    expect(worst <= tolerance, f"{what}: they differ by {worst:.3g}, more than {tolerance:g}.")


def expect_finite(values: Any, what: str) -> None:
    """Raises ContractError unless every number is finite."""
    values = np.asarray(values, np.float64)
    expect(
        bool(np.isfinite(values).all()),
        f"{what}: {np.size(values) - np.isfinite(values).sum()} of {np.size(values)} not finite.",
    )
