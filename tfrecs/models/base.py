"""What every model is: a Keras model that knows its own configuration, and ranks or retrieves."""

import inspect
from abc import abstractmethod
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.layers import arrays_of
from tfrecs.layers import column as column
from tfrecs.spec import FeatureSpec

Tensor = Any  # a tensor of whichever backend Keras runs on
Batch = dict[str, Tensor]


_OF_A_FUNCTION = keras.losses.MeanSquaredError.__mro__[1]  # Keras's losses, and users' functions


class RecModel(keras.Model):
    """A Keras model that records its constructor's arguments.

    So a subclass writes no `get_config`: a copy by `from_config`, `keras.models.clone_model` and
    `.keras` files work, in a fresh process too once the subclass's module is imported. The
    arguments are a `FeatureSpec` and primitives: str, int, float, bool, None, and lists, tuples
    (which come back as lists) and dicts of them.
    """

    _arguments: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable("tfrecs")(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        model = super().__new__(cls, *args, **kwargs)
        bound = inspect.signature(cls.__init__).bind(model, *args, **kwargs)
        bound.apply_defaults()
        arguments: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            kind = bound.signature.parameters[name].kind
            given = value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
            arguments.update({key: _primitive(key, item) for key, item in given.items()})
        # past Keras's tracking, which would wrap the lists and the dicts
        object.__setattr__(model, "_arguments", arguments)
        return model  # type: ignore[no-any-return]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as primitives."""
        config = dict(self._arguments)
        parameters = inspect.signature(type(self).__init__).parameters.values()
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            policy = keras.dtype_policies.serialize(self.dtype_policy)
            config |= {"name": self.name, "trainable": self.trainable, "dtype": policy}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Builds a model of the same arguments, with fresh weights."""
        del custom_objects  # nothing in the config but primitives
        return cls(**{name: _restored(value) for name, value in config.items()})

    def save_own_variables(self, store: Any) -> None:
        """Saves what Keras saves, and how far the seed generators are, which Keras leaves out."""
        super().save_own_variables(store)
        for number, state in enumerate(self._seed_states()):
            store[f"seed_{number}"] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        """Takes back what `save_own_variables` saved, so that training resumes where it was."""
        own = {name: store[name] for name in store.keys() if not name.startswith("seed_")}  # noqa: SIM118
        super().load_own_variables(own)
        for number, state in enumerate(self._seed_states()):
            state.assign(store[f"seed_{number}"])

    def fit(self, x: Any = None, y: Any = None, *arguments: Any, **options: Any) -> Any:
        """Trains as Keras does; columns of data frames are taken as the arrays that they hold."""
        return super().fit(*_plain(x, y), *arguments, **_plain_options(options))

    def evaluate(self, x: Any = None, y: Any = None, *arguments: Any, **options: Any) -> Any:
        """Evaluates as Keras does, data frames as in `fit`."""
        return super().evaluate(*_plain(x, y), *arguments, **_plain_options(options))

    def predict(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """Predicts as Keras does, data frames as in `fit`."""
        return super().predict(arrays_of(x), *arguments, **options)

    def make_train_function(self, force: bool = False) -> None:
        """Builds the optimizer before a step is traced: a graph keeps its slots' first values."""
        complete = all(layer.built for layer in self._flatten_layers(include_self=False))
        if complete and self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Gives labels and scores `(B,)` a last axis of 1 where the loss is Keras's own.

        Keras's losses take the mean over the last axis, which would be the batch: weights would not
        weigh rows, and each of several replicas would count as all of them.
        """
        ours = isinstance(self.loss, keras.losses.Loss)
        ours = ours and not isinstance(self.loss, _OF_A_FUNCTION)
        if not ours and _rank(y) == _rank(y_pred) == 1:
            y, y_pred = ops.expand_dims(y, -1), ops.expand_dims(y_pred, -1)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds by the first batch of one replica: Keras would average ids and masks over all."""
        if iterator is not None and self._distribute_strategy is not None:
            local = self._distribute_strategy.experimental_local_results
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(lambda x: local(x)[0], next(batches))
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _seed_states(self) -> list[Any]:
        states = (
            v for v in self.non_trainable_variables if v.path.endswith("seed_generator_state")
        )
        return list(states)


class Ranker(RecModel):
    """A model that scores the candidate of each row.

    `call(batch)` maps the spec's tensors to scores `(B,)`, higher is better.
    """

    @abstractmethod
    def call(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns scores `(B,)`, or `(B, C)` when the candidate's features are lists `(B, C)`."""
        raise NotImplementedError


class Retriever(RecModel):
    """A model that maps queries and candidates to vectors apart, so that an index can search them.

    `call(batch)` equals `score(query(batch), candidate(batch))`. `fit` and `evaluate` compare the
    scores of `call` with labels; `predict` returns what `score_pairs` does, so that the rows of
    its answer are those that it was given.
    """

    def score_pairs(self, batch: Batch) -> Tensor:
        """Returns the score of each row's own candidate for its query.

        `s_b = score(query_b, candidate_b)`: no other row, no drawn negative and no correction of
        training is part of it.

        Args:
            batch: Dict of the features' tensors; of the candidate `(B,)`, or lists `(B, C)`.

        Returns:
            Scores `(B,)`; `(B, C)` for lists.

        Example:

        >>> from tfrecs.models import TwoTower
        >>> from tfrecs.spec import Categorical
        >>> spec = FeatureSpec((
        ...     Categorical("user_id", "query", is_id=True, size=10),
        ...     Categorical("item_id", "candidate", is_id=True, size=20),
        ... ))
        >>> batch = {"user_id": ops.array([2, 3, 4]), "item_id": ops.array([5, 6, 7])}
        >>> TwoTower(spec).score_pairs(batch).shape
        TensorShape([3])
        """
        candidate = self.candidate(batch)
        if len(candidate.shape) == 3:
            return self.score(self.query(batch), candidate)
        return self.score(self.query(batch), ops.expand_dims(candidate, 1))[:, 0]  # (B, 1, D)

    def predict_step(self, *arguments: Any) -> Any:
        """Returns `score_pairs` of a batch; JAX passes its state first, and wants it back."""
        *state, data = arguments
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if not state:
            scores = self.score_pairs(batch)
            self.built = True  # as by a call: every weight is there, so the model can be saved
            return scores
        variables = [*self.trainable_variables, *self.non_trainable_variables]
        values = [value for part in state[0] for value in part]
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return self.score_pairs(batch), state[0][1]

    @abstractmethod
    def query(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns query vectors `(B, D)`, from the query's features alone."""
        raise NotImplementedError

    @abstractmethod
    def candidate(self, batch: Batch, training: bool = False) -> Tensor:
        """Returns candidate vectors `(C, D)`; `(B, C, D)` when the features are lists `(B, C)`."""
        raise NotImplementedError

    @abstractmethod
    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Returns scores `(B, C)` of `(B, D)` against `(C, D)` or `(B, C, D)`."""
        raise NotImplementedError


def _plain(x: Any, y: Any) -> tuple[Any, Any]:
    return arrays_of(x), arrays_of(y, "y")


def _plain_options(options: dict[str, Any]) -> dict[str, Any]:
    data = ("sample_weight", "validation_data")
    return {k: arrays_of(v, k) if k in data else v for k, v in options.items()}


def _rank(value: Any) -> int | None:
    return len(value.shape) if hasattr(value, "shape") else None


def _primitive(name: str, value: Any) -> Any:
    """Returns `value` as JSON can hold it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, FeatureSpec):
        return value.to_config()
    if isinstance(value, keras.DTypePolicy):
        return keras.dtype_policies.serialize(value)
    if isinstance(value, (list, tuple)):
        return [_primitive(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _primitive(name, item) for key, item in value.items()}
    remedy = "Pass its name or its numbers, so that the model can be saved."
    raise TypeError(checks.expected(name, "a FeatureSpec or made of primitives", value, remedy))


def _restored(value: Any) -> Any:
    """Returns a FeatureSpec for the config of one."""
    if isinstance(value, dict) and set(value) == {"features"}:
        return FeatureSpec.from_config(value)
    return value
