"""Rankers of single tags: the global one trained further on a tag's items, one trace for all."""

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.datasets import Tables
from tfrecs.models import IkiRanker
from tfrecs.models.iki import TAGS
from tfrecs.recipes.feed import FEEDBACK, arrays_of, catalogue, with_unmet
from tfrecs.spec import NUM_RESERVED_IDS

Weights = list[np.ndarray]


@dataclass(frozen=True)
class TagOptions:
    """How the rankers of the tags are trained.

    Args:
        min_interactions: Tags with fewer events on their items keep the global ranker. Defaults
            to 50.
        epochs: Passes over a tag's events. Defaults to 2.
        batch_size: Events per step. Defaults to 256.
        learning_rate: Of Adam. Defaults to 1e-3.
        processes: Trainings at the same time. Defaults to 1.
        seed: Of the order of events. Defaults to 0.
    """

    min_interactions: int = 50
    epochs: int = 2
    batch_size: int = 256
    learning_rate: float = 1e-3
    processes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_interactions", "epochs", "batch_size", "learning_rate", "processes"):
            checks.positive(name, getattr(self, name))


@dataclass(frozen=True)
class TagTraining:
    """What the training of the tags did.

    Args:
        model: The ranker, with weights of its own for each trained tag.
        events: Number of events by trained tag.
        left: Tags below `min_interactions`, which the global ranker serves.
        traces: Traces of the training step, by process.
        seconds: Time it took.
    """

    model: IkiRanker
    events: dict[str, int]
    left: list[str]
    traces: list[int] = field(default_factory=list)
    seconds: float = 0.0


def train_tags(
    model: IkiRanker,
    transform: Any,
    events: pa.Table,
    tables: Tables,
    options: TagOptions | None = None,
    *,
    on_tag: Callable[[int, int], None] = lambda done, total: None,
) -> TagTraining:
    """Trains a ranker for each tag, from the global one, on the events of the tag's items.

    Args:
        model: The global ranker, trained.
        transform: Its features.
        events: Training events, with the feedback.
        tables: Users and items, prepared.
        options: How.
        on_tag: Told how many tags are done, of how many.

    Returns:
        A model with the rankers of the tags beside the global one.
    """
    options = options or TagOptions()
    start = time.perf_counter()
    arrays = arrays_of(transform, with_unmet(events, tables), tables)
    rows = rows_by_tag(transform, arrays[transform.spec.candidate_id.name], tables)
    counts = {tag: int((of_tag < events.num_rows).sum()) for tag, of_tag in rows.items()}
    trained = [tag for tag in rows if counts[tag] >= options.min_interactions]
    left = [tag for tag in rows if tag not in set(trained)]
    work = _train if options.processes == 1 or len(trained) < 2 else _in_processes
    weights, traces = work(model, arrays, [rows[t] for t in trained], options, on_tag)
    names = transform.vocabulary(TAGS)
    return TagTraining(
        with_instances(model, trained, weights),
        {str(names[tag - NUM_RESERVED_IDS]): counts[tag] for tag in trained},
        [str(names[tag - NUM_RESERVED_IDS]) for tag in left],
        traces,
        time.perf_counter() - start,
    )


def rows_by_tag(transform: Any, items: np.ndarray, tables: Tables) -> dict[int, np.ndarray]:
    """Returns the rows whose item has each tag, by the id of the tag.

    Args:
        transform: The features.
        items: Id of the item of each row.
        tables: The items and their tags.
    """
    item = transform.spec.candidate_id.name
    ids, lists = catalogue(transform, tables)
    tags = np.zeros((transform.spec[item].size, lists.shape[1]), np.int32)
    tags[ids] = lists
    of_rows = tags[items]  # (N, L)
    rows, places = np.nonzero(of_rows >= NUM_RESERVED_IDS)
    values = of_rows[rows, places]
    order = np.argsort(values, kind="stable")
    found, firsts = np.unique(values[order], return_index=True)
    parts = np.split(rows[order], firsts[1:])
    return dict(zip(found.tolist(), parts, strict=True))


def with_instances(model: IkiRanker, tags: list[int], weights: list[Weights]) -> IkiRanker:
    """Returns the model with room for the weights of tags, and these in it."""
    config = model.get_config()
    larger = IkiRanker.from_config({**config, "num_instances": len(tags)})
    larger.built = True  # all weights are there
    for variable, value in zip(larger.trainable_variables, model.trainable_variables, strict=True):
        variable.assign(value)
    for name in ("content", "item_svd", "fold_weights"):
        getattr(larger, name).assign(getattr(model, name))
    if tags:
        larger.set_instances(tags, weights)
    return larger


def _train(
    model: IkiRanker,
    arrays: dict[str, np.ndarray],
    rows: list[np.ndarray],
    options: TagOptions,
    on_tag: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Weights], list[int]]:
    """Trains tag after tag with one compiled step; the model ends with its first weights."""
    before = [variable.numpy() for variable in model.trainable_variables]
    worker = with_instances(model, [], [])
    optimizer = keras.optimizers.Adam(options.learning_rate)
    worker.compile(optimizer, "mean_squared_error")
    optimizer.build(worker.trainable_variables)
    step, traces = worker.train_step, []

    def traced(data: Any) -> Any:
        traces.append(1)  # Python runs while a graph is made, and not after
        return step(data)

    worker.train_step = traced
    fresh = [variable.numpy() for variable in optimizer.variables]
    found = []
    for done, of_tag in enumerate(rows, 1):
        for variable, value in zip(worker.trainable_variables, before, strict=True):
            variable.assign(value)
        for variable, value in zip(optimizer.variables, fresh, strict=True):
            variable.assign(value)
        for batch in _batches(of_tag, options):
            inputs = {name: values[batch] for name, values in arrays.items()}
            worker.train_on_batch(inputs, inputs.pop(FEEDBACK))
        found.append([variable.numpy() for variable in worker.trainable_variables])
        on_tag(done, len(rows))
    return found, [len(traces)]


def _batches(rows: np.ndarray, options: TagOptions) -> np.ndarray:
    """Returns row numbers `(S, B)`: each epoch in an order of its own, whole batches."""
    rng = np.random.default_rng(options.seed)
    epochs = np.concatenate([rng.permutation(rows) for _ in range(options.epochs)])
    steps = -(-len(epochs) // options.batch_size)
    return np.resize(epochs, (steps, options.batch_size))


def _in_processes(
    model: IkiRanker,
    arrays: dict[str, np.ndarray],
    rows: list[np.ndarray],
    options: TagOptions,
    on_tag: Callable[[int, int], None],
) -> tuple[list[Weights], list[int]]:
    """Trains in processes of their own, which read the arrays from one place."""
    shares = [rows[place :: options.processes] for place in range(options.processes)]
    weights: list[Weights] = [[]] * len(rows)
    traces: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        for name, values in arrays.items():
            np.save(Path(folder) / f"{name}.npy", values)
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
            jobs = [pool.submit(_work, folder, list(arrays), share, options) for share in shares]
            for place, job in enumerate(jobs):
                weights[place :: options.processes], found = job.result()
                traces += found
                on_tag(sum(map(len, shares[: place + 1])), len(rows))
    return weights, traces


def _work(
    folder: str, names: list[str], rows: list[np.ndarray], options: TagOptions
) -> tuple[list[Weights], list[int]]:
    threads = max(1, (os.cpu_count() or 1) // options.processes)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.models.load_model(Path(folder) / "model.keras")
    arrays = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in names}
    return _train(model, arrays, rows, options)
