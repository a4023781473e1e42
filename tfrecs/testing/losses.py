"""The contract of losses over candidate lists."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrecs.losses import ListLoss
from tfrecs.testing.case import Check, expect, expect_close, expect_finite

Build = Callable[..., ListLoss]
LABELS = np.array([[1, 0, 0, -1], [0, 1, 1, 0], [0, -1, 1, 0]], np.float32)
SCORES = np.array([[0.3, -1.2, 2.0, 4.0], [1.5, 0.5, -0.5, 0.0], [0.1, 0.2, 0.3, 0.4]], np.float32)


def config_round_trip(build: Build) -> None:
    """The serialized loss gives the same loss back."""
    loss = build(reduction="sum", name="named")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    expect(copy.get_config() == loss.get_config(), f"The config of a copy is {copy.get_config()}.")
    expect_close(copy(LABELS, SCORES), loss(LABELS, SCORES), "The loss of a copy")


def least_at_perfect_ranking(build: Build) -> None:
    """Of all orders of the same scores, the one with the positives on top has the least loss."""
    labels = np.array([[1, 1, 0, 0]], np.float32)
    losses = {
        scores: float(build()(labels, np.array([scores], np.float32)))
        for scores in itertools.permutations((3.0, 1.0, 0.0, -2.0))
    }
    best = min(losses, key=lambda scores: losses[scores])
    expect(min(best[:2]) > max(best[2:]), f"The least loss is at the scores {best}.")


def ignored_labels(build: Build) -> None:
    """A candidate with the label -1 might as well not be there."""
    loss = build(reduction=None)
    without = loss(LABELS[:1, :3], SCORES[:1, :3])
    expect_close(loss(LABELS[:1], SCORES[:1]), without, "The loss with an ignored candidate")


def gradient_sign(build: Build) -> None:
    """The gradient lifts the positive, lowers the negatives and leaves the ignored alone."""
    gradient = _gradient(build(), LABELS[:1], SCORES[:1])[0]
    expect(gradient[0] < 0, f"The gradient of the positive's score is {gradient[0]}.")
    expect(bool((gradient[1:3] > 0).all()), f"Gradients of negatives are {gradient[1:3]}.")
    expect(gradient[3] == 0, f"The gradient of an ignored score is {gradient[3]}.")


def extreme_scores(build: Build) -> None:
    """Loss and gradient are finite for scores of -10,000 and 10,000, in float32 and float16."""
    for kind in ("float32", "float16"):
        for sign in (1.0, -1.0):
            scores = np.array([[1e4, -1e4, -1e4, 1e4]] * 3) * sign
            value = build(reduction=None)(LABELS, scores.astype(kind))
            expect_finite(value, f"The loss of {kind} scores of {sign * 1e4:g}")
            gradient = _gradient(build(), LABELS, scores.astype(kind))
            expect_finite(gradient, f"The gradient of {kind} scores of {sign * 1e4:g}")


def one_sided_rows(build: Build) -> None:
    """A row without a positive, or without a negative, has loss 0 and gradient 0."""
    labels = np.array([[0, 0, -1, 0], [1, -1, 1, 1], [-1, -1, -1, -1]], np.float32)
    expect_close(build(reduction=None)(labels, SCORES), np.zeros(3), "Losses of one-sided rows")
    gradient = _gradient(build(), labels, SCORES)
    expect_close(gradient, np.zeros(SCORES.shape), "Gradients of one-sided rows")


def row_weights(build: Build) -> None:
    """`sample_weight` `(B,)` multiplies the rows, and the mean is over the rows."""
    rows = np.asarray(build(reduction=None)(LABELS, SCORES))
    expect(rows.shape == (3,), f"The losses of 3 rows have the shape {rows.shape}.")
    weights = np.array([1.0, 0.0, 2.5], np.float32)
    weighted = build(reduction=None)(LABELS, SCORES, weights)
    expect_close(weighted, rows * weights, "Weighted losses")
    expect_close(build()(LABELS, SCORES, weights), (rows * weights).sum() / 3, "Their mean")


def unknown_labels(build: Build) -> None:
    """A label other than 1, 0 and -1 is an error, and NaN in its row where it cannot be one."""
    labels = np.array([[1, 0, 2, 0], [1, 0, 0, 0], [1, 0, 0.5, 0]], np.float32)
    try:
        build()(labels, SCORES)
    except ValueError as error:
        expect("y_true" in str(error), f"The error of a label of 2 says: {error}")
    else:
        expect(False, "A label of 2 is no error.")
    loss = build(reduction=None)
    graph = tf.function(lambda labels, scores: loss(labels, scores), autograph=False)
    values = graph(tf.constant(labels), tf.constant(SCORES)).numpy()
    expect(
        np.isnan(values).tolist() == [True, False, True],
        f"In a graph, losses of rows with the labels 2, none and 0.5 are {values}.",
    )


CHECKS: tuple[Callable[[Build], None], ...] = (
    config_round_trip,
    least_at_perfect_ranking,
    ignored_labels,
    gradient_sign,
    extreme_scores,
    one_sided_rows,
    row_weights,
    unknown_labels,
)


def check_loss(build: Build) -> Iterator[Check]:
    """Yields what a loss over candidate lists promises, one check after the other.

    Its config gives it back; perfect ranking is its least; -1 is ignored; the gradient points the
    right way; it is finite at scores of 10,000 and in float16; a row without a positive or a
    negative is 0; rows can be weighted; a label outside 1, 0, -1 is not silent.

    Args:
        build: Returns a new loss; takes `reduction` and `name`: the class itself, mostly.

    Yields:
        Checks.

    Example:

    >>> from tfrecs.losses import BPR
    >>> for check in check_loss(BPR):
    ...     check.run()  # raises ContractError if the loss breaks its promise
    """
    for run in CHECKS:
        yield Check(run.__name__, partial(run, build))


def _gradient(loss: ListLoss, labels: Any, scores: Any) -> np.ndarray:
    scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = loss(labels, scores)
    gradient = tape.gradient(value, scores)
    return np.asarray(tf.zeros_like(scores) if gradient is None else gradient)
