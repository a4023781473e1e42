"""Checks of a model that is trained."""

import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from keras import ops

from tfrecs.features import FeatureTransform
from tfrecs.models import RecModel
from tfrecs.spec import Cross, FeatureSpec
from tfrecs.testing.case import Batch, expect, expect_finite
from tfrecs.testing.data import checkerboard as board_of
from tfrecs.testing.data import id_values, markov_sequences, random_table
from tfrecs.testing.world import World, tensors, weights

EPOCHS, BREAK, BATCH_SIZE = 4, 2, 8  # of the runs that are compared weight by weight
NUM_ITEMS, LENGTH = 10, 6  # of the sequences


def gradients(world: World) -> None:
    """Every trainable weight gets a gradient that is finite and not all zero."""
    model, loss = world.untrained, world.case.loss()
    batch = tensors(world.batch)
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        total = loss(world.labels, model(batch, training=True)) + sum(model.losses)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(total, variables), strict=True
    ):
        expect(gradient is not None, f"{variable.path} has no gradient.")
        values = tf.convert_to_tensor(gradient).numpy()
        expect_finite(values, f"The gradient of {variable.path}")
        expect(bool(np.any(values != 0)), f"The gradient of {variable.path} is 0 throughout.")


def overfit(world: World) -> None:
    """32 rows are learned by heart: their loss falls to a tenth."""
    model = world.as_new()
    before = world.loss(model)
    world.fit(model, steps=world.case.steps)
    after = world.loss(model)
    expect(
        after <= 0.1 * before,
        f"After {world.case.steps} steps on 32 rows the loss is {after:.4g}; it was {before:.4g}.",
    )


def same_seed(world: World) -> None:
    """Two models of one seed start with the same weights and end with the same weights."""
    straight, broken_off, _ = _three_runs(world)
    _expect_same(straight, broken_off, 0, "before training")
    _expect_same(straight, broken_off, BREAK, "after training")


def resume(world: World) -> None:
    """A run that breaks off and resumes by BackupAndRestore ends as one that does not."""
    straight, _, resumed = _three_runs(world)
    expect(
        resumed.epochs == list(range(BREAK, EPOCHS)),
        f"The resumed run went through the epochs {resumed.epochs}.",
    )
    _expect_same(straight, resumed, -1, "after resuming")


class _BrokenOffError(Exception):
    """Ends a run as Ctrl-C would."""


class _Notes(keras.callbacks.Callback):
    """Notes epochs, and the weights before training and after each; may break the run off."""

    def __init__(self, until: int = EPOCHS) -> None:
        super().__init__()
        self.until = until
        self.epochs: list[int] = []
        self.weights: list[list[np.ndarray]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Notes the weights."""
        self.weights.append(weights(self.model))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Raises at the epoch at which to break off."""
        if epoch == self.until:
            raise _BrokenOffError

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch and the weights."""
        self.epochs.append(epoch)
        self.weights.append(weights(self.model))


@lru_cache(maxsize=1)  # two checks, one after the other, look at the same runs
def _three_runs(world: World) -> tuple[_Notes, _Notes, _Notes]:
    """Returns the notes of a run, of one that is broken off, and of its resumption."""
    straight, broken_off, resumed = _Notes(), _Notes(until=BREAK), _Notes()
    _fit(world, world.as_new(), straight)
    with tempfile.TemporaryDirectory() as directory:
        backup = str(Path(directory) / "backup")
        with suppress(_BrokenOffError):
            _fit(world, world.compiled(), keras.callbacks.BackupAndRestore(backup), broken_off)
        # the backup must replace all that a whole run has left in this model, or they differ
        _fit(world, straight.model, keras.callbacks.BackupAndRestore(backup), resumed)
    return straight, broken_off, resumed


def _fit(world: World, model: RecModel, *callbacks: keras.callbacks.Callback) -> None:
    world.fit(model, epochs=EPOCHS, batch_size=BATCH_SIZE, callbacks=list(callbacks))


def _expect_same(first: _Notes, second: _Notes, place: int, when: str) -> None:
    pairs = zip(first.model.variables, first.weights[place], second.weights[place], strict=True)
    for variable, a, b in pairs:
        worst = np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0)
        expect(bool((a == b).all()), f"{variable.path} differs by {worst:.3g} {when}.")


def checkerboard(world: World) -> None:
    """Users who like every other item are recommended the one that was kept apart."""
    query, candidate = world.spec.query_id, world.spec.candidate_id
    board = board_of()
    users, items = np.nonzero(board != -1) if world.explicit else np.nonzero(board == 1)
    names = [id_values(feature, len(board)) for feature in (query, candidate)]
    columns = {
        query.name: [names[0][user] for user in users],
        candidate.name: [names[1][item] for item in items],
    }
    labels = board[users, items].astype(np.float32) if world.explicit else None
    model, transform = _train(world, pa.table(columns), labels)
    everyone = transform.encode(pa.table({query.name: names[0]}), [query.name])
    everything = transform.encode(pa.table({candidate.name: names[1]}), [candidate.name])
    found = model.score(model.query(tensors(everyone)), model.candidate(tensors(everything)))
    new = np.where(board == 1, -np.inf, ops.convert_to_numpy(found))
    hits = float((new.argmax(axis=1) == np.arange(len(board))).mean())
    expect(hits == 1, f"hit@1 on the checkerboard is {hits:.3f}.")


def predictable_sequences(world: World) -> None:
    """The next item of a cycle is found: hit@1 of new sequences is at least 0.9."""
    hits = _next_item_hits(world, predictability=1.0)
    expect(hits >= 0.9, f"hit@1 on predictable sequences is {hits:.3f}.")


def random_sequences(world: World) -> None:
    """The next item of noise is not found: hit@1 of new sequences is at chance."""
    hits = _next_item_hits(world, predictability=0.0)
    chance = 1 / NUM_ITEMS
    most = chance + 4 * (chance * (1 - chance) / 256) ** 0.5  # four standard errors
    expect(hits <= most, f"hit@1 on random sequences is {hits:.3f}; chance is {chance}.")


def _next_item_hits(world: World, predictability: float) -> float:
    tables = [
        _sequence_table(world, markov_sequences(256, LENGTH, NUM_ITEMS, predictability, seed))
        for seed in (0, 1)
    ]
    model, transform = _train(world, tables[0])
    name = world.spec.candidate_id.name
    values = id_values(world.spec.candidate_id, NUM_ITEMS)
    catalogue = random_table(world.case.spec, NUM_ITEMS)
    catalogue = catalogue.set_column(catalogue.column_names.index(name), name, [values])
    read = [f.name for f in world.spec.by_role("candidate")]
    everything = tensors(transform.encode(catalogue, read))
    query = model.query(tensors(transform.encode(tables[1])))
    best = ops.convert_to_numpy(model.score(query, model.candidate(everything))).argmax(axis=1)
    truth = np.array([values.index(value) for value in tables[1][name].to_pylist()])
    return float((best == truth).mean())


def _sequence_table(world: World, rows: np.ndarray) -> pa.Table:
    values = np.array(id_values(world.spec.candidate_id, NUM_ITEMS))
    table = random_table(world.case.spec, len(rows))
    columns = {
        world.history: pa.array(values[rows[:, :-1]].tolist()),
        world.spec.candidate_id.name: pa.array(values[rows[:, -1]].tolist()),
    }
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _train(
    world: World, table: pa.Table, labels: np.ndarray | None = None
) -> tuple[Any, FeatureTransform]:
    """Adapts features to the table and trains a new model on all its rows at once."""
    features = [f for f in world.case.spec if f.name in table.column_names or isinstance(f, Cross)]
    transform = FeatureTransform(FeatureSpec(tuple(features))).adapt(table)
    batch: Batch = transform.encode(table)
    if world.case.batch:
        batch = world.case.batch(batch)
    if labels is not None:
        batch = {**batch, world.case.label: labels}
    model = world.as_new(transform.spec)
    world.fit(model, batch, steps=world.case.steps)
    return model, transform
