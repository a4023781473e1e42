"""TensorFlow Serving's REST interface (https://www.tensorflow.org/tfx/serving/api_rest).

| request | answer |
| --- | --- |
| `GET /v1/models/<name>[/versions/<n>]` | status of the versions |
| `GET /v1/models/<name>[/versions/<n>]/metadata` | signatures |
| `POST /v1/models/<name>[/versions/<n>]:predict` | rows by "instances", columns by "inputs" |
| `GET /healthz`, `GET /readyz` | 200 while it runs; while every model answers |
| `GET /monitoring/prometheus/metrics` | counts and latencies |
| `GET /` | a page to try it |
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict

from tfrecs.serving import monitoring
from tfrecs.serving.c_api import SessionError, as_lists
from tfrecs.serving.codes import NAMES, NOT_FOUND, RESOURCE_EXHAUSTED, code_of, http_status
from tfrecs.serving.meta_graph import Signature
from tfrecs.serving.protos import signature_map
from tfrecs.serving.service import Service

_MODEL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d{1,18}))?(/metadata|:\w+)?")
_IDLE_SECONDS = 60  # of a connection without a request, or within one
JSON = "application/json"


class RestServer(ThreadingHTTPServer):
    """Listens for REST requests; each connection has a thread.

    Args:
        address: Host and port; port 0 takes a free one.
        service: What answers.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        page = resources.files("tfrecs.serving").joinpath("page.html").read_text("utf-8")
        self.page = page.replace("__MODELS__", json.dumps(sorted(service.models)))
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Lets a connection that broke go: its client is gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tfrecs", ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    timeout = _IDLE_SECONDS
    server: RestServer

    def do_GET(self) -> None:
        """Answers what has no body."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answers `:predict`."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet: requests are counted, not logged."""

    def _answer(self, method: Callable[[], tuple[int, str, bytes]]) -> None:
        try:
            status, kind, body = method()
        except Exception as error:
            code = code_of(error)
            said = str(error) if code in NAMES and str(error) else type(error).__name__
            status, kind, body = http_status(code), JSON, _json({"error": said})
        self.close_connection |= self.server.service.stopping
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _get(self) -> tuple[int, str, bytes]:
        service, path = self.server.service, self.path.partition("?")[0]
        if path == "/":
            return 200, "text/html; charset=utf-8", self.server.page.encode()
        if path == "/healthz":
            return 200, "text/plain", b"ok\n"
        if path == "/readyz":
            return (200, "text/plain", b"ok\n") if service.ready else (503, "text/plain", b"no\n")
        if path == "/monitoring/prometheus/metrics":
            return 200, monitoring.CONTENT_TYPE, service.monitoring.text().encode()
        name, version, verb = self._model(path)
        model = service.model(name)
        if verb == "/metadata":
            with model.use(version) as loaded:
                signatures = MessageToDict(
                    signature_map(loaded.signatures), preserving_proto_field_name=True
                )
                spec = {"name": name, "signature_name": "", "version": str(loaded.version)}
            return _ok({"model_spec": spec, "metadata": {"signature_def": signatures}})
        if verb is not None:
            raise SessionError(f"{verb} needs the method POST.", NOT_FOUND)
        states = [
            {
                "version": str(state.version),
                "state": state.state,
                "status": {"error_code": NAMES[state.code], "error_message": state.message},
            }
            for state in model.states(version)
        ]
        return _ok({"model_version_status": states})

    def _post(self) -> tuple[int, str, bytes]:
        body = self._body()
        name, version, verb = self._model(self.path)
        if verb != ":predict":
            raise SessionError(f"{verb or 'POST'} is not offered, only :predict.", NOT_FOUND)
        service = self.server.service
        with service.request(name, "REST"), service.model(name).use(version) as loaded:
            asked = read_body(body)
            signature = asked.get("signature_name") or "serving_default"
            inputs = to_inputs(asked, loaded.signatures.get(signature))
            outputs = service.predict(loaded, signature, inputs)
            return _ok(to_answer(outputs, rows="instances" in asked))

    def _body(self) -> bytes:
        length, most = self.headers.get("Content-Length", ""), self.server.service.limits
        if not length.isdecimal():
            self.close_connection = True
            raise ValueError("The request needs the header Content-Length.")
        if int(length) > most.request_bytes:
            self.close_connection = True
            raise SessionError(
                f"The request must have at most {most.request_bytes} bytes. Received: {length}.",
                RESOURCE_EXHAUSTED,
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise ValueError(f"The request ends after {len(body)} of {length} bytes.")
        return body

    def _model(self, path: str) -> tuple[str, int | None, str | None]:
        match = _MODEL.fullmatch(path)
        if match is None:
            raise SessionError(f"There is nothing at {path[:200]!r}.", NOT_FOUND)
        name, version, verb = match.groups()
        return name, None if version is None else int(version), verb


def read_body(body: bytes) -> dict[str, Any]:
    """Reads the JSON of a request; {"b64": "..."} stands for bytes.

    Raises:
        ValueError: If it is no request.
    """
    asked = json.loads(body.decode(), object_hook=_unwrapped)
    if not isinstance(asked, dict) or ("instances" in asked) == ("inputs" in asked):
        raise ValueError('The request must be a JSON object with "instances" or "inputs".')
    if not isinstance(asked.get("signature_name", ""), str):
        raise ValueError("`signature_name` must be a string.")
    return asked


def _unwrapped(read: dict[str, Any]) -> Any:
    """Returns the bytes of {"b64": "..."}, and any other object as it is."""
    if [*read] != ["b64"]:
        return read
    if not isinstance(read["b64"], str):
        raise ValueError('"b64" must be a string.')
    return b64decode(read["b64"])


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


def _ok(answer: Any) -> tuple[int, str, bytes]:
    return 200, JSON, _json(answer)


def _json(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
