"""Losses of any lists against their formulas in NumPy, and their gradients against differences."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logsumexp, softmax

from tfrecs.losses import (
    BPR,
    CCL,
    GBCE,
    TOP1,
    WARP,
    BPRMax,
    Hardest,
    InBatch,
    LogLoss,
    Sampled,
    SharedNegatives,
    Sigmoid,
    Softmax,
    TOP1Max,
    Triplet,
)

SIZE, CANDIDATES, STEP = 6, 50, 1e-5
FEWER = settings(max_examples=settings.default.max_examples // 8)  # for each loss


def softplus(x):
    return np.logaddexp(0, x)


def elu(x, alpha):
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


def gbce(p, n):
    a = len(n) / (CANDIDATES - 1)
    b = a * (0.75 * (1 - 1 / a) + 1 / a)
    return (b * softplus(-p).sum() + softplus(n).sum()) / (len(p) + len(n))


def warp(p, n):
    hinges = np.maximum(0, 1.0 - p[:, None] + n)
    rank = (hinges > 0).sum(1)
    return np.mean(np.log(1 + rank) / np.maximum(rank, 1) * hinges.sum(1))


def top1(p, n):
    return np.mean(expit(n - p[:, None]) + expit(n**2))


def top1_max(p, n):
    return np.mean(np.sum(softmax(n) * (expit(n - p[:, None]) + expit(n**2)), axis=1))


def bpr_max(p, n, regularization=1.0, alpha=0.0):
    if alpha:
        p, n = elu(p, alpha), elu(n, alpha)
    w = softmax(n)
    return np.mean(-np.log((w * expit(p[:, None] - n)).sum(1))) + regularization * (w * n**2).sum()


# of each loss: how it is built, and its formula for positives p and negatives n of one row
LOSSES = {
    "softmax": (Softmax, lambda p, n: np.mean(logsumexp(np.r_[p, n]) - p)),
    "bpr": (BPR, lambda p, n: np.mean(softplus(n - p[:, None]))),
    "bpr-sigmoid": (lambda **k: BPR("sigmoid", **k), lambda p, n: np.mean(expit(n - p[:, None]))),
    "sigmoid": (Sigmoid, lambda p, n: np.r_[softplus(-p), softplus(n)].mean()),
    "gbce": (lambda **k: GBCE(CANDIDATES, **k), gbce),
    "ccl": (
        lambda **k: CCL(0.2, 3.0, **k),
        lambda p, n: np.mean(1 - p) + 3.0 * np.mean(np.maximum(0, n - 0.2)),
    ),
    "triplet": (
        lambda **k: Triplet(0.3, **k),
        lambda p, n: np.maximum(0, 0.3 + n - p[:, None]).sum(1).mean(),
    ),
    "triplet-mean": (
        lambda **k: Triplet(0.3, True, **k),
        lambda p, n: np.maximum(0, 0.3 + n - p[:, None]).mean(),
    ),
    "warp": (WARP, warp),
    "top1": (TOP1, top1),
    "top1-max": (TOP1Max, top1_max),
    "bpr-max": (BPRMax, bpr_max),
    "bpr-max-elu": (
        lambda **k: BPRMax(0.5, 0.7, **k),
        lambda p, n: bpr_max(p, n, 0.5, 0.7),
    ),
    # every positive is in the sum of all of them
    "hardest": (
        lambda **k: Hardest(Softmax(), 2, **k),
        lambda p, n: np.mean(logsumexp(np.r_[p, np.sort(n)[-2:]]) - p),
    ),
}
seeds = st.integers(0, 2**32 - 1)


def formula_of(name, positives, negatives):
    """The formula's value, 0 where there is nothing to compare."""
    if not (len(positives) and len(negatives)):
        return 0.0
    return LOSSES[name][1](positives, negatives)


def drawn(seed, rows=3):
    rng = np.random.default_rng(seed)
    labels = rng.choice([1.0, 0.0, 0.0, -1.0], (rows, SIZE))
    return labels, rng.normal(scale=rng.choice([0.3, 1.0, 4.0]), size=(rows, SIZE))


@pytest.mark.parametrize("name", LOSSES)
@FEWER
@given(seed=seeds)
def test_a_loss_of_labels_is_its_formula_and_its_gradient_the_difference(name, seed):
    labels, scores = drawn(seed)
    loss = LOSSES[name][0](reduction=None, dtype="float64")
    expected = [formula_of(name, s[y == 1], s[y == 0]) for y, s in zip(labels, scores, strict=True)]
    given_scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(given_scores)
        values = loss(labels, given_scores)
    np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-10)
    gradient = tape.gradient(values, given_scores)
    steps = STEP * np.eye(SIZE)[:, None]  # each score of all rows at once: rows do not meet
    moved = np.concatenate([scores + steps, scores - steps]).reshape(-1, SIZE)
    above, below = np.split(loss(np.tile(labels, (2 * SIZE, 1)), moved).numpy(), 2)
    difference = ((above - below) / (2 * STEP)).reshape(SIZE, len(scores)).T
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
@FEWER
@given(seed=seeds)
def test_a_loss_of_ids_is_the_formula_of_its_negatives(name, seed):
    rng = np.random.default_rng(seed)
    loss = LOSSES[name][0](dtype="float64")
    ids, scores = rng.integers(1, 5, 4), rng.normal(size=(4, 4))
    expected = [
        formula_of(name, scores[row, [row]], scores[row, ids != ids[row]]) for row in range(4)
    ]
    found = InBatch(loss, reduction=None, dtype="float64")(ids, scores)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    sampled = rng.normal(size=(4, SIZE))
    expected = [formula_of(name, row[:1], row[1:]) for row in sampled]
    found = Sampled(loss, reduction=None, dtype="float64")(ids, sampled)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
@FEWER
@given(seed=seeds)
def test_shared_negatives_count_as_often_as_they_were_drawn(name, seed):
    rng = np.random.default_rng(seed)
    loss = SharedNegatives(LOSSES[name][0](dtype="float64"), reduction=None, dtype="float64")
    ids, scores = np.array([3, 0, 4]), rng.normal(size=(3, 6))  # row 1 is padding
    counts = np.r_[1, 0, 1, rng.integers(0, 4, 3)]
    if counts[3:].sum() == 0:
        counts[3] = 1

    def formula(scores):
        values = np.zeros(3)
        for row in (0, 2):
            others = np.arange(6) != row
            negatives = np.repeat(scores[row, others], counts[others])
            values[row] = formula_of(name, scores[row, [row]], negatives)
        return values

    given_ids = np.stack([np.r_[ids, 7, 8, 9], counts])
    given_scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(given_scores)
        found = loss(given_ids, given_scores)
    np.testing.assert_allclose(found, formula(scores), rtol=1e-8, atol=1e-10)
    difference = np.zeros(scores.shape)
    for place in np.ndindex(scores.shape):
        step = np.zeros(scores.shape)
        step[place] = STEP
        difference[place] = np.sum(formula(scores + step) - formula(scores - step)) / (2 * STEP)
    gradient = tape.gradient(found, given_scores)
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-7)


@given(seed=seeds)
def test_log_loss_is_its_formula_and_its_gradient_the_error_of_the_probability(seed):
    labels, scores = (column.ravel() for column in drawn(seed, rows=1))
    given_scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(given_scores)
        values = LogLoss(reduction=None, dtype="float64")(labels, given_scores)
    expected = np.where(labels >= 0, softplus(scores) - labels * scores, 0)
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-12)
    expected = np.where(labels >= 0, expit(scores) - labels, 0)
    np.testing.assert_allclose(tape.gradient(values, given_scores), expected, atol=1e-10)
