"""Sample requests with the answers that the Python path gives to them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.export.catalogue import SCORE
from tfrecs.export.padding import unmarked
from tfrecs.export.servable import EMBEDDING, Signatures
from tfrecs.features import FeatureTransform, nested
from tfrecs.retrieval import Index
from tfrecs.spec import Attributes

Rows = dict[str, Any]  # lists of raw values by column, themselves lists padded to one length
_SAMPLES = 256
NUM_ODD_ROWS = 2  # at the end of sample rows: unknown values, missing values
MISSING: dict[str, Any] = {"string": "", "int64": -1, "float32": float("nan")}
UNKNOWN: dict[str, Any] = {"string": "\N{SNOWMAN} in no vocabulary", "int64": -7, "float32": 0.5}


@dataclass(frozen=True)
class Request:
    """A request to a signature.

    Args:
        signature: Its name.
        inputs: Nested lists by name; serialized tf.Examples as bytes.
        expected: What the Python path answers, by output name; empty in a request that is only
            an example.
    """

    signature: str
    inputs: Rows
    expected: dict[str, np.ndarray] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Returns the request as TF Serving's REST interface takes it."""
        inputs = {
            name: [{"b64": base64.b64encode(v).decode()} for v in value]
            if name == "examples"
            else value
            for name, value in self.inputs.items()
        }
        return {"signature_name": self.signature, "inputs": inputs}


def sample_rows(
    signatures: Signatures, queries: pa.Table | None, candidates: pa.Table
) -> tuple[Rows, Rows]:
    """Returns rows to try a model on: known ones, one of unknown and one of missing values.

    Args:
        signatures: Says what the model reads.
        queries: Rows of queries; `None` makes them of the vocabularies.
        candidates: Rows of candidates.

    Returns:
        Query rows and candidate rows.
    """
    transform = signatures.transform
    query = transform.raw_signature(signatures.query_names)
    names = (*signatures.candidate_names, signatures.id_name)
    candidate = transform.raw_signature(names)
    if queries is None:
        known = _vocabulary_rows(transform, query)
    else:
        known = table_rows("queries", queries, query)
    shown = table_rows("candidates", candidates, candidate)
    return with_odd_rows(known, query), with_odd_rows(shown, candidate)


def table_rows(argument: str, table: pa.Table, specs: Mapping[str, tf.TensorSpec]) -> Rows:
    """Returns the first rows of a table."""
    rows = {}
    for name, spec in specs.items():
        if name not in table.column_names:
            expectation = f"a table with the column {name!r}, which the model reads"
            raise ValueError(checks.expected(argument, expectation, table.column_names))
        column = table[name].slice(0, _SAMPLES)
        kind = spec.dtype.name
        if len(spec.shape) == 3:
            lists = nested.rows_of(column, name, spec.shape[2], kind, MISSING[kind])
            rows[name] = _filled(lists, spec)
            continue
        if pa.types.is_temporal(column.type):
            column = column.cast(pa.int64())
        rows[name] = _filled(column.to_pylist(), spec)
    return rows


def _vocabulary_rows(transform: FeatureTransform, specs: Mapping[str, tf.TensorSpec]) -> Rows:
    rows = {}
    for name, spec in specs.items():
        values = [MISSING[spec.dtype.name]]
        if transform.spec.owner(name).name in transform.learned.counts:
            values = transform.vocabulary(name)[:_SAMPLES].tolist() or values
        known = [values[row % len(values)] for row in range(_SAMPLES)]
        if len(spec.shape) == 3:
            feature, width = transform.spec[name], spec.shape[2]
            if isinstance(feature, Attributes):
                keys = transform.vocabulary(feature.key_feature.name).tolist() or [""]
                pairs = [[[keys[row % len(keys)], known[row]]] for row in range(_SAMPLES)]
                rows[name] = _filled(pairs, spec)
            else:
                rows[name] = _filled([[[value] * width] for value in known], spec)
            continue
        rows[name] = known if len(spec.shape) == 1 else _filled([[v] for v in known], spec)
    return rows


def with_odd_rows(rows: Rows, specs: Mapping[str, tf.TensorSpec]) -> Rows:
    """Adds a row of unknown and one of missing values."""
    more = {}
    for name, spec in specs.items():
        odd = [UNKNOWN[spec.dtype.name], MISSING[spec.dtype.name]]
        if len(spec.shape) == 3:
            odd = [[[value] * spec.shape[2]] for value in odd]
        elif len(spec.shape) > 1:
            odd = [[value] * (spec.shape[1] or 1) for value in odd]
        more[name] = _filled(rows[name] + odd, spec)
    return more


def _filled(values: list[Any], spec: tf.TensorSpec) -> list[Any]:
    missing = MISSING[spec.dtype.name]
    if len(spec.shape) == 1:
        return [missing if value is None else value for value in values]
    if len(spec.shape) == 3:
        most = max(map(len, values), default=0)
        nothing = [[missing] * spec.shape[2]]
        return [row + nothing * (most - len(row)) for row in values]
    lists = [[missing if v is None else v for v in value or []] for value in values]
    width = spec.shape[1] or max(map(len, lists), default=0)
    return [(row + [missing] * width)[:width] for row in lists]


def to_example(rows: Rows, row: int, specs: Mapping[str, tf.TensorSpec]) -> bytes:
    """Serializes one row as a tf.Example; missing values at the end are left out."""
    features = {}
    for name, spec in specs.items():
        value = rows[name][row]
        values = list(value) if isinstance(value, list) else [value]
        if all(_is_missing(value, spec) for value in values):
            continue
        while spec.shape[1:2] == [None] and _is_missing(values[-1], spec):
            values.pop()
        if len(spec.shape) == 3:
            values = [value for inner in values for value in inner]
        if spec.dtype == tf.string:
            texts = tf.train.BytesList(value=[text.encode() for text in values])
            features[name] = tf.train.Feature(bytes_list=texts)
        elif spec.dtype.is_integer:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))  # its features are a map


def _is_missing(value: Any, spec: tf.TensorSpec) -> bool:
    if isinstance(value, list):
        return all(_is_missing(inner, spec) for inner in value)
    if spec.dtype.is_floating:
        return bool(value != value)  # -1 is a number like others
    return bool(value == MISSING[spec.dtype.name])


class PythonPath:
    """The model as training sees it: features, towers and index called one after the other.

    Args:
        signatures: Names of what the model reads, and the model itself.
        index: The index to search.
    """

    def __init__(self, signatures: Signatures, index: Index) -> None:
        self.model, self.transform = signatures.model, signatures.transform
        self.query_names = signatures.query_names
        self.candidate_names = signatures.candidate_names
        self.id_name, self.k, self.index = signatures.id_name, signatures.k, index
        self.states = signatures.states

    def query(self, rows: Rows) -> Any:
        """Returns query vectors `(B, D)`."""
        return self.model.query(self.transform(self._tensors(rows), self.query_names))

    def candidate(self, rows: Rows) -> Any:
        """Returns candidate vectors `(B, D)`."""
        return self.model.candidate(self.transform(self._tensors(rows), self.candidate_names))

    def _tensors(self, rows: Rows) -> dict[str, tf.Tensor]:
        names = (*self.query_names, *self.candidate_names, self.id_name)
        specs = self.transform.raw_signature(names)
        tensors = {name: tf.constant(v, specs[name].dtype) for name, v in rows.items()}
        return unmarked(tensors, self.transform)

    def requests(self, queries: Rows, candidates: Rows) -> list[Request]:
        """Returns a request to every signature, with its answer."""
        vectors, targets = self.query(queries), self.candidate(candidates)
        best = self._answer(vectors, self.k, None)
        unknown = UNKNOWN["string" if best[self.id_name].dtype == object else "int64"]
        fewer = max(1, min(self.k, self.index.num_candidates - 1))
        exclude = [[row[0], unknown] for row in best[self.id_name].tolist()]
        options: dict[str, Any] = {"k": fewer, "exclude": exclude}
        read = self.transform.raw_signature(self.candidate_names)
        features = {name: candidates[name] for name in read}
        count = min(len(vectors), len(targets))
        pairs = {name: values[:count] for name, values in (queries | features).items()}
        scores = self.model.score(vectors[:count], targets[:count, tf.newaxis])[:, 0]
        specs = self.transform.raw_signature((*self.query_names, *self.candidate_names))
        with_examples = [
            Request("recommend", queries | options, self._answer(vectors, fewer, exclude)),
            Request("encode_query", queries, {EMBEDDING: np.asarray(vectors)}),
            Request("encode_candidate", features, {EMBEDDING: np.asarray(targets)}),
            Request("score", pairs, {SCORE: np.asarray(scores)}),
        ]
        return [
            Request("serving_default", queries, best),
            *with_examples,
            as_examples(Request("serving_default", queries, best), specs),
            *(as_examples(request, specs) for request in with_examples),
            self._rank(queries, candidates, vectors, targets),
            *self._advance(candidates),
        ]

    def _advance(self, candidates: Rows) -> list[Request]:
        """An event each, from states of ones."""
        if not self.states:
            return []
        event = {self.id_name: candidates[self.id_name]}
        ids = self.transform(self._tensors(event), [self.id_name])[self.id_name]
        before = {n: np.ones((len(ids), dim), np.float32) for n, dim in self.states.items()}
        vectors, states = self.model.advance(ids, list(before.values()))
        after = {n: np.asarray(state) for n, state in zip(before, states, strict=True)}
        inputs = event | {name: state.tolist() for name, state in before.items()}
        return [Request("advance", inputs, self._answer(vectors, self.k, None) | after)]

    def _rank(self, queries: Rows, candidates: Rows, vectors: Any, targets: Any) -> Request:
        """Three candidates for every query."""
        chosen = (np.arange(len(vectors))[:, None] + np.arange(3)) % len(targets)  # (B, 3)
        lists = {n: [[v[i] for i in row] for row in chosen] for n, v in candidates.items()}
        scores = np.asarray(self.model.score(vectors, tf.gather(targets, chosen)))
        return Request("rank", queries | lists, ranked(self.id_name, lists, scores))

    def _answer(self, vectors: Any, k: int, exclude: Any) -> dict[str, np.ndarray]:
        scores, ids = self.index(vectors, k, exclude)
        return {self.id_name: decoded(ids), SCORE: np.asarray(scores)}


def decoded(ids: Any) -> np.ndarray:
    """Returns the ids that an index answers as NumPy, bytes as text."""
    found: np.ndarray = np.asarray(ids)
    if found.dtype != object:
        return found
    return np.array([value.decode() for value in found.ravel()], object).reshape(found.shape)


def ranked(id_name: str, lists: Rows, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Returns lists of candidates `(B, C)` and their scores, best first, missing ids last."""
    ids = np.array(lists[id_name])
    missing = ids == MISSING["int64" if ids.dtype.kind == "i" else "string"]
    scores = np.where(missing, -np.inf, scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    return {
        id_name: np.take_along_axis(ids, order, 1).astype(object),
        SCORE: np.take_along_axis(scores, order, 1).astype(np.float32),
    }


def as_examples(request: Request, specs: Mapping[str, tf.TensorSpec]) -> Request:
    """Returns the request with its features as serialized tf.Examples."""
    specs = {name: spec for name, spec in specs.items() if name in request.inputs}
    count = len(next(request.inputs[name] for name in specs))
    examples: Rows = {"examples": [to_example(request.inputs, r, specs) for r in range(count)]}
    rest = {name: v for name, v in request.inputs.items() if name not in specs}
    return Request(f"{request.signature}_examples", examples | rest, request.expected)


def first_row(request: Request) -> Request:
    """Returns the request for its first row alone."""
    inputs = {n: v[:1] if isinstance(v, list) else v for n, v in request.inputs.items()}
    return Request(request.signature, inputs)
