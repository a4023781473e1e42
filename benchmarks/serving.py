"""`tfrecs serve` and the C++ session under load: latency, throughput, memory, swaps.

    python benchmarks/serving.py build --data mixed-100k     # models, into a cache: minutes
    python benchmarks/serving.py load --data mixed-100k      # 1, 8 and 64 clients, 3 minutes
    python benchmarks/serving.py load --data clustered-1m
    python benchmarks/serving.py soak                 # 200,000 requests: does memory grow?
    python benchmarks/serving.py faults               # 20 swaps under load
    python benchmarks/serving.py quantized --data mixed-100k   # recall and bytes

A thousand wrong requests are tests/serving/test_server.py's.

Each part adds its rows to results/serving.json. The models are two towers whose vectors are those
of benchmarks/retrieval.py (its `build` comes first), asked by user id for 10 items with their ids
and scores. The clients and the server share the machine's two cores: they are processes of their
own, and a client asks again as soon as it is answered. "session" is `Session.run_arrays` in the
clients' own process, with a thread a client.
"""

import argparse
import asyncio
import http.client
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
from serving_clients import (
    USERS,
    Serve,
    grpc_client,
    many_by_rest,
    rest_client,
    session_client,
)

PACKAGES = ("tensorflow", "scann", "numpy", "grpcio", "tensorflow-serving-api")
DATA = ("mixed-100k", "clustered-1m")
K = 10
CLIENTS = (1, 8, 64)
SECONDS = 4.0
CACHE = Path(tempfile.gettempdir()) / "tfrecs-serving"


def build(data: str) -> None:
    """Exports the two towers with ScaNN, and exactly."""
    import pyarrow as pa
    import retrieval as indexes
    from two_stage import set_vectors

    from tfrecs.export import export
    from tfrecs.features import FeatureTransform
    from tfrecs.models import TwoTower
    from tfrecs.retrieval import ScaNN
    from tfrecs.spec import Categorical, FeatureSpec

    vectors, queries = indexes.vectors(data)
    users = pa.table({"user_id": np.arange(USERS)})
    items = pa.table({"item_id": np.arange(len(vectors))})
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True, dtype="int64"),
            Categorical("item_id", "candidate", is_id=True, dtype="int64"),
        )
    )
    transform = FeatureTransform(spec).adapt(users, items)
    model = TwoTower(transform.spec, embedding_dim=vectors.shape[1])
    set_vectors(model.query, transform, users, "user_id", queries, model)
    set_vectors(model.candidate, transform, items, "item_id", vectors, model)
    index = ScaNN.load(Path(tempfile.gettempdir()) / "tfrecs-retrieval" / data / "index" / "scann")
    folder = CACHE / data
    shutil.rmtree(folder, ignore_errors=True)
    done = export(
        *(model, transform, index, items, folder),
        name="scann",
        k=K,
        display=(),
        queries=users.slice(0, 64),
        check=False,
    )
    print(data, done.recall, flush=True)


def under_load(clients: list[Callable[[int], None]], seconds: float) -> np.ndarray:
    """Asks from a thread a client; returns the seconds of every answer, and raises what failed."""
    taken: list[list[float]] = [[] for _ in clients]
    failures: list[BaseException] = []
    end = time.perf_counter() + seconds

    def run(place: int) -> None:
        user = place
        try:
            while (start := time.perf_counter()) < end:
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
    return np.concatenate([np.array(values) for values in taken])


def rows_of(data: str, way: str, model: str, clients: int, taken: np.ndarray) -> list[Any]:
    """Returns throughput and latencies as results."""
    protocol = f"k={K}, {clients} clients, {way}, clients on the same 2 cores"
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    return [
        common.row(data, protocol, model, "requests_per_s", len(taken) / SECONDS, unit="1/s"),
        common.row(data, protocol, model, "p50", p50, unit="ms"),
        common.row(data, protocol, model, "p99", p99, unit="ms"),
    ]


def load(data: str) -> list[Any]:
    """Measures every way to ask, with every number of clients."""
    import tensorflow  # noqa: F401  before any Session

    from tfrecs.serving import Session

    # other work on the machine counts: 0 is a quiet one
    busy = os.getloadavg()[0]
    rows = [common.row(data, "before the run, 1 minute", "machine", "load_average", busy)]
    for model in ("scann", "scann_stock"):
        session = Session(CACHE / data / model)
        for clients in CLIENTS:
            taken = under_load([session_client(session)] * clients, SECONDS)
            rows += rows_of(data, "C++ session in process", model, clients, taken)
        session.close()
    with Serve(CACHE / data) as server:
        for model in ("scann", "scann_stock"):
            for way, make, port in (
                ("gRPC", grpc_client, server.grpc_port),
                ("REST", rest_client, server.rest_port),
            ):
                for clients in CLIENTS:
                    asking = [make(port, model) for _ in range(clients)]
                    under_load(asking, 0.5)
                    taken = under_load(asking, SECONDS)
                    rows += rows_of(data, f"tfrecs serve by {way}", model, clients, taken)
    return rows


def soak(data: str, count: int = 200_000) -> list[Any]:
    """Asks by REST, 16 clients; reads the server's memory after a tenth and at the end."""
    protocol = f"{count} requests by REST, 16 clients"
    with Serve(CACHE / data) as server:
        failed = asyncio.run(many_by_rest(server.rest_port, "scann", count // 10, 16))
        before = server.resident_mb()
        failed += asyncio.run(many_by_rest(server.rest_port, "scann", count - count // 10, 16))
        after = server.resident_mb()
    values = {
        "failed": (failed, ""),
        "memory_after_a_tenth": (before, "MB"),
        "memory_at_the_end": (after, "MB"),
    }
    return [
        common.row(data, protocol, "tfrecs serve", metric, value, unit=unit)
        for metric, (value, unit) in values.items()
    ]


def swaps(data: str, count: int = 20) -> list[Any]:
    """Publishes versions while 8 clients ask by REST and gRPC; counts what failed."""
    folder = CACHE / "swaps"
    shutil.rmtree(folder, ignore_errors=True)
    source = CACHE / data / "scann" / "1"
    shutil.copytree(source, folder / "scann" / "1")
    served = []
    with Serve(folder) as server:
        clients = [rest_client(server.rest_port, "scann") for _ in range(4)]
        clients += [grpc_client(server.grpc_port, "scann") for _ in range(4)]
        taken: list[np.ndarray] = []
        failed: list[Exception] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    taken.append(under_load(clients, 1.0))
                except Exception as error:
                    failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        for version in range(2, count + 2):
            aside = folder / f".{version}"
            shutil.copytree(source, aside)
            aside.rename(folder / "scann" / str(version))
            until = time.monotonic() + 60
            while _served(server.rest_port) != version and time.monotonic() < until:
                time.sleep(0.05)
            served.append(_served(server.rest_port))
            if version > 3:
                shutil.rmtree(folder / "scann" / str(version - 2))
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
    connection.request("GET", "/v1/models/scann")
    states = json.loads(connection.getresponse().read())["model_version_status"]
    connection.close()
    return max(int(s["version"]) for s in states if s["state"] == "AVAILABLE")


def quantized(data: str) -> list[Any]:
    """Recall and bytes of the quantised exact indexes, on queries drawn apart."""
    import retrieval as indexes

    from tfrecs.retrieval import Exact, Quantized, recall_at_k

    vectors, queries = indexes.vectors(data)
    ids = np.arange(len(vectors))
    queries = queries[: indexes.TEST]
    exact = Exact(k=100).index(vectors, ids)
    rows = [common.row(data, "table", "exact", "size", vectors.nbytes / 1e6, unit="MB")]
    for dtype in ("int8", "bfloat16"):
        index = Quantized(k=100, table_dtype=dtype).index(vectors, ids)
        recall = recall_at_k(index, exact, queries, 100)
        protocol = f"k=100, {len(queries)} queries against exact"
        rows += [
            common.row(data, "table", dtype, "size", index.num_bytes / 1e6, unit="MB"),
            common.row(data, protocol, dtype, "recall@100", recall),
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("build", "load", "soak", "faults", "quantized"))
    parser.add_argument("--data", default=DATA[0], choices=DATA)
    parser.add_argument("--requests", type=int, default=200_000)
    given = parser.parse_args()
    if given.part == "build":
        build(given.data)
        return
    parts = {
        "load": lambda: load(given.data),
        "soak": lambda: soak(given.data, given.requests),
        "faults": lambda: swaps(given.data),
        "quantized": lambda: quantized(given.data),
    }
    common.write("serving", parts[given.part](), seed=0, packages=PACKAGES, keep=True)


if __name__ == "__main__":
    main()
