"""The contract of ranking metrics."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np

from tfrecs.testing.case import Check, expect, expect_close

Build = Callable[..., keras.metrics.Metric]
Oracle = Callable[[np.ndarray, int], float]
K = 3


def config_round_trip(build: Build, oracle: Oracle) -> None:
    """The serialized metric gives the same metric back."""
    metric = build(k=K, name="named")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    expect(copy.get_config() == metric.get_config(), f"The copy's config: {copy.get_config()}.")
    labels, scores = _rows()
    expect_close(copy(labels, scores), metric(labels, scores), "The value of a copy")


def equals_oracle(build: Build, oracle: Oracle) -> None:
    """The value is the mean of a plain computation, row by row, at every cut-off."""
    labels, scores = _rows()
    for k in (1, K, None):
        values = [
            oracle(_ranking(row, score), k or labels.shape[1])
            for row, score in zip(labels, scores, strict=True)
        ]
        expect_close(build(k=k)(labels, scores), np.mean(values), f"The value at {k}")


def ignored_labels(build: Build, oracle: Oracle) -> None:
    """A candidate with the label -1 might as well not be there, wherever it ranks."""
    labels, scores = _rows()
    wide = np.pad(labels, [(0, 0), (1, 1)], constant_values=-1)
    padded = np.pad(scores, [(0, 0), (1, 1)], constant_values=((0, 0), (9.0, -9.0)))
    value = build(k=K)(labels, scores)
    expect_close(build(k=K)(wide, padded), value, "The value with ignored candidates")


def ties(build: Build, oracle: Oracle) -> None:
    """A positive that ties with negatives ranks after them, wherever it stands."""
    for labels in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):
        expected = oracle(np.array([0, 0, 1]), 2)
        value = build(k=2)([labels], [[0.5, 0.5, 0.5]])
        expect_close(value, expected, f"The value of labels {labels}, all tied")


def rows_without_positives(build: Build, oracle: Oracle) -> None:
    """A row without a positive is left out of the mean."""
    labels, scores = _rows()
    empty = np.array([[0] * labels.shape[1], [-1] * labels.shape[1]], np.float32)
    value = build(k=K)(np.vstack([labels, empty]), np.vstack([scores, scores[:2]]))
    expect_close(value, build(k=K)(labels, scores), "The value with rows without a positive")


def streaming(build: Build, oracle: Oracle) -> None:
    """Batches of any sizes give the same value as one, and a reset forgets them."""
    labels, scores = _rows()
    whole = build(k=K)(labels, scores)
    metric = build(k=K)
    metric.update_state(labels[:3], -scores[:3])
    metric.reset_state()
    for rows in (slice(0, 1), slice(1, 8), slice(8, None)):
        metric.update_state(labels[rows], scores[rows])
    expect_close(metric.result(), whole, "The value of several batches")


def row_weights(build: Build, oracle: Oracle) -> None:
    """A row of weight 2 counts twice, a row of weight 0 not at all."""
    labels, scores = _rows()
    weights = np.arange(len(labels)) % 3
    repeated = np.repeat(np.arange(len(labels)), weights)
    value = build(k=K)(labels, scores, sample_weight=weights.astype(np.float32))
    expect_close(value, build(k=K)(labels[repeated], scores[repeated]), "The weighted value")


def not_a_number(build: Build, oracle: Oracle) -> None:
    """A NaN score, or an unknown label, makes the value NaN."""
    labels, scores = _rows()
    there = scores == scores[labels == 0][0]  # one candidate that counts
    for wrong_labels, wrong_scores in (
        (labels, np.where(there, np.nan, scores)),
        (np.where(there, 2, labels), scores),
    ):
        value = float(build(k=K)(wrong_labels, wrong_scores))
        expect(np.isnan(value), f"The value of a NaN score or a label of 2 is {value}.")


CHECKS: tuple[Callable[[Build, Oracle], None], ...] = (
    config_round_trip,
    equals_oracle,
    ignored_labels,
    ties,
    rows_without_positives,
    streaming,
    row_weights,
    not_a_number,
)


def check_metric(build: Build, oracle: Oracle) -> Iterator[Check]:
    """Yields what a ranking metric promises, one check after the other.

    Its config gives it back; it equals the mean of `oracle` over rows; -1 is ignored; ties are
    pessimistic; rows without a positive are left out; batches add up; rows can be weighted; a NaN
    score and an unknown label are not silent.

    Args:
        build: Returns a new metric; takes `k` and `name`: the class itself, mostly.
        oracle: Computes the metric of one row plainly: from its labels of 1 and 0 in ranked order
            (at least one is 1) and the cut-off.

    Yields:
        Checks.

    Example:

    >>> from tfrecs.metrics import Recall
    >>> for check in check_metric(Recall, lambda ranked, k: ranked[:k].sum() / ranked.sum()):
    ...     check.run()  # raises ContractError if the metric breaks its promise
    """
    for run in CHECKS:
        yield Check(run.__name__, partial(run, build, oracle))


def _rows() -> tuple[np.ndarray, np.ndarray]:
    """Returns 12 rows of 7 labels, a positive in each, and scores without ties."""
    random = np.random.default_rng(0)
    labels = random.choice([-1.0, 0.0, 0.0, 1.0], size=(12, 7)).astype(np.float32)
    labels[:, 0] = 1
    labels = random.permuted(labels, axis=1)
    scores = random.permutation(labels.size).reshape(labels.shape) / 8.0
    return labels, scores.astype(np.float32)


def _ranking(labels: Any, scores: Any) -> np.ndarray:
    """Returns the labels that count, best score first."""
    kept = labels >= 0
    order = np.argsort(-scores[kept])
    return np.asarray(labels[kept][order])
