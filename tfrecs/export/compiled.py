"""`export_compiled`: a retriever whose graph XLA compiles from encoded features to the best k."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.export import gates
from tfrecs.export.catalogue import SCORE, Catalogue
from tfrecs.export.folders import STOCK, label_of, new_versions, unpublished
from tfrecs.export.padding import Raw, read_rows, unmarked
from tfrecs.export.publish import Export, about_model, write_version
from tfrecs.export.requests import Request, decoded, table_rows, with_odd_rows
from tfrecs.export.servable import Servable, features_read, trace
from tfrecs.features import FeatureTransform
from tfrecs.files import written_aside
from tfrecs.models import Retriever
from tfrecs.retrieval import Exact
from tfrecs.retrieval.exact import search_block

POSITION = "position"


def export_compiled(
    model: Retriever,
    transform: FeatureTransform,
    index: Exact,
    candidates: pa.Table,
    queries: pa.Table,
    directory: str | os.PathLike[str],
    *,
    name: str,
    version: int | None = None,
    k: int = 10,
    display: Sequence[str] = ("title",),
    card: Mapping[str, Any] | None = None,
    check: bool = True,
) -> Export:
    """Writes a SavedModel for GPU and TPU: strings on the host, all else one XLA program.

    | signature | inputs | outputs |
    | --- | --- | --- |
    | `serving_default` | raw query features | ids, `score` and display columns, `(B, k)` |
    | `recommend_encoded` | what the transform makes of them | `position`, `score`, `(B, k)` |

    The compiled part is query tower, product with all candidates and top-k, by `jit_compile=True`:
    an operation that XLA does not know is an error when it is written. XLA compiles once for
    each batch size, so let the server fill batches up to a few sizes (`allowed_batch_sizes`).

    Args:
        model: A Retriever.
        transform: The adapted features.
        index: Exact index of the model's candidate vectors.
        candidates: One row a candidate.
        queries: Raw query rows to check with.
        directory: Folder of all models.
        name: Name of the model, which names its folder.
        version: A positive integer that is not there yet. Defaults to the next.
        k: Number of results, fixed: XLA's shapes are. Defaults to 10.
        display: Columns of `candidates` to return beside the ids. Defaults to `("title",)`.
        card: More for the card, by section.
        check: Whether to ask the SavedModel in a fresh process, and compare. Defaults to `True`.

    Returns:
        The path of the variant "stock", and the version; the recall is 1.

    Raises:
        OSError, RuntimeError: If the files cannot be written, or answer otherwise than the model;
            nothing is published then. TypeError, ValueError: If an argument is wrong.
    """
    gates.check_arguments(
        name,
        model=(model, Retriever),
        transform=(transform, FeatureTransform),
        index=(index, Exact),
    )
    gates.check_k(k, index)
    folders = new_versions(Path(directory), {STOCK: name}, version)
    folder = folders[STOCK]
    with tempfile.TemporaryDirectory() as scratch, unpublished(directory):
        id_name = transform.spec.candidate_id.name
        table = gates.in_order_of(index, candidates, id_name)
        shown = Catalogue(table, id_name, display, Path(scratch))
        signatures = CompiledSignatures(model, transform, index, shown, k)
        rows = with_odd_rows(table_rows("queries", queries, signatures.raw), signatures.raw)
        with written_aside(folder) as aside:
            functions = signatures.trace()
            own = label_of(folder, STOCK)
            write_version(
                aside,
                Servable(functions, transform, signatures.names, shown),
                functions,
                transform,
                [signatures.request(rows, id_name)],
                own | about_model(model, card or {}),
                check,
            )
    return Export(folders, int(folder.name), 1.0)


class CompiledSignatures:
    """The functions that the SavedModel offers.

    Args:
        model: A Retriever.
        transform: The adapted features.
        index: Exact index of the candidate vectors.
        catalogue: Ids and display columns.
        k: Number of results.
    """

    def __init__(
        self, model: Any, transform: FeatureTransform, index: Exact, catalogue: Catalogue, k: int
    ) -> None:
        self.model, self.transform, self.index = model, transform, index
        self.catalogue, self.k = catalogue, k
        self.table = index.export_module().table
        self.names = features_read(model.query, transform, "query", "context")
        self.raw = transform.raw_signature(self.names)
        encode = tf.function(self.encode, input_signature=[self.raw], autograph=False)
        encoded = encode.get_concrete_function().structured_outputs
        for key, tensor in encoded.items():
            if tensor.dtype == tf.string:
                expectation = "made of numbers after the transform, for XLA"
                raise ValueError(checks.expected(key, expectation, "string"))
        self.encoded = {n: tf.TensorSpec(t.shape, t.dtype) for n, t in encoded.items()}
        self.compiled = tf.function(
            self.search, input_signature=[self.encoded], jit_compile=True, autograph=False
        )

    def trace(self) -> dict[str, Any]:
        """Returns the signatures as concrete functions, by name."""
        sample = {
            name: tf.zeros([size or 1 for size in spec.shape], spec.dtype)
            for name, spec in self.encoded.items()
        }
        self.compiled(sample)  # XLA says here what it cannot compile
        return {
            "serving_default": trace(self.recommend, self.raw),
            "recommend_encoded": trace(self.recommend_encoded, self.encoded),
        }

    def encode(self, raw: Raw) -> Raw:
        """Raw query features to the model's batch: strings end here."""
        batch: Raw = self.transform(read_rows(raw, self.raw, self.transform), self.names)
        return batch

    def search(self, batch: Raw) -> tuple[tf.Tensor, tf.Tensor]:
        """The model's batch to scores and positions, `(B, k)`: the compiled part."""
        vectors = tf.cast(self.model.query(batch), tf.float32)
        return search_block(self.table, vectors, k=self.k, similarity=self.index.similarity)

    def recommend_encoded(self, batch: Raw) -> Raw:
        """The model's batch to positions in the catalogue and scores."""
        scores, positions = self.compiled(batch)
        return {POSITION: positions, SCORE: scores}

    def recommend(self, raw: Raw) -> Raw:
        """Raw query features to ids, display columns and scores."""
        scores, positions = self.compiled(self.encode(raw))
        return {**self.catalogue.rows(positions), SCORE: scores}

    def request(self, rows: Any, id_name: str) -> Request:
        """Returns a request with the answer of the Python path."""
        tensors = {n: tf.constant(rows[n], spec.dtype) for n, spec in self.raw.items()}
        batch = self.transform(unmarked(tensors, self.transform), self.names)
        vectors = self.model.query(batch)
        scores, ids = self.index(vectors, self.k)
        return Request("serving_default", rows, {id_name: decoded(ids), SCORE: np.asarray(scores)})
