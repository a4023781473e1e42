import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.features import log_q
from tfrecs.models import IALS, WRMF
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric
from tfrecs.testing import ModelCase

FEATURES = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Categorical("country", "query"),
        Categorical("item_id", "candidate", is_id=True),
        MultiCategorical("tags", "candidate"),
        Numeric("price", "candidate"),
    )
)


def labelled(batch):
    shares = {f"{name}_log_q": log_q(batch[name]) for name in ("user_id", "item_id")}
    return {**batch, **shares, "label": np.ones(len(batch["item_id"]), "float32")}


def build(spec):
    return WRMF(spec, embedding_dim=8, num_events=32, unobserved_weight=0.01, l2=1e-4)


CASES = [
    ModelCase(name, build, keras.losses.MeanSquaredError, "label", batch=labelled, **more)
    for name, more in (("wrmf", {}), ("wrmf_features", {"spec": FEATURES}))
]


def spec(users=6, items=7):
    ids = (
        Categorical("user_id", "query", is_id=True, size=users + 2),
        Categorical("item_id", "candidate", is_id=True, size=items + 2),
    )
    return FeatureSpec(ids)


def events(seed=0):
    there = np.random.default_rng(seed).random((6, 7)) < 0.5
    there[0] = True
    there[:, 0] = True
    users, items = np.nonzero(there)
    return {"user_id": (users + 2).astype("int32"), "item_id": (items + 2).astype("int32")}


def test_on_all_events_the_added_loss_is_the_sum_over_all_pairs():
    rows = labelled(events())
    count = len(rows["label"])
    model = WRMF(spec(), 4, num_events=count, unobserved_weight=0.5, l2=0.1)
    p, q = model.query(rows), model.candidate(rows)
    model(rows, training=True)
    p, q = np.asarray(p, float), np.asarray(q, float)
    squares = (p @ q.T) ** 2 * np.exp(-rows["user_id_log_q"])[:, None]
    squares *= np.exp(-rows["item_id_log_q"])
    np.fill_diagonal(squares, 0)  # a pair of an event with itself is left out
    pairs = squares.sum() / (count * (count - 1))
    own = [np.unique(rows[name], return_index=True)[1] for name in ("user_id", "item_id")]
    squared = [(x**2).sum(axis=1) for x in (p, q)]
    rest = 7 * squared[0][own[0]].sum() + 6 * squared[1][own[1]].sum()
    norms = 0.1 * (squared[0].sum() + squared[1].sum()) + 0.5 * 0.1 * rest
    np.testing.assert_allclose(sum(model.losses), (0.5 * pairs + norms) / count, rtol=1e-4)


def test_the_estimate_of_all_pairs_is_right_on_average():
    rows = labelled(events())
    count = len(rows["label"])
    model = WRMF(spec(), 4, num_events=1, unobserved_weight=1.0, l2=0.0)
    every = {"user_id": np.arange(2, 8), "item_id": np.arange(2, 9)}
    exact = np.square(np.asarray(model.query(every)) @ np.asarray(model.candidate(every)).T).sum()
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        some = rng.integers(0, count, 16)
        model({name: values[some] for name, values in rows.items()}, training=True)
        found.append(float(sum(model.losses)))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - exact) < 4 * error < 0.5 * exact


def test_it_comes_to_the_minimum_of_ials():
    rows = labelled(events())
    count = len(rows["label"])
    setting = {"unobserved_weight": 0.5, "l2": 0.1}
    exact = IALS(spec(), 3, **setting)
    exact.fit(events(), epochs=50)
    model = WRMF(spec(), 3, num_events=count, **setting)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    steps = tf.data.Dataset.from_tensors((rows, rows["label"])).repeat(400)
    model.fit(steps, shuffle=False, verbose=0)
    every = {"user_id": np.arange(2, 8), "item_id": np.arange(2, 9)}
    ours, theirs = (
        np.asarray(m.query(every)) @ np.asarray(m.candidate(every)).T for m in (model, exact)
    )
    # leaving out an event's pair with itself moves the minimum a little
    assert np.abs(ours - theirs).max() < 0.1
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_training_without_the_shares_says_what_to_add():
    model = WRMF(spec(), 4, num_events=5)
    with pytest.raises(ValueError, match="`batch` must be a dict with 'user_id_log_q'"):
        model(events(), training=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_events": 0}, "`num_events` must be greater than 0"),
        ({"num_events": 5, "unobserved_weight": 0}, "`unobserved_weight` must be greater than 0"),
        ({"num_events": 5, "l2": -1}, "`l2` must be 0 or more"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        WRMF(spec(), 4, **arguments)
