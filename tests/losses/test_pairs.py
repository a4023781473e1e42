import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.losses import BPR, InBatch, Sampled, Sigmoid, Softmax

LOSSES = [Softmax, BPR, Sigmoid]
IDS = np.array([7, 8, 7, 9])
SCORES = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)


def in_batch_labels(ids):
    labels = np.where(ids[:, None] == ids[None, :], -1, 0)
    np.fill_diagonal(labels, 1)
    return labels


@pytest.mark.parametrize("loss", LOSSES)
def test_in_batch_equals_the_loss_of_labels(loss):
    labels = in_batch_labels(IDS)
    assert labels.tolist() == [[1, 0, -1, 0], [0, 1, 0, 0], [-1, 0, 1, 0], [0, 0, 0, 1]]
    expected = loss(reduction=None)(labels, SCORES).numpy()
    np.testing.assert_allclose(InBatch(loss(), reduction=None)(IDS, SCORES), expected, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_in_batch_has_the_gradient_of_the_loss_of_labels(loss):
    scores = tf.constant(SCORES)
    gradients = []
    for made, labels in ((InBatch(loss()), IDS), (loss(), in_batch_labels(IDS))):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            value = made(labels, scores)
        gradients.append(tape.gradient(value, scores).numpy())
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_sampled_equals_the_loss_of_a_positive_in_column_0(loss):
    labels = np.tile([1, 0, 0, 0], (4, 1))
    expected = loss(reduction=None)(labels, SCORES).numpy()
    np.testing.assert_allclose(Sampled(loss(), reduction=None)(IDS, SCORES), expected, atol=1e-5)


def test_sampled_bpr_by_hand():
    # -log sigmoid(1 - 0) and -log sigmoid(1 - 2)
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2
    assert Sampled(BPR())(np.array([3]), [[1.0, 0.0, 2.0]]).numpy() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_ids_that_are_one_number_in_float32_count_as_different(loss):
    ids = np.array([2**24, 2**24 + 1])
    assert np.float32(ids[0]) == np.float32(ids[1])
    scores = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    value = InBatch(loss(), reduction=None)(ids, scores).numpy()
    np.testing.assert_allclose(value, loss(reduction=None)(np.eye(2), scores), atol=1e-6)
    assert (value > 0).all()


@pytest.mark.parametrize("jit", [False, True])
def test_ids_stay_apart_through_fit(jit):
    ids = np.array([2**24, 2**24 + 1, 2**62, 2**62 + 1])
    rows = np.eye(4, dtype=np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model.compile(keras.optimizers.SGD(5.0), InBatch(Softmax()), jit_compile=jit)
    model.fit(np.tile(rows, (30, 1)), np.tile(ids, 30), batch_size=4, verbose=0, shuffle=False)
    assert model(rows).numpy().argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert InBatch(Softmax())(ids, model(rows)).numpy() < 0.2


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_one_id_has_loss_0(loss):
    value = InBatch(loss(), reduction=None)(np.array([5, 5]), SCORES[:2, :2])
    assert value.numpy().tolist() == [0, 0]
    assert InBatch(loss())(np.array([5]), SCORES[:1, :1]).numpy() == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrap", [InBatch, Sampled])
def test_ids_may_have_a_last_axis_of_1(loss, wrap):
    flat = wrap(loss())(IDS, SCORES)
    assert wrap(loss())(IDS[:, None], SCORES).numpy() == flat.numpy()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrap", [InBatch, Sampled])
def test_a_graph_of_unknown_batch_size_gives_the_same(loss, wrap):
    made = wrap(loss(), reduction=None)
    shapes = tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, None], tf.float32)
    graph = tf.function(lambda ids, scores: made(ids, scores), input_signature=shapes)
    np.testing.assert_allclose(graph(IDS, SCORES), made(IDS, SCORES), atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrap", [InBatch, Sampled])
def test_rows_can_be_weighted(loss, wrap):
    rows = wrap(loss(), reduction=None)(IDS, SCORES).numpy()
    weights = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
    value = wrap(loss())(IDS, SCORES, weights).numpy()
    assert value == pytest.approx((rows * weights).sum() / 4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrap", [InBatch, Sampled])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extreme_scores_of_float16_have_a_finite_loss_and_gradient(loss, wrap, scale):
    scores = tf.constant(np.sign(SCORES) * scale, tf.float16)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = wrap(loss())(IDS, scores)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, scores)).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_masked_accidental_hit_adds_nothing(loss):
    masked = Sampled(loss())(np.array([3]), [[1.0, 0.5, -1e9]]).numpy()
    alone = Sampled(loss())(np.array([3]), [[1.0, 0.5]]).numpy()
    # BPR and Sigmoid still count it among 2 negatives, or 3 candidates
    shares = {Softmax: 1, BPR: 1 / 2, Sigmoid: 2 / 3}
    assert masked == pytest.approx(shares[loss] * alone)


@pytest.mark.parametrize("wrap", [InBatch, Sampled])
def test_the_config_gives_the_loss_back(wrap):
    loss = wrap(BPR(name="inner"), reduction="sum", name="outer", dtype="bfloat16")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(copy) is wrap
    assert copy.get_config() == loss.get_config()
    assert copy.loss.name == "inner"


@pytest.mark.parametrize("wrap", [InBatch, Sampled])
def test_bad_arguments_say_what_to_type(wrap):
    with pytest.raises(TypeError, match=rf"`loss` must be a list loss.*{wrap.__name__}\(Softmax"):
        wrap("softmax")
    with pytest.raises(TypeError, match="`y_true` must be the ids of the positives, integers"):
        wrap(Softmax())(IDS.astype(np.float32), SCORES)
    with pytest.raises(ValueError, match="`y_true` must be one id for each row"):
        wrap(Softmax())(IDS[:3], SCORES)
    with pytest.raises(ValueError, match="`y_true` must be one id for each row"):
        wrap(Softmax())(np.stack([IDS, IDS], axis=1), SCORES)


def test_scores_of_another_shape_name_the_other_wrapper():
    with pytest.raises(ValueError, match=r"\(B, B\).*Received: \(4, 3\).*Use Sampled"):
        InBatch(Softmax())(IDS, SCORES[:, :3])
    with pytest.raises(ValueError, match=r"Received: \(4, 1\).*Use InBatch"):
        Sampled(Softmax())(IDS, SCORES[:, :1])


@pytest.mark.parametrize("loss", [Softmax(), BPR(), Sigmoid()], ids=lambda x: type(x).__name__)
def test_groups_of_rows_are_batches_of_their_own(loss):
    random = np.random.default_rng(3)
    ids, scores = np.array([7, 8, 7, 1, 2, 3]), random.normal(size=(6, 3)).astype("float32")
    whole = InBatch(loss, reduction=None)
    apart = [np.asarray(whole(ids[s : s + 3], scores[s : s + 3])) for s in (0, 3)]
    np.testing.assert_allclose(whole(ids, scores), np.concatenate(apart), rtol=1e-6)


def test_the_scores_of_groups_divide_the_batch():
    with pytest.raises(ValueError, match=r"`y_pred` must be .* S a divisor of B"):
        InBatch(Softmax())(np.arange(5), np.zeros((5, 2), "float32"))
