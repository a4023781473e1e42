"""What IALS is fitted to: whatever Keras's `fit` takes, as events with strengths."""

import itertools
from typing import Any

import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers import arrays_of, ids_of_rows


def gathered(given: Any, steps: int | None, names: tuple[str, ...]) -> list[np.ndarray]:
    """Returns users, items and strengths times weights `(N,)` of all batches."""
    given = tuple(map(arrays_of, given, ("x", "y", "sample_weight")))
    x, y, weights = given
    if not isinstance(x, dict) and not (y is None and weights is None):
        remedy = "Give batches of (batch, strengths, weights)."
        name = "y" if weights is None else "sample_weight"
        raise ValueError(checks.expected(name, "None where `x` is a dataset", "values", remedy))
    batches = [given] if isinstance(x, dict) else itertools.islice(x, steps)
    parts: list[list[np.ndarray]] = []
    for one in batches:
        batch, *factors = one if isinstance(one, tuple | list) else (one,)
        ids = [ops.convert_to_numpy(ids_of_rows(batch, name)) for name in names]
        strengths = np.ones(len(ids[0]))
        for factor in factors:
            if factor is not None:
                strengths = strengths * _one_each(ops.convert_to_numpy(factor), len(strengths))
        parts.append([*ids, strengths])
    if not parts:
        raise ValueError(checks.expected("x", "of one batch of events or more", "none"))
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _one_each(values: np.ndarray, number: int) -> np.ndarray:
    if values.shape != (number,):
        raise ValueError(checks.expected("strengths and weights", f"({number},)", values.shape))
    return values


def refuse(others: dict[str, Any]) -> None:
    """Raises for what Keras's `fit` takes and a solution in closed form cannot."""
    for argument, value in others.items():
        if argument.startswith("validation"):
            remedy = "Judge it by evaluation.CatalogueMetrics(...) among `callbacks`."
        elif argument == "class_weight":
            remedy = "Weigh the events: sample_weight=..."
        else:
            raise TypeError(f"IALS.fit has no argument `{argument}`: see its docstring for those.")
        if value is not None and not (argument == "validation_freq" and value == 1):
            expectation = "left out: IALS solves in closed form"
            raise ValueError(checks.expected(argument, expectation, type(value).__name__, remedy))
