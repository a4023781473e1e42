"""Asks an exported SavedModel through TensorFlow's C API: the C++ session that TF Serving runs.

It imports neither tfrecs nor TensorFlow's Python, it only opens the wheel's shared libraries; so an
answer here proves that the export stands alone. Copied with c_api.py and
meta_graph.py, it runs anywhere.

    python session.py saved_models/news                          # what it takes and gives
    python session.py saved_models/news --inputs '{"user_id": ["u_000001"]}'

In a process that also needs `import tensorflow`, import it BEFORE the first `Session`: TensorFlow
crashes when its libraries were opened by another hand first.
"""

import argparse
import ctypes
import difflib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from tfrecs.serving import c_api
    from tfrecs.serving.c_api import SessionError, as_lists
    from tfrecs.serving.meta_graph import Signature, Tensor, read_signatures, to_array, unwrapped
else:  # run by path
    import c_api
    from c_api import SessionError, as_lists
    from meta_graph import Signature, Tensor, read_signatures, to_array, unwrapped


def find_version(path: Path) -> Path:
    """Returns `path` if it is a SavedModel, else the greatest of its numbered versions."""
    if (path / "saved_model.pb").is_file():
        return path
    numbered = ((version_number(f.parent.name), f.parent) for f in path.glob("*/saved_model.pb"))
    versions = {number: folder for number, folder in numbered if number is not None}
    if not versions:
        raise FileNotFoundError(f"{path} holds neither saved_model.pb nor numbered versions.")
    return versions[max(versions)]


def version_number(name: str) -> int | None:
    """Returns the version that a folder's name tells: ASCII digits that an int64 holds.

    >>> version_number("0012"), version_number("²"), version_number("9" * 30)
    (12, None, None)
    """
    digits = name.isascii() and name.isdecimal() and len(name) < 40
    return int(name) if digits and int(name) < 2**63 else None


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
            libraries.append(str(c_api.package("scann") / "scann_ops/cc/_scann_ops.so"))
        self._tf = tf = c_api.library()
        self._status = status = tf.TF_NewStatus()
        for library in libraries:
            tf.TF_LoadLibrary(library.encode(), status)
            self._check(status, f"{library} does not load")
        self._graph = tf.TF_NewGraph()
        options, buffer = tf.TF_NewSessionOptions(), tf.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = tf.TF_LoadSessionFromSavedModel(
            *(options, None, bytes(self.path), tags, 1, self._graph, buffer, status)
        )
        self._check(status, f"{self.path} does not load")
        meta_graph = ctypes.cast(buffer, ctypes.POINTER(c_api.Buffer)).contents
        self.signatures = read_signatures(ctypes.string_at(meta_graph.data, meta_graph.length))
        tf.TF_DeleteBuffer(buffer)
        tf.TF_DeleteSessionOptions(options)
        self._ends = {
            name: (self._places(signature.inputs), self._places(signature.outputs))
            for name, signature in self.signatures.items()
        }

    def close(self) -> None:
        """Frees the graph and its variables; the session answers no more."""
        self.signatures = {}
        self._tf.TF_CloseSession(self._session, self._status)
        self._tf.TF_DeleteSession(self._session, self._status)
        self._tf.TF_DeleteGraph(self._graph)
        self._tf.TF_DeleteStatus(self._status)

    def _check(self, status: int, what: str) -> None:
        if code := self._tf.TF_GetCode(status):
            message = self._tf.TF_Message(status).decode(errors="replace").strip()
            raise SessionError(f"{what}: {[*message.splitlines(), ''][0]}", code)

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
        outputs = self.run_arrays(signature, self.to_arrays(signature, inputs))
        return {name: as_lists(array) for name, array in outputs.items()}

    def to_arrays(
        self, signature: str, inputs: Mapping[str, Any]
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Checks inputs against a signature; returns arrays, strings as objects of `bytes`."""
        chosen: Signature = _lookup(self.signatures, signature, "`signature`")
        where = f"Signature {signature!r}"
        for name in inputs:
            _lookup(chosen.inputs, name, f"{where}: an input")
        if missing := sorted(set(chosen.inputs) - set(inputs)):
            raise ValueError(f"{where} also needs the inputs {missing}.")
        tensors = chosen.inputs.items()
        return {n: to_array(f"{where}: input {n!r}", inputs[n], t) for n, t in tensors}

    def run_arrays(
        self, signature: str, arrays: Mapping[str, np.ndarray[Any, Any]]
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Runs a signature on what `to_arrays` gave; threads may run at the same time.

        Args:
            signature: Its name.
            arrays: Every input.
        """
        tf, chosen = self._tf, self.signatures[signature]
        inputs, outputs = self._ends[signature]
        feeds = [
            c_api.feed(tf, arrays[name], tensor.code) for name, tensor in chosen.inputs.items()
        ]
        results = (ctypes.c_void_p * len(chosen.outputs))()
        status = tf.TF_NewStatus()
        try:
            tf.TF_SessionRun(
                *(self._session, None, inputs),
                *((ctypes.c_void_p * len(feeds))(*feeds), len(feeds)),
                *(outputs, results, len(results), None, 0, None, status),
            )
            self._check(status, f"Signature {signature!r}")
        finally:
            for feed in feeds:
                tf.TF_DeleteTensor(feed)
            tf.TF_DeleteStatus(status)
        given = zip(chosen.outputs.items(), results, strict=True)
        return {name: c_api.fetch(tf, result, tensor.dtype) for (name, tensor), result in given}

    def _places(self, tensors: Mapping[str, Tensor]) -> Any:
        places = (c_api.Output * len(tensors))()
        for place, tensor in zip(places, tensors.values(), strict=True):
            name, index = tensor.tensor.rsplit(":", 1)
            place.operation = self._tf.TF_GraphOperationByName(self._graph, name.encode())
            place.index = int(index)
        return places


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
    return json.loads(text, object_hook=unwrapped)


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
