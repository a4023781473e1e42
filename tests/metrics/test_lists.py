import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.metrics import MAP, MRR, NDCG, HitRate, Precision, Recall, per_user
from tfrecs.testing import check_metric

ONES = np.ones(1000)


def dcg(ranked, k):
    return sum(ranked[i] / math.log2(i + 2) for i in range(min(k, len(ranked))))


def average_precision(ranked, k):
    hits = [ranked[: i + 1].sum() / (i + 1) for i in range(min(k, len(ranked))) if ranked[i]]
    return sum(hits) / ranked.sum()


ORACLES = {
    Recall: lambda ranked, k: ranked[:k].sum() / ranked.sum(),
    Precision: lambda ranked, k: ranked[:k].sum() / min(k, len(ranked)),
    HitRate: lambda ranked, k: float(ranked[:k].any()),
    MRR: lambda ranked, k: 1 / (1 + ranked.argmax()) if ranked[:k].any() else 0.0,
    NDCG: lambda ranked, k: dcg(ranked, k) / dcg(ONES[: int(ranked.sum())], k),
    MAP: average_precision,
}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(c, id=f"{metric.__name__}-{c.name}")
        for metric, oracle in ORACLES.items()
        for c in check_metric(metric, oracle)
    ],
)
def test_a_metric_keeps_its_promise(check):
    check.run()


# the ranking, best first, is 0 1 0 1 1; the last candidate is ignored
LABELS = [[1, 0, 1, 0, 1, -1]]
SCORES = [[0.8, 0.9, 0.6, 0.7, 0.5, 1.0]]


@pytest.mark.parametrize(
    "metric, expected",
    [
        (Recall(k=2), 1 / 3),
        (Recall(k=4), 2 / 3),
        (Precision(k=2), 1 / 2),
        (Precision(k=10), 3 / 5),
        (HitRate(k=1), 0),
        (HitRate(k=2), 1),
        (MRR(), 1 / 2),
        (MRR(k=1), 0),
        (MAP(), (1 / 2 + 2 / 4 + 3 / 5) / 3),
        (MAP(k=2), (1 / 2) / 3),
        (NDCG(k=2), (1 / math.log2(3)) / (1 / math.log2(2) + 1 / math.log2(3))),
    ],
    ids=lambda value: value.name if isinstance(value, keras.metrics.Metric) else "",
)
def test_the_value_by_hand(metric, expected):
    assert metric(LABELS, SCORES).numpy() == pytest.approx(expected)


def test_a_constant_model_is_the_worst_model():
    labels, scores = np.eye(8), np.zeros((8, 8))
    assert Recall(k=7)(labels, scores).numpy() == 0
    assert MRR()(labels, scores).numpy() == pytest.approx(1 / 8)


def test_the_name_carries_the_cut_off():
    names = [Recall(k=10).name, HitRate(k=1).name, NDCG(k=100).name, MAP().name, MRR(name="x").name]
    assert names == ["recall@10", "hr@1", "ndcg@100", "map", "x"]


def test_fit_and_evaluate_report_the_metric():
    inputs, labels = np.eye(4, dtype=np.float32), np.eye(4)
    model = keras.Sequential([keras.layers.Dense(4, kernel_initializer="identity")])
    model.compile(loss="mse", metrics=[NDCG(k=2), Recall(k=1)])
    result = model.evaluate(inputs, labels, batch_size=3, verbose=0, return_dict=True)
    assert (result["ndcg@2"], result["recall@1"]) == (1, 1)


def test_the_value_is_that_of_per_user():
    random = np.random.default_rng(0)
    scores = random.permutation(20 * 30).reshape(20, 30).astype(np.float32)
    labels = (random.random((20, 30)) < 0.2).astype(np.float32)
    import scipy.sparse as sp

    expected = per_user(np.argsort(-scores, axis=1), sp.csr_matrix(labels), ks=[5])
    for metric in ORACLES:
        made = metric(k=5)
        value = np.nanmean(expected[made.name])
        assert made(labels, scores).numpy() == pytest.approx(value, rel=1e-5), made.name


def test_a_graph_of_unknown_sizes_gives_the_same():
    metric = NDCG(k=3)
    update = tf.function(
        metric.update_state, input_signature=[tf.TensorSpec([None, None])] * 2, autograph=False
    )
    update(tf.constant(LABELS, tf.float32), tf.constant(SCORES))
    assert metric.result().numpy() == pytest.approx(NDCG(k=3)(LABELS, SCORES).numpy())


@pytest.mark.parametrize("metric", ORACLES)
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_without_a_row_that_counts_the_value_is_nan(metric, graph):
    made = metric(k=2)
    assert np.isnan(float(made.result()))
    update = tf.function(made.update_state) if graph else made.update_state
    update(tf.constant([[0.0, 0.0], [0.0, -1.0]]), tf.constant([[0.1, 0.2], [0.3, 0.4]]))
    update(tf.constant([[1.0, 0.0]]), tf.constant([[0.1, 0.2]]), tf.constant([0.0]))
    assert np.isnan(float(made.result()))


@pytest.mark.parametrize("metric", ORACLES)
@pytest.mark.parametrize(
    "labels, scores, weight",
    [
        ([0, 0], [np.nan, 0.2], 1),
        ([5, 3], [0.1, 0.2], 1),
        ([1, np.nan], [0.1, 0.2], 1),
        ([1, 0], [0.1, 0.2], np.nan),
        ([1, 0], [0.1, 0.2], -1),
    ],
    ids=["nan score", "stars", "nan label", "nan weight", "negative weight"],
)
def test_one_undefined_row_makes_the_value_nan(metric, labels, scores, weight):
    made = metric(k=2)
    made.update_state([[1.0, 0.0]], [[0.9, 0.1]])
    made.update_state([labels], [scores], sample_weight=[weight])
    assert np.isnan(float(made.result()))


@pytest.mark.parametrize("metric", ORACLES)
def test_what_does_not_count_may_hold_anything(metric):
    labels, scores = [[0.0, 1.0, 0.0, -1.0]], [[0.3, 0.2, 0.1, np.nan]]
    value = float(metric(k=2)([row[:3] for row in labels], [row[:3] for row in scores]))
    assert float(metric(k=2)(labels, scores)) == pytest.approx(value)
    more = metric(k=2)
    more.update_state([*labels, [5.0, np.nan, 1.0, 0.0]], scores * 2, sample_weight=[1.0, 0.0])
    assert float(more.result()) == pytest.approx(value)


def test_callbacks_are_told_that_more_is_better():
    assert {metric()._direction for metric in ORACLES} == {"up"}


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`k` must be greater than 0\. Received: 0"):
        Recall(k=0)
    with pytest.raises(ValueError, match=r"`y_true` must be labels \(B, C\).*Received: \(1, 2\)"):
        Recall(k=1)([[1, 0]], [[0.1, 0.2, 0.3]])
    with pytest.raises(ValueError, match=r"`y_true` must be labels \(B, C\)"):
        Recall(k=1)([1, 0], [0.1, 0.2])


def test_ids_in_place_of_labels_are_told_what_to_use():
    with pytest.raises(ValueError, match=r"InBatch\(loss\) takes.*full_ranking"):
        NDCG(k=1)([1, 0], [[0.1, 0.2], [0.3, 0.4]])
