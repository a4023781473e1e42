"""What must hold before an export: arguments, and an index that agrees with the model."""

import re
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks, retrieval
from tfrecs.features import FeatureTransform
from tfrecs.models import Retriever
from tfrecs.retrieval import Exact, Index

_BATCH = 8192  # candidates encoded at a time
# scores of normalised vectors differ by more than one rounding
_SCORE_TOLERANCE = 1e-4


def check_arguments(name: str, **arguments: tuple[Any, type]) -> None:
    """Raises TypeError or ValueError if an argument of an export is none.

    Args:
        name: Name of the served model.
        **arguments: Other arguments by name, each with the class that it must be of.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            f"Export needs the TensorFlow backend. Received: {backend!r}. Save the model to a "
            ".keras file, start Python with KERAS_BACKEND=tensorflow, load it and export there."
        )
    for argument, (value, kind) in arguments.items():
        if not isinstance(value, kind):
            raise TypeError(checks.expected(argument, f"a {kind.__name__}", value))
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name.isdigit():
        expectation = "letters, digits, '_', '-' and '.', not a number: it names a folder"
        raise ValueError(checks.expected("name", expectation, name))


def check_k(k: int, index: Index) -> None:
    """Raises ValueError unless `k` is a number of results that the index has."""
    if isinstance(k, bool) or not 1 <= k <= index.num_candidates:
        expectation = f"between 1 and the {index.num_candidates} candidates of the index"
        raise ValueError(checks.expected("k", expectation, k))


def in_order_of(index: Index, candidates: pa.Table, id_name: str) -> pa.Table:
    """Returns the rows of `candidates` that the index holds, in its order.

    Raises:
        ValueError: If an id is there twice, or one of the index is not there.
    """
    if id_name not in candidates.column_names:
        expectation = f"a table with the column {id_name!r}"
        raise ValueError(checks.expected("candidates", expectation, candidates.column_names))
    integers = index.ids.dtype == np.int64
    kind = pa.int64() if integers else pa.large_string()
    ids = candidates[id_name].cast(kind).combine_chunks()
    counts = ids.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        expectation = "one row a candidate"
        raise ValueError(
            checks.expected("candidates", expectation, f"{id_name} {twice[0]['values']} twice")
        )
    wanted = pa.array(index.ids.tolist(), kind)
    rows = pc.index_in(wanted, value_set=ids)
    if rows.null_count:
        absent = wanted.filter(pc.is_null(rows))
        remedy = "Rebuild the index from these candidates, or give the table it was built from."
        raise ValueError(
            checks.expected(
                "candidates",
                "a table with every id of the index",
                f"none of id {absent[0].as_py()!r} and {len(absent) - 1} more",
                remedy,
            )
        )
    return candidates.take(rows)


def exact_twin(
    model: Retriever, transform: FeatureTransform, index: Index, table: pa.Table, names: Any
) -> Exact:
    """Returns an exact index over the vectors that the model gives now.

    Args:
        model: The model.
        transform: The adapted features.
        index: The index to be replaced.
        table: The candidates in its order.
        names: Features that the model reads of a candidate.
    """
    batch = transform.encode(table, names)
    vectors = [
        keras.ops.convert_to_numpy(
            model.candidate({key: value[start : start + _BATCH] for key, value in batch.items()})
        )
        for start in range(0, table.num_rows, _BATCH)
    ]
    twin: Exact = Exact(k=index.k, similarity=index.similarity).index(
        np.concatenate(vectors).astype(np.float32), index.ids
    )
    if twin.dim != index.dim:
        raise ValueError(
            checks.expected("index", f"of the model's {twin.dim} dimensions", index.dim)
        )
    return twin


def check_index(
    model: Retriever, index: Index, exact: Exact, queries: Any, min_recall: float
) -> float:
    """Returns the recall of an index, at its own k, against exact search.

    Args:
        model: The model.
        index: The index.
        exact: The exact index over the model's vectors.
        queries: `(B, D)` vectors of sample queries.
        min_recall: Least recall.

    Raises:
        ValueError: If its scores are not the model's, or its recall is below `min_recall`.
    """
    scores, positions = exact.search(queries, min(10, exact.num_candidates))
    best = exact.vectors[keras.ops.convert_to_numpy(positions)]
    wanted = model.score(queries, keras.ops.convert_to_tensor(best))
    got, wanted = (keras.ops.convert_to_numpy(values) for values in (scores, wanted))
    if not np.allclose(got, wanted, _SCORE_TOLERANCE, _SCORE_TOLERANCE):
        place = np.unravel_index(np.argmax(np.abs(got - wanted)), got.shape)
        raise ValueError(
            checks.expected(
                "index",
                f"of a similarity that gives the model's scores, such as {wanted[place]:.6g}",
                f"{got[place]:.6g} with similarity={exact.similarity!r}",
                f"Build it with another of {retrieval.base.SIMILARITIES}.",
            )
        )
    k = min(index.k, exact.num_candidates)
    recall = float(retrieval.recall_at_k(index, exact, keras.ops.convert_to_numpy(queries), k))
    if not recall >= min_recall:
        raise ValueError(
            f"recall@{k} of `index` against exact search over the model's vectors is "
            f"{recall:.3f}, below min_recall={min_recall}. Was it built before the model's last "
            "training? Rebuild it, for a higher recall if need be, or lower min_recall."
        )
    return recall
