"""Lists of other lengths in one batch: what a server's padding may do to them.

TensorFlow Serving with `pad_variable_length_inputs` pads each request's tensor with the tensor's
own FIRST element, behind its last value. A list that begins with the missing value is therefore
padded with missing values, which no model reads. Here a missing value at the beginning of every
list of a row is taken for such a mark and left out.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfrecs.features import FeatureTransform
from tfrecs.features.vocabulary import missing_value
from tfrecs.spec import Sequence

Raw = dict[str, tf.Tensor]


def dense(tensor: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Pads the ragged lists of a parsed tf.Example with missing values."""
    if not isinstance(tensor, tf.RaggedTensor):
        return tensor
    kind = spec.dtype.name
    return tensor.to_tensor(float("nan") if kind == "float32" else missing_value(kind))


def read_rows(raw: Raw, specs: Mapping[str, tf.TensorSpec], transform: FeatureTransform) -> Raw:
    """Returns the raw features of a signature as the transform takes them.

    Ragged lists are padded, and the mark at the beginning of sequences is left out.
    """
    return unmarked({name: dense(raw[name], spec) for name, spec in specs.items()}, transform)


def unmarked(raw: Raw, transform: FeatureTransform) -> Raw:
    """Returns raw rows without the missing value at the beginning of their sequences.

    Sequences of one row may belong together place by place: their first place is left out where it
    is missing in all of them. Sets and texts leave missing values out by themselves.

    Args:
        raw: Dense raw features by name.
        transform: Says which are sequences.
    """
    spec = transform.spec
    sequences = {n: v for n, v in raw.items() if n in spec and isinstance(spec[n], Sequence)}
    if not sequences:
        return raw
    marked = tf.reduce_all(
        [tf.reduce_all(_missing(v[:, :1]), axis=1) for v in sequences.values()], axis=0
    )  # (B,), True where there is no place at all
    shifted = {}
    for name, value in sequences.items():
        nothing = float("nan") if value.dtype.is_floating else missing_value(value.dtype.name)
        last = tf.fill(tf.shape(value[:, :1]), tf.constant(nothing, value.dtype))
        shifted[name] = tf.where(marked[:, None], tf.concat([value[:, 1:], last], 1), value)
    return raw | shifted


def _missing(values: tf.Tensor) -> tf.Tensor:
    if values.dtype.is_floating:
        return tf.logical_not(tf.math.is_finite(values))
    return tf.equal(values, missing_value(values.dtype.name))
