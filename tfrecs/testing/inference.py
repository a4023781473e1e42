"""Checks of a model that only computes scores."""

import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfrecs.models import Retriever
from tfrecs.spec import PADDING_ID, UNKNOWN_ID
from tfrecs.testing.case import expect, expect_close, expect_finite
from tfrecs.testing.world import World, pair_scores, scores, signature, tensors, weights

SOME = 5  # rows that are looked at one by one
MIXED = 1e-2  # what float16 products leave of a score


def config_round_trip(world: World) -> None:
    """The config is JSON, and a model built from it has the same config and shapes."""
    model = world.untrained
    config = model.get_config()
    copy = type(model).from_config(json.loads(json.dumps(config)))
    copy(tensors(world.features))
    expect(copy.get_config() == config, f"get_config() of a copy is {copy.get_config()}.")
    shapes, copied = [w.shape for w in model.weights], [w.shape for w in copy.weights]
    expect(shapes == copied, f"The weights of a copy have the shapes {copied}, not {shapes}.")
    copy.set_weights(model.get_weights())
    before, after = scores(model, world.features), scores(copy, world.features)
    expect_close(after, before, "Scores of a copy by from_config")


def save_and_load(world: World) -> None:
    """A `.keras` file gives the same scores back."""
    model = world.build()
    # weights that no constructor makes
    model.set_weights([w + 0.1 * np.cos(np.arange(w.size)).reshape(w.shape) for w in saved(model)])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, compile=False)
    expect_close(scores(loaded, world.features), scores(model, world.features), "Loaded scores")


def dropout(world: World) -> None:
    """Dropout is of training alone: outside it, its rate changes no score."""
    model = world.build()
    before = scores(model, world.features)
    config = model.get_config()
    rates = {name: 0.5 for name in config if name.endswith("dropout")}
    if rates:
        copy = type(model).from_config({**config, **rates})
        scores(copy, world.features)  # creates weights
        copy.set_weights(model.get_weights())
        expect_close(scores(copy, world.features), before, "Scores at a dropout of 0.5")


def saved(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights that training may change."""
    return [np.asarray(w) for w in model.get_weights()]


def unknown_batch_size(world: World) -> None:
    """One graph serves batches of any size, and lists of any length."""
    model = world.untrained
    traced = tf.function(lambda batch: pair_scores(model, batch), autograph=False)
    graph = traced.get_concrete_function(signature(world.features))
    for size in (1, SOME, len(world.table)):
        batch = _rows(world.features, slice(size))
        expect_close(
            graph(tensors(batch)), scores(model, batch), f"A graph's scores of {size} rows"
        )


def batch_independence(world: World) -> None:
    """A row's score does not depend on the rows around it."""
    model = world.untrained
    whole = scores(model, world.features)
    for row in range(SOME):
        alone = scores(model, _rows(world.features, slice(row, row + 1)))
        expect_close(alone, whole[row : row + 1], f"The score of row {row} alone")


def row_order(world: World) -> None:
    """The scores follow the rows when these change places."""
    model = world.untrained
    order = np.random.default_rng(0).permutation(len(world.table))
    shuffled = scores(model, {name: value[order] for name, value in world.features.items()})
    expect_close(shuffled, scores(model, world.features)[order], "Scores of shuffled rows")


def extra_padding(world: World) -> None:
    """Padding at the end of lists, masked, changes no score."""
    model = world.untrained
    padded = dict(world.features)
    for name in world.lists:
        for key in (name, f"{name}_mask"):
            values = padded[key]
            padded[key] = np.pad(values, [(0, 0), (0, 3)] + [(0, 0)] * (values.ndim - 2))
    expect_close(scores(model, padded), scores(model, world.features), "Scores with more padding")


def unknown_ids(world: World) -> None:
    """Rows of which every id is unknown, or missing, have finite scores."""
    model = world.untrained
    for place in (UNKNOWN_ID, PADDING_ID):
        batch = dict(world.features)
        for name, value in world.features.items():
            if name in world.spec and getattr(world.spec[name], "size", None):
                batch[name] = np.full_like(value, place)
                if place == PADDING_ID and f"{name}_mask" in batch:
                    batch[f"{name}_mask"] = np.zeros(value.shape, bool)
        expect_finite(scores(model, batch), f"Scores of rows whose ids are all {place}")


def call_equals_score(world: World) -> None:
    """`call` of candidate lists equals `score(query, candidate)`, of lists and of all."""
    model = world.untrained
    batch = tensors(world.features)
    query, candidate = model.query(batch), model.candidate(batch)
    every = ops.convert_to_numpy(model.score(query, candidate))  # (B, B)
    expect(
        every.shape == (len(world.table),) * 2,
        f"score(query, candidate) has the shape {every.shape} instead of (B, C).",
    )
    size = len(world.table)
    lists = {
        key: ops.repeat(ops.expand_dims(batch[key], 0), size, axis=0)
        for key in world.candidate_keys
    }
    called = model(batch | lists)
    expect_close(called, every, "call(batch) of candidate lists against score(query, candidate)")
    own = model.score(query, model.candidate(lists))
    expect_close(own, every, "score(query, candidate) of (B, C, D) against (C, D)")


def predict_pairs(world: World) -> None:
    """`predict` gives each row the score of its own candidate, whatever the batch size."""
    model, rows = world.untrained, _rows(world.batch, slice(2 * SOME))  # of one trace
    found = model.predict(tf.data.Dataset.from_tensor_slices(rows).batch(SOME), verbose=0)
    expect_close(found, scores(model, rows), "predict in batches against pairs at once")


def mixed_precision(world: World) -> None:
    """Under mixed_float16 the scores stay within 1e-2, and the loss is finite."""
    plain = world.untrained
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = world.build()
        kinds = {keras.backend.standardize_dtype(w.dtype) for w in model.trainable_weights}
        expect(kinds <= {"float32"}, f"Under mixed_float16 there are weights of {kinds}.")
        model.set_weights(plain.get_weights())
        mixed = pair_scores(model, tensors(world.features))
        kind = keras.backend.standardize_dtype(mixed.dtype)
        expect(kind == "float16", f"Under mixed_float16 the scores are {kind}.")
        exact = scores(plain, world.features)
        expect_close(ops.cast(mixed, "float32"), exact, "Scores under mixed_float16", MIXED)
        expect_finite(world.loss(model), "The loss under mixed_float16")
    finally:
        keras.config.set_dtype_policy(before)


def jit(world: World) -> None:
    """Compiled by XLA the scores are the same, and a step of training is finite."""
    model = world.compiled(jit=True)
    batch = tensors(world.features)
    graph = tf.function(lambda batch: pair_scores(model, batch), autograph=False, jit_compile=True)
    expect_close(graph(batch), scores(model, world.features), "Scores compiled by XLA")
    world.fit(model)
    for weight in weights(model):
        expect_finite(weight, "A weight after a step compiled by XLA")


def is_retriever(world: World) -> bool:
    """Whether the model maps queries and candidates apart."""
    return isinstance(world.untrained, Retriever)


def _rows(batch: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: value[rows] for name, value in batch.items()}
