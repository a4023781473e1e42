import keras
import numpy as np

from tfrecs.features import from_sequences
from tfrecs.losses import InBatch, Sampled, Softmax
from tfrecs.models import BERT4Rec
from tfrecs.spec import Categorical, FeatureSpec, Sequence
from tfrecs.testing import ModelCase, markov_sequences

CASE = ModelCase(
    "bert4rec",
    build=lambda spec: BERT4Rec(spec, 16, dropout=0.0),
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


def spec(size=12):
    return FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="item_id", size=size),
        )
    )


def test_a_query_is_the_history_with_a_mask_after_it():
    model = BERT4Rec(spec(), 8, dropout=0.0)
    model.mask_row.assign(np.arange(8) / 8)
    history = np.array([[2, 3, 0]])
    query = model.query({"history": history, "history_mask": history > 0})
    table = np.asarray(model.items.embeddings)
    x = np.stack([table[2], table[3], np.arange(8) / 8])[None].astype("float32")
    hidden = model.encoder(x, np.ones((1, 3), bool))
    np.testing.assert_allclose(query, np.asarray(hidden)[:, 2], atol=1e-6)


def test_what_is_hidden_is_not_seen_and_what_comes_after_is():
    model = BERT4Rec(spec(), 8, dropout=0.0)
    rows = np.array([[2, 3, 4], [2, 9, 4], [2, 3, 5]])
    batch = {"history": rows, "history_mask": rows > 0, "item_id": np.tile([2, 3, 4], 3)}
    batch |= {"masked": np.tile([False, True, False], (3, 1)), "negatives": np.array([6, 7])}
    scores = np.asarray(model(batch)).reshape(3, 3, 3)[:, 1]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    assert (np.abs(scores[0] - scores[2]) > 1e-4).any()


def test_fit_on_masked_sequences_learns_what_follows():
    rows = markov_sequences(256, 6, num_items=10, predictability=1.0) + 2
    data = from_sequences(rows.ravel(), [6] * 256, 32, num_negatives=8, masked=0.3)
    model = BERT4Rec(spec(), 16, dropout=0.0, num_layers=1)
    loss = Sampled(Softmax(), reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(0.01), loss, steps_per_execution=8)
    model.fit(data, epochs=25, shuffle=False, verbose=0)
    history = rows[:64, :5]
    query = model.query({"history": history, "history_mask": history > 0})
    scores = np.asarray(model.score(query, model.candidate({"item_id": np.arange(2, 12)})))
    assert (scores.argmax(axis=1) + 2 == rows[:64, 5]).mean() > 0.9
