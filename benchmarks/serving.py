"""`tfrecs serve` and the C++ session under load: latency, throughput, memory, swaps.

    python benchmarks/serving.py build --data mixed-100k     # models, into a cache: minutes
    python benchmarks/serving.py load --data mixed-100k      # 1, 8 and 64 clients, 3 minutes
    python benchmarks/serving.py load --data clustered-1m
    python benchmarks/serving.py soak                 # 200,000 requests: does memory grow?
    python benchmarks/serving.py swaps                # 20 new versions under load
    python benchmarks/serving.py fuzz                 # 1,000 wrong requests by each interface
    python benchmarks/serving.py quantized --data mixed-100k   # recall and bytes

Each part adds its rows to results/serving.json. The models are two towers whose vectors are those
of benchmarks/retrieval.py (its `build` comes first), asked by user id for 10 items with their ids
and scores. The clients and the server share the machine's two cores: they are processes of their
own, and a client asks again as soon as it is answered. "session" is `Session.run_arrays` in the
clients' own process, with a thread a client.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
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
    under_load,
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


def rows_of(
    data: str, way: str, clients: int, taken: dict[str, tuple[np.ndarray, float]]
) -> list[dict[str, Any]]:
    """Returns throughput and latencies of both models; ScaNN's have the ratio to exact search's."""
    protocol = f"k={K}, {clients} clients, {way}, clients on the same 2 cores"
    exact, rows = values_of(*taken["scann_stock"]), []
    for model, found in taken.items():
        for (metric, unit), value in values_of(*found).items():
            against = {} if model == "scann_stock" else {"peer": "scann_stock"}
            if against:
                against["ratio"] = value / exact[metric, unit]
            rows.append(common.row(data, protocol, model, metric, value, unit=unit, **against))
    return rows


def values_of(taken: np.ndarray, elapsed: float) -> dict[tuple[str, str], float]:
    """Returns throughput and latencies by (metric, unit)."""
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    return {("requests_per_s", "1/s"): len(taken) / elapsed, ("p50", "ms"): p50, ("p99", "ms"): p99}


def cpu_seconds() -> tuple[float, float]:
    """Returns the CPU seconds of the whole machine so far, and of this process and its children."""
    user, nice, system, _, _, irq, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft) / ticks, sum(os.times()[:4])


def served_recall(sessions: dict[str, Any]) -> float:
    """Returns the share of the exact model's answers that the ScaNN model gives too."""
    found = {name: [] for name in sessions}
    for start in range(0, 512, 64):
        for name, session in sessions.items():
            users = np.arange(start, start + 64)
            found[name] += list(
                session.run_arrays("serving_default", {"user_id": users})["item_id"]
            )
    pairs = zip(*found.values(), strict=True)
    return float(np.mean([len(np.intersect1d(*pair)) / K for pair in pairs]))


def load(data: str) -> list[Any]:
    """Measures every way to ask, with every number of clients."""
    import tensorflow  # noqa: F401  before any Session

    from tfrecs.serving import Session

    models, rows = ("scann_stock", "scann"), []
    start, (machine, own) = time.perf_counter(), cpu_seconds()
    sessions = {model: Session(CACHE / data / model) for model in models}
    recall = served_recall(sessions)
    rows.append(common.row(data, f"k={K}, 512 users", "scann", f"recall@{K}", recall))
    for clients in CLIENTS:
        taken = {m: under_load([session_client(sessions[m])] * clients, SECONDS) for m in models}
        rows += rows_of(data, "C++ session in process", clients, taken)
    for session in sessions.values():
        session.close()
    with Serve(CACHE / data) as server:
        for way, make, port in (
            ("gRPC", grpc_client, server.grpc_port),
            ("REST", rest_client, server.rest_port),
        ):
            for clients in CLIENTS:
                taken = {}
                for model in models:
                    asking = [make(port, model) for _ in range(clients)]
                    under_load(asking, 0.5)
                    taken[model] = under_load(asking, SECONDS)
                rows += rows_of(data, f"tfrecs serve by {way}", clients, taken)
    elapsed, (machine_now, own_now) = time.perf_counter() - start, cpu_seconds()
    others = (machine_now - machine - (own_now - own)) / (elapsed * (os.cpu_count() or 1))
    rows.append(common.row(data, "during the run", "machine", "cpu_of_others", others))
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


def swaps(data: str) -> list[Any]:
    """Publishes 20 versions under load."""
    import serving_fuzz

    source = CACHE / data / serving_fuzz.MODEL / "1"
    return serving_fuzz.swaps(source, CACHE / "swaps", data)


def fuzz(data: str) -> list[Any]:
    """Asks by both interfaces what is wrong."""
    import serving_fuzz

    return serving_fuzz.fuzz(CACHE / data, data)


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
    parser.add_argument("part", choices=("build", "load", "soak", "swaps", "fuzz", "quantized"))
    parser.add_argument("--data", default=DATA[0], choices=DATA)
    parser.add_argument("--requests", type=int, default=200_000)
    given = parser.parse_args()
    if given.part == "build":
        build(given.data)
        return
    parts = {
        "load": lambda: load(given.data),
        "soak": lambda: soak(given.data, given.requests),
        "swaps": lambda: swaps(given.data),
        "fuzz": lambda: fuzz(given.data),
        "quantized": lambda: quantized(given.data),
    }
    common.write("serving", parts[given.part](), seed=0, packages=PACKAGES, keep=True)


if __name__ == "__main__":
    main()
