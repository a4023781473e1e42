"""A run's page, `report.html`, and what TensorBoard shows of it, in the folder `tensorboard`."""

import csv
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs.evaluation import (
    ItemMap,
    ModelRecommender,
    Results,
    find_examples,
    map_items,
    summarize,
    write_report,
)
from tfrecs.files import written_aside
from tfrecs.models import Retriever
from tfrecs.quickstart import Indexed, candidate_vectors
from tfrecs.recipes import recipe
from tfrecs.run import Run

LOGS = "tensorboard"
MOST_POINTS = 10_000  # that TensorBoard's projector draws
_CONFIG = """embeddings {
  tensor_name: "items"
  tensor_path: "vectors.tsv"
  metadata_path: "items.tsv"
}
"""


@contextmanager
def tensorboard_logs(folder: Path) -> Iterator[Path]:
    """Gives a folder for TensorBoard's logs of a training whose run is to be in `folder`.

    It stands beside `folder` while the training goes on, and in it when the run has been saved. A
    training that fails leaves no logs.

    Args:
        folder: Where the run will be.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.{LOGS}-", dir=folder.parent) as logs:
        yield Path(logs)
        with written_aside(folder / LOGS) as aside:
            shutil.copytree(logs, aside)


class Curves(keras.callbacks.Callback):
    """Writes what each epoch logs, for TensorBoard.

    Keras's own callback asks for the learning rate of an optimizer; a model that is solved in
    closed form has none.

    Args:
        folder: Where TensorBoard looks.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with self.writer.as_default(epoch):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)

    def on_train_end(self, logs: Any = None) -> None:
        self.writer.close()


def write_projector(folder: Path, vectors: np.ndarray, items: pa.Table, seed: int = 0) -> None:
    """Writes vectors with titles and columns of text for TensorBoard's projector.

    `tensorboard --logdir FOLDER` then shows them under "Projector". Of more than 10,000 items as
    many are drawn.

    Args:
        folder: Where TensorBoard looks.
        vectors: `(C, D)` float.
        items: Their rows `(C,)`, in the same order.
        seed: Of the draw. Defaults to 0.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:MOST_POINTS])
    plain = (pa.types.is_string, pa.types.is_integer)
    columns = [f.name for f in items.schema if any(is_type(f.type) for is_type in plain)]
    table = items.select(columns).take(pa.array(rows))
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "items.tsv", "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(
            file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\"
        )
        if len(columns) > 1:  # TensorBoard takes the line of names for an item where there is one
            lines.writerow(columns)
        for row in zip(*(table[name].to_pylist() for name in columns), strict=True):
            lines.writerow([" ".join(str(value).split())[:100] for value in row])
    np.savetxt(folder / "vectors.tsv", vectors[rows], fmt="%.6g", delimiter="\t")
    (folder / "projector_config.pbtxt").write_text(_CONFIG)


def write_page(
    run: Run, results: Results, indexed: Indexed | None = None, exported: Any = None
) -> Path:
    """Writes `report.html` into the run's folder, and of a Retriever the projector's files.

    Args:
        run: A saved run.
        results: Its leaderboard.
        indexed: Its index; `None` for none.
        exported: The export; `None` for none.

    Returns:
        The page's path.
    """
    tables, split = run.tables, run.split
    examples = []
    if len(tables.spec.ids) == 2:  # impressions without ids are of nobody
        recommender = ModelRecommender(run.model, run.transform, tables.candidates)
        examples = find_examples(
            recommender,
            split,
            tables,
            seen="none" if recipe(run.options.model).task.repeats else "train",
        )
    item_map: ItemMap | None = None
    vectors = candidate_vectors(run) if isinstance(run.model, Retriever) else None
    if vectors is not None:
        item_map = map_items(vectors, tables)
    index = None
    if indexed is not None:
        index = {"kind": indexed.kind, f"recall@{indexed.k}": round(indexed.recall, 4)}
        index |= {"why it is exact": indexed.why} if indexed.why else {}
    paths = {} if exported is None else exported.paths
    page = write_report(
        run.folder / "report.html",
        title=f"{run.options.model} on {run.dataset}",
        summary=summarize(tables, split),
        results=results,
        history=run.history,
        examples=examples,
        index=index,
        recall_curve=() if indexed is None else indexed.curve,
        item_map=item_map,
        export={variant: str(path) for variant, path in paths.items()} or None,
    )
    if vectors is not None:
        write_projector(run.folder / LOGS, vectors, tables.candidates)
    return page
