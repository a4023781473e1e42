"""FeatureTransform: raw rows to what models read, the same in training and in serving."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.arrow import as_table
from tfrecs.features import encoding, graph
from tfrecs.features import raw as raw_tensors
from tfrecs.features.adapting import learn
from tfrecs.features.learned import Learned, id_dtype
from tfrecs.features.vocabulary import Vocabulary
from tfrecs.spec import (
    BINNED,
    Attributes,
    Cross,
    Feature,
    FeatureSpec,
    Numeric,
    Timestamp,
    Vector,
    batch_keys,
)


class FeatureTransform(tf.Module):
    """Turns raw rows into model tensors: vocabularies, numbers, tokens, crosses.

    It learns from tables once (`adapt`), then does the same in three places: in `Dataset.map` and
    inside a SavedModel as one graph (`__call__`), and on Arrow tables (`encode`).

    | value | id features | Numeric | Sequence, set, text |
    | --- | --- | --- | --- |
    | missing (null; "", -1 or NaN in tensors) | 0 | the mean, bin 0 or 0.5 | 0, mask `False` |
    | unknown, or rarer than `min_count` | 1 | | 1 |
    | infinite | | error in tables, missing in tensors | the same |
    | not UTF-8 | error in `adapt`, else unknown | | the same; in a text U+FFFD |

    Args:
        spec: The features.

    Example:

    >>> from tfrecs.spec import Categorical
    >>> spec = FeatureSpec((Categorical("country"), Numeric("age", normalize="standard")))
    >>> table = pa.table({"country": ["nl", "nl", "be", None], "age": [20.0, 40.0, 30.0, None]})
    >>> transform = FeatureTransform(spec).adapt(table)
    >>> transform.vocabulary("country").tolist(), transform.spec["country"].size
    (['nl', 'be'], 4)
    >>> batch = transform({"country": ["be", "fr", ""], "age": [30.0, 40.0, float("nan")]})
    >>> batch["country"].numpy().tolist(), batch["age"].numpy().round(4).tolist()
    ([3, 1, 0], [0.0, 1.22..., 0.0])
    """

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__(name="feature_transform")
        if not isinstance(spec, FeatureSpec):
            raise TypeError(checks.expected("spec", "a FeatureSpec", spec))
        self._given = spec
        self._learned: Learned | None = None
        self._tables: list[Any] = []  # tracked, so that a SavedModel carries them

    def __repr__(self) -> str:
        """Whether it has learned from tables, and its features."""
        if self._learned is None:
            return f"FeatureTransform, not adapted yet: call adapt(tables), by a {self._given}"
        return f"FeatureTransform, adapted, by a {self.spec}"

    def adapt(self, *sources: Any) -> "FeatureTransform":
        """Learns every feature in one pass over the sources, and forgets what it knew.

        A feature learns from every source that has its column; one that shares another's
        vocabulary teaches it nothing. Vocabularies and counts take memory by distinct value, the
        rest a fixed amount. The result does not depend on how rows are cut into batches.

        Args:
            sources: Each a `pa.Table`, `pa.RecordBatchReader`, `tf.data.Dataset` of raw dicts, or
                iterable of dicts of arrays.

        Returns:
            The transform itself.

        Raises:
            ValueError: If a column is in no source, has no rows or holds a value without a place.
            TypeError: If a column is of another type than the spec says.
        """
        self._set(learn(self._given, sources))
        return self

    def _set(self, learned: Learned) -> None:
        self._learned = learned
        self._tables = list(learned.lookups.values())

    @property
    def learned(self) -> Learned:
        """What adapting learned."""
        if self._learned is None:
            raise RuntimeError("FeatureTransform is not adapted. Call `adapt(table)` first.")
        return self._learned

    @property
    def spec(self) -> FeatureSpec:
        """The features, `size` filled in."""
        return self.learned.spec

    def vocabulary(self, name: str) -> np.ndarray:
        """Returns the values of a feature; the one at place `i` has id `i + 2`.

        Of Attributes these are the tokens; the keys are those of `<name>_keys`.
        """
        lookup = self.learned.lookup(self._with_ids(name))
        if not isinstance(lookup, Vocabulary):
            raise ValueError(checks.expected("name", "a feature that is not hashed", name))
        return np.asarray(lookup.values.to_numpy(zero_copy_only=False))

    def counts(self, name: str) -> np.ndarray:
        """Returns how often `adapt` saw each id of a feature: int64 `(size,)`.

        Place 0 counts missing values, place 1 those left out of the vocabulary.
        """
        return self.learned.counts[self.learned.owner(self._with_ids(name))]

    def _with_ids(self, name: str) -> Feature:
        feature = self.learned.feature(name)
        if not _has_ids(feature):
            raise ValueError(checks.expected("name", "a feature with a vocabulary", name))
        return feature

    def _select(self, features: Iterable[str] | None) -> list[Feature]:
        if features is None:
            return list(self.spec)
        return [self.spec[name] for name in features]

    def _inputs(self, features: Iterable[str] | None) -> list[Feature]:
        """Returns the features that have a raw input.

        A Cross stands for its parts, an aligned list also for the one it is aligned with.
        """
        found: dict[str, Feature] = {}
        for feature in self._select(features):
            aligned = (self.spec.leader(feature.name).name, feature.name)
            for name in feature.features if isinstance(feature, Cross) else aligned:
                found[name] = self.spec[name]
        return list(found.values())

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and it is slow to look
    def __call__(
        self, raw: dict[str, Any], features: Iterable[str] | None = None
    ) -> dict[str, tf.Tensor]:
        """Transforms a batch, in any graph.

        Args:
            raw: Tensors by column name: dense, ragged for lists, or without a batch axis for a
                single row, which comes back as a batch of one.
            features: Names of the features wanted; `None` for all. Other keys are ignored.

        Returns:
            Model tensors by feature name, and `<name>_mask` for lists and texts.

        Raises:
            ValueError: If a key is missing, or a tensor has another shape.
            TypeError: If a tensor has another dtype.
        """
        wanted = self._select(features)
        inputs = self._inputs(features)
        names = [feature.name for feature in inputs]
        lacking = [name for name in names if name not in raw]
        if lacking:
            remedy = f"Missing: {', '.join(lacking)}."
            raise ValueError(checks.expected("raw", f"a dict with {names}", sorted(raw), remedy))
        batch: dict[str, tf.Tensor] = {}
        for feature in inputs:
            batch |= self._call_one(feature, raw)
        return _crossed(wanted, batch, graph.cross)

    def _call_one(self, feature: Feature, raw: dict[str, Any]) -> dict[str, tf.Tensor]:
        learned, value = self.learned, raw[feature.name]
        if isinstance(feature, Attributes):
            return graph.attributes(feature, value, *learned.pair_lookups(feature))
        other = self.spec.leader(feature.name)
        leader = None if other is feature else (other, raw[other.name])
        if _has_ids(feature):
            return graph.ids(feature, value, learned.lookup(feature), leader)
        if isinstance(feature, Vector):
            several = feature.max_count is not None
            return graph.vectors(feature, value) if several else graph.vector(feature, value)
        if isinstance(feature, Timestamp):
            return graph.timestamp(feature, value)
        if not isinstance(feature, Numeric):
            return graph.floats(feature, value, leader)
        if feature.normalize in BINNED:
            return graph.quantile(feature, value, learned.boundaries[feature.name])
        if feature.normalize == "cdf":
            return graph.shares(feature, value, learned.boundaries[feature.name])
        return graph.standard(feature, value, *learned.moments.get(feature.name, (0.0, 1.0)))

    def encode(
        self, table: pa.Table, features: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Transforms an Arrow table: the same as `__call__`, faster, lists padded to the longest.

        Args:
            table: The rows: Arrow, pandas, polars, DuckDB, or a dict of arrays.
            features: Names of the features wanted; `None` for all.

        Returns:
            Model arrays by feature name, and `<name>_mask` for lists and texts.

        Raises:
            ValueError: If a column is missing, or a number infinite.
            TypeError: If a column is of another type.
        """
        table = as_table("table", table)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = pool.map(lambda f: self._encode_one(f, table), self._inputs(features))
            batch = {key: value for part in parts for key, value in part.items()}
        return _crossed(self._select(features), batch, encoding.cross)

    def _encode_one(self, feature: Feature, table: pa.Table) -> dict[str, np.ndarray]:
        learned = self.learned
        if isinstance(feature, Attributes):
            return encoding.attributes(feature, table, *learned.pair_lookups(feature))
        leader = self.spec.leader(feature.name)
        if _has_ids(feature):
            return encoding.ids(feature, table, learned.lookup(feature), leader)
        if isinstance(feature, Vector) and feature.max_count is not None:
            return encoding.vectors(feature, table)
        if isinstance(feature, Vector | Timestamp):
            return encoding.whole(feature, table)
        if not isinstance(feature, Numeric):
            return encoding.floats(feature, table, leader)
        if feature.normalize in BINNED:
            return encoding.quantile(feature, table, learned.boundaries[feature.name])
        if feature.normalize == "cdf":
            return encoding.shares(feature, table, learned.boundaries[feature.name])
        moments = learned.moments.get(feature.name, (0.0, 1.0))
        return encoding.standard(feature, table, *moments)

    def raw_signature(self, features: Iterable[str] | None = None) -> dict[str, tf.TensorSpec]:
        """Returns the dense inputs of a serving signature, by column name."""
        return {f.name: raw_tensors.raw_spec(f) for f in self._inputs(features)}

    def example_features(self, features: Iterable[str] | None = None) -> dict[str, Any]:
        """Returns how `tf.io.parse_example` reads the raw features.

        Several vectors and pairs come flat from it; `parse_example` takes them apart.
        """
        return {f.name: raw_tensors.parsing_spec(f) for f in self._inputs(features)}

    def parse_example(
        self, serialized: tf.Tensor, features: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Parses serialized tf.Examples, string `(B,)`, into a raw dict."""
        return raw_tensors.parse(tf.reshape(serialized, [-1]), self._inputs(features))

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes spec.json, a text file a vocabulary and numbers.npz; whole or not at all."""
        self.learned.save(Path(directory))

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "FeatureTransform":
        """Reads what `save` wrote."""
        learned = Learned.load(Path(directory))
        transform = cls(learned.spec)
        transform._set(learned)
        return transform


def _has_ids(feature: Feature) -> bool:
    kinds = ("categorical", "multi_categorical", "sequence", "text", "attributes")
    return feature.kind in kinds and id_dtype(feature) != "float32"


def _crossed(
    wanted: list[Feature], batch: dict[str, Any], cross: Callable[[Cross, list[Any]], Any]
) -> dict[str, Any]:
    """Adds the crosses and leaves out the parts that nobody asked for."""
    out: dict[str, Any] = {}
    for feature in wanted:
        if isinstance(feature, Cross):
            out |= cross(feature, [batch[name] for name in feature.features])
        else:
            out |= {key: batch[key] for key in batch_keys(feature)}
    return out
