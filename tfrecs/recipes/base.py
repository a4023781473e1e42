"""What a recipe is: how a model of the zoo is trained from tables, and how it is judged."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.datasets import Tables
from tfrecs.datasets.trials import PART
from tfrecs.evaluation import Results, Split, splits
from tfrecs.evaluation.sessions import by_session_start
from tfrecs.features import FeatureTransform, from_arrays
from tfrecs.models import RecModel
from tfrecs.spec import FeatureSpec

PROTOCOLS = ("auto", "leave-last-out", "time", "random")
History = dict[str, list[float]]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `log` searches orders of magnitude alike."""

    low: float
    high: float
    log: bool = True


Space = Mapping[str, Range | tuple[Any, ...]]  # by name of an option or of a model's argument
SPACE: Space = {"learning_rate": Range(1e-3, 0.5), "embedding_dim": (16, 32, 64, 128)}


@dataclass(frozen=True)
class TrainingOptions:
    """What the user may set of a training; a recipe has defaults for all (`Recipe.options`).

    Args:
        model: Name of the model, as `tfrecs models` lists it.
        embedding_dim: Width of the vectors. Defaults to 64.
        epochs: Passes over the training events. Defaults to 20.
        batch_size: Events per step. Defaults to 512.
        learning_rate: Of the recipe's optimizer. Defaults to 0.05.
        seed: Of initial weights and order of events. Defaults to 0.
        arguments: More arguments of the model's constructor, by name. Defaults to none.
    """

    model: str
    embedding_dim: int = 64
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 0.05
    seed: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("embedding_dim", "epochs", "batch_size", "learning_rate"):
            checks.positive(name, getattr(self, name))


@dataclass(frozen=True)
class Training:
    """What the `fit` of a recipe is given.

    Args:
        model: The model's class.
        transform: The features of `Recipe.features`, adapted.
        events: The training events.
        tables: The data set.
        options: What the user set.
        callbacks: Given the number of steps of an epoch, returns Keras callbacks.
        initial: A compiled model to train further, or `None` for a new one.
    """

    model: type[RecModel]
    transform: FeatureTransform
    events: pa.Table
    tables: Tables
    options: TrainingOptions
    callbacks: Callable[[int], list[keras.callbacks.Callback]]
    initial: RecModel | None = None

    def build(self, **arguments: Any) -> Any:
        """Returns a new model: `arguments`, over them what the user set."""
        options = self.options
        arguments = {"seed": options.seed, **arguments, **options.arguments}
        if "embedding_dim" in inspect.signature(self.model).parameters:
            arguments["embedding_dim"] = options.embedding_dim
        return self.model(self.transform.spec, **arguments)

    def fit(self, model: RecModel, arrays: dict[str, np.ndarray], label: str) -> History:
        """Fits a compiled model to arrays in memory, shuffled anew in each epoch.

        Raises:
            ValueError: If the loss does not stay finite.
        """
        options = self.options
        data = from_arrays(
            arrays,
            min(options.batch_size, self.events.num_rows),
            label=label,
            shuffle=True,
            seed=options.seed,
            drop_remainder=True,
        )
        return self.fit_data(model, data, steps=int(data.cardinality()))

    def fit_data(self, model: RecModel, data: Any, steps: int) -> History:
        """Fits a compiled model to a `tf.data.Dataset` of `steps` steps an epoch, in its order.

        Raises:
            ValueError: If the loss does not stay finite.
        """
        history = model.fit(
            data,
            epochs=self.options.epochs,
            shuffle=False,  # the dataset shuffles; Keras would warn
            verbose=0,
            callbacks=self.callbacks(steps),
        ).history
        rate = self.options.learning_rate
        if not np.isfinite(history["loss"][-1]):
            remedy = f"Try --learning-rate {min(rate / 10, 0.05):g}."
            raise ValueError(
                checks.expected(
                    "learning_rate", "small enough for the loss to stay finite", rate, remedy
                )
            )
        return {name: [float(v) for v in values] for name, values in history.items()}


class Trained(Protocol):
    """A trained model with its features and data: what a task judges."""

    @property
    def model(self) -> Any: ...
    @property
    def transform(self) -> FeatureTransform: ...
    @property
    def tables(self) -> Tables: ...
    @property
    def split(self) -> Split: ...
    @property
    def options(self) -> TrainingOptions: ...


@dataclass(frozen=True)
class Task:
    """What kind of events models learn from, and what they are judged by.

    Args:
        name: Shown beside the model, as "next item".
        events: Given the tables, the events that models of this task learn from.
        judge: Given what was trained, the k of the metrics and a seed, returns the leaderboard.
        ordered: Whether the last event of a user is what is predicted, where events carry times.
        sessions: Whether the events of a query belong together: "time" and "random" then choose
            whole queries, by their first event, and "auto" is "time" where events carry times.
        logits: Whether scores are logits, whose sigmoid is a probability.
        ids: Whether events need a user id and an item id.
        repeats: Whether what a query had before is ranked as well: a song is heard again.
    """

    name: str
    events: Callable[[Tables], pa.Table]
    judge: Callable[[Trained, tuple[int, ...], int], Results]
    ordered: bool = False
    sessions: bool = False
    logits: bool = False
    ids: bool = True
    repeats: bool = False

    def split(self, tables: Tables, protocol: str = "auto", seed: int = 0) -> Split:
        """Splits the events that a model of this task learns from.

        Test events of their own (`read_tables(test_events=...)`) are the test, by any protocol.

        Args:
            tables: The data set.
            protocol: "leave-last-out", "time" or "random"; "auto" is "leave-last-out" for an
                ordered task where events carry times, "time" for one of sessions, else "random".
            seed: Of the random split. Defaults to 0.

        Raises:
            ValueError: Another protocol, or events without the ids that the task needs.
        """
        checks.one_of("protocol", protocol, PROTOCOLS)
        if self.ids and len(tables.spec.ids) < 2:
            raise ValueError(
                checks.expected(
                    "tables",
                    f"events with a user id and an item id, of which the {self.name} is learnt",
                    ", ".join(tables.spec.names),
                    "Name them: --user-column, --item-column (user, item of read_tables); or take "
                    "a model that learns clicks of impressions without ids: --model deepfm.",
                )
            )
        events = self.events(tables)
        if PART in events.column_names:
            return _of_parts(events)
        if protocol == "auto":
            last = "time" if self.sessions else "leave-last-out"
            timed = tables.spec.by_role("time") and (self.ordered or self.sessions)
            protocol = last if timed else "random"
        if protocol == "leave-last-out":
            return splits.leave_last_out(events, tables.spec)
        if protocol == "time":
            by_time = by_session_start if self.sessions else splits.by_time
            return by_time(events, tables.spec, fraction=0.1)
        if self.sessions:
            return splits.by_user(events, tables.spec, fraction=0.1, seed=seed)
        return splits.random(events, fraction=0.1, seed=seed)


def _of_parts(events: pa.Table) -> Split:
    """Returns the split of events that say themselves what they are for: train, given, test."""
    parts = {
        part: events.filter(pc.equal(events[PART], part)).drop_columns([PART])
        for part in ("train", "test", "given")
    }
    given = parts["given"] if parts["given"].num_rows else None
    return Split(parts["train"], parts["test"], "test events of their own file", given=given)


@dataclass(frozen=True)
class Recipe:
    """How one model is trained from tables.

    Args:
        model: The model's class; its module names it on the command line.
        task: What it learns from and is judged by.
        features: Given the tables' spec, the spec of the features that the model uses, with the
            label where there is one.
        fit: Compiles and trains; returns the model and the history of its losses.
        defaults: Values of `TrainingOptions` other than its own defaults.
        prepare: Given the tables and their split, the tables that `features` and `fit` are given:
            what can be known of a query or candidate from training events. Defaults to no change.
        space: What `tfrecs tune` searches, by name of an option or of an argument of the model.
    """

    model: type[RecModel]
    task: Task
    features: Callable[[FeatureSpec], FeatureSpec]
    fit: Callable[[Training], tuple[RecModel, History]]
    defaults: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Tables, Split], Tables] = lambda tables, split: tables
    space: Space = field(default_factory=lambda: SPACE)

    @property
    def name(self) -> str:
        """The model's name on the command line."""
        return self.model.__module__.rsplit(".", 1)[-1]

    @property
    def about(self) -> str:
        """The first line of the model's docstring."""
        return (self.model.__doc__ or "").strip().splitlines()[0]

    def options(self, **given: Any) -> TrainingOptions:
        """Returns the options of a training: the defaults, over them what is given.

        Args:
            **given: Fields of `TrainingOptions`; `None` is the default.

        Raises:
            ValueError: If `arguments` has a name that the model's constructor has not.
        """
        options = TrainingOptions(self.name, **self.defaults)
        options = replace(options, **{k: v for k, v in given.items() if v is not None})
        own = {"spec", "seed", "embedding_dim", "kwargs"}
        names = [name for name in inspect.signature(self.model).parameters if name not in own]
        for name in options.arguments:
            checks.one_of(f"argument of {self.name}", name, names)
        return options
