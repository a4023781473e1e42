"""A run: one folder that holds a trained model and all that is needed to judge and export it.

run.json           what was trained on what, with which arguments, and the training curve
model.keras        the model
features/          the FeatureTransform
tables/            queries, candidates, train and test events, as Parquet; where there are such,
                   validation and given events, and what users turned down (`disliked`)
report.html        written by `evaluate`
"""

import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs import checks
from tfrecs.datasets import Tables
from tfrecs.evaluation import Results, Split
from tfrecs.evaluation.known import with_disliked
from tfrecs.evaluation.splits import PARTS
from tfrecs.features import FeatureTransform
from tfrecs.files import check_replaceable, written_aside
from tfrecs.recipes import Training, TrainingOptions, recipe
from tfrecs.spec import FeatureSpec


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
        parts = {name: getattr(self.split, name) for name in PARTS}
        return {
            "queries": self.tables.queries,
            "candidates": self.tables.candidates,
            **{name: table for name, table in parts.items() if table is not None},
        }

    def judge(self, ks: tuple[int, ...] = (10, 20, 100), seed: int = 0) -> Results:
        """Judges the model beside what it must beat, as its recipe's task says.

        Args:
            ks: The k of ranking metrics. Defaults to 10, 20 and 100.
            seed: Of what is drawn at random: the random baseline, the bootstrap. Defaults to 0.
        """
        return recipe(self.options.model).task.judge(self, ks, seed)

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
        needed = ("queries", "candidates", "train", "test")
        parts = [n for n in PARTS if n in needed or (folder / f"tables/{n}.parquet").is_file()]
        for name in dict.fromkeys((*needed, *parts)):
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
            split=Split(protocol=known["protocol"], **{name: read[name] for name in parts}),
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
    """Adapts the features, trains a model by its recipe on the training events, saves the run.

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
    check_replaceable("folder", folder, "run.json")
    run = fit(tables, split, folder, options, callbacks=callbacks)
    run.save()
    return run


def fit(
    tables: Tables,
    split: Split,
    folder: str | Path,
    options: TrainingOptions,
    *,
    transform: FeatureTransform | None = None,
    initial: Any = None,
    callbacks: Callable[[int], list[keras.callbacks.Callback]] = lambda steps: [],
) -> Run:
    """Trains as `train` does, and returns the run unsaved.

    Args:
        tables: The data set.
        split: Training and test events.
        folder: Where `save` will put the run.
        options: Model and training arguments.
        transform: The adapted features; `None` adapts them to the training events.
        initial: A compiled model to train further; `None` for a new one.
        callbacks: Given the number of steps of an epoch, returns Keras callbacks.
    """
    start = time.perf_counter()
    chosen = recipe(options.model)
    split = with_disliked(split, tables)
    tables = chosen.prepare(tables, split)
    if transform is None:
        sources = (tables.queries, tables.candidates, split.train)
        transform = FeatureTransform(chosen.features(tables.spec)).adapt(*sources)
    tables = with_labels_of(transform.spec, tables)
    training = Training(chosen.model, transform, split.train, tables, options, callbacks, initial)
    model, history = chosen.fit(training)
    return Run(
        folder=Path(folder),
        dataset=tables.name,
        protocol=split.protocol,
        options=options,
        model=model,
        transform=transform,
        tables=tables,
        split=split,
        history=history,
        seconds=time.perf_counter() - start,
    )


def with_labels_of(spec: FeatureSpec, tables: Tables) -> Tables:
    """Returns the tables, where the model learns from a label without the other labels."""
    if not spec.by_role("label"):
        return tables
    others = {f.name for f in tables.spec.by_role("label")} - set(spec.names)
    kept = [name for name in tables.spec.names if name not in others]
    return replace(tables, spec=tables.spec.select(*kept))
