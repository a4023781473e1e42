"""Asks an exported SavedModel through TensorFlow's C API: the C++ session that TF Serving runs.

It imports neither tfrecs nor TensorFlow's Python, it only opens the wheel's shared libraries; so an
answer here proves that the export stands alone. Copied with meta_graph.py, it runs anywhere.

    python session.py saved_models/news                          # what it takes and gives
    python session.py saved_models/news --inputs '{"user_id": ["u_000001"]}'

In a process that also needs `import tensorflow`, import it BEFORE the first `Session`: TensorFlow
crashes when its libraries were opened by another hand first.
"""

import argparse
import ctypes
import difflib
import functools
import importlib.util
import json
import math
import os
import sys
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from tfrecs.serving.meta_graph import STRING, Signature, Tensor, read_signatures, to_array
else:  # run by path
    from meta_graph import STRING, Signature, Tensor, read_signatures, to_array

_STRING_BYTES = 24  # sizeof(TF_TString)
# tensorflow/c/c_api.h: functions with the types of their result and arguments
_C_TYPES: dict[str, Any] = {
    "v": None,
    "p": ctypes.c_void_p,
    "s": ctypes.c_char_p,
    "i": ctypes.c_int,
    "l": ctypes.c_int64,  # also size_t
}
_C_API = (
    "NewStatus:p GetCode:ip Message:sp LoadLibrary:psp NewGraph:p DeleteGraph:vp NewBuffer:p "
    "DeleteBuffer:vp NewSessionOptions:p DeleteSessionOptions:vp CloseSession:vpp "
    "LoadSessionFromSavedModel:pppspippp DeleteSession:vpp GraphOperationByName:pps "
    "SessionRun:vppppippipipp AllocateTensor:pipil DeleteTensor:vp TensorData:pp "
    "NumDims:ip Dim:lpi StringInit:vp StringCopy:vpsl StringGetDataPointer:pp StringGetSize:lp"
)


class SessionError(RuntimeError):
    """TensorFlow refused to load the model or to run it."""


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class _Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p))


def _package(name: str) -> Path:
    """Finds an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SessionError(f"{name} is not installed. Run `pip install {name}`.")
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _library() -> ctypes.CDLL:
    """Opens TensorFlow's shared libraries and declares the functions used here."""
    root = _package("tensorflow")
    ctypes.CDLL(str(root / "libtensorflow_framework.so.2"), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(root / "libtensorflow_cc.so.2"), mode=ctypes.RTLD_GLOBAL)
    for declaration in _C_API.split():
        name, types = declaration.split(":")
        function = getattr(library, f"TF_{name}")
        function.restype, *function.argtypes = [_C_TYPES[letter] for letter in types]
    return library


def find_version(path: Path) -> Path:
    """Returns `path` if it is a SavedModel, else the greatest of its numbered versions."""
    if (path / "saved_model.pb").is_file():
        return path
    versions = [file.parent for file in path.glob("*/saved_model.pb") if file.parent.name.isdigit()]
    if not versions:
        raise FileNotFoundError(f"{path} holds neither saved_model.pb nor numbered versions.")
    return max(versions, key=lambda version: int(version.name))


def _lookup(named: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in named:
        near = difflib.get_close_matches(name, named, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{what} must be one of {sorted(named)}. Received: {name!r}.{hint}")
    return named[name]


class Session:
    """A loaded SavedModel: `Session("saved_models/news").run(signature, {name: list})`.

    Args:
        saved_model_dir: Its directory, or the directory of its numbered versions (the greatest).
        op_libraries: Shared libraries of custom ops. Defaults to ScaNN's when the graph needs it.

    Raises:
        SessionError: If TensorFlow cannot load it.
        FileNotFoundError: If there is no SavedModel.
    """

    def __init__(self, saved_model_dir: str | Path, op_libraries: Sequence[str | Path] = ()):
        self.path = find_version(Path(saved_model_dir))
        libraries = [str(library) for library in op_libraries]
        if not libraries and b"Scann>" in (self.path / "saved_model.pb").read_bytes():
            libraries.append(str(_package("scann") / "scann_ops/cc/_scann_ops.so"))
        self._tf = tf = _library()
        self._status = tf.TF_NewStatus()
        for library in libraries:
            tf.TF_LoadLibrary(library.encode(), self._status)
            self._check(f"{library} does not load")
        self._graph = tf.TF_NewGraph()
        options, buffer = tf.TF_NewSessionOptions(), tf.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = tf.TF_LoadSessionFromSavedModel(
            *(options, None, bytes(self.path), tags, 1, self._graph, buffer, self._status)
        )
        self._check(f"{self.path} does not load")
        meta_graph = ctypes.cast(buffer, ctypes.POINTER(_Buffer)).contents
        self.signatures = read_signatures(ctypes.string_at(meta_graph.data, meta_graph.length))
        tf.TF_DeleteBuffer(buffer)
        tf.TF_DeleteSessionOptions(options)

    def close(self) -> None:
        """Frees the graph and its variables; the session answers no more."""
        self._tf.TF_CloseSession(self._session, self._status)
        self._tf.TF_DeleteSession(self._session, self._status)
        self._tf.TF_DeleteGraph(self._graph)
        self.signatures = {}

    def _check(self, what: str) -> None:
        if self._tf.TF_GetCode(self._status):
            message = self._tf.TF_Message(self._status).decode(errors="replace").strip()
            raise SessionError(f"{what}: {message.splitlines()[0]}")

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a signature.

        Args:
            signature: Its name, such as "serving_default".
            inputs: Nested lists or arrays by input name; strings as `str` or `bytes`.

        Returns:
            Nested lists by output name; strings as `str`.

        Raises:
            ValueError: An unknown signature, a missing or extra input, a wrong dtype or shape.
            SessionError: TensorFlow failed, such as for a `k` greater than the catalogue.
        """
        chosen: Signature = _lookup(self.signatures, signature, "`signature`")
        where = f"Signature {signature!r}"
        for name in inputs:
            _lookup(chosen.inputs, name, f"{where}: an input")
        if missing := sorted(set(chosen.inputs) - set(inputs)):
            raise ValueError(f"{where} also needs the inputs {missing}.")
        given = [
            (to_array(f"{where}: input {n!r}", inputs[n], t), t) for n, t in chosen.inputs.items()
        ]
        feeds = [self._feed(array, tensor.code) for array, tensor in given]
        results = (ctypes.c_void_p * len(chosen.outputs))()
        self._tf.TF_SessionRun(
            *(self._session, None),
            *(self._places(chosen.inputs), (ctypes.c_void_p * len(feeds))(*feeds), len(feeds)),
            *(self._places(chosen.outputs), results, len(results), None, 0, None, self._status),
        )
        for feed in feeds:
            self._tf.TF_DeleteTensor(feed)
        self._check(where)
        outputs = zip(chosen.outputs.items(), results, strict=True)
        return {name: self._fetch(result, tensor.dtype) for (name, tensor), result in outputs}

    def _places(self, tensors: Mapping[str, Tensor]) -> Any:
        places = (_Output * len(tensors))()
        for place, tensor in zip(places, tensors.values(), strict=True):
            name, index = tensor.tensor.rsplit(":", 1)
            place.operation = self._tf.TF_GraphOperationByName(self._graph, name.encode())
            place.index = int(index)
        return places

    def _feed(self, array: np.ndarray[Any, Any], code: int) -> int:
        """Copies an array into a new tensor, which frees its strings with itself."""
        size = _STRING_BYTES * array.size if code == STRING else array.nbytes
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor: int = self._tf.TF_AllocateTensor(code, shape, array.ndim, size)
        start = self._tf.TF_TensorData(tensor)
        if code != STRING:
            ctypes.memmove(start, array.ctypes.data, size)
            return tensor
        for place, text in enumerate(array.flat):
            self._tf.TF_StringInit(start + _STRING_BYTES * place)
            self._tf.TF_StringCopy(start + _STRING_BYTES * place, text, len(text))
        return tensor

    def _fetch(self, tensor: int, dtype: str) -> Any:
        """Reads a tensor into nested lists and frees it."""
        tf = self._tf
        shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
        start, strings = tf.TF_TensorData(tensor), dtype == "string"
        flat: np.ndarray[Any, Any] = np.empty(math.prod(shape), object if strings else dtype)
        if strings:
            for place in range(flat.size):
                text = start + _STRING_BYTES * place
                data = ctypes.string_at(tf.TF_StringGetDataPointer(text), tf.TF_StringGetSize(text))
                flat[place] = data.decode(errors="replace")
        else:
            ctypes.memmove(flat.ctypes.data, start, flat.nbytes)
        tf.TF_DeleteTensor(tensor)
        return flat.reshape(shape).tolist()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Asks an exported SavedModel; prints JSON.")
    parser.add_argument("directory", type=Path, help="SavedModel, or folder of numbered versions")
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--inputs", help="JSON object: lists by input name")
    parser.add_argument("--inputs-file", type=Path, help="the same from a file")
    parser.add_argument("--requests", type=Path, help="file: JSON list of TF Serving's REST bodies")
    parser.add_argument("--k", type=int, help="the input `k`")
    return parser


def _load(text: str) -> Any:
    """Reads JSON in which {"b64": "..."} stands for bytes, as in TF Serving's REST bodies."""
    return json.loads(text, object_hook=lambda o: b64decode(o["b64"]) if [*o] == ["b64"] else o)


def _answer(given: argparse.Namespace) -> Any:
    session = Session(given.directory)
    if given.requests:
        bodies = _load(given.requests.read_text("utf-8"))
        try:
            requests = [(body["signature_name"], body["inputs"]) for body in bodies]
        except (KeyError, TypeError) as error:
            wanted = '[{"signature_name": ..., "inputs": {...}}]'
            raise ValueError(f"{given.requests} must hold {wanted}. Missing: {error}.") from error
        return [session.run(*request) for request in requests]
    if given.inputs or given.inputs_file:
        inputs = _load(given.inputs or given.inputs_file.read_text("utf-8"))
        if not isinstance(inputs, dict):
            raise ValueError(f'The inputs must be a JSON object: {{"name": [...]}}, not {inputs}.')
        return session.run(given.signature, inputs | ({} if given.k is None else {"k": given.k}))
    return {name: signature.describe() for name, signature in sorted(session.signatures.items())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers one request, or a file of them; returns the exit code."""
    given = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        answer = _answer(given)
    except (SessionError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print(json.dumps(answer, ensure_ascii=False))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
