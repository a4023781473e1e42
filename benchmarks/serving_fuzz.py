"""What must not break `tfrecs serve`: new versions under load, and wrong requests."""

import http.client
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import common
import numpy as np
from serving_clients import Serve, grpc_client, rest_client, under_load

MODEL = "scann"
# what each kind of wrong request may be answered with
PROPER = {
    "wrong dtype": {"INVALID_ARGUMENT"},
    "wrong shape": {"INVALID_ARGUMENT"},
    "missing": {"INVALID_ARGUMENT"},
    "huge": {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"},
    "NaN": {"INVALID_ARGUMENT"},
    "invalid UTF-8": {"INVALID_ARGUMENT", "INTERNAL"},  # gRPC's own: no message can be read
    "unknown name": {"INVALID_ARGUMENT", "NOT_FOUND"},
}
STATUS = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    200: "OK",
}


def swaps(source: Path, folder: Path, data: str, count: int = 20) -> list[Any]:
    """Publishes versions while 8 clients ask by REST and gRPC; counts what failed."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder / MODEL / "1")
    served = []
    with Serve(folder) as server:
        clients = [rest_client(server.rest_port, MODEL) for _ in range(4)]
        clients += [grpc_client(server.grpc_port, MODEL) for _ in range(4)]
        taken: list[np.ndarray] = []
        failed: list[Exception] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    taken.append(under_load(clients, 1.0)[0])
                except Exception as error:
                    failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        for version in range(2, count + 2):
            aside = folder / f".{version}"
            shutil.copytree(source, aside)
            aside.rename(folder / MODEL / str(version))
            until = time.monotonic() + 60
            while _served(server.rest_port) != version and time.monotonic() < until:
                time.sleep(0.05)
            served.append(_served(server.rest_port))
            if version > 3:
                shutil.rmtree(folder / MODEL / str(version - 2))
        stop.set()
        thread.join()
        memory = server.resident_mb()
    answered = np.concatenate(taken)
    protocol = f"{count} new versions, 8 clients by REST and gRPC"
    values = {
        "swaps": (len(set(served)), ""),
        "answered": (len(answered), ""),
        "failed": (len(failed), ""),
        "memory_at_the_end": (memory, "MB"),
    }
    return [
        common.row(data, protocol, "tfrecs serve", metric, value, unit=unit)
        for metric, (value, unit) in values.items()
    ]


def _served(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/v1/models/{MODEL}")
    states = json.loads(connection.getresponse().read())["model_version_status"]
    connection.close()
    return max(int(s["version"]) for s in states if s["state"] == "AVAILABLE")


def fuzz(folder: Path, data: str, count: int = 1000) -> list[Any]:
    """Sends wrong requests by both interfaces; counts those that get a proper error code."""
    rows = []
    with Serve(folder) as server:
        for way, send, made, well in (
            ("REST", _by_rest(server.rest_port), rest_bodies, rest_client(server.rest_port, MODEL)),
            ("gRPC", _by_grpc(server.grpc_port), messages, grpc_client(server.grpc_port, MODEL)),
        ):
            requests, codes, proper = made(np.random.default_rng(0)), Counter(), 0
            for kind, request in (next(requests) for _ in range(count)):
                code = send(request)
                codes[code] += 1
                proper += code in PROPER[kind]
                if code not in PROPER[kind]:
                    print(way, kind, code, str(request)[:300], flush=True)
            well(1)  # raises if it is not answered
            protocol = f"{count} wrong requests by {way}, {len(PROPER)} kinds"
            found = {"proper_error_code": proper, **codes, "alive_at_the_end": 1}
            rows += [common.row(data, protocol, "tfrecs serve", m, n) for m, n in found.items()]
    return rows


def rest_bodies(random: np.random.Generator) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yields kind, and path and body of a POST, in turn; the values are drawn."""

    def body(**inputs: Any) -> bytes:
        return json.dumps({"signature_name": "recommend", "inputs": inputs}).encode()

    well: dict[str, Any] = {"user_id": [1], "k": 5, "exclude": [[]]}
    path = f"/v1/models/{MODEL}:predict"
    while True:
        name = str(random.choice([*well]))
        wrong = ["a", 1.5, True, None, {"x": 1}, 2**70, "é" * 50][random.integers(7)]
        yield "wrong dtype", (path, body(**well | {name: _nested(wrong, well[name])}))
        # `k` has no axis, `user_id` one, `exclude` two and a row for each user
        shapes = {"user_id": 1, "k": [5], "exclude": [[1], [2, 3]]}
        deeper = [[[1]], [[], [1]], [[[1]]]][random.integers(3)]
        value = shapes[name] if random.random() < 0.5 or name == "exclude" else deeper
        yield "wrong shape", (path, body(**well | {name: value}))
        left = {key: value for key, value in well.items() if key != name}
        bodies = [body(**left), b"{}", b"", b'{"inputs": {}}', body(**left | {"other": [1]})]
        yield "missing", (path, bodies[random.integers(len(bodies))])
        huge = [
            *(body(**well | {"k": int(random.integers(2**20, 2**31))}), body(k="9" * 10**6)),
            *(b"[" * 10**6, body(user_id=["x" * 10**7]), b" " * (33 * 2**20)),
        ]
        yield "huge", (path, huge[random.integers(len(huge))])
        nan = float(random.choice([np.nan, np.inf, -np.inf]))
        yield "NaN", (path, body(**well | {name: _nested(nan, well[name])}))
        bad = bytes(random.integers(128, 256, random.integers(1, 50)).astype(np.uint8))
        bad = bad + b"\xff"
        yield "invalid UTF-8", (path, b'{"inputs": {"user_id": ["' + bad + b'"]}}')
        unknown = "".join(random.choice([*"abcdé/:-_ "], 8))
        named = json.dumps({"signature_name": unknown, "inputs": {"user_id": [1]}}).encode()
        other = f"/v1/models/{MODEL}/versions/{random.integers(2, 10**6)}:predict"
        yield "unknown name", [(path, named), (other, body(**well))][random.integers(2)]


def messages(random: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields kind and serialized PredictRequest, in turn; the values are drawn."""
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2

    from tfrecs.serving.protos import to_proto

    well = {
        "user_id": np.array([1]),
        "k": np.array(5, np.int32),
        "exclude": np.zeros((1, 0), np.int64),
    }

    def message(signature: str = "recommend", **inputs: Any) -> Any:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = MODEL, signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(to_proto(value))
        return request

    while True:
        name = str(random.choice([*well]))
        shape = well[name].shape
        dtypes = [
            np.full(shape, 1.5, np.float32),
            np.full(shape, b"a", object),
            np.ones(shape, bool),
        ]
        wrong = message(**well | {name: dtypes[random.integers(3)]})
        if random.random() < 0.2:
            wrong.inputs[name].dtype = int(random.choice(types_pb2.DataType.values()[11:23]))
        yield "wrong dtype", wrong.SerializeToString()
        deeper = [np.expand_dims(well[name], 0), np.ones((2, 2, 2, 2), well[name].dtype)]
        yield (
            "wrong shape",
            message(**well | {name: deeper[random.integers(2)]}).SerializeToString(),
        )
        left = {key: value for key, value in well.items() if key != name}
        fewer = [left, {}, left | {"other": np.array([1])}][random.integers(3)]
        yield "missing", message(**fewer).SerializeToString()
        huge = message(**well | {"k": np.array(random.integers(2**20, 2**31), np.int32)})
        drawn = random.integers(4)
        if drawn == 1:  # a shape without its content
            huge.inputs["user_id"].tensor_shape.dim[0].size = int(random.integers(2**30, 2**62))
        elif drawn == 2:
            huge = message(**well | {"user_id": np.array([b"x" * 10**7], object)})
        elif drawn == 3:
            huge = message(**well | {"user_id": np.array([b"x" * (33 * 2**20)], object)})
        yield "huge", huge.SerializeToString()
        nan = np.full(
            shape if np.prod(shape) else (1, 1), random.choice([np.nan, np.inf]), "float32"
        )
        yield "NaN", message(**well | {name: nan}).SerializeToString()
        bad = bytes(random.integers(128, 256, 9).astype(np.uint8)) + b"\xff"
        spoiled = message(**well).SerializeToString().replace(b"recommend", bad[:9])
        typed = message(**well | {"user_id": np.array([bad], object)}).SerializeToString()
        yield "invalid UTF-8", [spoiled, bad, typed][random.integers(3)]
        unknown = message("".join(random.choice([*"abcdé/:-_ "], 8)), **well)
        if random.random() < 0.5:
            unknown = message(**well)
            unknown.model_spec.version.value = int(random.integers(2, 10**6))
        yield "unknown name", unknown.SerializeToString()


def _nested(value: Any, like: Any) -> Any:
    """Returns a value as deep in lists as another."""
    return [_nested(value, like[0] if like else 0)] if isinstance(like, list) else value


def _by_rest(port: int) -> Callable[[tuple[str, bytes]], str]:
    def send(request: tuple[str, bytes]) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", *request)  # may be refused by its length before its end
        response = connection.getresponse()
        said = json.loads(response.read())
        connection.close()
        return STATUS.get(response.status, str(response.status)) if "error" in said else "OK"

    return send


def _by_grpc(port: int) -> Callable[[bytes], str]:
    import grpc

    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")  # of bytes

    def send(request: bytes) -> str:
        try:
            predict(request, timeout=60)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    return send
