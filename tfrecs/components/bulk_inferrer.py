"""BulkInferrer: recommendations for a table of users, and items alike, as Parquet."""

import functools
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from tfrecs import checks, retrieval
from tfrecs.components import examples as io
from tfrecs.components import sources
from tfrecs.components.artifacts import Examples, InferenceResult, ModelBlessing, RetrievalIndex
from tfrecs.components.component import Component, Output
from tfrecs.components.driver import drive
from tfrecs.components.index_builder import VECTORS
from tfrecs.features.arrow import layouts, parts, tensors
from tfrecs.features.raw import taken_apart

_ROWS = 8_192  # users asked at a time
_MISSING: dict[str, Any] = {"string": "", "int64": -1, "float32": float("nan")}
Part = Path | sources.Piece


def bulk_inferrer(
    index: RetrievalIndex,
    result: Output[InferenceResult],
    examples: Examples | None = None,
    blessing: ModelBlessing | None = None,
    *,
    source: str | None = None,
    k: int = 10,
    similar_items: bool = False,
    runner: str = "local",
    beam_options: list[str] = [],  # noqa: B006 read alone
) -> None:
    """Recommendations for a table of users, and items alike, as Parquet.

    A row is a user's id, a rank from 1 on, an item's id and its score. Of a Ranker, the rows of
    the table with their scores.

    Args:
        index: SavedModels; the one of TensorFlow's own operations is asked.
        result: `recommendations-*.parquet`; `similar_items.parquet`.
        examples: Users, all splits; or `source`.
        blessing: A model that is not blessed is refused.
        source: Users: CSV, TSV, Parquet or JSON lines, as ExampleGen reads them.
        k: Items a user. Defaults to 10.
        similar_items: Whether to write the `k` nearest items of each item, too.
        runner: "local" or "beam". Defaults to "local".
        beam_options: Options of the Beam pipeline.
    """
    if blessing is not None and not blessing.properties["blessed"]:
        reasons = "; ".join(blessing.properties["reasons"])
        raise ValueError(f"The model is not blessed: {reasons}.")
    if (examples is None) == (source is None):
        raise ValueError(checks.expected("examples", "given, or else `source`", source))
    found: list[Part]
    columns = None
    if examples is not None:
        columns = io.read_columns(examples)
        found = [path for split in io.splits(examples) for path in io.shards(examples, split)]
        size = sum(path.stat().st_size for path in found if isinstance(path, Path))
    else:
        found = list(sources.pieces(str(source), 1_000_000))
        size = sum(piece.size for piece in found if isinstance(piece, sources.Piece))
    result.path.mkdir(exist_ok=True)
    work = partial(
        _infer,
        parts=found,
        model=str(index.path / index.properties["variants"]["stock"]),
        folder=result.uri,
        k=k,
        columns=columns,
    )
    numbers = range(len(found))
    rows = drive(work, numbers, runner, beam_options, size=size, scratch=result.path)
    result.properties |= {"rows": sum(rows), "k": k}
    if similar_items:
        table = nearest_items(index, k)
        pq.write_table(table, result.path / "similar_items.parquet")


BulkInferrer = Component(
    bulk_inferrer,
    files=lambda given: sources.inputs(given["source"]) if given["source"] else [],
    places=("source",),
)


@functools.lru_cache(maxsize=1)
def _loaded(model: str) -> Any:
    return tf.saved_model.load(model)


def _infer(number: int, parts: list[Part], model: str, folder: str, k: int, columns: Any) -> int:
    """Writes the recommendations of a part and returns how many rows there are."""
    part = parts[number]
    batches = io.read_shard(part, columns, _ROWS) if isinstance(part, Path) else part.read(_ROWS)
    path = Path(folder) / f"recommendations-{number:05d}-of-{len(parts):05d}.parquet"
    rows, writer = 0, None
    try:
        for batch in batches:
            answer = infer(_loaded(model), io.normalised(batch), k)
            if writer is None:
                writer = pq.ParquetWriter(path, answer.schema)
            writer.write_table(answer)
            rows += answer.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def infer(model: Any, users: pa.Table, k: int) -> pa.Table:
    """Returns what a loaded SavedModel answers to a batch of rows."""
    retrieves = "recommend" in model.signatures
    function = model.signatures["recommend" if retrieves else "serving_default"]
    inputs = dict(function.structured_input_signature[1])
    wanted = [name for name in inputs if name not in ("k", "exclude")]
    for name in wanted:
        checks.one_of(f"column that the model reads ({name})", name, users.column_names)
    laid = layouts(users.select(wanted).schema)
    arrays = [tf.constant(array) for array in parts(users, laid)]
    batch = tensors(laid, arrays)
    given = {name: _dense(batch[name], inputs[name]) for name in wanted}
    if not retrieves:
        answers = function(**given)
        scores = {name: pa.array(value.numpy()) for name, value in answers.items()}
        kept = {name: users[name] for name in users.column_names}
        return pa.table(kept | scores)
    given["k"] = tf.constant(k, tf.int32)
    given["exclude"] = tf.zeros([users.num_rows, 0], inputs["exclude"].dtype)
    answers = {name: value.numpy() for name, value in function(**given).items()}
    ranks = np.tile(np.arange(1, k + 1, dtype=np.int32), users.num_rows)
    own = np.repeat(np.arange(users.num_rows), k)
    columns = {name: users[name].take(pa.array(own)) for name in wanted[:1]}
    columns["rank"] = pa.array(ranks)
    for name, value in answers.items():
        flat = value.reshape(-1)
        texts = flat.dtype == object
        columns[name] = pa.array(flat, pa.binary()).cast(pa.string()) if texts else pa.array(flat)
    return pa.table(columns)


def _dense(tensor: Any, spec: tf.TensorSpec) -> tf.Tensor:
    if isinstance(tensor, tf.RaggedTensor):
        if len(spec.shape) == 3:  # vectors or pairs, of which tf.Examples have the values
            tensor = taken_apart(spec.name, tensor, spec.shape[2])
        tensor = tensor.to_tensor(_MISSING[spec.dtype.name])
    return tf.cast(tensor, spec.dtype) if tensor.dtype != spec.dtype else tensor


def nearest_items(index: RetrievalIndex, k: int) -> pa.Table:
    """Returns the `k` nearest items of each item: item, rank, neighbour and score.

    Raises:
        ValueError: If the export has no index, as that of a Ranker.
    """
    if not (index.path / "index").is_dir():
        raise ValueError(checks.expected("index", "of a Retriever", index.properties["name"]))
    saved = retrieval.load(index.path / "index")
    vectors, ids = np.load(index.path / VECTORS), np.asarray(saved.ids)
    k = min(k, len(ids) - 1)
    tables = []
    for start in range(0, len(ids), _ROWS):
        own = np.arange(start, min(start + _ROWS, len(ids)))
        found = saved.search(vectors[own], k + 1)
        scores, places = (keras.ops.convert_to_numpy(part) for part in found)
        others = places != own[:, None]
        others &= np.cumsum(others, axis=1) <= k
        rows, ranks = np.nonzero(others)[0], np.cumsum(others, axis=1)[others]
        columns = {"item": ids[own[rows]], "rank": ranks.astype(np.int32)}
        columns |= {"neighbour": ids[places[others]], "score": scores[others]}
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)
