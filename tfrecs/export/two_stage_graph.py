"""The graph of two stages: query vector, index, then a ranker on a pool of candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.export.catalogue import SCORE, Catalogue
from tfrecs.export.items import Items
from tfrecs.export.padding import Raw, dense
from tfrecs.export.ranker import RankerSignatures
from tfrecs.export.servable import EXAMPLES, Servable, Signatures, trace
from tfrecs.features import FeatureTransform
from tfrecs.features.vocabulary import missing_value
from tfrecs.retrieval.mmr import mmr

FILTER = "filter_"
DIVERSITY = "diversity"
_WIDER = 4  # times as many candidates are looked at where a filter leaves too few


@dataclass(frozen=True)
class Stage:
    """A trained model with its adapted features."""

    model: Any
    transform: FeatureTransform


class TwoStageSignatures:
    """The functions that the SavedModel of two stages offers.

    Args:
        retriever: A Retriever.
        ranker: A Ranker.
        candidates: One row a candidate, in the order of the index.
        catalogue: Ids and display columns.
        k: Number of results of `serving_default`.
        pool: Candidates that the ranker sees, more where `k` is.
        filters: Columns of candidates that a request may filter by.
        diversity: Whether a request may ask for diversity.
    """

    def __init__(
        self,
        retriever: Stage,
        ranker: Stage,
        candidates: pa.Table,
        catalogue: Catalogue,
        *,
        k: int,
        pool: int,
        filters: Sequence[str] = (),
        diversity: bool = False,
    ) -> None:
        self.first = Signatures(retriever.model, retriever.transform, catalogue, k)
        self.second = RankerSignatures(ranker.model, ranker.transform, False)
        self.catalogue, self.diversity = catalogue, diversity
        self.k, self.pool = k, min(pool, candidates.num_rows)
        self.towers = self.first.transform.raw_signature(self.first.candidate_names)
        self.filters = {name: filter_spec(candidates, name) for name in filters}
        specs = {n: s for n, s in self.second.inputs.items() if n in self.second.candidates}
        self.items = Items(candidates, agreed(specs, self.towers if diversity else {}))
        self.labels = Items(candidates, self.filters)  # a feature may read them as another dtype
        read = {n: s for n, s in self.second.inputs.items() if n not in self.second.candidates}
        self.queries = agreed(self.first.transform.raw_signature(self.first.query_names), read)
        self.options = {
            "k": tf.TensorSpec([], tf.int32),
            "exclude": tf.TensorSpec([None, None], self.first.id_dtype),
        }
        for name, spec in self.filters.items():
            self.options[FILTER + name] = tf.TensorSpec([None, None], spec.dtype)
        if diversity:
            self.options[DIVERSITY] = tf.TensorSpec([], tf.float32)

    def trace(self, index: Any) -> dict[str, Any]:
        """Returns the signatures as concrete functions, by name.

        Args:
            index: The `export_module()` to search.
        """
        functions = self.first.trace(index)
        functions["retrieve"] = functions.pop("recommend")
        functions["retrieve_examples"] = functions.pop("recommend_examples")
        functions |= {n: f for n, f in self.second.trace().items() if n != "serving_default"}
        functions["serving_default"] = trace(self.recommend_default, self.queries)
        functions["serving_default_examples"] = trace(
            lambda raw: self.recommend_default(self._parsed(raw)), EXAMPLES
        )
        functions["recommend"] = trace(self.recommend, self.queries | self.options)
        functions["recommend_examples"] = trace(
            lambda raw: self.recommend(raw | self._parsed(raw)), EXAMPLES | self.options
        )
        return functions

    def servable(self, functions: Mapping[str, Any]) -> Servable:
        """Returns what the SavedModel holds, given its signatures."""
        first, second = self.first, self.second
        names = (*first.query_names, *first.candidate_names)
        ranker = Servable({}, second.transform, second.names)
        parts = (first.index, self.catalogue, self.items, self.labels, ranker)
        return Servable(functions, first.transform, names, *parts)

    def recommend_default(self, raw: Raw) -> Raw:
        """Raw query features to the best `self.k` candidates, nothing excluded or filtered."""
        rows = tf.shape(raw[next(iter(self.queries))])[0]
        nothing = {
            name: tf.zeros([rows, 0], spec.dtype)
            for name, spec in self.options.items()
            if len(spec.shape) == 2
        }
        return self.recommend(raw | nothing | {"k": tf.constant(self.k), DIVERSITY: tf.zeros([])})

    def recommend(self, raw: Raw) -> Raw:
        """Raw query features, `k`, what to exclude, filters and diversity to the best `k`."""
        raw = raw | {name: dense(raw[name], spec) for name, spec in self.queries.items()}
        queries = {name: raw[name] for name in self.queries}
        rows = [
            tf.debugging.assert_equal(
                tf.shape(raw[name])[0],
                tf.shape(next(iter(queries.values())))[0],
                message=f"`{name}` must have one row for every query, padded with missing values.",
            )
            for name, spec in self.options.items()
            if len(spec.shape) == 2
        ]
        with tf.control_dependencies(
            [*rows, tf.debugging.assert_positive(raw["k"], message="`k` must be positive.")]
        ):
            k = tf.identity(raw["k"])
        vectors = self.first.query({n: raw[n] for n in self._query_names()})
        excluded = self.catalogue.positions(raw["exclude"])
        positions = self.retrieve(vectors, tf.maximum(k, self.pool), k, excluded, raw)
        scores = self.rank(queries, positions)  # (B, P)
        order = tf.math.top_k(scores, k).indices  # (B, k)
        if self.diversity:
            order = self._diverse(scores, positions, order, k, raw[DIVERSITY])
        best = tf.gather(scores, order, batch_dims=1)
        places = tf.gather(positions, order, batch_dims=1)
        places = tf.ensure_shape(tf.where(best > float("-inf"), places, -1), [None, None])
        return {**self.catalogue.rows(places), SCORE: tf.ensure_shape(best, [None, None])}

    def retrieve(
        self, vectors: tf.Tensor, wanted: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor, raw: Raw
    ) -> tf.Tensor:
        """Returns `wanted` positions a query, `(B, P)`, that the filters allow; -1 where none is.

        The search is widened until `k` are allowed, or all candidates have been looked at.
        """
        scores, positions = self._search(vectors, wanted, excluded)
        if not self.filters:
            return positions
        count = tf.shape(next(iter(self.labels.columns.values())))[0] - 1

        def widened() -> tf.Tensor:
            def lacking(positions: tf.Tensor) -> tf.Tensor:
                allowed = tf.cast(self.allowed(positions, raw), tf.int32)
                return tf.reduce_sum(allowed, axis=1, keepdims=True) < k  # (B, 1)

            def short(size: tf.Tensor, scores: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
                return tf.logical_and(tf.reduce_any(lacking(positions)), size < count)

            def wider(size: tf.Tensor, scores: tf.Tensor, positions: tf.Tensor) -> Any:
                """Only rows that lack results get others: no row's depend on another's filters."""
                size, lacks = tf.minimum(_WIDER * size, count), lacking(positions)
                found, places = self._search(vectors, size, excluded)
                more = [[0, 0], [0, tf.shape(found)[1] - tf.shape(scores)[1]]]
                kept = tf.pad(scores, more, constant_values=float("-inf"))
                stay = tf.pad(positions, more, constant_values=-1)
                return size, tf.where(lacks, found, kept), tf.where(lacks, places, stay)

            free = tf.TensorShape([None, None])
            _, found, places = tf.while_loop(
                *(short, wider, (wanted, scores, positions)),
                shape_invariants=(tf.TensorShape([]), free, free),
            )
            found = tf.where(self.allowed(places, raw), found, float("-inf"))
            best, columns = tf.math.top_k(found, wanted)
            return tf.where(best > float("-inf"), tf.gather(places, columns, batch_dims=1), -1)

        asked = tf.stack([self._asked(name, raw) for name in self.filters])  # (F, B)
        return tf.cond(tf.reduce_any(asked), widened, lambda: positions)

    def _search(self, vectors: tf.Tensor, size: tf.Tensor, excluded: tf.Tensor) -> list[tf.Tensor]:
        found = self.first.index(vectors, size, excluded)
        return [tf.ensure_shape(part, [None, None]) for part in found]  # ScaNN's op does not say

    def allowed(self, positions: tf.Tensor, raw: Raw) -> tf.Tensor:
        """Returns which positions `(B, P)` hold one of the values of every filter that is set."""
        allowed = positions >= 0
        for name in self.filters:
            values = tf.gather(
                self.labels.columns[name], tf.maximum(positions, 0)
            )  # (B, P) or (B, P, T)
            values = values if values.shape.rank == 3 else values[..., tf.newaxis]
            wanted = raw[FILTER + name][:, tf.newaxis, tf.newaxis]  # (B, 1, 1, F)
            missing = missing_value(wanted.dtype.name)
            same = tf.logical_and(values[..., tf.newaxis] == wanted, wanted != missing)
            free = tf.logical_not(self._asked(name, raw))[:, tf.newaxis]
            allowed = tf.logical_and(allowed, tf.reduce_any(same, axis=[2, 3]) | free)
        return allowed

    def rank(self, queries: Raw, positions: tf.Tensor) -> tf.Tensor:
        """Returns the ranker's scores of candidates, `(B, P)`; -inf where a position is -1."""
        size = tf.shape(positions)[1]
        items = self.items.rows(tf.reshape(positions, [-1]))
        pairs = {
            name: items[name]
            if name in self.second.candidates
            else tf.repeat(queries[name], size, axis=0)
            for name in self.second.inputs
        }
        scores = tf.reshape(self.second.score(pairs)[SCORE], tf.shape(positions))
        return tf.where(positions < 0, float("-inf"), scores)

    def _diverse(
        self, scores: tf.Tensor, positions: tf.Tensor, order: tf.Tensor, k: Any, diversity: Any
    ) -> tf.Tensor:
        """Returns columns of the pool ordered for diversity, where any is asked for."""
        sound = tf.debugging.Assert(
            (diversity >= 0) & (diversity <= 1), ["`diversity` must be 0 to 1.", diversity]
        )

        def diverse() -> tf.Tensor:
            rows = self.items.rows(tf.reshape(positions, [-1]))
            vectors = self.first.candidate({name: rows[name] for name in self.towers})
            vectors = tf.reshape(vectors, [*tf.unstack(tf.shape(positions)), vectors.shape[-1]])
            return mmr(scores, vectors, k, diversity)

        with tf.control_dependencies([sound]):
            asked = diversity > 0
        return tf.cond(asked, diverse, lambda: order)

    def _asked(self, name: str, raw: Raw) -> tf.Tensor:
        wanted = raw[FILTER + name]
        return tf.reduce_any(wanted != missing_value(wanted.dtype.name), axis=1)  # (B,)

    def _query_names(self) -> Mapping[str, Any]:
        names: Mapping[str, Any] = self.first.transform.raw_signature(self.first.query_names)
        return names

    def _parsed(self, raw: Raw) -> Raw:
        """Returns the query features of serialized tf.Examples."""
        own = [n for n in self.second.names if n not in self.second.candidates]
        first = self.first.transform.parse_example(raw["examples"], self.first.query_names)
        second = self.second.transform.parse_example(raw["examples"], own)
        specs = self.queries.items()
        parsed = second | first
        return {name: dense(parsed[name], spec) for name, spec in specs}


def agreed(*sides: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    """Returns all raw features; one that two sides declare otherwise is an error."""
    specs: dict[str, tf.TensorSpec] = {}
    for side in sides:
        for name, spec in side.items():
            known = specs.setdefault(name, spec)
            if (known.dtype, known.shape.as_list()) != (spec.dtype, spec.shape.as_list()):
                expectation = f"{known.dtype.name}{known.shape} in both models"
                raise ValueError(
                    checks.expected(name, expectation, f"{spec.dtype.name}{spec.shape}")
                )
    return specs


def filter_spec(candidates: pa.Table, name: str) -> tf.TensorSpec:
    """Returns how a column that requests filter by is kept: strings or integers, or lists."""
    kind = candidates.schema.field(name).type if name in candidates.column_names else None
    lists = kind is not None and (pa.types.is_list(kind) or pa.types.is_large_list(kind))
    value = kind.value_type if kind is not None and lists else kind
    if value is not None and pa.types.is_dictionary(value):
        value = value.value_type
    if value is None or not (
        pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_integer(value)
    ):
        expectation = "columns of the candidates that hold strings, integers or lists of them"
        raise ValueError(checks.expected("filters", expectation, name))
    dtype = tf.int64 if pa.types.is_integer(value) else tf.string
    return tf.TensorSpec([None, None] if lists else [None], dtype)
