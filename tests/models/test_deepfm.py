import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecs.models import DeepFM, FactorizationMachine
from tfrecs.optimizers import LazyAdam
from tfrecs.spec import FeatureSpec, Numeric
from tfrecs.testing import click_case

CASE = click_case("deepfm", lambda spec: DeepFM(spec, embedding_dim=4, hidden=(16,)))


# rows w, v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0, 0]] * 2 + [[1, 1, 2], [2, 3, 4]] + [[0, 0, 0]] * 2 + [[3, 1, 0], [4, 0, 2]]


def test_a_score_is_a_machine_and_a_network_on_the_same_vectors(spec, batch, linear):
    model = linear(DeepFM(spec(), embedding_dim=2, hidden=()))
    model.bag.embeddings.assign(TABLE)
    # 1 + 4 + (1, 2).(0, 2) + 0.25 + 1 + 2 + 0 + 2;  2 + 3 + (3, 4).(1, 0) + 0.25 + 3 + 4 + 1 + 0
    np.testing.assert_allclose(model(batch), [14.25, 16.25])


def test_without_its_network_it_is_a_factorization_machine(spec, batch):
    machine, model = (
        cls(spec(), embedding_dim=2, seed=3) for cls in (FactorizationMachine, DeepFM)
    )
    model.bag.set_weights(machine.bag.get_weights())
    model.mlp.dense[-1].kernel.assign(np.zeros((400, 1)))
    np.testing.assert_allclose(model(batch), machine(batch), rtol=1e-6)


def test_one_gather_reads_weights_and_vectors_of_all_features(spec):
    model = DeepFM(spec(), embedding_dim=2, hidden=(4,))
    graph = tf.function(model.call, autograph=False).get_concrete_function(
        {name: tf.TensorSpec([None], tf.int32) for name in ("user", "item")}
    )
    gathers = [o for o in graph.graph.get_operations() if o.type in ("ResourceGather", "GatherV2")]
    assert len(gathers) == 1


def test_fit_learns_what_takes_a_pair_and_what_takes_a_number(spec):
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(2, 12, 4000).astype("int32") for name in ("user", "item")}
    rows["price"] = rng.normal(size=4000).astype("float32")
    alike = (rows["user"] + rows["item"]) % 2 == 0
    clicks = (alike & (rows["price"] < 1)).astype("float32")
    features = FeatureSpec((*spec(12), Numeric("price", "candidate")))
    model = DeepFM(features, embedding_dim=4, hidden=(16,), dropout=0.1)
    model.compile(LazyAdam(0.02), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(rows, clicks, batch_size=200, epochs=12, verbose=0)
    found = model.predict(rows, batch_size=4000, verbose=0) > 0
    assert (found == clicks).mean() > 0.97


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"embedding_dim": -1}, r"`embedding_dim` must be greater than 0"),
        ({"hidden": (0,)}, r"`hidden` must be greater than 0"),
        ({"dropout": 1.0}, r"`dropout` must be from 0 to below 1"),
        ({"l2": -1.0}, r"`l2` must be 0 or more"),
        ({"combiner": "max"}, r"`combiner` must be one of 'mean', 'sum', 'sqrtn'"),
        ({"max_rows": 0}, r"`max_rows` must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message, spec):
    with pytest.raises(ValueError, match=message):
        DeepFM(spec(), **arguments)
