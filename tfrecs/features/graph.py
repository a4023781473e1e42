"""Raw tensors to model tensors: one small function a kind, TensorFlow ops only."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.layout import dense_tensor
from tfrecs.features.text import tokenize
from tfrecs.features.vocabulary import Lookup, hash_ids, is_missing, missing_value
from tfrecs.spec import NUM_RESERVED_IDS, PADDING_ID, Cross, Feature, Timestamp, Vector

_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def raw_dtype(feature: Feature) -> tf.DType:
    """Returns the dtype of a feature's raw tensor."""
    fixed = {"numeric": "float32", "text": "string", "vector": "float32", "timestamp": "int64"}
    return tf.as_dtype(fixed.get(feature.kind) or getattr(feature, "dtype", "string"))


def is_list(feature: Feature) -> bool:
    """Returns whether a row of the feature is a list of values."""
    return feature.kind in ("multi_categorical", "sequence", "vector")


def raw_spec(feature: Feature) -> tf.TensorSpec:
    """Returns the dense signature of a feature: `(None,)`, or `(None, None)` for lists."""
    shape: tuple[int | None, ...] = (None,)
    if is_list(feature):
        shape = (None, feature.dim if isinstance(feature, Vector) else None)
    return tf.TensorSpec(shape, raw_dtype(feature), feature.name)


def parsing_spec(feature: Feature) -> Any:
    """Returns how `tf.io.parse_example` reads a feature; what an Example lacks is missing."""
    dtype = raw_dtype(feature)
    if isinstance(feature, Vector):
        return tf.io.FixedLenFeature((feature.dim,), dtype, [float("nan")] * feature.dim)
    if is_list(feature):
        return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
    return tf.io.FixedLenFeature((), dtype, missing_raw(dtype))


def read(feature: Feature, value: Any) -> tf.Tensor | tf.RaggedTensor:
    """Returns a raw tensor of the feature's dtype, with a batch axis.

    Raises:
        TypeError: If the tensor is of another dtype.
        ValueError: If it has too many axes, or a vector another length.
    """
    if not isinstance(value, tf.RaggedTensor):
        value = _as_tensor(feature, value)
    dtype, wanted = value.dtype, raw_dtype(feature)
    numbers = dtype.is_integer or dtype.is_floating or dtype == tf.bool
    fits = dtype.is_integer if wanted.is_integer else dtype == wanted
    if not fits and not (wanted.is_floating and numbers):
        expectation = f"{wanted.name} for {type(feature).__name__} feature `{feature.name}`"
        raise TypeError(checks.expected(f"raw['{feature.name}']", expectation, dtype.name))
    value = tf.cast(value, wanted) if dtype != wanted else value
    least = 2 if is_list(feature) else 1
    rank = value.shape.rank
    if rank == least - 1 and not isinstance(value, tf.RaggedTensor):
        value = value[tf.newaxis]  # a single row
    elif rank not in ((1,) if feature.kind == "text" else (least, 2)):
        expectation = f"of {least} axes, batch first, or {least - 1} for a single row"
        raise ValueError(checks.expected(f"raw['{feature.name}']", expectation, value.shape))
    return value


def _kind_of(value: Any) -> str:
    """Returns NumPy's letter for the kind of values of an array or of a list; "?" of others."""
    if isinstance(value, list | tuple):
        nested = value and isinstance(value[0], list | tuple | np.ndarray)
        kinds = {_kind_of(row) for row in value} if nested else {_letter(v) for v in value}
        return next((kind for kind in "bf" if kind in kinds), "?")
    return str(getattr(getattr(value, "dtype", None), "kind", "?"))


def _letter(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "b"
    return "f" if isinstance(value, float | np.floating) else "?"


def _as_tensor(feature: Feature, value: Any) -> tf.Tensor | tf.RaggedTensor:
    """Takes arrays and Python lists, nested ones as ragged."""
    dtype = raw_dtype(feature)
    given = _kind_of(value)
    if dtype.is_integer and given in "bfc":  # TensorFlow would cast them to ids without a word
        expectation = f"{dtype.name} for {type(feature).__name__} feature `{feature.name}`"
        name = getattr(getattr(value, "dtype", None), "name", "bool" if given == "b" else "float32")
        raise TypeError(checks.expected(f"raw['{feature.name}']", expectation, name))
    try:
        if isinstance(value, list) and value and isinstance(value[0], list | tuple):
            return tf.ragged.constant(value, dtype, ragged_rank=1)
        return tf.convert_to_tensor(value, dtype_hint=dtype)
    except (ValueError, TypeError) as error:
        remedy = f"A missing value is {missing_raw(dtype)!r}."
        raise TypeError(
            checks.expected(f"raw['{feature.name}']", f"{dtype.name} values", value, remedy)
        ) from error


def missing_raw(dtype: tf.DType) -> str | int | float:
    """Returns what stands for a missing value in raw tensors."""
    return float("nan") if dtype == tf.float32 else missing_value(dtype.name)


def ids(feature: Feature, raw: Any, lookup: Lookup) -> dict[str, tf.Tensor]:
    """Looks up a Categorical, MultiCategorical, Sequence or Text."""
    value = read(feature, raw)
    if feature.kind == "categorical":
        if isinstance(value, tf.RaggedTensor):
            value = value.to_tensor(missing_value(raw_dtype(feature).name))
        return {feature.name: lookup(value)}
    if feature.kind == "text":
        value = tokenize(value, getattr(feature, "lowercase", True))
    flat, rows, num_rows = _flatten(value)
    return _laid_out(feature, lookup(flat), is_missing(flat), rows, num_rows)


def floats(feature: Feature, raw: Any) -> dict[str, tf.Tensor]:
    """Lays out a Sequence of numbers; NaN and infinite values are missing."""
    flat, rows, num_rows = _flatten(read(feature, raw))
    missing = tf.logical_not(tf.math.is_finite(flat))
    return _laid_out(feature, tf.where(missing, 0.0, flat), missing, rows, num_rows)


def _laid_out(feature: Feature, values: tf.Tensor, *args: tf.Tensor) -> dict[str, tf.Tensor]:
    out, mask = dense_tensor(feature, values, *args)
    return {feature.name: out, f"{feature.name}_mask": mask}


def _flatten(value: tf.Tensor | tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the values of all rows, the row of each and the number of rows, int64."""
    if isinstance(value, tf.RaggedTensor):
        rows = tf.cast(value.value_rowids(), tf.int64)
        return value.values, rows, tf.cast(value.nrows(), tf.int64)
    shape = tf.shape(value, tf.int64)
    rows = tf.repeat(tf.range(shape[0]), shape[1])
    return tf.reshape(value, [-1]), rows, shape[0]


def standard(feature: Feature, raw: Any, mean: float, scale: float) -> dict[str, tf.Tensor]:
    """Returns `(x - mean) * scale`; a missing value becomes 0, which is the mean."""
    value = _numbers(feature, raw)
    missing = tf.logical_not(tf.math.is_finite(value))
    scaled = (value - tf.constant(mean, tf.float32)) * tf.constant(scale, tf.float32)
    return {feature.name: tf.where(missing, 0.0, scaled)}


def quantile(feature: Feature, raw: Any, boundaries: np.ndarray) -> dict[str, tf.Tensor]:
    """Returns the id of the bin, from 2 on; a missing value is 0."""
    value = _numbers(feature, raw)
    flat = tf.reshape(value, [-1])
    bins = tf.searchsorted(tf.constant(boundaries), flat, side="right") + NUM_RESERVED_IDS
    missing = tf.logical_not(tf.math.is_finite(value))
    return {feature.name: tf.where(missing, PADDING_ID, tf.reshape(bins, tf.shape(value)))}


def _numbers(feature: Feature, raw: Any) -> tf.Tensor:
    value = read(feature, raw)
    return value.to_tensor(float("nan")) if isinstance(value, tf.RaggedTensor) else value


def vector(feature: Vector, raw: Any) -> dict[str, tf.Tensor]:
    """Returns float32 `(B, dim)`; a component that is not finite becomes 0."""
    value = read(feature, raw)
    if isinstance(value, tf.RaggedTensor):
        lengths = value.row_lengths()
        whole = tf.reduce_all(tf.equal(lengths, feature.dim) | tf.equal(lengths, 0))
        message = f"raw['{feature.name}'] must hold vectors of {feature.dim} numbers, or none"
        with tf.control_dependencies([tf.debugging.Assert(whole, [message, lengths])]):
            value = value.to_tensor(0.0, shape=(None, feature.dim))
    if value.shape[1] not in (None, feature.dim):
        expectation = f"of shape (batch, {feature.dim})"
        raise ValueError(checks.expected(f"raw['{feature.name}']", expectation, value.shape))
    value = tf.ensure_shape(value, (None, feature.dim))
    return {feature.name: tf.where(tf.math.is_finite(value), value, 0.0)}


def timestamp(feature: Timestamp, raw: Any) -> dict[str, tf.Tensor]:
    """Returns int64 seconds, rounded down; a missing time, -1, stays -1."""
    value = read(feature, raw)
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor(-1)
    return {feature.name: value // tf.constant(_SECONDS[feature.unit], tf.int64)}


def cross(feature: Cross, parts: list[tf.Tensor]) -> dict[str, tf.Tensor]:
    """Hashes the ids of the parts, joined by "_"; where one is missing the cross is 0.

    Parts of one value a row combine with each of a list of candidates: `(B,)` and `(B, C)`.
    """
    if len({part.shape.rank for part in parts}) > 1:
        parts = [part if part.shape.rank == 2 else part[:, tf.newaxis] for part in parts]
        shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, parts))
        parts = [tf.broadcast_to(part, shape) for part in parts]
    joined = tf.strings.join([tf.strings.as_string(part) for part in parts], separator="_")
    missing = tf.reduce_any([tf.equal(part, PADDING_ID) for part in parts], axis=0)
    return {feature.name: tf.where(missing, PADDING_ID, hash_ids(joined, feature.hash_bins))}
