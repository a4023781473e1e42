"""`tfrecs serve` by REST, by gRPC and by both at once, and what a request costs the server.

    python benchmarks/serving_speed.py

One process asks by asyncio, over 8 connections of each interface, on the same two cores; its gRPC
requests are serialized before. `cpu` is the CPU time of the server a request, beside that of
TensorFlow's C API alone, `Session.run_arrays`, with two threads. Ways take turns, and medians of
five rounds stand. It takes about two minutes.
"""

import asyncio
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import common
import numpy as np
from serving_clients import Serve
from serving_faults import USERS, export_model

PACKAGES = ("tensorflow", "numpy", "grpcio", "uvicorn", "httptools", "tensorflow-serving-api")
MODELS = {"small": (2_000, 64), "large": (100_000, 64)}
CLIENTS, SECONDS, ROUNDS = 8, 2.0, 5
WAYS = {"REST": ("REST",), "gRPC": ("gRPC",), "both": ("REST", "gRPC")}


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def capi(session: Any) -> tuple[float, float]:
    """Returns requests a second and CPU seconds a request of the C API with two threads."""
    count = 0

    def run(end: float) -> None:
        nonlocal count
        user = 0
        while time.perf_counter() < end:
            session.run_arrays("serving_default", {"user_id": np.array([user % USERS])})
            user += 1
        count += user

    start, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=run, args=(start + SECONDS,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    return count / elapsed, cpu / count


async def by_rest(port: int, model: str, place: int, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    while time.perf_counter() < end:
        body = b'{"inputs": {"user_id": [%d]}}' % ((place + 7 * done) % USERS)
        head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nHost: a\r\n"
        writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer)
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        done += 1
    writer.close()
    return done


async def by_grpc(predict: Any, messages: list[bytes], place: int, end: float) -> int:
    done = 0
    while time.perf_counter() < end:
        await predict(messages[(place + 7 * done) % USERS])
        done += 1
    return done


async def ask(server: Serve, model: str, ways: tuple[str, ...], seconds: float) -> dict[str, int]:
    """Asks for some seconds; returns the answers by way."""
    import grpc

    messages = [message(model, user) for user in range(USERS)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        end, tasks = time.perf_counter() + seconds, {}
        for way in ways:
            asked = range(CLIENTS)
            tasks[way] = [
                by_rest(server.rest_port, model, place, end)
                if way == "REST"
                else by_grpc(predict, messages, place, end)
                for place in asked
            ]
        counts = await asyncio.gather(*(task for listed in tasks.values() for task in listed))
    starts = range(0, len(counts), CLIENTS)
    return {way: sum(counts[at : at + CLIENTS]) for way, at in zip(ways, starts, strict=True)}


def message(model: str, user: int) -> bytes:
    from tensorflow_serving.apis import predict_pb2

    from tfrecs.serving.protos import to_proto

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["user_id"].CopyFrom(to_proto(np.array([user])))
    return bytes(request.SerializeToString())


def measure(folder: Path, data: str) -> list[dict[str, Any]]:
    """Returns rates and costs of a model."""
    from tfrecs.serving import Session

    model, found = f"{data}_stock", defaultdict(list)
    session = Session(folder / model)
    with Serve(folder) as server:
        process = server.process.pid
        for number in range(ROUNDS + 1):  # the first warms up
            rate, cost = capi(session)
            measured = {("C API", "requests_per_s"): rate, ("C API", "cpu"): cost * 1e3}
            for name, ways in WAYS.items():
                start, cpu = time.perf_counter(), cpu_seconds(process)
                counts = asyncio.run(ask(server, model, ways, SECONDS))
                elapsed, cpu = time.perf_counter() - start, cpu_seconds(process) - cpu
                for way, count in counts.items():
                    beside = f"{way} beside the other" if name == "both" else way
                    measured[beside, "requests_per_s"] = count / elapsed
                measured[name, "cpu"] = cpu / sum(counts.values()) * 1e3
            for key, value in measured.items() if number else ():
                found[key].append(value)
            print(data, number, {key: round(v, 2) for key, v in measured.items()}, flush=True)
    values = {key: statistics.median(listed) for key, listed in found.items()}
    protocol = f"{CLIENTS} connections a way, median of {ROUNDS} rounds"
    rows = []
    for (way, metric), value in values.items():
        peer = {"requests_per_s": "REST", "cpu": "C API"}[metric]
        against = {} if way == peer else {"peer": peer, "ratio": value / values[peer, metric]}
        unit = {"requests_per_s": "1/s", "cpu": "ms"}[metric]
        items = f"{MODELS[data][0]} items x {MODELS[data][1]}"
        rows.append(common.row(items, protocol, way, metric, value, unit=unit, **against))
    return rows


def main() -> None:
    import tensorflow  # noqa: F401  before any Session

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for data, (items, dim) in MODELS.items():
            export_model(Path(folder), count=items, dim=dim, name=f"{data}_stock")
        for data in MODELS:
            rows += measure(Path(folder), data)
    common.write("serving_speed", rows, seed=0, packages=PACKAGES)


if __name__ == "__main__":
    main()
