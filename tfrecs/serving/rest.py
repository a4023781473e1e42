"""TensorFlow Serving's REST interface (https://www.tensorflow.org/tfx/serving/api_rest).

| request | answer |
| --- | --- |
| `GET /v1/models/<name>[/versions/<n>\\|/labels/<label>]` | status of the versions |
| `GET /v1/models/<name>[...]/metadata` | signatures |
| `POST /v1/models/<name>[...]:predict` | rows by "instances", columns by "inputs" |
| `POST /v1/models/<name>[...]:classify`, `:regress` | "results" of "examples" |
| `GET /healthz`, `GET /readyz` | 200 while it runs; while every model answers and is watched |
| `GET /monitoring/prometheus/metrics` | counts and latencies |
| `GET /` | a page to try it |
"""

import asyncio
import json
import re
from importlib import resources
from typing import Any
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict

from tfrecs.serving import inference, monitoring
from tfrecs.serving.bodies import read_body as read_body
from tfrecs.serving.bodies import read_json, to_answer, to_json
from tfrecs.serving.bodies import to_inputs as to_inputs
from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import (
    DEADLINE_EXCEEDED,
    NAMES,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    code_of,
    http_status,
)
from tfrecs.serving.protos import signature_map
from tfrecs.serving.service import Service, aside
from tfrecs.serving.versions import Loaded, Versions

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_MODEL + r":(?P<verb>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(_MODEL + r"(?:/(?P<verb>metadata))?", re.IGNORECASE)
_BODIES = 8  # so many of the greatest requests may be on their way in at a time
JSON = "application/json"
Answer = tuple[int, str, bytes]


class Rest:
    """The ASGI application: `http_server(Rest(service), limits)`.

    Args:
        service: What answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._page = resources.files("tfrecs.serving").joinpath("page.html").read_text("utf-8")
        self._held = 0  # bytes of bodies on their way in

    @property
    def page(self) -> str:
        """The page to try the models on."""
        return self._page.replace("__MODELS__", json.dumps(sorted(self.service.models)))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request: of ASGI."""
        whole = True  # whether the request was read to its end
        try:
            whole = False
            body = await self._body(scope, receive)
            whole = True
            status, kind, answer = await self._answer(scope, body)
        except Exception as error:
            code = code_of(error)
            said = str(error) if code in NAMES and str(error) else type(error).__name__
            status, kind, answer = http_status(code), JSON, to_json({"error": said})
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(answer))]
        if not whole or self.service.stopping:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _body(self, scope: Any, receive: Any) -> bytes:
        """Reads a request to its end, whatever its method, in time and within its limits."""
        limits = self.service.limits
        told = dict(scope["headers"]).get(b"content-length", b"0")
        limits.check_bytes(int(told))
        chunks, size = [], 0
        try:
            async with asyncio.timeout(limits.read_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ValueError(f"The request ends after {size} of {int(told)} bytes.")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    self._held += len(chunks[-1])
                    limits.check_bytes(size)
                    if self._held > _BODIES * limits.request_bytes:
                        said = "Too many bytes of requests are on their way in. Try again later."
                        raise SessionError(said, RESOURCE_EXHAUSTED)
                    if not message.get("more_body"):
                        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except TimeoutError as error:
            said = f"The request did not come whole within {limits.read_seconds} seconds."
            raise SessionError(said, DEADLINE_EXCEEDED) from error
        finally:
            self._held -= size

    async def _answer(self, scope: Any, body: bytes) -> Answer:
        method, path = scope["method"], scope["raw_path"].decode("ascii", "replace")
        if method in ("GET", "HEAD"):
            return self._get(path)
        if not path.startswith("/v1/"):
            raise SessionError(f"There is nothing at {path[:200]!r}.", NOT_FOUND)
        match = _POST.fullmatch(path) if method == "POST" else None
        if match is None:
            raise ValueError(f"Malformed request: {method} {path[:200]}")
        name, verb = unquote(match["name"]), match["verb"].lower()
        service = self.service
        service.limits.check_values(1 + body.count(b","))
        with (
            service.request(name, "REST"),
            service.model(name).use(*_version(match)) as loaded,
        ):
            if verb == "predict":
                return await self._predict(loaded, body)
            return await self._infer(loaded, verb, body)

    async def _predict(self, loaded: Loaded, body: bytes) -> Answer:
        def parse() -> tuple[str, Any, bool]:
            asked = read_body(body)
            signature = asked.get("signature_name") or "serving_default"
            rows = asked.get("instances")
            self.service.limits.check_rows(len(rows) if isinstance(rows, list) else 0)
            inputs = to_inputs(asked, loaded.signatures.get(signature))
            return signature, loaded.session.to_arrays(signature, inputs), "instances" in asked

        signature, arrays, rows = await aside(len(body), parse)
        outputs = await self.service.predict(loaded, signature, arrays)
        size = sum(array.size for array in outputs.values())
        return 200, JSON, await aside(size, lambda: to_json(to_answer(outputs, rows)))

    async def _infer(self, loaded: Loaded, verb: str, body: bytes) -> Answer:
        def parse() -> tuple[str, Any]:
            asked = read_json(body)
            given = inference.input_of(asked)
            return asked.get("signature_name") or "serving_default", inference.examples_of(given)

        name, examples = await aside(len(body), parse)
        method = inference.CLASSIFY if verb == "classify" else inference.REGRESS
        inference.check_method(loaded.signatures, name, method)

        async def predict(signature: str, arrays: Any) -> Any:
            return await self.service.predict(loaded, signature, arrays)

        if verb == "regress":
            result = await inference.regress(name, examples, predict)
            return _ok({"results": [one.value for one in result.regressions]})
        result = await inference.classify(name, examples, predict)
        lists = [[[c.label, c.score] for c in one.classes] for one in result.classifications]
        return _ok({"results": lists})

    def _get(self, path: str) -> Answer:
        service = self.service
        if path == "/":
            return 200, "text/html; charset=utf-8", self.page.encode()
        if path == "/healthz":
            return 200, "text/plain", b"ok\n"
        if path == "/readyz":
            troubles = service.troubles
            said = "\n".join(troubles or ["ok"]) + "\n"
            return 503 if troubles else 200, "text/plain", said.encode()
        if path == "/monitoring/prometheus/metrics":
            return 200, monitoring.CONTENT_TYPE, service.monitoring.text().encode()
        if not path.startswith("/v1/"):
            raise SessionError(f"There is nothing at {path[:200]!r}.", NOT_FOUND)
        match = _GET.fullmatch(path)
        if match is None:
            raise ValueError(f"Malformed request: GET {path[:200]}")
        name = unquote(match["name"])
        model, (version, label) = service.model(name), _version(match)
        if match["verb"]:
            return _metadata(name, model, version, label)
        states = [
            {
                "version": str(state.version),
                "state": state.state,
                "status": {"error_code": NAMES[state.code], "error_message": state.message},
            }
            for state in model.states(model.of_label(label) if label else version)
        ]
        return _ok({"model_version_status": states})


def _metadata(name: str, model: Versions, version: int | None, label: str) -> Answer:
    with model.use(version, label) as loaded:
        signatures = MessageToDict(
            signature_map(loaded.signatures),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        spec = {"name": name, "signature_name": "", "version": str(loaded.version)}
    return _ok({"model_spec": spec, "metadata": {"signature_def": signatures}})


def _version(match: re.Match[str]) -> tuple[int | None, str]:
    number = match["version"]
    if number is not None and (len(number) > 40 or int(number) >= 2**63):
        raise ValueError(f"Failed to convert version: {number[:50]} to numeric.")
    return None if number is None else int(number), unquote(match["label"] or "")


def _ok(answer: Any) -> Answer:
    return 200, JSON, to_json(answer)
