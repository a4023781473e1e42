"""The peers of ctr_speed.py: DeepCTR in legacy Keras, and DeepFM of plain Keras layers.

DeepCTR runs in a process of its own, since legacy Keras and Keras 3 do not share one; ctr_speed.py
starts it with the Python of a venv that has it (`pip install tensorflow==2.20.0 tf_keras deepctr`):

    PYTHON benchmarks/ctr_peers.py TABLE_ROWS BATCH

It reads a number of steps a line, trains that many and writes the seconds that they took.
"""

import os
import sys
import time
from typing import Any

import numpy as np
from ctr_data import made_up, sizes

WIDTH, HIDDEN = 16, (400, 400, 400)
BATCHES = 16  # different ones; then from the start again


def batches(arrays: dict[str, np.ndarray], batch: int) -> Any:
    """Returns the arrays as an endless dataset, the way peers' tutorials feed `fit`.

    But without tf.data's autotuning, for whose thread the end of a `fit` may wait a second or more:
    own data go without it too.
    """
    import tensorflow as tf

    features = {name: value - 2 for name, value in arrays.items() if name != "label"}
    dataset = tf.data.Dataset.from_tensor_slices((features, arrays["label"]))
    options = tf.data.Options()
    options.autotune.enabled = False
    batched = dataset.batch(batch, drop_remainder=True).cache().repeat().prefetch(2)
    return batched.with_options(options)


def plain_keras(total: int) -> Any:
    """Returns a DeepFM of Keras layers, with two Embedding layers a feature, and Adam."""
    import keras
    from keras import layers, ops

    inputs = {f"C{k}": keras.Input((), dtype="int32", name=f"C{k}") for k in range(26)}
    normal = keras.initializers.RandomNormal(stddev=1e-3)
    rows, weights = [], []
    for column, size in zip(inputs.values(), sizes(total), strict=True):
        for width, found in ((WIDTH, rows), (1, weights)):
            found.append(layers.Embedding(int(size), width, embeddings_initializer=normal)(column))
    v = ops.stack(rows, axis=1)
    x = ops.reshape(v, (-1, 26 * WIDTH))
    for units in HIDDEN:
        x = layers.Dense(units, "relu")(x)
    pairs = 0.5 * ops.sum(ops.square(ops.sum(v, 1)) - ops.sum(ops.square(v), 1), 1)
    first = ops.sum(ops.concatenate(weights, axis=1), axis=1)
    model = keras.Model(inputs, ops.squeeze(layers.Dense(1)(x), 1) + first + pairs)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def deepctr(total: int) -> Any:
    """Returns DeepCTR's DeepFM of the same sizes, with Adam."""
    from deepctr.feature_column import SparseFeat
    from deepctr.models import DeepFM

    columns = [
        SparseFeat(f"C{k}", int(size), embedding_dim=WIDTH) for k, size in enumerate(sizes(total))
    ]
    options = {"l2_reg_embedding": 0, "l2_reg_linear": 0}
    model = DeepFM(columns, columns, dnn_hidden_units=HIDDEN, **options)
    model.compile("adam", "binary_crossentropy")
    return model


def main() -> None:
    """Trains DeepCTR as many steps as each line says."""
    total, batch = int(sys.argv[1]), int(sys.argv[2])
    dataset = batches(made_up(BATCHES * batch, total), batch)
    model = deepctr(total)
    for line in sys.stdin:
        start = time.perf_counter()
        model.fit(dataset, steps_per_epoch=int(line), verbose=0)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    main()
