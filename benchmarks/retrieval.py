"""Exact and ScaNN indexes as they serve: exported SavedModels, asked through TensorFlow's C API.

    python benchmarks/retrieval.py build    # vectors, indexes, exports, into a cache: minutes
    python benchmarks/retrieval.py time     # a quiet machine: recall and queries/s, 4 minutes
    python benchmarks/retrieval.py peers    # a venv with faiss-cpu and hnswlib: optional
    python benchmarks/retrieval.py write    # results/retrieval.json
    python benchmarks/retrieval.py          # all of it

Data: `clustered`, unit vectors from a Zipf-sized mixture with a decaying spectrum, 1 M x 64;
`mixed`, items that are mixtures of topics with norms that grow with popularity, as learned
vectors are, 100 k x 64. Queries are drawn apart; half of them (never those that recall and
speed are measured on) are the library's sample to choose its parameters by.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np

K = 100
SEED = 0
WANTED = 0.98
TEST = 1024  # queries measured; the same number again is the library's sample
DATA = {"clustered-1m": ("clustered", 1_000_000), "mixed-100k": ("mixed", 100_000)}
THREADS = 2


def clustered(count: int, dim: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around centres whose sizes are Zipf's."""
    random = np.random.default_rng(SEED)
    num_centers = max(200, int(np.sqrt(count)))
    spectrum = np.arange(1, dim + 1, dtype=np.float32) ** -0.35
    centers = random.standard_normal((num_centers, dim), dtype=np.float32) * spectrum

    def draw(size: int) -> np.ndarray:
        uniform = random.random(size)  # bounded power law, exponent 0.8, by inverse CDF
        rank = (1 + uniform * ((num_centers + 1) ** 0.2 - 1)) ** 5
        chosen = np.minimum(rank.astype(np.int64) - 1, num_centers - 1)
        noise = random.standard_normal((size, dim), dtype=np.float32)
        drawn = centers[chosen] + 0.6 * spectrum * noise
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    return draw(count), draw(2 * TEST)


def mixed(count: int, dim: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Items between topics, longer where popular; queries are means of a few items."""
    random = np.random.default_rng(SEED)
    spectrum = np.arange(1, dim + 1, dtype=np.float32) ** -0.35
    topics = random.standard_normal((200, dim), dtype=np.float32) * spectrum
    weights = random.gamma(0.05, size=(count, 200)).astype(np.float32)
    weights /= weights.sum(1, keepdims=True) + 1e-9
    noise = 0.4 * spectrum * random.standard_normal((count, dim), dtype=np.float32)
    items = weights @ topics + noise
    norms = 1 + 0.15 * np.log1p(random.zipf(1.8, count).clip(max=10_000))
    items *= (norms / np.linalg.norm(items, axis=1)).astype(np.float32)[:, None]
    liked = random.integers(0, count, (2 * TEST, 5))
    users = items[liked].mean(1) + 0.1 * spectrum * random.standard_normal((2 * TEST, dim))
    return items, users.astype(np.float32)


def vectors(data: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns candidates and `2 * TEST` queries."""
    kind, count = DATA[data]
    return {"clustered": clustered, "mixed": mixed}[kind](count)


def positions_only(search: Any, queries: Any, k: Any, exclude: Any) -> dict[str, Any]:
    """The signature that is measured."""
    return {"positions": search(queries, k, exclude)[1]}


def build(data: str, cache: Path) -> None:
    """Builds and exports both indexes; keeps the test queries and their true neighbours."""
    import tensorflow as tf

    from tfrecs.retrieval import Exact, ScaNN

    folder = cache / data
    items, queries = vectors(data)
    ids = np.arange(len(items))
    start = time.perf_counter()
    exact = Exact(k=K).index(items, ids)
    facts: dict[str, Any] = {"exact": {"build_s": time.perf_counter() - start}}
    start = time.perf_counter()
    scann = ScaNN(k=K, recall=WANTED).index(items, ids, queries[TEST:])
    facts["scann"] = {"build_s": time.perf_counter() - start, "plan": str(scann.plan)}
    print(data, facts, flush=True)
    for name, index in (("exact", exact), ("scann", scann)):
        index.save(folder / "index" / name)
        module = index.export_module()
        signature = [
            tf.TensorSpec((None, items.shape[1]), tf.float32, "queries"),
            tf.TensorSpec((), tf.int32, "k"),
            tf.TensorSpec((None, None), tf.int32, "exclude"),
        ]
        module.serve = tf.function(
            partial(positions_only, module),
            input_signature=signature,
        )
        tf.saved_model.save(module, str(folder / name), {"serving_default": module.serve})
    truth = exact.search(queries[:TEST], K)[1].numpy()
    np.savez(folder / "test.npz", queries=queries[:TEST], truth=truth)
    (folder / "facts.json").write_text(json.dumps(facts))


def through_c_session(folder: Path) -> dict[str, Any]:
    """Opens both exports in a process without `import tensorflow`."""
    serving = Path(__file__).parent.parent / "tfrecs" / "serving"
    sys.path.insert(0, str(serving))
    from session import Session

    def opened(name: str) -> Any:
        session = Session(folder / name)

        def search(queries: np.ndarray) -> np.ndarray:
            none = np.empty((len(queries), 0), np.int32)
            inputs = {"queries": queries, "k": np.int32(K), "exclude": none}
            arrays = session.to_arrays("serving_default", inputs)
            # the timing is TensorFlow's, not that of Python lists
            return session.run_arrays("serving_default", arrays)["positions"]

        return search

    return {name: opened(name) for name in ("exact", "scann")}


def through_python(folder: Path, data: str) -> dict[str, Any]:
    """Opens both exports by tf.saved_model.load; beside them the plain product and top-k."""
    import tensorflow as tf

    from tfrecs.retrieval import op_library

    tf.load_op_library(op_library())

    def opened(name: str) -> Any:
        loaded = tf.saved_model.load(str(folder / name))
        k = tf.constant(K)

        def search(queries: np.ndarray) -> np.ndarray:
            none = tf.zeros((len(queries), 0), tf.int32)
            return loaded.serve(tf.constant(queries), k, none)["positions"].numpy()

        return search

    table = tf.constant(np.ascontiguousarray(vectors(data)[0].T))
    plain = tf.function(lambda queries: tf.math.top_k(tf.matmul(queries, table), K).indices)
    searches = {name: opened(name) for name in ("exact", "scann")}
    return searches | {"tf.matmul + tf.math.top_k": lambda q: plain(tf.constant(q)).numpy()}


def through_faiss(folder: Path, data: str) -> dict[str, Any]:
    """faiss: exact, and an inverted file of exact vectors."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    items, _ = vectors(data)
    flat = faiss.IndexFlatIP(items.shape[1])
    flat.add(items)
    leaves = int(2 ** np.round(np.log2(2 * np.sqrt(len(items)))))
    inverted = faiss.index_factory(items.shape[1], f"IVF{leaves},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.train(items[: 64 * leaves])
    inverted.add(items)
    found = {"faiss Flat": lambda q: flat.search(q, K)[1]}
    for probes in (leaves // 128, leaves // 64, leaves // 32):
        settings = faiss.SearchParametersIVF(nprobe=probes)
        found[f"faiss IVF{leaves},Flat nprobe={probes}"] = lambda q, settings=settings: (
            inverted.search(q, K, params=settings)[1]
        )
    return found


def through_hnswlib(folder: Path, data: str) -> dict[str, Any]:
    """hnswlib at three widths of search."""
    import hnswlib

    items, _ = vectors(data)
    graph = hnswlib.Index(space="ip", dim=items.shape[1])
    graph.init_index(max_elements=len(items), ef_construction=100, M=16)
    graph.add_items(items, num_threads=THREADS)

    def width(ef: int) -> Any:
        def search(queries: np.ndarray) -> np.ndarray:
            graph.set_ef(ef)
            return graph.knn_query(queries, K, THREADS if len(queries) > 1 else 1)[0]

        return search

    return {f"hnswlib M=16 ef={ef}": width(ef) for ef in (100, 200, 400)}


def measure(searches: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Recall on the test queries, and the median time of a call, taken in turn."""
    test = np.load(folder / "test.npz")
    queries, truth = test["queries"], test["truth"]
    measured = {}
    for name, search in searches.items():
        found = np.concatenate([search(queries[s : s + 256]) for s in range(0, TEST, 256)])
        recall = np.mean(
            [len(np.intersect1d(*pair)) / K for pair in zip(found, truth, strict=True)]
        )
        measured[name] = {"name": name, "recall": float(recall)}
    for batch, calls in ((1, 24), (256, 2)):

        def run(search: Any, batch: int = batch, calls: int = calls) -> None:
            for call in range(calls):
                start = call * batch % TEST
                search(queries[start : start + batch])

        seconds = common.alternate(
            {name: lambda s=search: run(s) for name, search in searches.items()}, rounds=9
        )
        for name, taken in seconds.items():
            measured[name][f"qps_{batch}"] = calls * batch / taken
    return list(measured.values())


def measured_rows(data: str, way: str, m: dict, exact: dict | None) -> list[dict[str, Any]]:
    """Rows of one index; ours have the ratio of queries/s to exact's, through the same way."""
    ours = m["name"] in ("exact", "scann")
    peer = None if ours else m["name"]
    model = f"{m['name']} ({way})" if ours else m["name"]
    protocol = f"k={K}, 64-d, {TEST} queries against exact"
    rows = [common.row(data, protocol, model, "recall@100", m["recall"], peer=peer)]
    for batch in (1, 256):
        protocol = f"k={K}, 64-d, batch {batch}, {THREADS} cores, median of 9"
        speed = m[f"qps_{batch}"]
        ratio = speed / exact[f"qps_{batch}"] if exact and ours and m is not exact else None
        against = f"exact ({way})" if ratio else peer
        labels = (data, protocol, model, "queries_per_s", speed)
        rows.append(common.row(*labels, unit="1/s", peer=against, ratio=ratio))
    return rows


def write(cache: Path) -> None:
    """Gathers the measurements into results/retrieval.json."""
    rows: list[dict[str, Any]] = []
    for data in DATA:
        for path in sorted((cache / data).glob("measured-*.json")):
            way = path.stem.removeprefix("measured-")
            measured = json.loads(path.read_text())
            exact = {m["name"]: m for m in measured}.get("exact")
            for m in measured:
                rows += measured_rows(data, way, m, exact)
    common.write("retrieval", rows, seed=SEED)


def peers_python(cache: Path) -> Path | None:
    """Makes a venv with the peers, or says why there is none."""
    python = cache / "peers" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache / "peers")], check=True)
        packages = ["faiss-cpu==1.15.1", "hnswlib==0.8.0", "numpy"]
        done = subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=False)
        if done.returncode:
            print("skipping the peers: they do not install here")
            return None
    return python


def step(name: str, cache: Path, python: str | Path = sys.executable) -> None:
    """Runs one step in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(python), __file__, name, "--cache", str(cache)]
    subprocess.run(command, check=True, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", default="all")
    parser.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "tfrecs-retrieval"))
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    arguments = parser.parse_args()
    cache = Path(arguments.cache)
    ways: dict[str, Any] = {
        "session": lambda folder, data: through_c_session(folder),
        "python": through_python,
        "faiss": through_faiss,
        "hnswlib": through_hnswlib,
    }
    if arguments.step == "all":
        for name in ("build", "time", "peers", "write"):
            step(name, cache)
    elif arguments.step == "time":
        step("session", cache)
        step("python", cache)
    elif arguments.step == "peers":
        python = peers_python(cache)
        for name in ("faiss", "hnswlib") if python else ():
            step(name, cache, python)
    elif arguments.step == "write":
        write(cache)
    else:
        for data in arguments.data:
            folder = cache / data
            folder.mkdir(parents=True, exist_ok=True)
            if arguments.step == "build":
                if not (folder / "facts.json").exists():
                    build(data, cache)
                continue
            measured = measure(ways[arguments.step](folder, data), folder)
            (folder / f"measured-{arguments.step}.json").write_text(json.dumps(measured))
            print(data, arguments.step, json.dumps(measured, indent=1), flush=True)


if __name__ == "__main__":
    main()
