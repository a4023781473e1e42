"""JSON bodies of TensorFlow Serving's REST interface: read into inputs, written from outputs."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrecs.serving.c_api import as_lists
from tfrecs.serving.meta_graph import Signature, unwrapped


def read_body(body: bytes) -> dict[str, Any]:
    """Reads the JSON of a `:predict` request; {"b64": "..."} stands for bytes.

    Raises:
        ValueError: If it is no request.
    """
    asked = read_json(body)
    if ("instances" in asked) == ("inputs" in asked):
        raise ValueError('The request must be a JSON object with "instances" or "inputs".')
    return asked


def read_json(body: bytes) -> dict[str, Any]:
    """Reads a JSON object with an optional "signature_name"."""
    asked = json.loads(bytes(body).decode(), object_hook=unwrapped)
    if not isinstance(asked, dict):
        raise ValueError('The request must be a JSON object with "instances" or "inputs".')
    if not isinstance(asked.get("signature_name", ""), str):
        raise ValueError("`signature_name` must be a string.")
    return asked


def to_inputs(asked: Mapping[str, Any], signature: Signature | None) -> dict[str, Any]:
    """Returns the inputs of a request by name: "inputs" as they are, "instances" as columns."""
    only = next(iter(signature.inputs)) if signature and len(signature.inputs) == 1 else None
    if "inputs" in asked:
        inputs = asked["inputs"]
        if not isinstance(inputs, dict) and only is not None:
            return {only: inputs}
        if not isinstance(inputs, dict):
            raise ValueError('"inputs" must be an object: {"name": [...]}.')
        return inputs
    rows = asked["instances"]
    if not isinstance(rows, list) or not rows:
        raise ValueError('"instances" must be a list of rows, at least one.')
    if only is not None and not isinstance(rows[0], dict):
        return {only: rows}
    if not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        raise ValueError('"instances" must be objects with the same names: [{"name": ...}, ...].')
    for name, tensor in (signature.inputs if signature else {}).items():
        if name in rows[0] and tensor.shape == ():
            raise ValueError(f'{name!r} is one for all rows: ask by "inputs", not "instances".')
    return {name: [row[name] for row in rows] for name in rows[0]}


def to_answer(outputs: Mapping[str, np.ndarray[Any, Any]], rows: bool) -> dict[str, Any]:
    """Returns outputs as TensorFlow Serving does: "predictions" a row, or "outputs" by column.

    A single output stands for itself. Strings of an output named `..._bytes` become {"b64": ...}.
    """
    lists = {name: _encoded(name, array) for name, array in outputs.items()}
    if not rows:
        return {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) != 1 or sizes == {()}:
        raise ValueError('The outputs differ in their rows: ask by "inputs", not "instances".')
    if len(lists) == 1:
        return {"predictions": next(iter(lists.values()))}
    names = [*lists]
    values = zip(*lists.values(), strict=True)
    return {"predictions": [dict(zip(names, row, strict=True)) for row in values]}


def _encoded(name: str, array: np.ndarray[Any, Any]) -> Any:
    if array.dtype == object and name.endswith("_bytes"):
        wrapped = np.empty(array.size, object)
        wrapped[:] = [{"b64": b64encode(value).decode()} for value in array.flat]
        return wrapped.reshape(array.shape).tolist()
    return as_lists(array)


def to_json(answer: Any) -> bytes:
    """Returns the bytes of an answer."""
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
