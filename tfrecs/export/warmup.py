"""Warm-up requests: what TF Serving replays before a new version takes traffic.

The file is a TFRecord of `PredictionLog`s. TF Serving's protos are in an optional package
(`tensorflow-serving-api`), so their four nested messages are written here on the wire; the tensors
inside are TensorFlow's own. Fields, from tensorflow_serving/apis:

    PredictionLog.predict_log = 6; PredictLog.request = 1;
    PredictRequest.model_spec = 1, .inputs = 2 (map: key = 1, value = 2);
    ModelSpec.name = 1, .signature_name = 3
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrecs.export.requests import Request

FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(
    saved_model: Path,
    model: str,
    requests: Iterable[Request],
    functions: Mapping[str, Any],
) -> None:
    """Writes the requests into a SavedModel.

    Args:
        saved_model: Its directory.
        model: Name under which it is served.
        requests: The requests.
        functions: The signatures, traced.
    """
    file = saved_model / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for request in requests:
            specs = functions[request.signature].structured_input_signature[1]
            writer.write(_prediction_log(model, request, specs))


def _prediction_log(model: str, request: Request, specs: Mapping[str, tf.TensorSpec]) -> bytes:
    spec = _field(1, model.encode()) + _field(3, request.signature.encode())
    inputs = b"".join(
        _field(2, _field(1, name.encode()) + _field(2, _tensor(value, specs[name].dtype)))
        for name, value in request.inputs.items()
    )
    return _field(6, _field(1, _field(1, spec) + inputs))


def _tensor(value: object, dtype: tf.DType) -> bytes:
    return bytes(tf.make_tensor_proto(tf.constant(value, dtype)).SerializeToString())


def _field(number: int, message: bytes) -> bytes:
    """Returns a length-delimited field (wire type 2)."""
    return _varint(number << 3 | 2) + _varint(len(message)) + message


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
