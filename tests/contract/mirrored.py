"""Trains cases on two mirrored devices and by hand; prints how far apart the weights are, as JSON.

By hand means: each half of a batch has its loss, as each replica has, and a step takes the mean of
their gradients. Arguments: the names of the cases, none for all.
"""

import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfrecs.testing.world import World, tensors, weights

BATCH, EPOCHS, RATE = 16, 2, 0.1


def mirrored(world, strategy):
    """Returns the model that `fit` trains on both devices, and what `evaluate` says of it."""
    with strategy.scope():
        model = world.case.build(world.spec)
        model.compile(keras.optimizers.SGD(RATE), world.case.loss())
    world.fit(model, batch_size=BATCH, epochs=EPOCHS)
    rows = tf.data.Dataset.from_tensor_slices((world.batch, world.labels)).batch(BATCH)
    return model, float(model.evaluate(rows, verbose=0))


def by_hand(world):
    """Returns the model that a loop trains, a mean of two gradients a step, and its loss."""
    model, loss = world.build(), world.case.loss()
    optimizer = keras.optimizers.SGD(RATE)
    optimizer.build(model.trainable_variables)
    values = [variable.value for variable in model.trainable_variables]
    halves = range(0, len(world.labels), BATCH // 2)
    for half in [*halves] * EPOCHS:
        if half % BATCH == 0:
            total = [0.0] * len(values)
        with tf.GradientTape() as tape:
            value = _loss(world, model, loss, half, training=True)
        zero = tf.UnconnectedGradients.ZERO
        found = tape.gradient(value, values, unconnected_gradients=zero)
        total = [t + tf.convert_to_tensor(g) / 2 for t, g in zip(total, found, strict=True)]
        if half % BATCH:
            optimizer.apply_gradients(zip(total, model.trainable_variables, strict=True))
    return model, float(np.mean([_loss(world, model, loss, h, training=False) for h in halves]))


def _loss(world, model, loss, start, training):
    rows = slice(start, start + BATCH // 2)
    batch = tensors({name: value[rows] for name, value in world.batch.items()})
    scores, labels = model(batch, training=training), world.labels[rows]
    return loss(labels, scores) + sum(model.losses)


def compare(case, strategy):
    """Returns the largest differences: of weights, of the loss, of weights after a round trip."""
    world = World(case)
    two, loss_of_two = mirrored(world, strategy)
    one, loss_of_one = by_hand(world)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        two.save(path)
        loaded = keras.models.load_model(path)
    return {
        "weights": _apart(two.trainable_variables, one.trainable_variables),
        "loss": abs(loss_of_two - loss_of_one),
        "saved": max(_difference(a, b) for a, b in zip(weights(two), weights(loaded), strict=True)),
    }


def _apart(first, second):
    return max(_difference(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True))


def _difference(a, b):
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max(initial=0))


if __name__ == "__main__":
    from conftest import cases  # this folder's, when this file is run

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    wanted = sys.argv[1:]
    for each in cases():
        if each.name in wanted or not wanted:
            sys.stdout.write(json.dumps({"case": each.name, **compare(each, both)}) + "\n")
            sys.stdout.flush()
