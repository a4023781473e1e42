"""Raw tensors: what dtype and shape a feature has before it is transformed, and how it is read."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.nested import PAIR
from tfrecs.features.vocabulary import missing_value
from tfrecs.spec import Attributes, Feature, Vector


def raw_dtype(feature: Feature) -> tf.DType:
    """Returns the dtype of a feature's raw tensor."""
    fixed = {"numeric": "float32", "text": "string", "vector": "float32", "timestamp": "int64"}
    return tf.as_dtype(fixed.get(feature.kind) or getattr(feature, "dtype", "string"))


def is_list(feature: Feature) -> bool:
    """Returns whether a row of the feature is a list of values."""
    return feature.kind in ("multi_categorical", "sequence", "vector")


def inner_width(feature: Feature) -> int | None:
    """Returns the length of the lists that a row is a list of; `None` for other features."""
    if isinstance(feature, Attributes):
        return PAIR
    several = isinstance(feature, Vector) and feature.max_count is not None
    return feature.dim if several and isinstance(feature, Vector) else None


def raw_spec(feature: Feature) -> tf.TensorSpec:
    """Returns the dense signature of a feature: `(None,)`, or `(None, None)` for lists.

    Several vectors are `(None, None, dim)`, pairs of key and value `(None, None, 2)`.
    """
    shape: tuple[int | None, ...] = (None,)
    if inner_width(feature) is not None:
        shape = (None, None, inner_width(feature))
    elif is_list(feature):
        shape = (None, feature.dim if isinstance(feature, Vector) else None)
    return tf.TensorSpec(shape, raw_dtype(feature), feature.name)


def parsing_spec(feature: Feature) -> Any:
    """Returns how `tf.io.parse_example` reads a feature; what an Example lacks is missing."""
    dtype = raw_dtype(feature)
    if inner_width(feature) is not None:  # one behind the other; `parsed` takes them apart
        return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
    if isinstance(feature, Vector):
        return tf.io.FixedLenFeature((feature.dim,), dtype, [float("nan")] * feature.dim)
    if is_list(feature):
        return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
    return tf.io.FixedLenFeature((), dtype, missing_raw(dtype))


def parse(serialized: tf.Tensor, features: Iterable[Feature]) -> dict[str, Any]:
    """Parses serialized tf.Examples, string `(B,)`, into raw tensors."""
    listed = list(features)
    found: dict[str, Any] = tf.io.parse_example(
        serialized, {feature.name: parsing_spec(feature) for feature in listed}
    )
    for feature in listed:
        width = inner_width(feature)
        if width is not None:
            found[feature.name] = taken_apart(feature.name, found[feature.name], width)
    return found


def taken_apart(name: str, flat: tf.RaggedTensor, width: int) -> tf.RaggedTensor:
    """Takes lists apart that hold `width` values for each of what they list."""
    whole = tf.reduce_all(tf.equal(flat.row_lengths() % width, 0))
    message = f"each tf.Example must hold a multiple of {width} values of {name}"
    with tf.control_dependencies([tf.debugging.Assert(whole, [message, flat.row_lengths()])]):
        values = tf.reshape(flat.values, [-1, width])
    return tf.RaggedTensor.from_row_splits(values, flat.row_splits // width, validate=False)


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
    width = inner_width(feature)
    least = 3 if width is not None else 2 if is_list(feature) else 1
    rank = value.shape.rank
    if rank == least - 1 and not isinstance(value, tf.RaggedTensor):
        value = value[tf.newaxis]  # a single row
    elif rank not in ((1,) if feature.kind == "text" else (least, max(least, 2))):
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
    dtype, width = raw_dtype(feature), inner_width(feature)
    given = _kind_of(value)
    if dtype.is_integer and given in "bfc":  # TensorFlow would cast them to ids without a word
        expectation = f"{dtype.name} for {type(feature).__name__} feature `{feature.name}`"
        name = getattr(getattr(value, "dtype", None), "name", "bool" if given == "b" else "float32")
        raise TypeError(checks.expected(f"raw['{feature.name}']", expectation, name))
    try:
        if isinstance(value, list) and width is not None:
            depth = _depth(value)
            if depth == 3:
                return tf.ragged.constant(value, dtype, ragged_rank=1, inner_shape=(width,))
            if depth == 2 and not any(value):  # rows of nothing
                return tf.zeros([len(value), 0, width], dtype)
            return tf.convert_to_tensor(value, dtype_hint=dtype)
        if isinstance(value, list) and value and isinstance(value[0], list | tuple):
            return tf.ragged.constant(value, dtype, ragged_rank=1)
        return tf.convert_to_tensor(value, dtype_hint=dtype)
    except (ValueError, TypeError) as error:
        remedy = f"A missing value is {missing_raw(dtype)!r}."
        raise TypeError(
            checks.expected(f"raw['{feature.name}']", f"{dtype.name} values", value, remedy)
        ) from error


def _depth(value: Any) -> int:
    """Returns how deep lists lie in each other: 1 for a list of numbers."""
    if not isinstance(value, list | tuple):
        return 0
    return 1 + max(map(_depth, value), default=0)


def missing_raw(dtype: tf.DType) -> str | int | float:
    """Returns what stands for a missing value in raw tensors."""
    return float("nan") if dtype == tf.float32 else missing_value(dtype.name)
