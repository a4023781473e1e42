"""Clients of benchmarks/serving.py, and the server in a process of its own."""

import asyncio
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

USERS = 2048


class Serve:
    """`tfrecs serve` in a process of its own; `prelude` is Python to run in it before."""

    def __init__(self, folder: Path, prelude: str = "") -> None:
        program = "import typer; from tfrecs.cli.serve import serve; typer.run(serve)"
        program = f"{prelude}\n{program}"
        options = ["--rest-port", "0", "--grpc-port", "0", "--poll-seconds", "0.2"]
        command = [sys.executable, "-c", program, str(folder), *options]
        environment = os.environ | {"COLUMNS": "300", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(self.process.stdout.readline())
            if not lines[-1]:
                raise RuntimeError("The server did not start.")
        self.rest_port, self.grpc_port = (
            int("".join(c for c in line.rsplit(":", 1)[1] if c.isdigit())) for line in lines[-3:-1]
        )

    def resident_mb(self) -> float:
        """Memory of the server."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096 / 1e6

    def __enter__(self) -> "Serve":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(30)


def under_load(clients: list[Callable[[int], None]], seconds: float) -> tuple[np.ndarray, float]:
    """Asks from a thread a client; raises what failed.

    Returns:
        The seconds of every answer, and those from the first question to the last answer.
    """
    taken: list[list[float]] = [[] for _ in clients]
    failures: list[BaseException] = []
    begin = time.perf_counter()

    def run(place: int) -> None:
        user = place
        try:
            while (start := time.perf_counter()) < begin + seconds:
                clients[place](user % USERS)
                taken[place].append(time.perf_counter() - start)
                user += 7
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    elapsed = time.perf_counter() - begin
    return np.concatenate([np.array(values) for values in taken]), elapsed


def rest_client(port: int, model: str) -> Callable[[int], None]:
    """Returns a function that asks for a user, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(user: int) -> None:
        body = b'{"inputs": {"user_id": [%d]}}' % user
        connection.request("POST", f"/v1/models/{model}:predict", body)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(answer[:200])

    return ask


def grpc_client(port: int, model: str) -> Callable[[int], None]:
    """Returns a function that asks for a user by the official client."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from tfrecs.serving.protos import to_proto

    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict

    def ask(user: int) -> None:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.inputs["user_id"].CopyFrom(to_proto(np.array([user])))
        predict(request, timeout=30)

    return ask


def session_client(session: Any) -> Callable[[int], None]:
    """Returns a function that runs the session in this process."""

    def ask(user: int) -> None:
        session.run_arrays("serving_default", {"user_id": np.array([user])})

    return ask


async def many_by_rest(port: int, model: str, count: int, clients: int) -> int:
    """Asks `count` times by REST from one thread; returns how many were not answered by 200."""
    left, failed = iter(range(count)), 0

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in left:
            body = b'{"inputs": {"user_id": [%d]}}' % (number % USERS)
            head = (
                f"POST /v1/models/{model}:predict HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            failed += not answer.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return failed
