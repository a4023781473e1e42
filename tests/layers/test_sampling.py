import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfrecs.layers import CountMinSketch, PopularitySampler


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_ids_come_as_often_as_their_share(power):
    counts = np.array([9, 9, 1, 16, 0, 81, 2])
    sampler = PopularitySampler(7)
    sampler.set_counts(counts, power)
    weights = np.where(counts > 0, counts.astype(float), 1) ** power * (counts > 0)
    weights[:2] = 0
    q = weights / weights.sum()
    drawn = np.bincount(np.asarray(sampler.sample((200_000,), seed=3)), minlength=7) / 200_000
    # five standard errors
    assert (np.abs(drawn - q) <= 5 * np.sqrt(q * (1 - q) / 200_000)).all()
    known = q > 0
    np.testing.assert_allclose(np.asarray(sampler.log_q)[known], np.log(q[known]), rtol=1e-5)


def test_before_counts_are_set_known_ids_are_as_likely():
    drawn = np.bincount(np.asarray(PopularitySampler(6).sample((8000,), seed=0)), minlength=6)
    assert (drawn[:2] == 0).all()
    assert (np.abs(drawn[2:] - 2000) < 5 * np.sqrt(8000 * 0.25 * 0.75)).all()


def test_many_ids_of_zipfs_law_are_drawn_exactly():
    counts = 1e6 / np.arange(1, 5001)
    sampler = PopularitySampler(5000)
    sampler.set_counts(counts)
    share, alias = np.asarray(sampler.share, float), np.asarray(sampler.alias)
    q = share.copy()  # what the tables draw, place by place
    np.add.at(q, alias, 1 - share)
    expected = np.where(np.arange(5000) >= 2, counts, 0)
    np.testing.assert_allclose(q / 5000, expected / expected.sum(), atol=1e-7)


@pytest.mark.parametrize("counts", [[0, 0, -1, 1], [1, 1, 1], [5, 5, 0, 0]])
def test_wrong_counts_are_named(counts):
    with pytest.raises(ValueError, match="`counts` must be"):
        PopularitySampler(4).set_counts(counts)


def test_a_sampler_needs_a_known_id():
    with pytest.raises(ValueError, match="`size` must be 3 or more"):
        PopularitySampler(2)


def test_a_sketch_is_exact_where_nothing_collides_and_never_too_low():
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, 4000), 3000).astype("int32")
    counts = np.bincount(ids)
    wide, narrow = CountMinSketch(1 << 16), CountMinSketch(1 << 8)
    for sketch in (wide, narrow):
        for batch in ids.reshape(4, -1):
            sketch(batch, training=True)
        found = np.exp(np.asarray(sketch(np.arange(1, 50)))) * 4000
        assert (found >= np.maximum(counts[1:50], 1) - 1e-2).all()
    np.testing.assert_allclose(np.exp(np.asarray(wide(ids))) * 4000, counts[ids], rtol=1e-4)


def test_without_training_nothing_is_counted():
    sketch = CountMinSketch(64)
    sketch(np.array([3, 4]), training=True)
    before = np.asarray(sketch.table)
    sketch(np.array([3, 5]))
    np.testing.assert_array_equal(np.asarray(sketch.table), before)


def test_a_sketch_counts_under_jit():
    sketch = CountMinSketch(64)
    count = tf.function(lambda ids: sketch(ids, training=True), jit_compile=True)
    log_q = count(tf.constant([7, 7, 7, 9]))
    np.testing.assert_allclose(ops.exp(log_q), [0.75, 0.75, 0.75, 0.25], rtol=1e-6)
    assert float(ops.sum(sketch.table[0])) == 4


def test_a_sketch_counts_in_replicas():
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    with strategy.scope():
        sketch = CountMinSketch(64)
    strategy.run(tf.function(lambda: sketch(tf.constant([3, 3, 4, 5]), training=True)))
    np.testing.assert_allclose(ops.exp(sketch(np.array([3, 4]))), [0.5, 0.25], rtol=1e-6)


@pytest.mark.parametrize("width", [1, 100])
def test_a_width_that_is_no_power_of_two_is_named(width):
    with pytest.raises(ValueError, match="`width` must be a power of 2"):
        CountMinSketch(width)


def test_both_are_saved_with_a_model(tmp_path):
    inputs = keras.Input((), dtype="int32")
    sketch = CountMinSketch(64)
    model = keras.Model(inputs, sketch(inputs))
    sketch(np.array([3, 4]), training=True)
    model.save_weights(tmp_path / "a.weights.h5")
    before = np.asarray(sketch.table)
    sketch(np.array([5]), training=True)
    model.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(np.asarray(sketch.table), before)
