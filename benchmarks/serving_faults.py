"""Faults and attacks on `tfrecs serve`: did it survive, was all else answered, and rightly?

    python benchmarks/serving_faults.py

It takes about four minutes, and all traffic goes to 127.0.0.1. The model is an exact two-tower of
2,000 items, whose answers are known from NumPy. While a fault goes on, two clients ask it for
known users by REST and by gRPC. For each fault the result says:

- `proper`: whether it was answered, refused or told as it must be;
- `survived`: whether the server process lives, and readyz says 200;
- `answered`: requests of the two clients that were answered meanwhile;
- `lost`: their requests that failed; `wrong`: their answers that were not NumPy's.

The server runs without the right to write a file, and its wall clock jumps by days at each look.
"""

import http.client
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import common
import numpy as np
from serving_clients import Serve

PACKAGES = ("tensorflow", "numpy", "grpcio", "uvicorn", "httptools", "tensorflow-serving-api")
MODEL, USERS, ITEMS, K = "towers_stock", 64, 2000, 10
# no file can be written; the wall clock jumps
PRELUDE = """
import random, resource, time
import tensorflow  # needs a folder for temporary files when it is imported
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
now = time.time
time.time = lambda: now() + random.choice([-1e6, 0.0, 1e6])
"""


def export_model(
    folder: Path, seed: int = 0, count: int = ITEMS, dim: int = 16, name: str = MODEL
) -> np.ndarray:
    """Exports the model; returns the best items of every user `(USERS, K)`."""
    import pyarrow as pa
    from two_stage import set_vectors

    from tfrecs.export import export
    from tfrecs.features import FeatureTransform
    from tfrecs.models import TwoTower
    from tfrecs.retrieval import Exact
    from tfrecs.spec import Categorical, FeatureSpec

    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, dim)).astype("float32")
    queries = random.normal(size=(USERS, dim)).astype("float32")
    users, items = (
        pa.table({n: np.arange(s)}) for n, s in (("user_id", USERS), ("item_id", count))
    )
    sides = (("user_id", "query"), ("item_id", "candidate"))
    spec = FeatureSpec(tuple(Categorical(n, s, is_id=True, dtype="int64") for n, s in sides))
    transform = FeatureTransform(spec).adapt(users, items)
    model = TwoTower(transform.spec, embedding_dim=dim)
    set_vectors(model.query, transform, users, "user_id", queries, model)
    set_vectors(model.candidate, transform, items, "item_id", vectors, model)
    index = Exact(k=K).index(vectors, np.arange(count))
    export(
        *(model, transform, index, items, folder),
        name=name.removesuffix("_stock"),
        k=K,
        display=(),
        queries=users.slice(0, 8),
        check=False,
    )
    return np.argsort(-(queries @ vectors.T), axis=1)[:, :K]


class World:
    """A server with its model, and the two clients that know what it must answer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models = folder, folder / "models"
        self.wanted = export_model(self.models)
        self.whole = folder / "whole"  # a version to copy
        shutil.copytree(self.models / MODEL / "1", self.whole)
        self.server = Serve(self.models, PRELUDE)
        self.rest, self.grpc = self.server.rest_port, self.server.grpc_port
        self.version = 1

    def publish(self, spoil: Callable[[Path], Any] = lambda path: None, model: str = MODEL) -> int:
        """Copies a version, spoils it, and gives it its name; returns its number."""
        self.version += 1
        aside = self.models / model / f".{self.version}"
        shutil.copytree(self.whole, aside)
        spoil(aside)
        aside.rename(self.models / model / str(self.version))
        return self.version

    def state(self, version: int, seconds: float = 30.0) -> tuple[str, str]:
        """Returns state and message of a version that was taken up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status, said = self.get(f"/v1/models/{MODEL}/versions/{version}")
            if status == 200:
                state = json.loads(said)["model_version_status"][0]
                if state["state"] in ("AVAILABLE", "END"):
                    return state["state"], state["status"]["error_message"]
            time.sleep(0.05)
        raise AssertionError(f"version {version} was not taken up")

    def get(self, path: str) -> tuple[int, str]:
        """Asks by GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        said = response.read().decode()
        connection.close()
        return response.status, said

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Asks the model by POST; (0, "closed") if the connection was closed instead."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest, timeout=60)
        with suppress(BrokenPipeError, ConnectionResetError):  # refused by its length
            connection.request("POST", f"/v1/models/{MODEL}:predict", body, headers or {})
        try:
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (ConnectionResetError, http.client.BadStatusLine):
            return 0, "closed"
        finally:
            connection.close()


class Clients:
    """Two clients that ask for known users until they are stopped."""

    def __init__(self, world: World) -> None:
        self.world, self.stopped = world, threading.Event()
        self.answered = self.lost = self.wrong = 0
        asks = (self._by_rest(), self._by_grpc())
        self.threads = [threading.Thread(target=self._ask, args=(ask,)) for ask in asks]

    def _ask(self, ask: Callable[[int], list[int]]) -> None:
        user = 0
        while not self.stopped.is_set():
            try:
                found = ask(user)
                self.answered += 1
                self.wrong += found != self.world.wanted[user].tolist()
            except Exception as error:
                self.lost += 1
                print("lost:", repr(error)[:200], flush=True)
            user = (user + 1) % USERS
            time.sleep(0.002)

    def _by_rest(self) -> Callable[[int], list[int]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.world.rest, timeout=10)

        def ask(user: int) -> list[int]:
            body = b'{"inputs": {"user_id": [%d]}}' % user
            connection.request("POST", f"/v1/models/{MODEL}:predict", body)
            return json.loads(connection.getresponse().read())["outputs"]["item_id"][0]

        return ask

    def _by_grpc(self) -> Callable[[int], list[int]]:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        channel = grpc.insecure_channel(f"127.0.0.1:{self.world.grpc}")
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def ask(user: int) -> list[int]:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = MODEL
            request.inputs["user_id"].CopyFrom(tf.make_tensor_proto([user], tf.int64))
            outputs = stub.Predict(request, timeout=10).outputs
            return tf.make_ndarray(outputs["item_id"])[0].tolist()

        return ask

    def __enter__(self) -> "Clients":
        for thread in self.threads:
            thread.start()
        time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        time.sleep(0.1)
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def suffer(world: World, name: str, fault: Callable[[World], Any]) -> list[dict[str, Any]]:
    """Lets a fault happen while the clients ask; returns its rows."""
    start, said = time.perf_counter(), ""
    with Clients(world) as clients:
        try:
            fault(world)
        except Exception as error:
            said = repr(error)[:300]
    try:
        alive = world.server.process.poll() is None and world.get("/readyz")[0] == 200
    except OSError:
        alive = False
    seconds = time.perf_counter() - start
    print(f"{seconds:6.1f} s  {name}  {clients.answered} {clients.lost} {said}", flush=True)
    values = {"proper": not said, "survived": alive, "answered": clients.answered}
    values |= {"lost": clients.lost, "wrong": clients.wrong}
    protocol = "two clients by REST and gRPC beside it"
    return [common.row("tfrecs serve", protocol, name, m, v) for m, v in values.items()]


def main() -> None:
    import serving_faults_http
    import serving_faults_models
    import tensorflow  # noqa: F401  before grpc's threads

    faults = serving_faults_http.FAULTS | serving_faults_models.FAULTS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        with world.server:
            for number, (name, fault) in enumerate(faults.items(), 1):
                print(f"{number:3} of {len(faults)}", end=" ", flush=True)
                rows += suffer(world, name, fault)
    common.write("serving_faults", rows, seed=0, packages=PACKAGES)


if __name__ == "__main__":
    main()
