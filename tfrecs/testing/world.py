"""What the checks of a model share: made-up rows, their tensors, new models, plain training."""

from functools import cached_property, lru_cache
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from keras import ops

from tfrecs.features import FeatureTransform
from tfrecs.models import RecModel, Retriever
from tfrecs.spec import Categorical, FeatureSpec, Sequence
from tfrecs.testing.case import Batch, ModelCase
from tfrecs.testing.data import random_table

NUM_ROWS = 32


class World:
    """Rows of a case's spec and models built for them."""

    def __init__(self, case: ModelCase) -> None:
        self.case = case

    @cached_property
    def table(self) -> pa.Table:
        """The raw rows."""
        return random_table(self.case.spec, NUM_ROWS)

    @cached_property
    def transform(self) -> FeatureTransform:
        """The features, adapted on the rows."""
        return FeatureTransform(self.case.spec).adapt(self.table)

    @property
    def spec(self) -> FeatureSpec:
        """The spec, sizes filled in."""
        return self.transform.spec

    @cached_property
    def features(self) -> Batch:
        """The rows as the model reads them: NumPy arrays by name."""
        return self.transform.encode(self.table)

    @cached_property
    def batch(self) -> Batch:
        """The rows as the model is trained on them."""
        return self.case.batch(self.features) if self.case.batch else self.features

    @property
    def labels(self) -> np.ndarray:
        """What the loss takes as `y_true`."""
        return np.asarray(self.batch[self.case.label])

    def build(self) -> RecModel:
        """Returns a new model with all its weights."""
        model = self.case.build(self.spec)
        model({name: ops.convert_to_tensor(value) for name, value in self.features.items()})
        return model

    @property
    def untrained(self) -> RecModel:
        """A model for checks that leave its weights alone."""
        return _untrained(self)

    def as_new(self, spec: FeatureSpec | None = None) -> RecModel:
        """Returns a compiled model as its constructor leaves it, to be trained by `fit`.

        It is one object a spec, whose weights and optimizer are set back: so its training step is
        traced once. A model with a `fit` of its own is built anew.
        """
        model, values = _as_new(self, spec or self.spec)
        if values is None:
            return self._new(spec or self.spec)
        for variable, value in zip(_state(model), values, strict=True):
            variable.assign(value)
        return model

    def _new(self, spec: FeatureSpec) -> RecModel:
        return self.compiled(model=None if spec == self.spec else self.case.build(spec))

    def compiled(self, jit: bool = False, model: RecModel | None = None) -> RecModel:
        """Returns a new model, compiled with the case's loss and Adam."""
        model = model or self.build()
        optimizer = keras.optimizers.Adam(self.case.learning_rate)
        model.compile(optimizer, self.case.loss(), jit_compile=jit)
        return model

    def fit(
        self,
        model: RecModel,
        batch: Batch | None = None,
        *,
        steps: int = 1,
        epochs: int = 1,
        batch_size: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Fits in a fixed order, by default on all rows at once, and returns the history.

        Args:
            model: The model, compiled.
            batch: Rows; `None` for those of `self.batch`.
            steps: How often an epoch goes through the rows.
            epochs: Epochs.
            batch_size: Rows of a step; `None` for all.
            callbacks: Keras callbacks.
        """
        batch = self.batch if batch is None else batch
        labels = np.asarray(batch[self.case.label])
        rows = tf.data.Dataset.from_tensor_slices((batch, labels))
        rows = rows.batch(batch_size or len(labels)).cache().repeat(steps)
        steps_per_epoch = steps * -(-len(labels) // (batch_size or len(labels)))
        return model.fit(
            rows.repeat(),
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )

    def loss(self, model: RecModel) -> float:
        """Returns the loss on all rows, outside training and without regularizers."""
        return float(self.case.loss()(self.labels, model(tensors(self.batch))))

    @property
    def candidate_keys(self) -> list[str]:
        """Keys of the batch that describe the candidate."""
        names = [feature.name for feature in self.spec.by_role("candidate")]
        return [key for key in self.features if key.removesuffix("_mask") in names]

    @property
    def lists(self) -> list[str]:
        """Names of the features that have a mask."""
        masks = [key for key in self.features if key.endswith("_mask")]
        return [key.removesuffix("_mask") for key in masks]

    @property
    def explicit(self) -> bool:
        """Whether rows have a label of their own, instead of being positive, all of them."""
        return self.case.label != self.case.spec.candidate_id.name

    @property
    def ids_alone(self) -> bool:
        """Whether the model knows queries and candidates by nothing but their ids."""
        features = self.case.spec.by_role("query", "candidate", "context")
        ids = [f for f in features if isinstance(f, Categorical) and f.is_id]
        return len(features) == len(ids) == 2

    @property
    def history(self) -> str | None:
        """Name of the sequence of candidates, if there is one."""
        for feature in self.case.spec.by_role("query"):
            if isinstance(feature, Sequence) and feature.shared_with:
                owner = self.case.spec[feature.shared_with]
                if owner.role == "candidate" and isinstance(owner, Categorical) and owner.is_id:
                    return feature.name
        return None


# the checks of a case follow each other: no other case's models are kept
@lru_cache(maxsize=1)
def _untrained(world: World) -> RecModel:
    return world.build()


@lru_cache(maxsize=2)
def _as_new(world: World, spec: FeatureSpec) -> tuple[RecModel, list[np.ndarray] | None]:
    """Returns a model and the values of all its variables; `None` where they cannot be set back."""
    model = world._new(spec)
    if type(model).fit is not RecModel.fit or not all(layer.built for layer in model.layers):
        return model, None
    model.optimizer.build(model.trainable_variables)
    return model, [np.asarray(ops.convert_to_numpy(v)) for v in _state(model)]


def _state(model: RecModel) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def tensors(batch: Batch) -> Batch:
    """Returns the batch as tensors."""
    return {name: ops.convert_to_tensor(value) for name, value in batch.items()}


def pair_scores(model: Any, batch: Batch) -> Any:
    """Returns the score of each row's candidate for its query, `(B,)`, in any graph."""
    return model.score_pairs(batch) if isinstance(model, Retriever) else model(batch)


def scores(model: Any, batch: Batch) -> np.ndarray:
    """Returns `pair_scores` of NumPy arrays, as NumPy."""
    return np.asarray(ops.convert_to_numpy(pair_scores(model, tensors(batch))))


def weights(model: Any) -> list[np.ndarray]:
    """Returns every weight, the states of seed generators included."""
    return [np.asarray(ops.convert_to_numpy(variable)) for variable in model.variables]


def signature(batch: Batch) -> dict[str, tf.TensorSpec]:
    """Returns the batch's tensors with unknown sizes."""
    return {
        name: tf.TensorSpec([None] * np.ndim(value), value.dtype)
        if f"{name}_mask" in batch or name.endswith("_mask")
        else tf.TensorSpec([None, *np.shape(value)[1:]], value.dtype)
        for name, value in batch.items()
    }
