import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.metrics import AUC, MAE, RMSE, Calibration, LogLoss, NormalizedEntropy


def auc_of_pairs(labels, scores, weights=None):
    weights = np.ones(len(labels)) if weights is None else weights
    won = total = 0.0
    for s, w in zip(scores[labels == 1], weights[labels == 1], strict=True):
        for other, v in zip(scores[labels == 0], weights[labels == 0], strict=True):
            total += w * v
            won += w * v * ((s > other) + 0.5 * (s == other))
    return won / total


def random_rows(num_rows=200):
    random = np.random.default_rng(0)
    labels = random.integers(-1, 2, num_rows)
    scores = np.round(random.normal(size=num_rows) + labels, 1)  # with many ties
    return labels, scores.astype(np.float32), random.random(num_rows).astype(np.float32)


def test_auc_by_hand():
    # pairs: (0.9, 0.1) won, (0.9, 0.5) won, (0.5, 0.1) won, (0.5, 0.5) half
    assert AUC(capacity=4)([1, 0, 0, 1], [0.9, 0.1, 0.5, 0.5]).numpy() == 3.5 / 4


def test_auc_is_that_of_all_pairs_with_ties_and_ignored_labels():
    labels, scores, weights = random_rows()
    assert AUC(capacity=500)(labels, scores).numpy() == pytest.approx(
        auc_of_pairs(labels, scores), rel=1e-6
    )
    assert AUC(capacity=500)(labels, scores, weights).numpy() == pytest.approx(
        auc_of_pairs(labels, scores, weights), rel=1e-5
    )


def test_auc_adds_batches_up_and_forgets_at_a_reset():
    labels, scores, _ = random_rows()
    metric = AUC(capacity=200)
    for _ in range(2):
        metric.reset_state()
        for rows in (slice(0, 7), slice(7, 150), slice(150, 200)):
            metric.update_state(labels[rows], scores[rows])
        assert metric.result().numpy() == pytest.approx(auc_of_pairs(labels, scores), rel=1e-6)


def test_auc_resolves_scores_that_thresholds_do_not():
    scores = 0.5 + np.arange(100) * 1e-6
    assert AUC(capacity=100)((np.arange(100) >= 50).astype(int), scores).numpy() == 1


@pytest.mark.parametrize(
    "labels, scores",
    [
        ([1, 1], [0.1, 0.2]),
        ([0, 0], [0.1, 0.2]),
        ([1, 0], [float("nan"), 0.2]),
        ([1, 2], [0.1, 0.2]),
        ([], []),
    ],
)
def test_auc_is_nan_where_it_is_not_defined(labels, scores):
    labels, scores = np.array(labels, "float32"), np.array(scores, "float32")
    assert np.isnan(AUC(capacity=2)(labels, scores).numpy())


def test_auc_says_when_it_had_more_scores_than_it_holds():
    message = r"AUC is NaN: it holds 2 of 3 scores\. .*AUC\(capacity=3\)"
    with pytest.warns(UserWarning, match=message):
        assert np.isnan(AUC(capacity=2)([1, 0, 1], [0.1, 0.2, 0.3]).numpy())


def test_auc_does_not_mind_a_nan_score_that_is_ignored():
    assert AUC(capacity=3)([1, 0, -1], [0.2, 0.1, float("nan")]).numpy() == 1


def test_log_loss_by_hand():
    # -log sigmoid(2) and -log(1 - sigmoid(-1)); the third is ignored
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert LogLoss()([1, 0, -1], [2.0, -1.0, 9.0]).numpy() == pytest.approx(expected)
    assert np.isnan(LogLoss()([1, 0.5], [2.0, -1.0]).numpy())
    assert LogLoss()([1, 0], [1e4, -1e4]).numpy() == 0
    assert LogLoss()([0, 1], [1e4, -1e4]).numpy() == 1e4


def test_log_loss_is_that_of_keras():
    labels, scores, _ = random_rows()
    kept = labels >= 0
    reference = keras.losses.binary_crossentropy(labels[kept], scores[kept], from_logits=True)
    assert LogLoss()(labels, scores).numpy() == pytest.approx(float(reference), rel=1e-5)


def test_rmse_and_mae_by_hand():
    ratings, scores = [3.0, 5.0, 1.0], [3.5, 3.0, 1.0]
    assert RMSE()(ratings, scores).numpy() == pytest.approx(math.sqrt((0.25 + 4 + 0) / 3))
    assert MAE()(ratings, scores).numpy() == pytest.approx((0.5 + 2 + 0) / 3)
    weights = [1.0, 0.0, 3.0]
    assert RMSE()(ratings, scores, weights).numpy() == pytest.approx(math.sqrt(0.25 / 4))
    assert MAE()(ratings, scores, weights).numpy() == pytest.approx(0.5 / 4)


@pytest.mark.parametrize("metric", [RMSE, MAE, LogLoss])
def test_batches_of_different_sizes_weigh_by_their_rows(metric):
    labels, scores, _ = random_rows()
    labels = np.maximum(labels, 0)
    parts = metric()
    for rows in (slice(0, 3), slice(3, 200)):
        parts.update_state(labels[rows], scores[rows])
    assert parts.result().numpy() == pytest.approx(metric()(labels, scores).numpy(), rel=1e-5)


@pytest.mark.parametrize("metric", [AUC, RMSE, MAE, LogLoss])
def test_a_column_agrees_with_a_vector_and_other_shapes_do_not(metric):
    labels, scores = np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.2, 0.1])
    flat = metric()(labels, scores).numpy()
    assert metric()(labels[:, None], scores).numpy() == flat
    assert metric()(labels, scores[:, None]).numpy() == flat
    with pytest.raises(ValueError, match=r"`y_true` must be of the shape of the scores, \(3,\)"):
        metric()(labels[:2], scores)


@pytest.mark.parametrize("metric", [AUC, RMSE, MAE, LogLoss])
def test_a_weight_a_row_serves_its_candidates(metric):
    labels = np.array([[1.0, 0.0], [0.0, 1.0]])
    scores = np.array([[0.5, 0.2], [0.3, 0.1]])
    weighted = metric()(labels, scores, sample_weight=np.array([1.0, 0.0])).numpy()
    assert weighted == pytest.approx(metric()(labels[:1], scores[:1]).numpy())


@pytest.mark.parametrize("metric", [AUC, RMSE, MAE, LogLoss])
def test_the_config_gives_the_metric_back(metric):
    made = metric(name="named")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(copy) is metric
    assert copy.get_config() == made.get_config()


def test_the_metrics_work_in_evaluate():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    model.compile(loss="mse", metrics=[AUC(capacity=8), RMSE(), MAE(), LogLoss()])
    labels, scores = np.array([1, 0, 0, 1]), np.array([[0.9], [0.1], [0.5], [0.5]])
    result = model.evaluate(scores, labels, batch_size=3, verbose=0, return_dict=True)
    assert result["auc"] == pytest.approx(0.875)
    assert result["mae"] == pytest.approx((0.1 + 0.1 + 0.5 + 0.5) / 4)
    assert result["rmse"] == pytest.approx(math.sqrt((0.01 + 0.01 + 0.25 + 0.25) / 4))


def test_a_capacity_of_0_is_an_error():
    with pytest.raises(ValueError, match="`capacity` must be greater than 0"):
        AUC(capacity=0)


CLICK_METRICS = [AUC, LogLoss, Calibration, NormalizedEntropy]


@pytest.mark.parametrize("metric", [*CLICK_METRICS, RMSE, MAE])
def test_no_row_at_all_is_nan_and_not_the_best_value(metric):
    assert np.isnan(float(metric().result()))
    made = metric()
    made.update_state([1.0, 0.0], [0.5, 0.2], sample_weight=[0.0, 0.0])
    assert np.isnan(float(made.result()))


@pytest.mark.parametrize("metric", CLICK_METRICS)
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "labels, scores, weights",
    [
        ([1, 0, 2], [0.1, 0.2, 0.3], [1, 1, 1]),
        ([1, 0, np.nan], [0.1, 0.2, 0.3], [1, 1, 1]),
        ([1, 0, 1], [0.1, 0.2, np.nan], [1, 1, 1]),
        ([1, 0, 1], [0.1, 0.2, 0.3], [1, 1, np.nan]),
        ([1, 0, 1], [0.1, 0.2, 0.3], [1, 1, -1]),
    ],
    ids=["label", "nan label", "nan score", "nan weight", "negative weight"],
)
def test_what_is_undefined_makes_the_value_nan_until_the_reset(
    metric, graph, labels, scores, weights
):
    made = metric()
    update = tf.function(made.update_state) if graph else made.update_state
    rows = [tf.constant(x, tf.float32) for x in (labels, scores, weights)]
    update(*rows)
    update(*(x[:2] for x in rows))
    assert np.isnan(float(made.result()))
    made.reset_state()
    update(*(x[:2] for x in rows))
    assert not np.isnan(float(made.result()))


@pytest.mark.parametrize("metric", CLICK_METRICS)
@pytest.mark.parametrize(
    "label, weight", [(-1.0, 1.0), (7.0, 0.0), (np.nan, 0.0)], ids=["ignored", "odd", "nan"]
)
def test_a_row_that_does_not_count_may_hold_anything(metric, label, weight):
    labels, scores = [1.0, 0.0, label], [0.1, 0.2, np.nan]
    value = float(metric()(labels, scores, sample_weight=[1.0, 1.0, weight]))
    assert value == pytest.approx(float(metric()(labels[:2], scores[:2])))


@pytest.mark.parametrize("metric", [RMSE, MAE])
def test_an_error_is_nan_with_a_nan_unless_its_weight_is_0(metric):
    labels, scores = [3.0, np.nan], [1.0, 1.0]
    assert np.isnan(float(metric()(labels, scores)))
    assert np.isnan(float(metric()(labels[:1], scores[:1], sample_weight=[-1.0])))
    assert float(metric()(labels, scores, sample_weight=[1.0, 0.0])) == 2


def test_callbacks_are_told_which_way_is_better():
    ways = {metric: metric()._direction for metric in (*CLICK_METRICS[:2], RMSE, MAE)}
    assert ways == {AUC: "up", LogLoss: "down", RMSE: "down", MAE: "down"}
    assert NormalizedEntropy()._direction == "down"
    assert not hasattr(Calibration(), "_direction")  # 1 is best
