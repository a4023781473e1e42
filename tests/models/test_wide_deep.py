import keras
import numpy as np

from tfrecs.models import WideDeep
from tfrecs.optimizers import LazyAdam, SparseFTRL
from tfrecs.spec import Cross, FeatureSpec
from tfrecs.testing import click_case

CASE = click_case("wide_deep", lambda spec: WideDeep(spec, embedding_dim=4, hidden=(16,)))


def test_a_score_is_a_linear_model_and_a_network(spec, batch, linear):
    model = linear(WideDeep(spec(), embedding_dim=2, hidden=()))
    model.wide.embeddings.assign(np.array([[0, 9, 1, 2, 0, 9, 4, 8]]).T)
    model.deep.embeddings.assign(np.repeat(np.arange(8.0)[:, None], 2, axis=1))
    # 1 + 8 + 0.25 + 2 (2 + 7);  2 + 4 + 0.25 + 2 (3 + 6)
    np.testing.assert_allclose(model(batch), [27.25, 24.25])


def crossed(spec):
    cross = Cross("user_item", "context", ("user", "item"), hash_bins=50, size=52)
    return FeatureSpec((*spec(6), cross))


def test_crosses_are_for_the_wide_part_alone(spec):
    model = WideDeep(crossed(spec), embedding_dim=2)
    assert model.wide.names == ["user", "item", "user_item"]
    assert model.deep.names == ["user", "item"]


def test_two_optimizers_train_the_two_parts_in_one_fit(tmp_path, spec):
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(2, 6, 500).astype("int32") for name in ("user", "item")}
    rows["user_item"] = rows["user"] * 6 + rows["item"]
    clicks = (rows["user"] == rows["item"]).astype("float32")
    parts = {"wide/.*": SparseFTRL(0.5, l1_regularization_strength=0.1)}
    parts = keras.optimizers.OptimizerMap(LazyAdam(0.05), parts)
    model = WideDeep(crossed(spec), embedding_dim=2, hidden=(4,))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.MultiOptimizer(parts), loss)
    history = model.fit(rows, clicks, batch_size=100, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    deep, wide = sorted(model.optimizer.optimizers, key=lambda o: o.name)
    assert (type(deep), type(wide)) == (LazyAdam, SparseFTRL)
    assert [v.path.split("/")[-2] for v in wide._trainable_variables] == ["wide"]
    weights = np.asarray(model.wide.embeddings)[12 : 12 + 52, 0]
    seen = np.unique(rows["user_item"])
    assert (np.delete(weights, seen) == 0).all()  # no batch has touched them
    assert (weights[seen] != 0).mean() > 0.9
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(rows), model(rows), rtol=1e-6)
    assert type(loaded.optimizer) is keras.optimizers.MultiOptimizer
