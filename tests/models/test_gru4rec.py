import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.features import from_sessions
from tfrecs.losses import BPR, TOP1, BPRMax, InBatch, SharedNegatives, Softmax, TOP1Max
from tfrecs.models import GRU4Rec
from tfrecs.optimizers import AdagradMomentum
from tfrecs.spec import Categorical, FeatureSpec, Sequence
from tfrecs.testing import ModelCase, markov_sequences

HISTORY = FeatureSpec(
    (
        Categorical("item_id", "candidate", is_id=True),
        Sequence("history", "query", shared_with="item_id"),
    )
)
CASES = [
    ModelCase(
        f"gru4rec_{embedding}",
        build=lambda spec, embedding=embedding, units=units: GRU4Rec(
            spec, units, embedding=embedding
        ),
        loss=lambda: InBatch(Softmax()),
        label="item_id",
        spec=HISTORY,
    )
    for embedding, units in (("constrained", (16,)), ("separate", (16, 12)), ("one_hot", (16,)))
]
CASES.append(
    ModelCase(
        "gru4rec_bloom",
        build=lambda spec: GRU4Rec(spec, (16,), num_bits=24),
        loss=lambda: InBatch(Softmax()),
        label="item_id",
        spec=HISTORY,
    )
)


def spec(size=12):
    return FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="item_id", size=size),
        )
    )


def steps(items, lengths, lanes, **kwargs):
    names = {"inputs": {"history": "item"}, "targets": {"item_id": "item"}}
    return from_sessions({"item": np.array(items, "int32")}, lengths, lanes, **names, **kwargs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_one_unit_by_hand():
    model = GRU4Rec(spec(4), (1,), embedding="one_hot")
    table = np.zeros((4, 3), "float32")
    table[2] = [0.1, -0.2, 0.3]  # r, z, n of item 2
    table[3] = [0.5, 0.4, -0.1]
    model.inputs_table.embeddings.assign(table)
    model.cells[0].recurrent.assign([[0.2, 0.6, -0.5]])
    model.cells[0].bias.assign([0.0, 0.1, 0.7])
    h = 0.0
    for r, z, n in (table[2], table[3]):
        r, z = sigmoid(r + 0.2 * h), sigmoid(z + 0.6 * h + 0.1)
        h = (1 - z) * np.tanh(n + r * (-0.5 * h + 0.7)) + z * h
    batch = {"history": np.array([[2, 3, 0]]), "history_mask": np.array([[True, True, False]])}
    np.testing.assert_allclose(model.query(batch), [[h, 1]], rtol=1e-5)
    model.items.embeddings.assign([[0, 0], [0, 0], [2, 0.5], [-1, 0.25]])
    scores = model({**batch, "item_id": np.array([[2, 3]])})
    np.testing.assert_allclose(scores, [[2 * h + 0.5, -h + 0.25]], rtol=1e-5)


@pytest.mark.parametrize("units", [(8,), (8, 6)])
@pytest.mark.parametrize("num_steps", [1, 2])
@pytest.mark.parametrize("input_dim", [None, 5])
def test_the_carried_state_is_that_of_the_session_so_far(units, num_steps, input_dim):
    # sessions 2 3 4, 5 6, 7 8 9 10 in two lanes
    items, lengths = [2, 3, 4, 5, 6, 7, 8, 9, 10], [3, 2, 4]
    embedding = "constrained" if input_dim is None else "separate"
    model = GRU4Rec(spec(), units, embedding=embedding, input_dim=input_dim, lanes=2)
    prefixes = {}
    for session in np.split(np.array(items), np.cumsum(lengths)[:-1]):
        for end in range(1, len(session)):
            prefixes[tuple(session[:end])] = int(session[end])
    seen = {}
    so_far = [[], []]
    for batch, label in steps(items, lengths, 2, num_steps=num_steps):
        found = np.asarray(model.query(batch)).reshape(2, num_steps, -1)
        targets = np.asarray(label).reshape(2, num_steps)
        for lane in range(2):
            for t in range(num_steps):
                if not batch["history_mask"][lane, t]:
                    continue
                if not batch["carried"][lane, t]:
                    so_far[lane] = []
                so_far[lane].append(int(batch["history"][lane, t]))
                assert prefixes[tuple(so_far[lane])] == targets[lane, t]
                seen[tuple(so_far[lane])] = found[lane, t]
    assert set(seen) == set(prefixes)
    for prefix, vector in seen.items():
        history = np.array([prefix])
        alone = model.query({"history": history, "history_mask": history > 0})
        np.testing.assert_allclose(vector, np.asarray(alone)[0], atol=1e-6)


def test_a_server_that_keeps_states_gets_what_the_whole_session_gives():
    model = GRU4Rec(spec(), (8, 6))
    states = [np.zeros((1, 8), "float32"), np.zeros((1, 6), "float32")]
    for item in (2, 7, 4):
        vector, states = model.advance(np.array([item]), states)
    history = np.array([[2, 7, 4]])
    whole = model.query({"history": history, "history_mask": history > 0})
    np.testing.assert_allclose(vector, whole, atol=1e-6)


def test_log_q_is_taken_from_the_scores_in_training_alone():
    model = GRU4Rec(spec(), (8,), lanes=2, log_q=0.5)
    batch, _ = next(iter(steps([2, 3, 4, 3], [2, 2], 2, num_negatives=5)))
    plain, corrected = np.asarray(model(batch)), np.asarray(model(batch, training=True))
    assert plain.shape == (2, 7)
    log_q = np.concatenate([batch["item_id_log_q"], batch["negatives_log_q"]])
    assert log_q.max() > 0.3  # that of item 3, which comes twice: the others have log 1
    np.testing.assert_allclose(corrected, plain - 0.5 * log_q, rtol=1e-5)


def test_the_logs_are_asked_for_by_name():
    history = np.array([[2]])
    batch = {"history": history, "history_mask": history > 0, "item_id": np.array([3])}
    with pytest.raises(ValueError, match="item_id_log_q"):
        GRU4Rec(spec(), log_q=1.0)(batch, training=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"embedding": "shared"}, "`embedding` must be one of 'constrained'"),
        ({"lanes": 0}, "`lanes` must be greater than 0"),
        ({"units": (0,)}, "`units` must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GRU4Rec(spec(), **arguments)


def test_a_spec_without_a_history_says_what_to_add():
    ids = FeatureSpec((Categorical("item_id", "candidate", is_id=True, size=5),))
    with pytest.raises(ValueError, match=r"Add Sequence\('history', shared_with='item_id'\)"):
        GRU4Rec(ids)


@pytest.mark.parametrize("loss", [Softmax(), BPR(), TOP1(), TOP1Max(), BPRMax(0.5, elu=0.5)])
def test_fit_on_parallel_sessions_learns_what_follows(loss):
    rows = markov_sequences(300, 6, num_items=10, predictability=1.0) + 2
    data = steps(rows.ravel(), [6] * 300, 16, num_negatives=16)
    model = GRU4Rec(spec(), (16,), lanes=16)
    model.compile(AdagradMomentum(0.1, momentum=0.1), SharedNegatives(loss), steps_per_execution=8)
    model.fit(data, epochs=6, shuffle=False, verbose=0)
    history = rows[:64, :4]
    query = model.query({"history": history, "history_mask": history > 0})
    scores = np.asarray(model.score(query, model.candidate({"item_id": np.arange(2, 12)})))
    assert (scores.argmax(axis=1) + 2 == rows[:64, 4]).mean() > 0.9


@pytest.mark.parametrize("loss", [Softmax(), BPRMax(0.5, elu=0.5)])
def test_distinct_negatives_train_the_same_weights(loss):
    rows = markov_sequences(40, 6, num_items=20, predictability=0.5) + 2
    trained = []
    for distinct in (False, True):
        data = steps(rows.ravel(), [6] * 40, 8, num_negatives=40, distinct=distinct)
        model = GRU4Rec(spec(30), (16,), lanes=8, log_q=1.0)
        model.compile(AdagradMomentum(0.05, momentum=0.1), SharedNegatives(loss))
        model.fit(data, epochs=2, shuffle=False, verbose=0)
        trained.append(model.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("embedding", ["constrained", "separate", "one_hot"])
def test_with_bits_the_tables_are_smaller_and_steps_are_carried_all_the_same(embedding):
    model = GRU4Rec(spec(1000), (8,), embedding=embedding, num_bits=50, lanes=2)
    tables = [v.shape for v in model.trainable_variables if v.shape[0] == 52]
    assert len(tables) == (1 if embedding == "constrained" else 2)
    batch, _ = next(iter(steps([2, 3, 4, 5], [2, 2], 2, num_negatives=5)))
    assert model(batch).shape == (2, 7)
    empty = {"history": np.zeros((1, 1), "int32"), "history_mask": np.zeros((1, 1), bool)}
    biases = model.score(model.query(empty), model.candidate({"item_id": np.arange(2, 9)}))
    np.testing.assert_array_equal(biases, np.zeros((1, 7)))


def test_a_session_of_ten_thousand_events_is_answered():
    model = GRU4Rec(spec(), (4,))
    history = np.full((1, 10_000), 3)
    query = tf.function(model.query)({"history": history, "history_mask": history > 0})
    assert np.isfinite(np.asarray(query)).all()


def test_dropout_is_of_training():
    keras.utils.set_random_seed(0)
    model = GRU4Rec(spec(), (8,), dropout=0.5, embedding_dropout=0.5)
    history = np.array([[2, 3]])
    batch = {"history": history, "history_mask": history > 0}
    np.testing.assert_array_equal(model.query(batch), model.query(batch))
    assert (np.asarray(model.query(batch, training=True)) != np.asarray(model.query(batch))).any()
