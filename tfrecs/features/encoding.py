"""Arrow columns to model arrays: what `graph` does to tensors, vectorised without TensorFlow."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.features import columns
from tfrecs.features.cdf import MIDDLE, cdf
from tfrecs.features.columns import Column
from tfrecs.features.layout import dense
from tfrecs.features.text import tokenize_column
from tfrecs.features.vocabulary import HashBins, Lookup
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


def ids(
    feature: Feature, table: pa.Table, lookup: Lookup, leader: Feature
) -> dict[str, np.ndarray]:
    """Looks up a Categorical, MultiCategorical, Sequence or Text."""
    column = columns.read(table, feature)
    values, lengths = tokens(feature, column)
    found = lookup.encode(values)
    if leader is not feature:
        return _aligned(feature, table, leader, column, found, found == PADDING_ID)
    if lengths is None:
        return {feature.name: found}
    if feature.kind == "categorical":  # lists of candidates keep every place
        return {feature.name: _padded(found, lengths)}
    return _laid_out(feature, found, found == PADDING_ID, lengths)


def tokens(feature: Feature, column: Column) -> tuple[pa.ChunkedArray, np.ndarray | None]:
    """Returns the values of an id feature and their number a row; a text's are its tokens."""
    if feature.kind == "text":
        return tokenize_column(column.values, getattr(feature, "lowercase", True))
    return column.values, column.lengths


def floats(feature: Feature, table: pa.Table, leader: Feature) -> dict[str, np.ndarray]:
    """Lays out a Sequence of numbers."""
    column = columns.read(table, feature)
    missing = np.isnan(column.values)
    lengths = np.zeros(0, np.int64) if column.lengths is None else column.lengths
    values = np.where(missing, np.float32(0), column.values)
    if leader is not feature:
        return _aligned(feature, table, leader, column, values, missing)
    return _laid_out(feature, values, missing, lengths)


def _laid_out(feature: Feature, *args: np.ndarray) -> dict[str, np.ndarray]:
    out, mask = dense(feature, *args)
    return {feature.name: out, f"{feature.name}_mask": mask}


def _aligned(
    feature: Feature,
    table: pa.Table,
    leader: Feature,
    column: Column,
    values: np.ndarray,
    missing: np.ndarray,
) -> dict[str, np.ndarray]:
    """Lays values out where those are that they belong to."""
    places, left_out, lengths = columns.aligned(table, feature, leader, column)
    values = np.append(values, values.dtype.type(0))[places]  # place -1: the last one, missing
    missing = np.append(missing, True)[places]
    return _laid_out(feature, values, missing, lengths, left_out)


def vectors(feature: Vector, table: pa.Table) -> dict[str, np.ndarray]:
    """Lays out several vectors a row; one without a number is missing."""
    column = columns.read(table, feature)
    missing = np.isnan(column.values).all(axis=1)
    lengths = np.zeros(0, np.int64) if column.lengths is None else column.lengths
    return _laid_out(feature, np.nan_to_num(column.values), missing, lengths)


def attributes(
    feature: Attributes, table: pa.Table, keys: Lookup, words: Lookup
) -> dict[str, np.ndarray]:
    """Lays out the tokens of values, and looks up their keys."""
    key_column, values = columns.read_pairs(table, feature)
    lengths = np.zeros(0, np.int64) if values.lengths is None else values.lengths
    key_ids = keys.encode(key_column.values)
    found, sizes = tokens(feature.value_feature, values)
    token_ids = words.encode(found)
    sizes = np.zeros(0, np.int64) if sizes is None else sizes
    rows, mask = dense(feature.value_feature, token_ids, token_ids == PADDING_ID, sizes)
    none = np.zeros(len(rows), bool)  # all are kept, and no pair is missing
    return {
        feature.name: dense(feature, rows, none, lengths)[0],
        f"{feature.name}_mask": dense(feature, mask, none, lengths)[0],
        feature.key_feature.name: dense(feature, key_ids, none, lengths)[0],
    }


def standard(feature: Feature, table: pa.Table, mean: float, scale: float) -> dict[str, np.ndarray]:
    """Returns `(x - mean) * scale`, in float32 as the graph does."""
    column = columns.read(table, feature)
    scaled = (column.values - np.float32(mean)) * np.float32(scale)
    return {feature.name: _rows(np.where(np.isnan(scaled), np.float32(0), scaled), column)}


def quantile(feature: Feature, table: pa.Table, boundaries: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the id of the bin, from 2 on; a missing value is 0."""
    column = columns.read(table, feature)
    bins = np.searchsorted(boundaries, column.values, side="right") + NUM_RESERVED_IDS
    bins = np.where(np.isnan(column.values), PADDING_ID, bins).astype(np.int32)
    return {feature.name: _rows(bins, column)}


def shares(feature: Numeric, table: pa.Table, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the share of values below, and where it is not known."""
    column = columns.read(table, feature)
    missing = np.isnan(column.values)
    return {
        feature.name: _rows(cdf(edges, column.values), column, MIDDLE),
        f"{feature.name}_missing": _rows(missing, column, True),
    }


def whole(feature: Vector | Timestamp, table: pa.Table) -> dict[str, np.ndarray]:
    """Returns the values of a Vector or Timestamp as they were read."""
    return {feature.name: columns.read(table, feature).values}


def cross(feature: Cross, parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Hashes the ids of the parts, each distinct combination once."""
    if len({part.ndim for part in parts}) > 1:
        parts = [part if part.ndim == 2 else part[:, None] for part in parts]
        parts = list(np.broadcast_arrays(*parts))
    codes = parts[0].ravel().astype(np.int64)
    for part in parts[1:]:
        keys = pa.array((codes << 32) + part.ravel()).dictionary_encode()
        codes = keys.indices.to_numpy().astype(np.int64)
    first = np.zeros(int(codes.max(initial=-1)) + 1, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    texts = [pa.array(part.ravel()[first]).cast(pa.string()) for part in parts]
    joined = pc.binary_join_element_wise(*texts, "_")
    hashed = HashBins(feature.hash_bins, "string").encode(pa.chunked_array([joined]))
    missing = np.any([part == PADDING_ID for part in parts], axis=0)
    ids = hashed[codes].reshape(parts[0].shape)
    return {feature.name: np.where(missing, np.int32(PADDING_ID), ids)}


def _rows(values: np.ndarray, column: Column, padding: float = 0) -> np.ndarray:
    return values if column.lengths is None else _padded(values, column.lengths, padding)


def _padded(values: np.ndarray, lengths: np.ndarray, padding: float = 0) -> np.ndarray:
    out = np.full((len(lengths), int(lengths.max(initial=0))), padding, values.dtype)
    out[np.arange(out.shape[1]) < lengths[:, None]] = values
    return out
