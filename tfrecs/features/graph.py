"""Raw tensors to model tensors: one small function a kind, TensorFlow ops only."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.cdf import cdf_tensor
from tfrecs.features.layout import dense_tensor, slots_tensor
from tfrecs.features.raw import inner_width, missing_raw, raw_dtype, read
from tfrecs.features.text import tokenize
from tfrecs.features.vocabulary import Lookup, hash_ids, is_missing, missing_value
from tfrecs.spec import (
    NUM_RESERVED_IDS,
    PADDING_ID,
    Attributes,
    Cross,
    Feature,
    Numeric,
    Timestamp,
    Vector,
)

_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def ids(
    feature: Feature, raw: Any, lookup: Lookup, leader: tuple[Feature, Any] | None = None
) -> dict[str, tf.Tensor]:
    """Looks up a Categorical, MultiCategorical, Sequence or Text.

    Args:
        feature: The feature.
        raw: Its raw tensor.
        lookup: Values to ids.
        leader: The feature that it is aligned with, and its raw tensor; `None` for none.
    """
    value = read(feature, raw)
    if feature.kind == "categorical":
        if isinstance(value, tf.RaggedTensor):
            value = value.to_tensor(missing_value(raw_dtype(feature).name))
        return {feature.name: lookup(value)}
    if feature.kind == "text":
        value = tokenize(value, getattr(feature, "lowercase", True))
    if leader is not None:
        return _aligned(feature, value, leader, lookup)
    flat, rows, num_rows = _flatten(value)
    return _laid_out(feature, lookup(flat), is_missing(flat), rows, num_rows)


def floats(
    feature: Feature, raw: Any, leader: tuple[Feature, Any] | None = None
) -> dict[str, tf.Tensor]:
    """Lays out a Sequence of numbers; NaN and infinite values are missing."""
    value = read(feature, raw)
    if leader is not None:
        return _aligned(feature, value, leader, lambda flat: tf.where(_no_value(flat), 0.0, flat))
    flat, rows, num_rows = _flatten(value)
    missing = _no_value(flat)
    return _laid_out(feature, tf.where(missing, 0.0, flat), missing, rows, num_rows)


def _no_value(flat: tf.Tensor) -> tf.Tensor:
    """Returns where raw values of a list are missing."""
    if flat.dtype == tf.float32:
        return tf.logical_not(tf.math.is_finite(flat))
    return is_missing(flat)


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
    return tf.reshape(value, tf.concat([[shape[0] * shape[1]], shape[2:]], 0)), rows, shape[0]


def _aligned(
    feature: Feature, value: Any, leader: tuple[Feature, Any], convert: Callable[[Any], Any]
) -> dict[str, tf.Tensor]:
    """Lays values out where those are that they belong to.

    Ragged lists must be of one length, or the follower's of none. Padded ones do not say their
    length: the follower must have no value past the leader's last place.
    """
    other = read(*leader)
    padded = isinstance(value, tf.Tensor) or isinstance(other, tf.Tensor)
    value, other = _ragged(value), _ragged(other)
    sizes, lengths = value.row_lengths(), other.row_lengths()
    fits = tf.equal(sizes, lengths) | tf.equal(sizes, 0)
    if padded:
        own = tf.range(tf.size(value.values, tf.int64)) - tf.gather(
            value.row_starts(), value.value_rowids()
        )
        fits = _no_value(value.values) | (own < tf.gather(lengths, value.value_rowids()))
    told = f"raw['{leader[0].name}'] and raw['{feature.name}'] must be aligned lists of one length"
    checked = tf.debugging.Assert(tf.reduce_all(fits), [told, lengths, sizes])
    with tf.control_dependencies([checked]):
        rows = tf.identity(other.value_rowids())
    places = tf.range(tf.size(rows, tf.int64)) - tf.gather(other.row_starts(), rows)
    there = places < tf.gather(sizes, rows)
    past = tf.size(value.values, tf.int64)
    at = tf.where(there, places + tf.gather(value.row_starts(), rows), past)
    nothing = tf.constant([missing_raw(value.dtype)], value.dtype)
    found = tf.gather(tf.concat([value.values, nothing], 0), at)
    left_out = _no_value(other.values)
    return _laid_out(feature, convert(found), _no_value(found), rows, other.nrows(), left_out)


def _ragged(value: tf.Tensor | tf.RaggedTensor) -> tf.RaggedTensor:
    """Returns lists as ragged ones, their places int64."""
    if isinstance(value, tf.RaggedTensor):
        return value.with_row_splits_dtype(tf.int64)
    return tf.RaggedTensor.from_tensor(value, row_splits_dtype=tf.int64)


def vectors(feature: Vector, raw: Any) -> dict[str, tf.Tensor]:
    """Lays out several vectors a row; one without a finite number is missing."""
    flat, rows, num_rows = _lists(feature, raw)
    finite = tf.math.is_finite(flat)
    missing = tf.logical_not(tf.reduce_any(finite, axis=1))
    return _laid_out(feature, tf.where(finite, flat, 0.0), missing, rows, num_rows)


def attributes(feature: Attributes, raw: Any, keys: Lookup, words: Lookup) -> dict[str, tf.Tensor]:
    """Lays out the tokens of values `(B, A, T)`, and looks up their keys `(B, A)`."""
    flat, rows, num_rows = _lists(feature, raw)
    missing = tf.reduce_any(is_missing(flat), axis=1)
    keep = slots_tensor(feature, missing, rows, num_rows) >= 0
    flat, rows = tf.boolean_mask(flat, keep), tf.boolean_mask(rows, keep)
    found = ids(feature.value_feature, flat[:, 1], words)
    found[feature.key_feature.name] = keys(flat[:, 0])
    none = tf.zeros(tf.shape(rows), tf.bool)  # no pair is missing
    return {
        key: dense_tensor(feature, value, none, rows, num_rows)[0] for key, value in found.items()
    }


def _lists(feature: Feature, raw: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what rows are lists of, `(N, width)`, the row of each and the number of rows."""
    flat, rows, num_rows = _flatten(read(feature, raw))
    width = inner_width(feature)
    if isinstance(flat, tf.RaggedTensor):
        sizes = flat.row_lengths()
        whole = tf.reduce_all(tf.equal(sizes, width) | tf.equal(sizes, 0))
        message = f"raw['{feature.name}'] must hold lists of {width} values, or of none"
        with tf.control_dependencies([tf.debugging.Assert(whole, [message, sizes])]):
            flat = flat.to_tensor(missing_raw(flat.dtype), shape=(None, width))
    if flat.shape[1] not in (None, width):
        expectation = f"of shape (batch, any, {width})"
        raise ValueError(checks.expected(f"raw['{feature.name}']", expectation, flat.shape))
    return tf.ensure_shape(flat, (None, width)), rows, num_rows


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


def shares(feature: Numeric, raw: Any, edges: np.ndarray) -> dict[str, tf.Tensor]:
    """Returns the share of values below, 0.5 where it is not known, and where that is."""
    value = _numbers(feature, raw)
    missing = tf.logical_not(tf.math.is_finite(value))
    return {feature.name: cdf_tensor(edges, value), f"{feature.name}_missing": missing}


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
