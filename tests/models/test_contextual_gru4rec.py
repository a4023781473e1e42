import numpy as np
import pytest

from tfrecs.features import from_sessions
from tfrecs.losses import InBatch, SharedNegatives, Softmax
from tfrecs.models import ContextualGRU4Rec, GRU4Rec
from tfrecs.optimizers import AdagradMomentum
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Vector
from tfrecs.testing import ModelCase


def spec(size=12, kinds=4):
    return FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="item_id", size=size),
            Sequence("history_kind", "context", size=kinds),
            Categorical("device", "context", size=kinds),
        )
    )


CASE = ModelCase(
    "contextual_gru4rec",
    build=lambda spec: ContextualGRU4Rec(spec, 16),
    loss=lambda: InBatch(Softmax()),
    label="item_id",
    spec=FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True),
            Sequence("history", "query", shared_with="item_id"),
            Sequence("history_kind", "context"),
            Categorical("device", "context"),
        )
    ),
)


def batch(**more):
    history = np.array([[2, 3, 4], [5, 6, 0]])
    kinds = {"history_kind": history % 2 + 2, "device": np.array([2, 3])}
    return {"history": history, "history_mask": history > 0, **kinds, **more}


def test_without_contexts_it_is_gru4rec():
    plain, model = GRU4Rec(spec(), (8,)), ContextualGRU4Rec(spec(), 8, modes=())
    pairs = [(model.items, plain.items), (model.projection, plain.projections[0])]
    for ours, theirs in [*pairs, (model.cell, plain.cells[0])]:
        ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(model.query(batch()), plain.query(batch()), atol=1e-6)


@pytest.mark.parametrize("mode", ["recurrence", "output"])
def test_a_gate_starts_near_no_effect_and_then_multiplies(mode):
    model = ContextualGRU4Rec(spec(), 8, modes=(mode,))
    plain = ContextualGRU4Rec(spec(), 8, modes=())
    for layer in ("items", "projection", "cell"):
        getattr(plain, layer).set_weights(getattr(model, layer).get_weights())
    before = np.asarray(plain.query(batch()))
    np.testing.assert_allclose(model.query(batch()), before, atol=1e-2)
    gate = model.state_gate if mode == "recurrence" else model.output_gate
    gate.kernel.assign(np.zeros((8, 8), "float32"))
    np.testing.assert_allclose(model.query(batch()), before, atol=1e-6)
    gate.bias.assign(np.full(8, -0.5, "float32"))
    after = np.asarray(model.query(batch()))
    if mode == "output":  # halves h, and leaves the one for the bias
        np.testing.assert_allclose(after[:, :-1], before[:, :-1] / 2, atol=1e-6)
    assert (after != before).any()


def test_the_carried_state_is_that_of_the_session_so_far():
    columns = {"item": np.array([2, 3, 4], "int32"), "kind": np.array([2, 3, 2], "int32")}
    data = from_sessions(
        columns,
        [3],
        1,
        inputs={"history": "item", "history_kind": "kind"},
        targets={"item_id": "item", "device": "kind"},
    )
    model = ContextualGRU4Rec(spec(), 8, lanes=1)
    model.state_gate.bias.assign(np.full(8, 0.3, "float32"))
    found = [np.asarray(model.query(step)) for step, _ in data]
    history = np.array([[2, 3]])
    whole = {"history": history, "history_mask": history > 0}
    whole |= {"history_kind": np.array([[2, 3]]), "device": np.array([2])}
    np.testing.assert_allclose(found[1], model.query(whole), atol=1e-6)


def test_fit_learns_what_only_the_context_tells():
    # the next item is 2 + kind of this event, whatever the items
    rng = np.random.default_rng(0)
    kinds = rng.integers(2, 6, 1200)
    items = np.r_[7, kinds[:-1]]
    names = {"history": "item", "history_kind": "kind"}
    data = from_sessions(
        {"item": items.astype("int32"), "kind": kinds.astype("int32")},
        [12] * 100,
        10,
        inputs=names,
        targets={"item_id": "item", "device": "kind"},
        num_negatives=8,
    )
    model = ContextualGRU4Rec(spec(kinds=6), 16, modes=("input",), lanes=10)
    model.compile(AdagradMomentum(0.2), SharedNegatives(Softmax()), steps_per_execution=8)
    model.fit(data, epochs=8, shuffle=False, verbose=0)
    history = np.full((4, 1), 7)
    rows = {"history": history, "history_mask": history > 0}
    query = model.query({**rows, "history_kind": np.arange(2, 6)[:, None]})
    scores = model.score(query, model.candidate({"item_id": np.arange(2, 6)}))
    assert np.asarray(scores).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_a_wrong_mode_is_named():
    with pytest.raises(ValueError, match="`modes` must be one of 'input', 'output', 'recurrence'"):
        ContextualGRU4Rec(spec(), modes=("inputs",))


def test_a_context_without_ids_is_named():
    wrong = FeatureSpec((*spec(), Vector("place", "context", dim=2)))
    with pytest.raises(ValueError, match="feature 'place'` must be one with ids"):
        ContextualGRU4Rec(wrong)
