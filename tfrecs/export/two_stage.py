"""`export_two_stage`: retriever, index and ranker in one versioned SavedModel."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.export import gates
from tfrecs.export.catalogue import SCORE, Catalogue
from tfrecs.export.folders import STOCK, opened, unpublished, variant_folders
from tfrecs.export.padding import unmarked
from tfrecs.export.publish import Export, about_model, write_version
from tfrecs.export.requests import (
    MISSING,
    NUM_ODD_ROWS,
    PythonPath,
    Request,
    Rows,
    as_examples,
    decoded,
    sample_rows,
    table_rows,
    with_odd_rows,
)
from tfrecs.export.two_stage_graph import DIVERSITY, FILTER, Stage, TwoStageSignatures, agreed
from tfrecs.features import FeatureTransform
from tfrecs.models import Ranker, Retriever
from tfrecs.retrieval import Index


def export_two_stage(
    retriever: Stage,
    index: Index,
    ranker: Stage,
    candidates: pa.Table,
    queries: pa.Table,
    directory: str | os.PathLike[str],
    *,
    name: str,
    version: int | None = None,
    k: int = 10,
    pool: int = 100,
    filters: Sequence[str] = (),
    diversity: bool = False,
    display: Sequence[str] = ("title",),
    card: Mapping[str, Any] | None = None,
    min_recall: float = 0.9,
    check: bool = True,
) -> Export:
    """Writes SavedModels that retrieve a pool of candidates and rank it: one request, one graph.

    The candidates' raw features are in the graph, so a request brings the query's alone:

    | signature | inputs | outputs |
    | --- | --- | --- |
    | `serving_default` | query features | ids, `score` and display columns, `(B, k)` |
    | `recommend` | also `k`; `exclude` `(B, E)`; `filter_<column>` `(B, F)`; `diversity` | same |
    | `retrieve` | the retriever's `recommend` | the same, by its scores |
    | `score`, `rank` | the ranker's, for features of candidates that the client brings | |
    | `encode_query`, `encode_candidate` | the retriever's | `embedding` |

    A filter keeps the candidates that have one of its values; a row of missing values filters
    nothing. The search is widened until `k` are left. `diversity`, 0 to 1, is the weight of
    difference in maximal marginal relevance. A `k` above `pool` has that many ranked.

    Args:
        retriever: A Retriever with its features.
        index: Index of the retriever's candidate vectors.
        ranker: A Ranker with its features.
        candidates: One row a candidate, with what both models read.
        queries: Raw query rows to check with, with what both models read.
        directory: Folder of all models.
        name: Name of the model, which names its folder.
        version: A positive integer that is not there yet. Defaults to the next.
        k: Number of results of `serving_default`. Defaults to 10.
        pool: Candidates that the ranker sees. Defaults to 100.
        filters: Columns of `candidates` to filter by. Defaults to none.
        diversity: Whether requests may ask for diversity. Defaults to `False`.
        display: Columns of `candidates` to return beside the ids. Defaults to `("title",)`.
        card: More for the card, by section: "data", "metrics", "parameters".
        min_recall: Least recall of the index against exact search. Defaults to 0.9.
        check: Whether to ask the SavedModels in a fresh process, and compare. Defaults to `True`.

    Returns:
        Paths by variant ("scann", "stock"), version and recall.

    Raises:
        OSError, RuntimeError: If the files cannot be written, or answer otherwise than the models;
            nothing is published then. TypeError, ValueError: If an argument is wrong.
    """
    _check_arguments(name, retriever, ranker, index, k, pool)
    folders = variant_folders(Path(directory), name, index, version)
    options: dict[str, Any] = {"k": k, "pool": pool, "filters": filters, "diversity": diversity}
    with tempfile.TemporaryDirectory() as scratch, unpublished(directory), ExitStack() as asides:
        id_name = retriever.transform.spec.candidate_id.name
        table = gates.in_order_of(index, candidates, id_name)
        shown = Catalogue(table, id_name, display, Path(scratch))
        signatures = TwoStageSignatures(retriever, ranker, table, shown, **options)
        names = signatures.first.candidate_names
        exact = gates.exact_twin(retriever.model, retriever.transform, index, table, names)
        path = TwoStagePath(signatures, table, queries)
        vectors = path.vectors(exact)
        recall = gates.check_index(retriever.model, index, exact, vectors, min_recall)
        said = _said(retriever, ranker, index, recall, options, card or {})
        for variant in opened(folders, index, exact, asides):
            functions = signatures.trace(variant.index.export_module())
            write_version(
                variant.folder,
                signatures.servable(functions),
                functions,
                retriever.transform,
                path.requests(variant.index),
                variant.label | said,
                check,
            )
    return Export(folders, int(folders[STOCK].name), recall)


def _check_arguments(
    name: str, retriever: Stage, ranker: Stage, index: Index, k: int, pool: int
) -> None:
    for stage, kind in ((retriever, Retriever), (ranker, Ranker)):
        gates.check_arguments(
            name,
            **{kind.__name__.lower(): (stage.model, kind)},
            transform=(stage.transform, FeatureTransform),
        )
    gates.check_k(k, index)
    checks.positive("pool", pool)


def _said(
    retriever: Stage,
    ranker: Stage,
    index: Index,
    recall: float,
    options: Mapping[str, Any],
    card: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the sections of the card that both variants share, the caller's among them."""
    kind = type(index).__name__
    return {
        **about_model(ranker.model, card),
        "retriever": {"class": type(retriever.model).__name__},
        "two stages": {name: str(value) for name, value in options.items()},
        "index": {"kind": kind, "candidates": index.num_candidates, "recall": recall},
    }


class TwoStagePath:
    """Both models as training sees them, one after the other in Python: what must be answered.

    Args:
        signatures: The models and what they read.
        candidates: One row a candidate, in the order of the index.
        queries: Raw query rows.
    """

    def __init__(
        self, signatures: TwoStageSignatures, candidates: pa.Table, queries: pa.Table
    ) -> None:
        self.signatures, self.candidates = signatures, candidates
        first = signatures.first
        specs = signatures.queries
        self.rows = with_odd_rows(table_rows("queries", queries, specs), specs)
        self.towers, _ = sample_rows(first, queries, candidates)

    def vectors(self, index: Index) -> np.ndarray:
        """Returns the retriever's vectors of the queries that were given."""
        vectors: np.ndarray = PythonPath(self.signatures.first, index).query(self.towers)
        return vectors[:-NUM_ODD_ROWS]

    def requests(self, index: Index) -> list[Request]:
        """Returns requests with their answers, by the index that the graph searches."""
        signatures = self.signatures
        count = len(next(iter(self.rows.values())))
        fewer = max(1, min(signatures.k, index.num_candidates - 1))
        best = self._answer(index, signatures.k, None)
        exclude = [[row[0]] for row in best[signatures.first.id_name].tolist()]
        options: Rows = {"k": fewer, "exclude": exclude}
        for name, spec in signatures.filters.items():
            options[FILTER + name] = [[MISSING[spec.dtype.name]]] * count
        if signatures.diversity:
            options[DIVERSITY] = 0.0
        recommend = Request(
            "recommend", self.rows | options, self._answer(index, fewer, np.array(exclude))
        )
        requests = [Request("serving_default", self.rows, best), recommend]
        requests += [as_examples(request, signatures.queries) for request in [*requests]]
        if signatures.diversity:  # for the warm-up
            requests.append(Request("recommend", recommend.inputs | {DIVERSITY: 0.3}))
        return requests

    def _answer(self, index: Index, k: int, exclude: Any) -> dict[str, np.ndarray]:
        signatures = self.signatures
        vectors = PythonPath(signatures.first, index).query(self.towers)
        _, ids = index(vectors, max(k, signatures.pool), exclude)
        places = {value: place for place, value in enumerate(index.ids.tolist())}
        found = decoded(ids).ravel().tolist()
        positions = np.array([places.get(value, -1) for value in found]).reshape(ids.shape)
        scores = self._scores(positions)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(scores, order, 1)
        positions = np.take_along_axis(positions, order, 1)
        missing = MISSING["int64" if index.ids.dtype == np.int64 else "string"]
        known = np.append(index.ids, np.array([missing], index.ids.dtype))
        return {
            signatures.first.id_name: known[np.where(np.isfinite(scores), positions, -1)],
            SCORE: scores,
        }

    def _scores(self, positions: np.ndarray) -> np.ndarray:
        """Returns the ranker's scores, each pair a row of a table that is encoded as for fit."""
        second = self.signatures.second
        rows = self.candidates.take(pa.array(np.maximum(positions, 0).ravel()))
        size = positions.shape[1]
        pairs: Rows = {}
        for name, spec in agreed(second.inputs).items():
            if name in second.candidates:
                pairs[name] = self._candidate_values(rows, name, spec)
            else:
                pairs[name] = [value for value in self.rows[name] for _ in range(size)]
        tensors = {n: tf.constant(pairs[n], spec.dtype) for n, spec in second.inputs.items()}
        rows = unmarked(tensors, second.transform)
        scores = second.model(second.transform(rows, second.names))
        scores = np.asarray(scores, np.float32).reshape(positions.shape)
        return np.where(positions < 0, -np.inf, scores)

    @staticmethod
    def _candidate_values(rows: pa.Table, name: str, spec: tf.TensorSpec) -> Any:
        missing = MISSING[spec.dtype.name]
        values = rows[name].to_pylist()
        if len(spec.shape) == 1:
            return [missing if value is None else value for value in values]
        width = spec.shape[1] or max((len(v or []) for v in values), default=0)
        return [([*(v or [])] + [missing] * width)[:width] for v in values]
