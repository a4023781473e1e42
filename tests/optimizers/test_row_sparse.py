import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfrecs.optimizers import LazyAdam, SparseAdagrad, SparseFTRL
from tfrecs.optimizers.rows import unique_rows

ROWS, DIM = 6, 3
PAIRS = {
    "adagrad": (SparseAdagrad, keras.optimizers.Adagrad),
    "adam": (LazyAdam, keras.optimizers.Adam),
    "ftrl": (SparseFTRL, keras.optimizers.Ftrl),
}
EACH = pytest.mark.parametrize("name", PAIRS)


def table(seed=0):
    return keras.Variable(np.random.default_rng(seed).normal(size=(ROWS, DIM)), dtype="float32")


def gradient(ids, seed):
    values = np.random.default_rng(seed).normal(size=(len(ids), DIM)).astype("float32")
    return tf.IndexedSlices(tf.constant(values), tf.constant(ids), (ROWS, DIM))


def train(optimizer, batches, *, dense):
    variable = table()
    for seed, ids in enumerate(batches):
        slices = gradient(ids, seed)
        value = tf.math.unsorted_segment_sum(slices.values, slices.indices, ROWS)
        optimizer.apply_gradients([(value if dense else slices, variable)])
    return np.asarray(variable)


def test_adagrad_equals_keras_s_whatever_rows_the_batches_hold():
    batches = [[0, 2, 2, 5], [1, 2], [5, 5, 5], [0]]
    ours = train(SparseAdagrad(0.3), batches, dense=False)
    theirs = train(keras.optimizers.Adagrad(0.3), batches, dense=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_equals_keras_s_when_every_row_is_in_every_batch(amsgrad):
    batches = [[0, 1, 2, 3, 4, 5, 5], [5, 4, 3, 2, 1, 0], [0, 0, 1, 2, 3, 4, 5]]
    ours = train(LazyAdam(0.1, amsgrad=amsgrad), batches, dense=False)
    theirs = train(keras.optimizers.Adam(0.1, amsgrad=amsgrad), batches, dense=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("l1", [0.0, 0.5])
def test_ftrl_equals_keras_s_on_a_table_that_starts_at_zero(l1):
    def weights(optimizer, dense):
        variable = keras.Variable(np.zeros((ROWS, DIM), "float32"))
        for seed, ids in enumerate([[0, 2, 2, 5], [1, 2], [5, 5, 5], [0]]):
            slices = gradient(ids, seed)
            value = tf.math.unsorted_segment_sum(slices.values, slices.indices, ROWS)
            optimizer.apply_gradients([(value if dense else slices, variable)])
        return np.asarray(variable)

    options = {"l1_regularization_strength": l1, "l2_regularization_strength": 0.1, "beta": 0.3}
    ours = weights(SparseFTRL(0.3, **options), dense=False)
    theirs = weights(keras.optimizers.Ftrl(0.3, **options), dense=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert (ours[[3, 4]] == 0).all()


def test_keras_s_ftrl_moves_rows_that_no_batch_has_touched():
    rows = train(keras.optimizers.Ftrl(0.1), [[0, 2]], dense=True)
    assert (rows[[1, 3, 4, 5]] == 0).all()  # they were not


def test_adagrad_s_epsilon_stands_once_under_the_root():
    batches = [[0, 2, 5], [2, 5, 0]]
    ours = train(SparseAdagrad(0.3, epsilon=0.5), batches, dense=False)
    theirs = train(keras.optimizers.Adagrad(0.3, epsilon=0.5), batches, dense=True)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@given(
    ids=st.one_of(
        st.lists(st.integers(0, 9), min_size=1, max_size=40),  # most come again
        st.lists(st.integers(0, 10**6), min_size=20, max_size=40),  # few do
    ),
    again=st.integers(0, 19),
)
def test_the_gradients_of_a_row_are_summed_however_many_come_again(ids, again):
    ids = [*ids, ids[again % len(ids)]]
    values = np.random.default_rng(again).normal(size=(len(ids), DIM))
    slices = tf.IndexedSlices(tf.constant(values), tf.constant(ids), (10**6 + 1, DIM))
    sums, distinct = unique_rows(slices, "float64")
    assert sorted(distinct.numpy()) == sorted(set(ids))
    for row, place in zip(sums.numpy(), distinct.numpy(), strict=True):
        np.testing.assert_allclose(row, values[np.array(ids) == place].sum(axis=0))


@EACH
def test_a_row_outside_the_batch_stays_where_it_is(name):
    ours, _ = PAIRS[name]
    rows = train(ours(0.1), [[0, 2, 3], [2, 3]], dense=False)
    np.testing.assert_array_equal(rows[[1, 4, 5]], np.asarray(table())[[1, 4, 5]])
    assert (rows[[0, 2, 3]] != np.asarray(table())[[0, 2, 3]]).all()


def test_what_is_lazy_about_adam_is_that_an_absent_row_s_moments_rest():
    lazy = train(LazyAdam(0.1), [[0], [1], [0]], dense=False)
    # row 0 by hand: gradients g at step 1 and h at step 3, the moments untouched by step 2
    g, h = (np.asarray(gradient([0], seed).values)[0] for seed in (0, 2))
    m, v = 0.1 * g, 0.001 * g**2
    expected = np.asarray(table())[0] - 0.1 * g / np.abs(g)
    m, v = m + 0.1 * (h - m), v + 0.001 * (h**2 - v)
    expected -= 0.1 * np.sqrt(1 - 0.999**3) / (1 - 0.9**3) * m / np.sqrt(v)
    np.testing.assert_allclose(lazy[0], expected, atol=1e-4)


@EACH
@pytest.mark.parametrize("clip", [{"clipnorm": 0.5}, {"clipvalue": 0.2}, {"global_clipnorm": 0.5}])
def test_clipping_is_that_of_the_dense_gradient_duplicates_summed(name, clip):
    ours, theirs = PAIRS[name]
    batches = [[0, 1, 2, 3, 4, 5, 5, 5]]
    np.testing.assert_allclose(
        train(ours(0.1, **clip), batches, dense=False),
        train(theirs(0.1, **clip), batches, dense=True),
        atol=1e-6,
    )


@EACH
def test_dense_gradients_move_a_variable_as_keras_does(name):
    ours, theirs = PAIRS[name]
    batches = [[0, 2, 2, 5], [1, 2]]
    np.testing.assert_allclose(
        train(ours(0.1, clipnorm=0.5), batches, dense=True),
        train(theirs(0.1, clipnorm=0.5), batches, dense=True),
        atol=2e-6,  # TensorFlow's Adam rounds 1 - beta_2 to float32
    )


def test_lazy_adam_on_a_dense_gradient_by_hand():
    variable = keras.Variable([1.0, -2.0])
    optimizer = LazyAdam(0.1)
    for g in (np.array([3.0, -4.0]), np.array([1.0, 0.0])):
        optimizer.apply([tf.constant(g, tf.float32)], [variable])
    # m = 0.9 0.1 g1 + 0.1 g2, v = 0.999 0.001 g1^2 + 0.001 g2^2, the first step -0.1 sign(g1)
    m, v = np.array([0.37, -0.36]), np.array([0.009991, 0.015984])
    step = 0.1 * np.sqrt(1 - 0.999**2) / (1 - 0.9**2) * m / np.sqrt(v)
    np.testing.assert_allclose(variable.numpy(), [0.9, -1.9] - step, rtol=1e-5)


@EACH
@pytest.mark.parametrize(
    "option",
    [
        {"weight_decay": 0.1},
        {"use_ema": True},
        {"gradient_accumulation_steps": 2},
        {"loss_scale_factor": 2.0},
    ],
)
def test_an_option_that_touches_every_row_is_refused(name, option):
    ours, _ = PAIRS[name]
    (key,) = option
    with pytest.raises(ValueError, match=rf"`{key}` must be unset on a row-sparse optimizer"):
        ours(**option)


@EACH
def test_the_config_gives_the_optimizer_back(name):
    ours, _ = PAIRS[name]
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = ours(schedule, clipnorm=1.0)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(copy) is ours
    assert copy.get_config() == optimizer.get_config()


@EACH
def test_a_compiled_step_equals_an_eager_one(name):
    ours, _ = PAIRS[name]
    eager = train(ours(0.1), [[0, 2, 2], [1, 1, 5]], dense=False)
    variable, optimizer = table(), ours(0.1)
    optimizer.build([variable])

    @tf.function(jit_compile=True)
    def step(values, ids):
        optimizer.apply([tf.IndexedSlices(values, ids, (ROWS, DIM))], [variable])

    for seed, ids in enumerate([[0, 2, 2], [1, 1, 5]]):
        slices = gradient(ids, seed)
        step(slices.values, slices.indices)
    np.testing.assert_allclose(np.asarray(variable), eager, atol=1e-6)


@EACH
def test_the_graph_of_a_step_reads_no_whole_table(name):
    ours, _ = PAIRS[name]
    variable, optimizer = table(), ours(0.1)
    optimizer.build([variable])

    @tf.function(autograph=False)
    def step(values, ids):
        optimizer.apply([tf.IndexedSlices(values, ids, (ROWS, DIM))], [variable])

    graph = step.get_concrete_function(
        tf.TensorSpec([None, DIM]), tf.TensorSpec([None], tf.int32)
    ).graph
    shapes = [o.outputs[0].shape for o in graph.get_operations() if o.type == "ReadVariableOp"]
    assert all(shape.rank == 0 for shape in shapes)  # the learning rate and the step


def test_a_slot_starts_at_one_value_without_a_table_besides(monkeypatch):
    def ones(*_, **__):
        raise AssertionError("a second table")

    monkeypatch.setattr(keras.src.initializers.constant_initializers.ops, "ones", ones)
    optimizer = SparseAdagrad(0.1, initial_accumulator_value=0.3)
    optimizer.build([table()])
    np.testing.assert_allclose(optimizer._accumulators[0], np.full((ROWS, DIM), 0.3), rtol=1e-6)


@EACH
def test_the_loss_scale_optimizer_wraps_it(name):
    ours, _ = PAIRS[name]
    plain = train(ours(0.1), [[0, 2, 2]], dense=False)
    variable = table()
    scaled = keras.optimizers.LossScaleOptimizer(ours(0.1), initial_scale=4.0)
    slices = gradient([0, 2, 2], 0)
    times_4 = tf.IndexedSlices(4 * slices.values, slices.indices, (ROWS, DIM))
    scaled.apply_gradients([(times_4, variable)])
    np.testing.assert_allclose(np.asarray(variable), plain, atol=1e-6)
    infinite = tf.IndexedSlices(np.inf * slices.values, slices.indices, (ROWS, DIM))
    scaled.apply_gradients([(infinite, variable)])  # skipped, and the scale halved
    np.testing.assert_allclose(np.asarray(variable), plain, atol=1e-6)


MIRRORED = """
import json, sys
import keras, numpy as np, tensorflow as tf
from tfrecs.layers import IdEmbedding
from tfrecs.losses import LogLoss
from tfrecs.optimizers import LazyAdam, SparseAdagrad, SparseFTRL

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng = np.random.default_rng(0)
ids, clicks = rng.integers(0, 12, 96), rng.integers(0, 2, 96).astype("float32")


class Clicks(keras.Model):
    def __init__(self):
        super().__init__()
        self.rows = IdEmbedding(40, 3, stddev=0.1)
        self.dense = keras.layers.Dense(1, kernel_initializer="ones")
        self.dense.build((None, 3))

    def call(self, ids):
        return self.dense(self.rows(ids))[:, 0]


def train(optimizer, loss, strategy):
    with strategy.scope():
        model = Clicks()
        model.compile(optimizer(), loss())
    rows = tf.data.Dataset.from_tensor_slices((ids, clicks)).batch(16)
    model.fit(rows, epochs=2, verbose=0, shuffle=False)
    return [np.asarray(weight) for weight in model.get_weights()]


def difference(optimizer, loss=LogLoss):
    one = train(optimizer, loss, tf.distribute.get_strategy())
    two = train(optimizer, loss, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    return max(float(np.abs(a - b).max()) for a, b in zip(one, two))


found = {
    "SparseAdagrad": difference(lambda: SparseAdagrad(0.1)),
    "LazyAdam": difference(lambda: LazyAdam(0.05)),
    "SparseFTRL": difference(lambda: SparseFTRL(0.1)),
    "Adagrad": difference(lambda: keras.optimizers.Adagrad(0.1)),
    "Adam": difference(lambda: keras.optimizers.Adam(0.05)),
    "Ftrl": difference(lambda: keras.optimizers.Ftrl(0.1)),
    "Adagrad, Keras's loss": difference(
        lambda: keras.optimizers.Adagrad(0.1),
        lambda: keras.losses.BinaryCrossentropy(from_logits=True),
    ),
}
print(json.dumps(found))
"""


def test_two_mirrored_devices_train_as_one():
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # Keras takes its mean over the last axis, which for scores (B,) is the batch, and then does not
    # divide by the number of devices: twice the gradient, whoever's optimizer it is
    assert found.pop("Adagrad, Keras's loss") > 1e-2
    assert max(found.values()) < 1e-6, found
