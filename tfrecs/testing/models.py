"""The contract of models."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import keras

from tfrecs import checks
from tfrecs.models import Ranker, RecModel, Retriever
from tfrecs.spec import FeatureSpec, MultiCategorical, Sequence, Text
from tfrecs.testing import inference, processes, training
from tfrecs.testing.case import Check, ModelCase
from tfrecs.testing.world import World

Run = Callable[[World], None]
ALWAYS: tuple[Run, ...] = (
    inference.config_round_trip,
    inference.save_and_load,
    inference.dropout,
    inference.unknown_batch_size,
    inference.batch_independence,
    inference.row_order,
    inference.unknown_ids,
    inference.mixed_precision,
    inference.jit,
    training.gradients,
    training.overfit,
    training.same_seed,
    training.resume,
    processes.equals_jax,
)
LISTS: tuple[Run, ...] = (inference.extra_padding,)
RETRIEVER: tuple[Run, ...] = (
    inference.call_equals_score,
    inference.predict_pairs,
    processes.saved_model,
)
RANKER: tuple[Run, ...] = (processes.saved_ranker,)
IDS_ALONE: tuple[Run, ...] = (training.checkerboard,)
HISTORY: tuple[Run, ...] = (training.predictable_sequences, training.random_sequences)


def check_model(case: ModelCase) -> Iterator[Check]:
    """Yields what a model promises, one check after the other.

    Every model: its config and its `.keras` file give it back; one graph serves any batch size; a
    row's score depends neither on its batch nor on its order; unknown and missing ids have finite
    scores; dropout is of training alone; mixed precision and XLA change nothing that matters;
    every weight gets a gradient; 32 rows are learned by heart; a seed decides everything; a run
    that resumes ends as one that was not broken off; JAX gives the same scores to 1e-5.

    With lists among its features: more padding changes nothing. The SavedModel answers raw rows as
    Python does, in a process without tfrecs. A Retriever: `call` equals `score` of `query` and
    `candidate`, and `predict` gives a score a row, whatever the batch size. A Retriever of ids
    alone: hit@1 of 1 on the checkerboard. A Retriever with a history: predictable sequences are
    learned, random ones are not.

    Args:
        case: The model. An exception for a name that is no check raises ValueError.

    Yields:
        Checks; those of `case.exceptions` carry their reason.

    Example:

    >>> from tfrecs.losses import InBatch, Softmax
    >>> from tfrecs.models import TwoTower
    >>> case = ModelCase(
    ...     "two_tower",
    ...     build=lambda spec: TwoTower(spec, embedding_dim=4, log_q=False),
    ...     loss=lambda: InBatch(Softmax()),
    ...     label="item_id",
    ... )
    >>> checks = {check.name: check.run for check in check_model(case)}
    >>> checks["row_order"]()  # raises ContractError if the model breaks its promise
    """
    keras_backend = keras.backend.backend()
    if keras_backend != "tensorflow":
        raise RuntimeError(
            f"check_model runs on TensorFlow and compares JAX with it. Received: {keras_backend}. "
            "Set KERAS_BACKEND=tensorflow."
        )
    runs = list(_applicable(case))
    names = [run.__name__ for run in runs]
    for name in case.exceptions:
        checks.one_of("exceptions", name, names)
    world = World(case)
    for run in runs:
        yield Check(run.__name__, partial(run, world), case.exceptions.get(run.__name__, ""))


def _applicable(case: ModelCase) -> Iterator[Run]:
    model = case.build(_sized(case.spec))
    if not isinstance(model, RecModel) or not isinstance(model, (Ranker, Retriever)):
        raise TypeError(
            checks.expected("build", "a function that returns a Ranker or a Retriever", model)
        )
    world = World(case)
    yield from ALWAYS
    if any(isinstance(f, (MultiCategorical, Sequence, Text)) for f in case.spec):
        yield from LISTS
    if isinstance(model, Ranker):
        yield from RANKER
    if isinstance(model, Retriever):
        yield from RETRIEVER
        if world.ids_alone:
            yield from IDS_ALONE
        if world.history:
            yield from HISTORY


def _sized(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec with any sizes, to see what is built from it."""
    return FeatureSpec(
        tuple(
            dataclasses.replace(feature, size=8)  # type: ignore[arg-type]
            if hasattr(feature, "size") and feature.size is None
            else feature
            for feature in spec
        )
    )
