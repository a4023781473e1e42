"""Between arrays and signatures and TensorFlow's protocol buffers."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from tfrecs.serving.limits import Limits
from tfrecs.serving.meta_graph import STRING, Signature, Tensor

# DataType: numpy's dtype, field of the values
_FIELDS = {
    1: ("<f4", "float_val"),
    2: ("<f8", "double_val"),
    3: ("<i4", "int_val"),
    4: ("u1", "int_val"),
    5: ("<i2", "int_val"),
    6: ("i1", "int_val"),
    9: ("<i8", "int64_val"),
    10: ("?", "bool_val"),
}
_MAX_AXES = 32
_CODES = {"float32": 1, "float64": 2, "int32": 3, "object": STRING, "int64": 9, "bool": 10}
_NAMES = {code: "string" if name == "object" else name for name, code in _CODES.items()}


def read_tensors(
    inputs: Mapping[str, Any], signature: Signature | None = None, limits: Limits | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Reads the tensors of a PredictRequest; strings as objects of bytes.

    Args:
        inputs: TensorProtos by name.
        signature: What they are for: a tensor of another dtype is refused, not converted.
        limits: Checked before memory is taken.

    Raises:
        ValueError: If a tensor's values do not fill its shape, or it has a wrong dtype.
        SessionError: RESOURCE_EXHAUSTED beyond the limits.
    """
    known, limits = signature.inputs if signature else {}, limits or Limits()
    for name, proto in inputs.items():
        if name in known and proto.dtype != known[name].code:
            given = _NAMES.get(proto.dtype, f"DataType {proto.dtype}")
            raise ValueError(f"Input {name!r} must be {known[name]}. Received: {given}.")
    return {name: read_tensor(name, proto, limits) for name, proto in inputs.items()}


def read_tensor(name: str, proto: Any, limits: Limits) -> np.ndarray[Any, Any]:
    """Reads a TensorProto.

    Args:
        name: Of the input, for the message.
        proto: The TensorProto.
        limits: Its shape may declare any size, and one value stands for all of them.

    Raises:
        ValueError: If its values do not fill its shape, or its dtype cannot be fed.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0 or len(shape) > _MAX_AXES:
        raise ValueError(f"Input {name!r} declares the shape {shape[:9]}, which no value has.")
    count = math.prod(shape)
    limits.check_values(count, f"input {name!r}")
    limits.check_rows(shape[0] if shape else 1)
    if proto.dtype == STRING:
        values = np.empty(len(proto.string_val), object)
        values[:] = list(proto.string_val)
    elif proto.dtype not in _FIELDS:
        raise ValueError(f"Input {name!r} is of DataType {proto.dtype}, which cannot be fed.")
    else:
        dtype, field = _FIELDS[proto.dtype]
        content = proto.tensor_content
        if len(content) % np.dtype(dtype).itemsize:
            raise ValueError(f"Input {name!r} holds {len(content)} bytes, no multiple of a value.")
        fed = np.frombuffer(content, dtype) if content else np.array(getattr(proto, field))
        values = fed.astype(np.dtype(dtype).newbyteorder("="))
    if len(values) == 1:
        values = np.broadcast_to(values, (count,))  # a TensorProto may leave out repeats
    if len(values) != count:
        raise ValueError(f"Input {name!r} holds {len(values)} values for the shape {shape}.")
    return values.reshape(shape)


def write_tensor(array: np.ndarray[Any, Any], proto: Any) -> None:
    """Writes an array into an empty TensorProto."""
    proto.dtype = _CODES[array.dtype.name]
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if proto.dtype == STRING:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def to_proto(value: Any) -> Any:
    """Returns a value as a TensorProto, for a request.

    Example:

    >>> to_proto(["a", "b"]).string_val
    [b'a', b'b']
    """
    array = np.asarray(value)
    if array.dtype.kind in "US":
        texts = np.empty(array.size, object)
        texts[:] = [t.encode() if isinstance(t, str) else t for t in array.ravel().tolist()]
        array = texts.reshape(array.shape)
    proto = tensor_pb2.TensorProto()
    write_tensor(array, proto)
    return proto


def signature_map(signatures: Mapping[str, Signature]) -> Any:
    """Returns the signatures as TensorFlow Serving's metadata has them."""
    proto = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in signatures.items():
        written = proto.signature_def[name]
        written.method_name = signature.method
        for side in ("inputs", "outputs"):
            for key, tensor in getattr(signature, side).items():
                getattr(written, side)[key].CopyFrom(_tensor_info(tensor))
    return proto


def _tensor_info(tensor: Tensor) -> Any:
    info = meta_graph_pb2.TensorInfo(name=tensor.tensor, dtype=tensor.code)
    if tensor.shape is None:
        info.tensor_shape.unknown_rank = True
    info.tensor_shape.SetInParent()  # a scalar has a shape too: one without axes
    for size in tensor.shape or ():
        info.tensor_shape.dim.add(size=-1 if size is None else size)
    return info
