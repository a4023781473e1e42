"""Reads what a SavedModel takes and gives, and checks values against it: stdlib and numpy alone.

Signatures are read from the protobuf wire format (https://protobuf.dev/programming-guides/encoding)
of tensorflow/core/protobuf/meta_graph.proto, so that neither TensorFlow's Python nor protobuf is
needed.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

STRING = 7
PREDICT = "tensorflow/serving/predict"
# tensorflow/c/tf_datatype.h: our name, and the kinds of numpy array that it accepts
_DTYPES: dict[int, tuple[str, str]] = {
    1: ("float32", "fiu"),
    2: ("float64", "fiu"),
    3: ("int32", "iu"),
    STRING: ("string", "O"),
    9: ("int64", "iu"),
    10: ("bool", "b"),
}


@dataclass(frozen=True)
class Tensor:
    """An input or an output of a signature.

    Args:
        tensor: Name in the graph, such as "serving_default_user_id:0".
        code: TF_DataType.
        shape: Sizes, `None` for any; or `None` for any number of dimensions.
    """

    tensor: str
    code: int
    shape: tuple[int | None, ...] | None

    @property
    def dtype(self) -> str:
        """Name of the dtype, as numpy has it, or "string"."""
        return _DTYPES[self.code][0] if self.code in _DTYPES else f"TF_DataType {self.code}"

    def __str__(self) -> str:
        if self.shape is None:
            return self.dtype
        sizes = ["?" if size is None else str(size) for size in self.shape]
        return f"{self.dtype}[{', '.join(sizes)}]"


@dataclass(frozen=True)
class Signature:
    """What a signature takes and gives, by name, and what it is for.

    `method` is "tensorflow/serving/predict", ".../classify" or ".../regress".
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    method: str = PREDICT

    def describe(self) -> dict[str, dict[str, str]]:
        """Returns dtype and shape by name, such as {"inputs": {"user_id": "string[?]"}}."""
        sides = (("inputs", self.inputs), ("outputs", self.outputs))
        return {side: {n: str(t) for n, t in sorted(tensors.items())} for side, tensors in sides}

    def batch_axes(self) -> frozenset[str]:
        """Returns the inputs with a batch axis; none if an output has no such axis."""

        def rows(tensor: Tensor) -> bool:
            return bool(tensor.shape) and tensor.shape is not None and tensor.shape[0] is None

        if not all(rows(tensor) for tensor in self.outputs.values()):
            return frozenset()
        return frozenset(name for name, tensor in self.inputs.items() if rows(tensor))


def read_signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Reads the signatures, by name, of a serialized `MetaGraphDef`."""
    signatures = _read_map(memoryview(meta_graph), 5, _read_signature)
    return {name: s for name, s in signatures.items() if not name.startswith("__")}


def _read_signature(message: memoryview) -> Signature:
    method = bytes(dict(_fields(message)).get(3, b"")).decode()
    inputs, outputs = (_read_map(message, side, _read_tensor) for side in (1, 2))
    return Signature(inputs, outputs, method)


def _read_tensor(message: memoryview) -> Tensor:
    fields = dict(_fields(message))
    shape = list(_fields(fields.get(3, memoryview(b""))))
    if any(value for number, value in shape if number == 3):  # unknown_rank
        return Tensor(bytes(fields[1]).decode(), fields.get(2, 0), None)
    sizes = [dict(_fields(dim)).get(1, 0) for number, dim in shape if number == 2]
    known = tuple(None if size >> 63 else size for size in sizes)  # -1 stands for any size
    return Tensor(bytes(fields[1]).decode(), fields.get(2, 0), known)


def _read_map(
    message: memoryview, number: int, read: Callable[[memoryview], Any]
) -> dict[str, Any]:
    """Reads a map<string, message> field."""
    entries = [dict(_fields(entry)) for field, entry in _fields(message) if field == number]
    return {bytes(e[1]).decode(): read(e.get(2, memoryview(b""))) for e in entries}


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yields (number, value) of a message: an int, or the bytes of anything else."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
        else:
            length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            yield key >> 3, message[at : at + length]
            at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def to_array(where: str, value: Any, tensor: Tensor) -> np.ndarray[Any, Any]:
    """Turns nested lists into an array of the tensor's dtype and shape.

    Args:
        where: How to call the value in an error message.
        value: Nested lists, a scalar or an array; strings as `str` or `bytes`.
        tensor: What it must fit.

    Returns:
        The array; strings as bytes in an array of dtype object.

    Raises:
        ValueError: If the value does not fit; nothing is cut or rounded.
    """
    if tensor.code not in _DTYPES:
        raise ValueError(f"{where} is of {tensor}, which this session cannot feed.")
    kinds = _DTYPES[tensor.code][1]
    if isinstance(value, np.ndarray) and not value.size and value.dtype.kind not in kinds + "U":
        raise ValueError(f"{where} must be {tensor}. Received: {value.dtype} values.")
    try:
        array = np.asarray(value, dtype=object if tensor.code == STRING else None)
    except ValueError as error:
        raise ValueError(f"{where} is ragged. Give every row the same length.") from error
    if tensor.code == STRING and not all(isinstance(item, str | bytes) for item in array.flat):
        raise ValueError(f"{where} must be {tensor}: strings, as many in every row.")
    shape = array.shape if tensor.shape is None else tensor.shape
    if len(shape) != array.ndim or any(
        want not in (None, size) for want, size in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(f"{where} must be {tensor}. Received: shape {list(array.shape)}.")
    if tensor.code == STRING:
        return _encoded(where, array)
    if array.size and (array.dtype.kind not in kinds or (kinds != "b" and _has_bool(value))):
        kind = array.dtype if array.dtype.kind not in kinds else "bool"
        raise ValueError(f"{where} must be {tensor}. Received: {kind} values.")
    with np.errstate(over="ignore"):
        converted: np.ndarray[Any, Any] = array.astype(tensor.dtype, order="C")
    if array.dtype.kind in "iu" and not np.array_equal(converted, array):
        raise ValueError(f"{where} must be {tensor}. Received: integers out of its range.")
    if array.dtype.kind == "f" and (np.isinf(converted) != np.isinf(array)).any():
        raise ValueError(f"{where} must be {tensor}. Received: numbers out of its range.")
    return converted


def _has_bool(value: Any) -> bool:
    """Returns whether a truth value is among nested lists, where NumPy would make it a number."""
    if isinstance(value, list | tuple):
        return (
            any(map(_has_bool, value))
            if value and isinstance(value[0], list | tuple)
            else any(type(item) is bool for item in value)
        )
    return isinstance(value, bool)


def from_base64(text: Any) -> bytes:
    """Decodes standard base64, the one text of these bytes and no other.

    Raises:
        ValueError: For another alphabet, missing padding, or anything between the letters.
    """
    if not isinstance(text, str):
        raise ValueError(f'"b64" must be a string. Received: {type(text).__name__}.')
    try:
        value = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f'"b64" must be standard base64: {error}. Received: {text[:50]!r}.'
        ) from error
    if b64encode(value).decode() != text:
        raise ValueError(
            f'"b64" must be standard base64: bits are left over. Received: {text[-50:]!r}.'
        )
    return value


def unwrapped(read: dict[str, Any]) -> Any:
    """Returns the bytes of {"b64": "..."}, and any other JSON object as it is."""
    return from_base64(read["b64"]) if [*read] == ["b64"] else read


def _encoded(where: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    encoded = np.empty(array.size, object)
    try:
        encoded[:] = [text.encode() if isinstance(text, str) else text for text in array.flat]
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} holds a string that is no Unicode text: {error}.") from error
    return encoded.reshape(array.shape)
