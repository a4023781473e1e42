import subprocess
import sys

import keras
import numpy as np
import pytest

from tfrecs.losses import InBatch, Softmax
from tfrecs.models import MatrixFactorization, Ranker, RecModel, Retriever, TwoTower
from tfrecs.spec import Categorical, FeatureSpec

SPEC = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True, size=6),
        Categorical("item_id", "candidate", is_id=True, size=9),
    )
)
BATCH = {"user_id": np.array([2, 3], "int32"), "item_id": np.array([[4, 5], [6, 0]], "int32")}


class Recorded(RecModel):
    def __init__(self, spec, hidden=(4, 2), *, options=None, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(hidden[-1])

    def call(self, batch, training=False):
        return self.dense(keras.ops.cast(batch["user_id"], "float32")[:, None])


def test_the_constructor_s_arguments_are_the_config():
    model = Recorded(SPEC, options={"rates": (0.1, None)}, name="mine")
    config = model.get_config()
    assert config["spec"] == SPEC.to_config()
    assert config["hidden"] == [4, 2]  # tuples as lists, as JSON gives them back
    assert config["options"] == {"rates": [0.1, None]}
    assert config["name"] == "mine"


def test_a_copy_from_the_config_has_the_same_config():
    model = Recorded(SPEC, (8, 3), dtype="mixed_bfloat16")
    copy = Recorded.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert copy.dtype_policy.name == "mixed_bfloat16"


def test_numpy_numbers_become_plain_ones():
    model = Recorded(SPEC, hidden=(np.int64(4), 2), options={"rate": np.float32(0.5)})
    assert model.get_config()["options"] == {"rate": 0.5}


def test_an_argument_that_cannot_be_saved_is_named():
    with pytest.raises(TypeError, match=r"`options` must be a FeatureSpec or made of primitives"):
        Recorded(SPEC, options=keras.layers.Dense(2))


def test_layers_built_by_a_first_call_are_saved_too(tmp_path):
    model = Recorded(SPEC)
    batch = {"user_id": BATCH["user_id"]}
    scores = model(batch)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(copy(batch), scores, atol=1e-6)


def test_a_file_loads_in_a_fresh_process_that_only_imports_the_models(tmp_path):
    model = TwoTower(SPEC, embedding_dim=4, seed=5)
    np.save(tmp_path / "scores.npy", model(BATCH))
    np.savez(tmp_path / "batch.npz", **BATCH)
    model.save(tmp_path / "model.keras")
    code = """if True:
        import keras, numpy as np, tfrecs.models
        scores = keras.models.load_model("model.keras")(dict(np.load("batch.npz")))
        np.testing.assert_allclose(scores, np.load("scores.npy"), atol=1e-6)
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    "base, methods",
    [(Ranker, ["call"]), (Retriever, ["query", "candidate"])],
)
def test_an_abstract_method_says_so(base, methods):
    for method in methods:
        with pytest.raises(NotImplementedError):
            getattr(base(), method)({})
    if base is Retriever:
        with pytest.raises(NotImplementedError):
            base().score(None, None)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_the_slots_are_there_before_the_step_is_traced(optimizer):
    model = TwoTower(SPEC, 2)
    model.compile(optimizer, "mean_squared_error")
    model.make_train_function()
    assert model.optimizer.built
    tables = sum(
        v.shape == table.shape for v in model.optimizer.variables for table in model.weights
    )
    assert tables >= len(model.trainable_variables)


def test_a_model_whose_weights_a_call_makes_waits_for_it():
    model = Recorded(SPEC)
    model.compile("adam", "mean_squared_error")
    model.make_train_function()
    assert not model.optimizer.built


@pytest.mark.parametrize(
    "loss",
    ["mse", keras.losses.MeanSquaredError(), lambda y, scores: keras.ops.square(y - scores)],
    ids=["by name", "an object", "a function"],
)
def test_weights_of_rows_weigh_rows_in_keras_s_losses(loss):
    class Given(Ranker):
        def __init__(self):
            super().__init__()
            self.shift = self.add_weight(shape=(), initializer="zeros")

        def call(self, batch, training=False):
            return batch["x"] + self.shift

    model = Given()
    model.compile("sgd", loss)
    rows = {"x": np.array([1.0, 2.0, 4.0], np.float32)}
    labels, weights = np.zeros(3, np.float32), np.array([1.0, 0.0, 2.0])
    # (1 * 1 + 0 * 4 + 2 * 16) / 3 rows
    assert model.evaluate(rows, labels, sample_weight=weights, verbose=0) == pytest.approx(11.0)
    assert model.evaluate(rows, labels, verbose=0) == pytest.approx(7.0)
    model.fit(rows, labels, sample_weight=weights, verbose=0, shuffle=False)
    # SGD at 0.01: -0.01 * 2 * (1 * 1 + 2 * 4) / 3
    assert float(model.shift) == pytest.approx(-0.06, rel=1e-5)


FRAME = {"user_id": [2, 3, 4, 5], "item_id": [5, 6, 7, 8]}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("columns", [False, True], ids=["frame", "dict of series"])
def test_a_data_frame_trains_as_its_arrays(library, columns):
    frame = pytest.importorskip(library).DataFrame(FRAME)
    given = {name: frame[name] for name in FRAME} if columns else frame
    arrays = {name: np.array(values) for name, values in FRAME.items()}
    losses, scores = [], []
    for x, y in ((given, frame["item_id"]), (arrays, arrays["item_id"])):
        model = TwoTower(SPEC, 4, log_q=False)
        model.compile("sgd", InBatch(Softmax()))
        data = {"validation_data": (x, y), "verbose": 0, "shuffle": False}
        history = model.fit(x, y, batch_size=2, epochs=2, **data).history
        losses.append([*history["loss"], *history["val_loss"], model.evaluate(x, y, verbose=0)])
        scores.append(model.predict(x, verbose=0))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)
    assert scores[0].shape == (4,)


def test_texts_of_a_data_frame_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user_id": ["a", "b"], "item_id": [2, 3]})
    with pytest.raises(ValueError, match=r"`x\['user_id'\]` must be a column of numbers.*encode"):
        TwoTower(SPEC).predict(frame)


@pytest.mark.parametrize("model", [TwoTower, MatrixFactorization])
def test_an_id_of_another_shape_says_what_to_pass(model):
    columns = {name: np.array(values)[:, None] for name, values in FRAME.items()}
    with pytest.raises(ValueError, match=r"must be \(B,\).*\(4, 1\).*ravel\(\).*`\.to_numpy\(\)`"):
        model(SPEC)(columns)
