"""Faults that come as gRPC messages: benchmarks/serving_faults.py."""

import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from serving_faults import MODEL, World
from serving_faults_http import FUZZ, spoiled

PROPER = ("INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED")


def channel_of(world: World) -> Any:
    import grpc

    return grpc.insecure_channel(f"127.0.0.1:{world.grpc}")


def message(signature: str = "recommend", **changed: Any) -> Any:
    """A PredictRequest, sound but for what is changed."""
    from tensorflow_serving.apis import predict_pb2

    from tfrecs.serving.protos import to_proto

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL, signature
    sound = {"user_id": np.array([1]), "k": np.array(3, np.int32), "exclude": np.array([[-1]])}
    for name, value in (sound | changed).items():
        request.inputs[name].CopyFrom(to_proto(value))
    return request


def code(world: World, data: bytes, seconds: float = 60) -> str:
    """Sends bytes as a PredictRequest; returns gRPC's code."""
    import grpc

    with channel_of(world) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        try:
            predict(data, timeout=seconds)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def refused(wanted: str, make: Callable[[], Any]) -> Callable[[World], None]:
    def fault(world: World) -> None:
        made = make()
        got = code(world, made if isinstance(made, bytes) else made.SerializeToString())
        assert got == wanted, got

    return fault


def shaped(*sizes: int) -> Any:
    """A request whose `user_id` declares a shape, and holds one value."""
    request = message()
    dims = request.inputs["user_id"].tensor_shape
    dims.ClearField("dim")
    for size in sizes:
        dims.dim.add(size=size)
    return request


def fuzzed(world: World) -> None:
    draw, sound = random.Random(0), bytearray(message().SerializeToString())
    with channel_of(world) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for _ in range(FUZZ):
            data = spoiled(draw, sound)
            got = predict.future(data, timeout=10).exception()
            assert got is None or got.code().name in PROPER, (data, got)


def cancelled(world: World) -> None:
    with channel_of(world) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        data = message().SerializeToString()
        for _ in range(500):
            predict.future(data, timeout=10).cancel()


def no_time(world: World) -> None:
    data = message().SerializeToString()
    codes = {code(world, data, 0.0005) for _ in range(30)}
    assert codes <= {"DEADLINE_EXCEEDED", "OK"}, codes


def garbage_for_grpc(world: World) -> None:
    for _ in range(50):
        with suppress(OSError), socket.create_connection(("127.0.0.1", world.grpc), 5) as link:
            link.sendall(os.urandom(500))


FAULTS: dict[str, Callable[[World], Any]] = {
    "gRPC: one value claims 131,072 rows": refused("RESOURCE_EXHAUSTED", lambda: shaped(131_072)),
    "gRPC: one value claims 2^62 rows": refused("RESOURCE_EXHAUSTED", lambda: shaped(2**62)),
    "gRPC: one value claims 40 axes": refused("INVALID_ARGUMENT", lambda: shaped(*[1] * 40)),
    "gRPC: int64 for the int32 k": refused("INVALID_ARGUMENT", lambda: message(k=np.array(3))),
    "gRPC: float for ids": refused("INVALID_ARGUMENT", lambda: message(user_id=np.array([1.0]))),
    "gRPC: bytes that are no message": refused("INTERNAL", lambda: b"\xff" * 50),
    "gRPC: a message of 33 MiB": refused("RESOURCE_EXHAUSTED", lambda: bytes(33 * 2**20)),
    "gRPC: 500 calls that are cancelled": cancelled,
    "gRPC: deadlines of half a millisecond": no_time,
    "gRPC: random bytes": garbage_for_grpc,
    "5,000 fuzzed requests by gRPC": fuzzed,
}
