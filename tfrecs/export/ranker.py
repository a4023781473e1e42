"""`export_ranker`: features and a model that scores rows into a versioned SavedModel."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs.export import gates
from tfrecs.export.catalogue import SCORE
from tfrecs.export.folders import STOCK, label_of, new_versions, unpublished
from tfrecs.export.padding import Raw, read_rows, unmarked
from tfrecs.export.publish import Export, about_model, write_version
from tfrecs.export.requests import Request, Rows, as_examples, ranked, table_rows, with_odd_rows
from tfrecs.export.servable import Servable, features_read, from_examples, trace
from tfrecs.features import FeatureTransform
from tfrecs.features.vocabulary import missing_value
from tfrecs.files import written_aside
from tfrecs.models import Ranker

PROBABILITY = "probability"


def export_ranker(
    model: Ranker,
    transform: FeatureTransform,
    rows: pa.Table,
    directory: str | os.PathLike[str],
    *,
    name: str,
    version: int | None = None,
    probability: bool = False,
    card: Mapping[str, Any] | None = None,
    check: bool = True,
) -> Export:
    """Writes a SavedModel that takes raw rows and answers with scores: see `tfrecs.export`.

    Args:
        model: A Ranker.
        transform: The adapted features.
        rows: Raw rows to check with, such as the first of the test events.
        directory: Folder of all models.
        name: Name of the model, which names its folder.
        version: A positive integer that is not there yet. Defaults to the next.
        probability: Whether scores are logits, so that `sigmoid(score)` is answered too. Defaults
            to `False`.
        card: More for the card, by section: "data", "metrics", "parameters".
        check: Whether to ask the SavedModel in a fresh process, and compare. Defaults to `True`.

    Returns:
        The path of the variant "stock", and the version; the recall is 1.

    Raises:
        OSError, RuntimeError: If the files cannot be written, or answer otherwise than the model;
            nothing is published then. TypeError, ValueError: If an argument is wrong.
    """
    gates.check_arguments(name, model=(model, Ranker), transform=(transform, FeatureTransform))
    folders = new_versions(Path(directory), {STOCK: name}, version)
    folder = folders[STOCK]
    signatures = RankerSignatures(model, transform, probability)
    samples = signatures.samples(rows)
    with unpublished(directory), written_aside(folder) as aside:
        functions = signatures.trace()
        own = label_of(folder, STOCK)
        write_version(
            aside,
            Servable(functions, transform, signatures.names),
            functions,
            transform,
            signatures.requests(samples),
            own | about_model(model, card or {}),
            check,
        )
    return Export(folders, int(folder.name), 1.0)


class RankerSignatures:
    """The functions that the SavedModel of a Ranker offers.

    `rank` is there where the spec has a candidate id: a list of candidates for each query.

    Args:
        model: A Ranker.
        transform: The adapted features.
        probability: Whether to answer `sigmoid(score)` too.
    """

    def __init__(self, model: Any, transform: FeatureTransform, probability: bool) -> None:
        self.model = model
        self.transform = transform
        self.probability = probability
        self.names = features_read(
            lambda batch: model(batch), transform, "query", "candidate", "context", "time"
        )
        self.inputs = transform.raw_signature(self.names)
        ids = [f for f in transform.spec.by_role("candidate") if getattr(f, "is_id", False)]
        self.id_name = ids[0].name if ids else ""
        listed = transform.raw_signature([self.id_name]) if self.id_name else {}
        spec = transform.spec
        self.candidates = listed | {
            name: kind for name, kind in self.inputs.items() if spec[name].role == "candidate"
        }

    def trace(self) -> dict[str, Any]:
        """Returns the signatures as concrete functions, by name."""
        examples = {"examples": tf.TensorSpec([None], tf.string)}
        functions = {
            "serving_default": trace(self.score, self.inputs),
            "score": trace(self.score, self.inputs),
            "score_examples": trace(
                from_examples(self.score, self.transform, self.names), examples
            ),
        }
        if self.id_name:
            lists = {
                n: tf.TensorSpec([None, *t.shape], t.dtype) for n, t in self.candidates.items()
            }
            functions["rank"] = trace(self.rank, self.inputs | lists)
        return functions

    def score(self, raw: Raw) -> Raw:
        """Raw rows to scores `(B,)`."""
        rows = read_rows(raw, self.inputs, self.transform)
        return self._answer(self.model(self.transform(rows, self.names)))

    def _answer(self, scores: tf.Tensor) -> Raw:
        answer = {SCORE: tf.cast(scores, tf.float32)}
        return answer | ({PROBABILITY: tf.sigmoid(answer[SCORE])} if self.probability else {})

    def rank(self, raw: Raw) -> Raw:
        """Raw query features and lists of candidates `(B, C)` to these, best first.

        Candidates with the missing id come last, with score -inf.
        """
        ids = raw[self.id_name]
        size = tf.shape(ids)[1]
        flat = {
            name: tf.reshape(raw[name], tf.concat([[-1], tf.shape(raw[name])[2:]], axis=0))
            if name in self.candidates
            else tf.repeat(raw[name], size, axis=0)
            for name in self.inputs
        }
        scores = tf.reshape(self.score(flat)[SCORE], tf.shape(ids))
        missing = tf.equal(ids, missing_value(ids.dtype.name))
        scores, order = tf.math.top_k(tf.where(missing, float("-inf"), scores), size)
        return {self.id_name: tf.gather(ids, order, batch_dims=1), SCORE: scores}

    def samples(self, rows: pa.Table) -> Rows:
        """Returns rows to try the model on, one of unknown and one of missing values at the end."""
        read = self.inputs | self.candidates
        return with_odd_rows(table_rows("rows", rows, read), read)

    def requests(self, rows: Rows) -> list[Request]:
        """Returns a request to every signature, with the answer of the Python path."""
        read = {name: rows[name] for name in self.inputs}
        expected = {key: np.asarray(value) for key, value in self._python_path(read).items()}
        requests = [Request("serving_default", read, expected), Request("score", read, expected)]
        requests.append(as_examples(requests[1], self.inputs))
        return [*requests, self._rank_request(rows)] if self.id_name else requests

    def _python_path(self, rows: Rows) -> Raw:
        tensors = {n: tf.constant(rows[n], spec.dtype) for n, spec in self.inputs.items()}
        rows = unmarked(tensors, self.transform)
        return self._answer(self.model(self.transform(rows, self.names)))

    def _rank_request(self, rows: Rows) -> Request:
        """Three candidates for every query."""
        count = len(next(iter(rows.values())))
        chosen = (np.arange(count)[:, None] + np.arange(3)) % count  # (B, 3)
        lists = {n: [[rows[n][i] for i in row] for row in chosen] for n in self.candidates}
        pairs = {
            name: [rows[name][i] for i in chosen.ravel()]
            if name in self.candidates
            else [value for value in rows[name] for _ in range(3)]
            for name in self.inputs
        }
        scores = np.asarray(self._python_path(pairs)[SCORE]).reshape(chosen.shape)
        queries = {name: rows[name] for name in self.inputs if name not in self.candidates}
        return Request("rank", queries | lists, ranked(self.id_name, lists, scores))
