"""Arrow columns as TFRecord frames of tf.Example: whole blocks at a time, in NumPy.

Every field of a block is a matrix of bytes `(rows, width)` with a mask of the bytes that a row
has. Side by side, the matrices are the block; the masked bytes, read row by row, are its records.
NumPy lets other threads run meanwhile, which a loop over rows would not.

    Example.features = 1; Features.feature = 1 (map: key = 1, value = 2);
    Feature.bytes_list = 1, .float_list = 2, .int64_list = 3; *List.value = 1 (numbers packed)
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LISTS = {"string": 1, "float32": 2, "int64": 3}
_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
ROWS = 16_384  # of a block


class Part(NamedTuple):
    """Bytes of every row: matrices `(N, W)` side by side with masks, and how many a row has."""

    matrices: list[np.ndarray]
    masks: list[np.ndarray]
    sizes: np.ndarray

    def flat(self) -> np.ndarray:
        """Returns the bytes of all rows, one row behind the other."""
        matrix, mask = (np.concatenate(side, axis=1) for side in (self.matrices, self.masks))
        return np.asarray(matrix[mask])


def varints(values: np.ndarray) -> Part:
    """Returns the varints of integers, negative ones as 64-bit two's complement."""
    left = values.astype(np.int64).view(np.uint64)
    columns: list[np.ndarray] = []
    sizes = np.zeros(len(left), np.int64)
    while True:
        sizes += 1 if not columns else left > 0
        columns.append((left & np.uint64(0x7F)).astype(np.uint8))
        left = left >> np.uint64(7)
        if not left.any():
            break
    matrix = np.stack(columns, axis=1)
    places = np.arange(len(columns))
    matrix |= np.where(places < sizes[:, None] - 1, 0x80, 0).astype(np.uint8)
    return Part([matrix], [places < sizes[:, None]], sizes)


def _constant(content: bytes, rows: int) -> Part:
    return _whole(np.broadcast_to(np.frombuffer(content, np.uint8), (rows, len(content))))


def _whole(matrix: np.ndarray) -> Part:
    """Returns rows of one size."""
    rows, width = matrix.shape
    return Part([matrix], [np.broadcast_to(True, matrix.shape)], np.full(rows, width))


def _fixed(numbers: np.ndarray) -> Part:
    """Returns numbers as they lie in memory."""
    return _whole(numbers.view(np.uint8).reshape(len(numbers), -1))


def _ragged(flat: np.ndarray, sizes: np.ndarray) -> Part:
    """Pads rows that lie one behind the other in `flat`."""
    width = int(sizes.max(initial=0))
    ends = np.cumsum(sizes)
    places = np.arange(width)
    mask = places < sizes[:, None]
    matrix = np.zeros(mask.shape, np.uint8)
    matrix[mask] = flat[: ends[-1] if len(ends) else 0]
    return Part([matrix], [mask], sizes)


def _joined(parts: list[Part]) -> Part:
    matrices = [matrix for part in parts for matrix in part.matrices]
    masks = [mask for part in parts for mask in part.masks]
    return Part(matrices, masks, np.sum([part.sizes for part in parts], axis=0))


def _field(number: int, content: Part) -> Part:
    """Returns a length-delimited field (wire type 2)."""
    tag = _constant(bytes([number << 3 | 2]), len(content.sizes))
    return _joined([tag, varints(content.sizes), content])


def _values(column: pa.Array, dtype: str) -> Part:
    """Returns each value as it stands in its list; the value of a null is never read."""
    if dtype == "string":
        binary = column.cast(pa.large_binary())
        offsets = np.frombuffer(binary.buffers()[1], np.int64)[binary.offset :][: len(binary) + 1]
        data = binary.buffers()[2]
        flat = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        return _field(1, _ragged(flat[offsets[0] : offsets[-1]], np.diff(offsets)))
    filled = pc.fill_null(column, 0)
    if dtype == "int64":
        return varints(filled.cast(pa.int64()).to_numpy(zero_copy_only=False))
    numbers = filled.cast(pa.float32()).to_numpy(zero_copy_only=False).astype("<f4")
    return _fixed(numbers)


def _feature(name: str, column: pa.Array, dtype: str) -> Part:
    """Returns the map entry of a column; a null has none."""
    known = column.is_valid().to_numpy(zero_copy_only=False)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = pc.drop_null(column.flatten())
        parents = pc.list_parent_indices(column).filter(column.flatten().is_valid())
        values = _values(inner, dtype)
        counts = np.bincount(parents.to_numpy(zero_copy_only=False), values.sizes, len(column))
        listed = _ragged(values.flat(), counts.astype(np.int64))
    else:
        listed = _values(column, dtype)
    if dtype != "string":
        listed = _field(1, listed)  # packed
    entry = _joined(
        [
            _constant(b"\x0a" + bytes([len(name.encode())]) + name.encode(), len(column)),
            _field(2, _field(_LISTS[dtype], listed)),
        ]
    )
    entry = _field(1, entry)
    masks = [mask & known[:, None] for mask in entry.masks] if column.null_count else entry.masks
    return Part(entry.matrices, masks, entry.sizes * known)


def _tables() -> np.ndarray:
    """Returns the CRC of every two bytes."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(_POLYNOMIAL), crc >> 1).astype(np.uint32)
    pair = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(2):
        pair = crc[pair & 0xFF] ^ (pair >> 8)
    return np.stack([np.pad(crc, (0, (1 << 16) - 256)), pair])


_CRC = _tables()


def masked_crc32c(part: Part) -> np.ndarray:
    """Returns TFRecord's masked CRC-32C of each row: uint32 `(N,)`.

    Args:
        part: The rows, each at the left of its row of the matrix.
    """
    order = np.argsort(-part.sizes, kind="stable")
    sizes = part.sizes[order]
    columns = np.ascontiguousarray(part.matrices[0][order].T)
    crc = np.full(len(sizes), 0xFFFFFFFF, np.uint32)
    width, at = int(sizes.max(initial=0)), 0
    reach = np.searchsorted(-sizes, -np.arange(width + 1), side="right")  # rows of size >= j
    while at < width:
        two = reach[at + 2] if at + 2 <= width else 0
        one = reach[at + 1]
        if two:
            pair = columns[at, :two] | columns[at + 1, :two].astype(np.uint32) << np.uint32(8)
            head = crc[:two]
            odd = crc[two:one].copy()
            crc[:two] = _CRC[1][(head ^ pair) & 0xFFFF] ^ (head >> 16)
        else:
            odd = crc[:one].copy()
        if two < one:
            byte = columns[at, two:one]
            crc[two:one] = _CRC[0][(odd ^ byte) & 0xFF] ^ (odd >> 8)
        at += 2
    crc = ~crc
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    out = np.empty_like(masked)
    out[order] = masked
    return out


def tfrecords(table: pa.Table, dtypes: dict[str, str]) -> np.ndarray:
    """Returns the rows of a table as TFRecord frames of tf.Example, one array of bytes.

    A null has no feature in its Example, which TFX and TFDV count as missing.

    Args:
        table: The rows.
        dtypes: "string", "int64" or "float32" by column.

    Example:

    >>> import tensorflow as tf
    >>> table = pa.table({"item": ["a"], "price": [2.5]})
    >>> frame = tfrecords(table, {"item": "string", "price": "float32"}).tobytes()
    >>> example = tf.train.Example.FromString(frame[12:-4])
    >>> example.features.feature["item"].bytes_list.value[0]
    b'a'
    """
    columns = {name: table[name].combine_chunks() for name in dtypes}
    features = _joined([_feature(name, column, dtypes[name]) for name, column in columns.items()])
    example = _field(1, features)
    example = _ragged(example.flat(), example.sizes)
    length = _fixed(example.sizes.astype("<u8"))
    return _joined([length, _crc(length), example, _crc(example)]).flat()


def _crc(part: Part) -> Part:
    return _fixed(masked_crc32c(part).astype("<u4"))
