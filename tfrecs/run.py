"""A run: one folder that holds a trained model and all that is needed to judge and export it.

run.json           what was trained on what, with which arguments, and the training curve
model.keras        the model
features/          the FeatureTransform
tables/            queries, candidates, train and test events, as Parquet
report.html        written by `evaluate`
"""

import json
import logging
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs import checks, losses, models, optimizers
from tfrecs.datasets import Tables
from tfrecs.evaluation import Split
from tfrecs.features import FeatureTransform, from_arrays, log_q
from tfrecs.files import check_replaceable, written_aside
from tfrecs.spec import FeatureSpec

logger = logging.getLogger("tfrecs")

MODELS = ("two_tower", "matrix_factorization")
_LARGEST = 1e15  # a batch of such labels, squared and summed, stays below float32's 3e38


@dataclass(frozen=True)
class TrainingOptions:
    """What the user may set of a training.

    Args:
        model: "two_tower" (what comes next, from positive events) or "matrix_factorization"
            (ratings). Defaults to "two_tower".
        embedding_dim: Width of the vectors. Defaults to 64.
        epochs: Passes over the training events. Defaults to 20.
        batch_size: Events per step; also the number of in-batch candidates. Defaults to 512.
        learning_rate: Of row-sparse Adagrad. Defaults to 0.05.
        temperature: Divides the cosine of "two_tower". Defaults to 0.2.
        seed: Of initial weights and order of events. Defaults to 0.
    """

    model: str = "two_tower"
    embedding_dim: int = 64
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 0.05
    temperature: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        checks.one_of("model", self.model, MODELS)
        for name in ("embedding_dim", "epochs", "batch_size", "learning_rate", "temperature"):
            checks.positive(name, getattr(self, name))


@dataclass(frozen=True)
class Run:
    """A trained model with its features, tables and history; see the module for the folder."""

    folder: Path
    dataset: str
    protocol: str
    options: TrainingOptions
    model: Any
    transform: FeatureTransform
    tables: Tables
    split: Split
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def save(self) -> None:
        """Writes the folder aside and renames it, so that no reader sees half of it."""
        with written_aside(self.folder) as aside:
            (aside / "tables").mkdir(parents=True)
            for name, table in self._tables().items():
                pq.write_table(table, aside / "tables" / f"{name}.parquet")
            self.transform.save(aside / "features")
            self.model.save(aside / "model.keras")
            (aside / "spec.json").write_text(self.tables.spec.to_json())
            (aside / "run.json").write_text(json.dumps(self.describe(), indent=2))

    def _tables(self) -> dict[str, pa.Table]:
        return {
            "queries": self.tables.queries,
            "candidates": self.tables.candidates,
            "train": self.split.train,
            "test": self.split.test,
        }

    def describe(self) -> dict[str, Any]:
        """Returns what `run.json` says."""
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "options": asdict(self.options),
            "seconds": self.seconds,
            "history": self.history,
        }

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Reads a run written by `save`.

        Args:
            folder: The folder, as `tfrecs train --output` named it.

        Raises:
            ValueError: If the folder holds no run, or a file of it is missing or damaged.
        """
        folder = Path(folder)
        if not (folder / "run.json").is_file():
            raise ValueError(
                checks.expected(
                    "run",
                    "a folder written by `tfrecs train`",
                    str(folder),
                    f"Train one: tfrecs train --dataset demo --output {folder}",
                )
            )
        with _reading(folder, "run.json"):
            said = json.loads((folder / "run.json").read_text())
            names = ("dataset", "protocol", "history", "seconds")
            known = {name: said[name] for name in names}
            options = TrainingOptions(**said["options"])
        with _reading(folder, "spec.json"):
            spec = FeatureSpec.from_json((folder / "spec.json").read_text())
        read = {}
        for name in ("queries", "candidates", "train", "test"):
            with _reading(folder, f"tables/{name}.parquet"):
                read[name] = pq.read_table(folder / "tables" / f"{name}.parquet")
        with _reading(folder, "model.keras"):
            model = keras.models.load_model(folder / "model.keras")
        with _reading(folder, "features"):
            transform = FeatureTransform.load(folder / "features")
        return cls(
            folder=folder,
            options=options,
            model=model,
            transform=transform,
            tables=Tables(
                known["dataset"], read["train"], read["queries"], read["candidates"], spec
            ),
            split=Split(train=read["train"], test=read["test"], protocol=known["protocol"]),
            **known,
        )


@contextmanager
def _reading(folder: Path, name: str) -> Iterator[None]:
    """Says which file of a run cannot be read."""
    try:
        yield
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`run` must be a whole folder written by `tfrecs train`. Received: {str(folder)!r}, "
            f"whose {name} is missing or damaged ({type(error).__name__}: {error}). "
            f"Train it again: tfrecs train --output {folder}"
        ) from error


def train(
    tables: Tables,
    split: Split,
    folder: str | Path,
    options: TrainingOptions,
    callbacks: Callable[[int], list[keras.callbacks.Callback]] = lambda steps: [],
) -> Run:
    """Adapts the features, trains a model by `fit` on the training events, and saves the run.

    Args:
        tables: The data set.
        split: Training and test events.
        folder: Where the run goes; a run that is there is replaced, other files are not.
        options: Model and training arguments.
        callbacks: Given the number of steps of an epoch, returns Keras callbacks.

    Returns:
        The run, saved.

    Raises:
        OSError: If `folder` cannot be written; asked before the training, and after it.
        ValueError: If `folder` holds something else than a run, the labels are too large for the
            loss, or the loss does not stay finite.
    """
    start = time.perf_counter()
    check_replaceable("folder", folder, "run.json")
    query_id, candidate_id = tables.spec.query_id.name, tables.spec.candidate_id.name
    names = [query_id, candidate_id]
    if options.model == "matrix_factorization":
        names.append(_label(tables.spec))
        others = [f.name for f in tables.spec.by_role("label") if f.name not in names]
        kept = [name for name in tables.spec.names if name not in others]
        tables = replace(tables, spec=tables.spec.select(*kept))
    spec = tables.spec.select(*names)
    transform = FeatureTransform(spec).adapt(tables.queries, tables.candidates, split.train)
    model, arrays, label = _prepare(transform, split.train, options)
    data = from_arrays(
        arrays,
        min(options.batch_size, split.train.num_rows),
        label=label,
        shuffle=True,
        seed=options.seed,
        drop_remainder=True,
    )
    steps = int(data.cardinality())
    history = model.fit(
        data,
        epochs=options.epochs,
        shuffle=False,  # the dataset shuffles; Keras would warn
        verbose=0,
        callbacks=callbacks(steps),
    ).history
    if not np.isfinite(history["loss"][-1]):
        rate = min(options.learning_rate / 10, 0.05)
        raise ValueError(
            checks.expected(
                "learning_rate",
                "small enough for the loss to stay finite",
                options.learning_rate,
                f"Try --learning-rate {rate:g}"
                + (", or a greater --temperature." if options.temperature < 0.01 else "."),
            )
        )
    if options.model == "two_tower":
        model.set_unknown_query(arrays[query_id])
    run = Run(
        folder=Path(folder),
        dataset=tables.name,
        protocol=split.protocol,
        options=options,
        model=model,
        transform=transform,
        tables=tables,
        split=split,
        history={name: [float(v) for v in values] for name, values in history.items()},
        seconds=time.perf_counter() - start,
    )
    run.save()
    return run


def _label(spec: FeatureSpec) -> str:
    labels = spec.by_role("label")
    if not labels:
        raise ValueError(
            "Model 'matrix_factorization' needs a rating for every event, and the spec has no "
            "feature with role 'label'. Name its column with --label-column, or train --model "
            "two_tower."
        )
    return labels[0].name


def _check_labels(name: str, labels: np.ndarray) -> None:
    """Raises ValueError where the square of a label is no float32."""
    wrong = ~(np.abs(labels) < _LARGEST)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"Column `{name}` must hold labels of at most {_LARGEST:g}, whose squared error is a "
            f"float32. Received: {labels[row]:g} in row {row} of the training events "
            f"({wrong.sum()} such rows). Drop those rows, or scale the column."
        )


def _prepare(
    transform: FeatureTransform, events: pa.Table, options: TrainingOptions
) -> tuple[Any, dict[str, np.ndarray], str]:
    """Returns the compiled model, its training arrays and the name of the label among them."""
    spec = transform.spec
    arrays = transform.encode(events)
    optimizer = optimizers.SparseAdagrad(options.learning_rate, initial_accumulator_value=1e-8)
    if options.model == "matrix_factorization":
        label = _label(spec)
        _check_labels(label, arrays[label])
        factorization = models.MatrixFactorization(
            spec, options.embedding_dim, mean=float(np.mean(arrays[label])), seed=options.seed
        )
        factorization.compile(optimizer=optimizer, loss="mean_squared_error")
        return factorization, arrays, label
    candidate_id = spec.candidate_id.name
    arrays[f"{candidate_id}_log_q"] = log_q(arrays[candidate_id])
    two_tower = models.TwoTower(
        spec, options.embedding_dim, temperature=options.temperature, seed=options.seed
    )
    two_tower.compile(optimizer=optimizer, loss=losses.InBatch(losses.Softmax()))
    return two_tower, arrays, candidate_id
