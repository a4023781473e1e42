import keras
import numpy as np
import pytest

from tfrecs.features import from_sequences
from tfrecs.losses import GBCE, InBatch, Sampled, Softmax
from tfrecs.models import SASRec
from tfrecs.spec import Categorical, FeatureSpec, Sequence
from tfrecs.testing import ModelCase, markov_sequences

CASES = [
    ModelCase(
        name,
        build=lambda spec, num_bits=num_bits: SASRec(spec, 16, dropout=0.0, num_bits=num_bits),
        loss=lambda: InBatch(Softmax()),
        label="item_id",
        learning_rate=0.01,
        spec=FeatureSpec(
            (
                Categorical("item_id", "candidate", is_id=True),
                Sequence("history", "query", shared_with="item_id"),
            )
        ),
    )
    for name, num_bits in (("sasrec", None), ("sasrec_bloom", 24))
]


def spec(size=12):
    return FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="item_id", size=size),
        )
    )


def test_a_position_does_not_see_the_future():
    model = SASRec(spec(), 8, dropout=0.0)
    rows = np.array([[2, 3, 4, 5], [2, 3, 9, 7]])
    found, _ = model._encode({"history": rows, "history_mask": rows > 0}, False)
    found = np.asarray(found)
    np.testing.assert_allclose(found[0, :2], found[1, :2], atol=1e-6)
    assert (np.abs(found[0, 2:] - found[1, 2:]) > 1e-3).any()


def test_a_prediction_of_sequences_scores_each_position_s_own_item():
    model = SASRec(spec(), 8, dropout=0.0)
    history = np.array([[2, 3, 4]])
    batch = {"history": history, "history_mask": history > 0, "item_id": np.array([3, 4, 5])}
    pair = {**batch, "item_id": np.array([5])}
    drawn = {**batch, "negatives": np.array([6, 7])}
    own = np.asarray(model.score_pairs(drawn))
    assert own.shape == (3,)
    np.testing.assert_allclose(own, np.asarray(model(drawn))[:, 0])
    np.testing.assert_allclose(own[-1:], model.predict(pair, verbose=0), atol=1e-6)


def test_embeddings_enter_times_the_root_of_their_width():
    model = SASRec(spec(), 4, num_layers=1, max_length=3, dropout=0.0)
    block = model.encoder.blocks[0]
    for branch in (block.attention.output_dense, block.narrow):
        branch.kernel.assign(np.zeros(branch.kernel.shape))  # a block that adds nothing
    places = np.array([[0] * 4, [0] * 4, [0.5] * 4, [0, 1, 0, 1], [1, 0, 0, 0]])
    model.encoder.positions.embeddings.assign(places)
    history = np.array([[2, 3]])
    total = 2 * np.asarray(model.items.embeddings)[[2, 3]] + places[3:]  # the last place is last
    spread = total - total.mean(axis=1, keepdims=True)
    expected = spread / np.sqrt((spread**2).mean(axis=1, keepdims=True))
    found, _ = model._encode({"history": history, "history_mask": history > 0}, False)
    np.testing.assert_allclose(np.asarray(found)[0], expected, atol=1e-4)


def test_every_position_is_scored_against_its_next_item_and_the_negatives():
    model = SASRec(spec(), 8, dropout=0.0)
    data = from_sequences([2, 3, 4, 5, 6], [3, 2], 2, num_negatives=4)
    batch, targets, weights = next(iter(data))
    scores = np.asarray(model(batch))
    assert scores.shape == (4, 5)
    hidden = np.asarray(model._encode(batch, False)[0]).reshape(4, 8)
    table = np.asarray(model.items.embeddings)
    for row, target in enumerate(np.asarray(targets)):
        if not weights[row]:
            assert target == 0
            continue
        np.testing.assert_allclose(scores[row, 0], hidden[row] @ table[target], rtol=1e-4)
        for column, negative in enumerate(np.asarray(batch["negatives"])):
            expected = -1e9 if negative == target else hidden[row] @ table[negative]
            np.testing.assert_allclose(scores[row, 1 + column], expected, rtol=1e-4)


def test_items_of_the_sequence_are_no_negatives_of_it():
    model = SASRec(spec(), 8, dropout=0.0)
    data = from_sequences([2, 3, 4, 5, 6], [3, 2], 2, num_negatives=40, exclude_seen=True)
    batch, _, weights = next(iter(data))
    scores = np.asarray(model(batch))[:, 1:].reshape(2, 2, 40)
    plain = {name: batch[name] for name in batch if name != "negatives_seen"}
    before = np.asarray(model(plain))[:, 1:].reshape(2, 2, 40)
    negatives, history = (np.asarray(batch[name]) for name in ("negatives", "history"))
    weights = np.asarray(weights).reshape(2, 2)
    for row in range(2):
        own = np.isin(negatives, [2, 3, 4] if 2 in history[row] else [5, 6])
        assert set(own.tolist()) == {True, False}
        live = weights[row] > 0
        assert (scores[row, live][:, own] == -1e9).all()
        np.testing.assert_array_equal(scores[row, live][:, ~own], before[row, live][:, ~own])


@pytest.mark.parametrize("loss", [Softmax(), GBCE(10)])
def test_fit_on_sequences_learns_what_follows(loss):
    rows = markov_sequences(256, 6, num_items=10, predictability=1.0) + 2
    data = from_sequences(rows.ravel(), [6] * 256, 32, num_negatives=8)
    model = SASRec(spec(), 16, dropout=0.0, num_layers=1)
    weighted = Sampled(loss, reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(0.01), weighted, steps_per_execution=8)
    model.fit(data, epochs=15, shuffle=False, verbose=0)
    history = rows[:64, :4]
    query = model.query({"history": history, "history_mask": history > 0})
    scores = np.asarray(model.score(query, model.candidate({"item_id": np.arange(2, 12)})))
    assert (scores.argmax(axis=1) + 2 == rows[:64, 4]).mean() > 0.9


def test_a_history_beyond_the_positions_is_read():
    model = SASRec(spec(), 8, max_length=3, dropout=0.0)
    rows = np.array([[2, 3, 4, 5, 6, 7]])
    query = model.query({"history": rows, "history_mask": rows > 0})
    assert np.isfinite(np.asarray(query)).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 3}, "`num_heads` must be a divisor of 64"),
        ({"num_layers": 0}, "`num_layers` must be greater than 0"),
        ({"max_length": 0}, "`max_length` must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SASRec(spec(), **arguments)
