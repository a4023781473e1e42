import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.features import from_arrays
from tfrecs.models import IALS
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Sequence
from tfrecs.testing import ModelCase

IDS = (
    Categorical("user_id", "query", is_id=True),
    Categorical("item_id", "candidate", is_id=True),
)


def strengths(batch):
    return {**batch, "strength": np.ones(len(batch["item_id"]), "float32")}


CASES = [
    ModelCase(
        "ials",
        build=lambda spec: IALS(spec, embedding_dim=8, l2=1e-3),
        loss=keras.losses.MeanSquaredError,
        label="strength",
        batch=strengths,
        steps=4,
    ),
    ModelCase(
        "ials_folded_in",
        build=lambda spec: IALS(spec, embedding_dim=8, l2=0.1),
        loss=keras.losses.MeanSquaredError,
        label="strength",
        batch=strengths,
        steps=4,
        spec=FeatureSpec(
            (
                *IDS,
                Sequence("history", "query", shared_with="item_id"),
                MultiCategorical("audience", "candidate", shared_with="user_id"),
            )
        ),
        exceptions={
            "gradients": "A row with a list is folded in: the row of the table is not read.",
            "overfit": "The made-up lists are not the events that it is trained on.",
            "predictable_sequences": "It does not read the order of a history.",
        },
    ),
]


def spec(users=30, items=40, *lists):
    ids = (
        Categorical("user_id", "query", is_id=True, size=users + 2),
        Categorical("item_id", "candidate", is_id=True, size=items + 2),
    )
    return FeatureSpec((*ids, *lists))


def some(users=30, items=40, seed=0):
    """Events of users who like the items of their half."""
    rng = np.random.default_rng(seed)
    taste = (np.arange(users)[:, None] + np.arange(items)) % 2 == 0
    pairs = np.nonzero(taste & (rng.random((users, items)) < 0.5))
    return {"user_id": pairs[0] + 2, "item_id": pairs[1] + 2}


def dense(events, users=30, items=40):
    matrix = np.zeros((users, items))
    np.add.at(matrix, (events["user_id"] - 2, events["item_id"] - 2), 1)
    return matrix


def objective(weights, p, q, a, l2):
    """The docstring's sum, pair by pair, with exponent 1."""
    scores = p @ q.T
    n, m = weights.sum(axis=1), weights.sum(axis=0)
    norms = (n + a * len(q)) @ (p**2).sum(axis=1) + (m + a * len(p)) @ (q**2).sum(axis=1)
    return (weights * (1 - scores) ** 2).sum() + a * (scores**2).sum() + l2 * norms


def factors(model):
    return [np.asarray(table.embeddings) for table in model.tables]


def test_the_loss_is_the_objective_and_never_grows():
    events = some()
    model = IALS(spec(), embedding_dim=5)
    losses = model.fit(events, epochs=8).history["loss"]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in itertools.pairwise(losses))
    p, q = (table[2:] for table in factors(model))
    total = objective(dense(events), p, q, 0.3, 0.007)
    assert losses[-1] == pytest.approx(total / len(events["user_id"]), rel=1e-5)


def test_at_the_end_no_small_step_makes_the_objective_less():
    weights, model = dense(some()), IALS(spec(), embedding_dim=2, l2=0.05)
    model.fit(some(), epochs=200)
    p, q = (table[2:].astype(float) for table in factors(model))
    least = objective(weights, p, q, 0.3, 0.05)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = [0.01 * rng.normal(size=table.shape) for table in (p, q)]
        assert objective(weights, p + step[0], q + step[1], 0.3, 0.05) > least


def test_users_get_the_other_items_of_their_half_first():
    events = some()
    model = IALS(spec(), embedding_dim=4)
    model.fit(events)
    p, q = (table[2:] for table in factors(model))
    new = np.where(dense(events) > 0, -np.inf, p @ q.T)
    assert ((new.argmax(axis=1) + np.arange(30)) % 2 == 0).all()


def test_repeated_events_and_strengths_are_the_same_thing():
    events = some()
    twice = {name: np.concatenate([ids, ids[:9]]) for name, ids in events.items()}
    weights = np.ones(len(events["user_id"]))
    weights[:9] = 2
    first, second = IALS(spec(), 4), IALS(spec(), 4)
    first.fit(twice, epochs=3)
    second.fit(events, weights, epochs=3)
    for one, other in zip(factors(first), factors(second), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_dataset_of_batches_is_as_good_as_arrays():
    events = some()
    first, second = IALS(spec(), 4), IALS(spec(), 4)
    first.fit(events, epochs=2)
    second.fit(tf.data.Dataset.from_tensor_slices(events).batch(7), epochs=2)
    for one, other in zip(factors(first), factors(second), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_history_of_the_training_events_folds_in_to_the_row_of_the_table():
    events = some()
    history = Sequence("history", "query", shared_with="item_id", max_length=40, size=42)
    model = IALS(spec(30, 40, history), embedding_dim=6)
    model.fit(events, epochs=3)
    met = [events["item_id"][events["user_id"] == user] for user in range(2, 32)]
    width = max(map(len, met))
    lists = np.array([np.pad(row, (0, width - len(row))) for row in met])
    unknown = np.ones(30, "int32")  # the id is not read
    batch = {"user_id": unknown, "history": lists, "history_mask": lists > 0}
    np.testing.assert_allclose(model.query(batch), factors(model)[0][2:], atol=1e-4)


def test_a_new_item_is_folded_in_from_its_audience():
    events = some()
    audience = MultiCategorical("audience", "candidate", shared_with="user_id", size=32)
    model = IALS(spec(30, 40, audience), embedding_dim=6)
    model.fit(events, epochs=60)
    of_first = events["user_id"][events["item_id"] == 2][None]
    batch = {"item_id": np.array([1]), "audience": of_first, "audience_mask": of_first > 0}
    np.testing.assert_allclose(model.candidate(batch)[0], factors(model)[1][2], atol=1e-2)


def test_an_empty_or_unknown_history_leaves_the_row_of_the_table():
    history = Sequence("history", "query", shared_with="item_id", size=42)
    model = IALS(spec(30, 40, history), embedding_dim=6)
    model.fit(some(), epochs=2)
    lists = np.array([[0, 0], [1, 0]])
    batch = {"user_id": np.array([7, 1]), "history": lists, "history_mask": lists > 0}
    np.testing.assert_allclose(model.query(batch), factors(model)[0][[7, 1]], atol=1e-6)


def test_users_without_events_get_the_mean_user_and_such_items_nothing():
    model = IALS(spec(), embedding_dim=4)
    model.fit({"user_id": np.array([2, 3]), "item_id": np.array([5, 6])}, epochs=3)
    p, q = factors(model)
    np.testing.assert_allclose(p[[0, 1, 4, 31]], np.tile((p[2] + p[3]) / 2, (4, 1)), atol=1e-6)
    assert (q[[0, 1, 2, 3, 4, 7]] == 0).all()
    assert (q[5] != 0).any()


def test_unknown_ids_and_strengths_of_zero_are_no_events():
    events = some()
    more = {"user_id": [1, 2, 0], "item_id": [5, 1, 5]}
    more = {name: np.concatenate([ids, more[name], [3]]) for name, ids in events.items() if name}
    weights = np.ones(len(more["user_id"]))
    weights[-1] = 0
    more["item_id"][-1] = 2
    first, second = IALS(spec(), 4), IALS(spec(), 4)
    first.fit(events, epochs=2)
    second.fit(more, weights, epochs=2)
    np.testing.assert_allclose(factors(second)[1], factors(first)[1], atol=1e-6)


def test_more_factors_than_the_data_allow_stay_finite():
    model = IALS(spec(3, 4), embedding_dim=16)
    model.fit({"user_id": np.array([2, 3, 4]), "item_id": np.array([2, 3, 4])}, epochs=20)
    assert all(np.isfinite(table).all() for table in factors(model))


def test_blocks_of_factors_reach_nearly_the_same_objective():
    exact, blocks = IALS(spec(), 12), IALS(spec(), 12, block_dim=4)
    least = exact.fit(some(), epochs=40).history["loss"][-1]
    assert blocks.fit(some(), epochs=40).history["loss"][-1] == pytest.approx(least, rel=1e-2)


def test_callbacks_stop_it_and_see_the_epoch():
    stop = keras.callbacks.EarlyStopping("loss", min_delta=10, patience=2)
    history = IALS(spec(), 4).fit(some(), epochs=9, callbacks=[stop])
    assert history.epoch == [0, 1, 2]


@pytest.mark.parametrize(
    "strength, message",
    [
        (-1.0, r"`y` must be strengths of 0 or more. Received: .*-1.0.* It is row 1"),
        (float("nan"), r"`y` must be strengths of 0 or more"),
    ],
)
def test_a_wrong_strength_is_named(strength, message):
    events = {"user_id": np.array([2, 3]), "item_id": np.array([2, 3])}
    with pytest.raises(ValueError, match=message):
        IALS(spec(), 4).fit(events, np.array([1.0, strength]))


def test_events_of_unknown_ids_alone_are_an_error():
    events = {"user_id": np.array([1, 0]), "item_id": np.array([2, 3])}
    with pytest.raises(ValueError, match="`x` must be events of known user_id and item_id"):
        IALS(spec(), 4).fit(events)
    with pytest.raises(ValueError, match="`x` must be of one batch of events or more"):
        IALS(spec(), 4).fit([])


@pytest.mark.parametrize("name", ["unobserved_weight", "l2", "block_dim"])
def test_a_wrong_argument_is_named(name):
    with pytest.raises(ValueError, match=f"`{name}` must be greater than 0"):
        IALS(spec(), 4, **{name: 0})


def test_a_weight_counts_as_often_as_it_says():
    pairs = {"user_id": np.array([2, 2, 3], "int32"), "item_id": np.array([2, 3, 4], "int32")}
    twice = {name: np.append(ids, ids[:1]) for name, ids in pairs.items()}
    first, second, third = (IALS(spec(), 4) for _ in range(3))
    first.fit(twice, epochs=3)
    second.fit(pairs, epochs=3, batch_size=2, sample_weight=np.array([2.0, 1.0, 1.0]))
    rows = {**pairs, "y": np.ones(3), "w": np.array([2.0, 1.0, 1.0])}
    third.fit(from_arrays(rows, 2, label="y", weight="w"), epochs=3)
    for other in (second, third):
        for one, two in zip(first.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"validation_data": ({}, None)}, ValueError, "`validation_data` .*CatalogueMetrics"),
        ({"class_weight": {0: 1.0}}, ValueError, r"`class_weight` .*sample_weight="),
        ({"sample_weight": np.ones(2)}, ValueError, r"must be \(3,\)"),
        ({"epoch": 3}, TypeError, r"IALS.fit has no argument `epoch`: see its docstring for those"),
    ],
)
def test_what_means_nothing_in_closed_form_is_refused(arguments, error, message):
    pairs = {"user_id": np.array([2, 2, 3], "int32"), "item_id": np.array([2, 3, 4], "int32")}
    with pytest.raises(error, match=message):
        IALS(spec(), 4).fit(pairs, **arguments)


def test_weights_beside_a_dataset_are_refused():
    pairs = {"user_id": np.array([2, 3], "int32"), "item_id": np.array([2, 3], "int32")}
    data = tf.data.Dataset.from_tensor_slices(pairs).batch(2)
    with pytest.raises(ValueError, match="`sample_weight` must be None where `x` is a dataset"):
        IALS(spec(), 4).fit(data, sample_weight=np.ones(2))
