"""Matrix factorization: quality on MovieLens, training throughput, and the price of large tables.

    TFRECS_DATA=DIR python benchmarks/factorization.py                  # everything
    TFRECS_DATA=DIR python benchmarks/factorization.py --only explicit,ncf
    python benchmarks/factorization.py --only throughput,tables         # no data needed

Sections: `explicit` (RMSE, ml-1m random 90/10 and ml-100k's five folds), `ncf` (ml-1m leave-one-out
with the given negatives), `throughput` (examples/s by `fit`), `tables` (step time by table size).
`--peers` runs scikit-surprise and cornac as well, in a venv that it makes in a temporary folder.
Rows of the sections not run are kept.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, row, write

SEED = 0
RANDOM_90_10 = "random 90/10, default_rng(42).random(n) < 0.1, clipped to 1..5"
SECTIONS = ("explicit", "ncf", "throughput", "tables")


def data(*parts: str) -> Path:
    """Returns a path in the folder of real data."""
    if "TFRECS_DATA" not in os.environ:
        raise SystemExit("Set TFRECS_DATA to the folder of real data, or --only throughput,tables.")
    return Path(os.environ["TFRECS_DATA"], *parts)


def ids(values: Any) -> np.ndarray:
    """Maps values to ids from 2, in the values' order."""
    return (np.unique(values, return_inverse=True)[1] + 2).astype(np.int32)


def ml_1m() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns users, items, ratings."""
    import pyarrow.parquet as pq

    table = pq.read_table(data("ml-1m", "ratings.parquet"))
    user, item, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    return user, item, rating.astype(np.float32)


def spec(num_users: int, num_items: int) -> Any:
    """Returns a spec of two ids."""
    from tfrecs.spec import Categorical, FeatureSpec

    user = Categorical("user_id", "query", is_id=True, size=int(num_users))
    item = Categorical("item_id", "candidate", is_id=True, size=int(num_items))
    return FeatureSpec((user, item))


def fit(
    model: Any, loss: Any, optimizer: Any, arrays: dict[str, Any], batch: int, **kw: Any
) -> Any:
    """Compiles and fits; returns the seconds of each epoch."""
    import keras

    from tfrecs.features.input import from_arrays

    seconds: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seconds.append(-time.perf_counter()),
        on_epoch_end=lambda epoch, logs: seconds.append(seconds.pop() + time.perf_counter()),
    )
    steps = len(arrays["label"]) // batch
    model.compile(optimizer, loss, steps_per_execution=min(steps, 64))
    dataset = from_arrays(
        arrays, batch, label="label", shuffle=True, seed=SEED, drop_remainder=True
    )
    model.fit(dataset, verbose=0, callbacks=[clock], **kw)
    return seconds


def rmse(train: Any, test: Any, sizes: Any, dim: int, l2: float, batch: int, epochs: int) -> Any:
    """Trains MatrixFactorization on (users, items, ratings); returns test RMSE and seconds."""
    import keras

    from tfrecs.models import MatrixFactorization
    from tfrecs.optimizers import LazyAdam

    users, items, ratings = train
    model = MatrixFactorization(spec(*sizes), dim, mean=ratings.mean(), l2=l2, seed=SEED)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * (len(users) // batch), 0.01)
    arrays = {"user_id": users, "item_id": items, "label": ratings}
    start = time.perf_counter()
    fit(model, "mse", LazyAdam(rate), arrays, batch, epochs=epochs)
    seconds = time.perf_counter() - start
    batch_of_ids = {"user_id": test[0], "item_id": test[1]}
    predicted = model.predict(batch_of_ids, batch_size=65_536, verbose=0)
    return np.sqrt(np.mean((np.clip(predicted, 1, 5) - test[2]) ** 2)), seconds


def explicit(peers: bool) -> list[dict[str, Any]]:
    """RMSE of ratings."""
    import gzip

    user, item, rating = ml_1m()
    columns, sizes = (ids(user), ids(item), rating), (6042, 3708)
    test = np.random.default_rng(42).random(len(user)) < 0.1
    train, held = [c[~test] for c in columns], [c[test] for c in columns]
    error, seconds = rmse(train, held, sizes, dim=128, l2=0.055, batch=4096, epochs=20)
    name = "MatrixFactorization 128, l2 0.055, LazyAdam, 20 epochs"
    rows = [
        row("ml-1m", RANDOM_90_10, name, "rmse", error),
        row("ml-1m", RANDOM_90_10, name, "fit_s", seconds, unit="s"),
    ]
    if peers:
        rows += run_peers(*columns, test)
    with gzip.open(data("ml-100k", "u.data.gz"), "rt") as file:
        user, item, rating, _ = np.loadtxt(file, dtype=np.int64, unpack=True)
    with gzip.open(data("ml-100k", "folds.csv.gz"), "rt") as file:
        fold = np.loadtxt(file, dtype=np.int64, delimiter=",", skiprows=1)[:, 2]
    columns, errors = (ids(user), ids(item), rating.astype(np.float32)), []
    for k in range(1, 6):
        train, held = [c[fold != k] for c in columns], [c[fold == k] for c in columns]
        errors.append(rmse(train, held, (945, 1684), dim=64, l2=0.08, batch=1024, epochs=20)[0])
    stderr = np.std(errors, ddof=1) / np.sqrt(5)
    name = "MatrixFactorization 64, l2 0.08, LazyAdam, 20 epochs"
    protocol = "official five folds, mean, clipped to 1..5"
    return [*rows, row("ml-100k", protocol, name, "rmse", np.mean(errors), stderr=stderr)]


def run_peers(user: Any, item: Any, rating: Any, test: Any) -> list[dict[str, Any]]:
    """Runs the peers in a venv of their own, or says why not."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/ratings.npz", user=user, item=item, rating=rating, test=test)
        python = f"{folder}/venv/bin/python"
        try:
            subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
            install = [python, "-m", "pip", "install", "-q", "scikit-surprise", "cornac"]
            subprocess.run(install, check=True)
            script = Path(__file__).with_name("factorization_peers.py")
            subprocess.run([python, script, folder, RANDOM_90_10], check=True)
        except subprocess.CalledProcessError as error:
            print(f"peers skipped: {error}")
        found = Path(folder, "peers.json")
        return json.loads(found.read_text()) if found.exists() else []


def ncf(peers: bool) -> list[dict[str, Any]]:
    """HR@10 and nDCG@10 of the held-out item among 99 given negatives."""
    import keras
    import pyarrow.parquet as pq

    from tfrecs.features import log_q
    from tfrecs.losses import InBatch, Softmax
    from tfrecs.models import TwoTower
    from tfrecs.optimizers import LazyAdam

    user, movie, _ = ml_1m()
    movies, users, items = np.unique(movie), ids(user), ids(movie)
    held = pq.read_table(data("ml-1m", "ncf_leave_one_out.parquet"))
    candidates = np.column_stack([held["movie_id"].to_numpy(), np.stack(held["negatives"])])
    candidates = (np.searchsorted(movies, candidates) + 2).astype(np.int32)  # (6040, 100)
    test_users = ids(held["user_id"].to_numpy())
    key = users.astype(np.int64) * 10_000 + items
    train = ~np.isin(key, test_users.astype(np.int64) * 10_000 + candidates[:, 0])
    users, items = users[train], items[train]
    model = TwoTower(spec(6042, 3708), 64, seed=SEED)
    steps = NCF["epochs"] * (len(users) // NCF["batch"])
    rate = keras.optimizers.schedules.CosineDecay(NCF["rate"], steps, 0.01)
    arrays = {"user_id": users, "item_id": items, "item_id_log_q": log_q(items), "label": items}
    start = time.perf_counter()
    fit(model, InBatch(Softmax()), LazyAdam(rate), arrays, NCF["batch"], epochs=NCF["epochs"])
    seconds = time.perf_counter() - start
    batch = {"user_id": test_users, "item_id": candidates}
    scores = model.predict(batch, batch_size=1024, verbose=0)
    rank = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)  # ties count against the model
    hit = (rank < 10).astype(float)
    gain = hit / np.log2(rank + 2)
    name = f"TwoTower 64, in-batch softmax, LazyAdam, {NCF['epochs']} epochs"
    protocol = "NCF leave-one-out, 99 given negatives, ties against"
    error = {m: float(np.std(v) / np.sqrt(len(v))) for m, v in (("hr", hit), ("gain", gain))}
    return [
        row("ml-1m", protocol, name, "hr@10", hit.mean(), stderr=error["hr"]),
        row("ml-1m", protocol, name, "ndcg@10", gain.mean(), stderr=error["gain"]),
        row("ml-1m", protocol, name, "fit_s", seconds, unit="s"),
    ]


NCF = {"rate": 3e-3, "batch": 1024, "epochs": 6}  # tuned on one more item held out


def interactions(num_users: int, num_items: int, count: int) -> dict[str, np.ndarray]:
    """Returns made-up pairs, popular items first, with ratings and log q."""
    rng = np.random.default_rng(SEED)
    users = rng.integers(2, num_users, count).astype(np.int32)
    items = (2 + (num_items - 2) * rng.random(count) ** 2).astype(np.int32)
    share = np.bincount(items, minlength=num_items)[items] / count
    log_q = np.log(share).astype(np.float32)
    return {"user_id": users, "item_id": items, "item_id_log_q": log_q, "label": items}


def throughput(peers: bool) -> list[dict[str, Any]]:
    """Examples a second by `fit`, the median of four epochs after a first."""
    import keras

    from tfrecs.losses import BPR, InBatch, Sampled, Softmax
    from tfrecs.models import MatrixFactorization, TwoTower
    from tfrecs.optimizers import SparseAdagrad

    size, count = (6042, 3708), 1 << 20
    arrays = interactions(*size, count)
    ratings = {**arrays, "label": (arrays["item_id"] % 5 + 1).astype(np.float32)}
    uniform = TwoTower(spec(*size), negatives="uniform")
    runs = {
        "TwoTower 64, BPR, batch 32768": (uniform, Sampled(BPR()), arrays, 32_768),
        "TwoTower 64, in-batch softmax, batch 256": (
            TwoTower(spec(*size)),
            InBatch(Softmax()),
            arrays,
            256,
        ),
        "MatrixFactorization 64, batch 8192": (
            MatrixFactorization(spec(*size), mean=3.0),
            "mse",
            ratings,
            8192,
        ),
    }
    rows = []
    for name, (model, loss, columns, batch) in runs.items():
        seconds = fit(model, loss, SparseAdagrad(0.1), columns, batch, epochs=5)
        rate = count / np.median(seconds[1:])
        rows.append(row("made up", "fit", name, "examples_per_s", rate, unit="1/s"))
    inputs = [keras.Input((), dtype="int32", name=n) for n in ("user_id", "item_id")]
    rows_of = [keras.layers.Embedding(n, 64)(x) for n, x in zip(size, inputs, strict=True)]
    plain = keras.Model(inputs, keras.ops.sum(rows_of[0] * rows_of[1], axis=-1))
    plain.compile("adam", "mse")
    features = {name: ratings[name] for name in ("user_id", "item_id")}
    start = time.perf_counter()
    plain.fit(features, ratings["label"], batch_size=8192, epochs=1, verbose=0)
    name, rate = (
        "plain Keras 64, Adam, fit of arrays, batch 8192",
        count / (time.perf_counter() - start),
    )
    return [*rows, row("made up", "fit", name, "examples_per_s", rate, unit="1/s", peer="keras")]


def tables(peers: bool) -> list[dict[str, Any]]:
    """Milliseconds of a BPR step of 8192 by the number of rows of the users' table."""
    import keras

    from tfrecs.losses import BPR, Sampled
    from tfrecs.models import TwoTower
    from tfrecs.optimizers import LazyAdam, SparseAdagrad

    rows, batch = [], 8192
    for optimizer in (SparseAdagrad, LazyAdam, keras.optimizers.SGD):
        for num_rows in (10_000, 100_000, 1_000_000, 10_000_000):
            arrays = interactions(num_rows, 3708, 64 * batch)
            model = TwoTower(spec(num_rows, 3708), 64, negatives="uniform", seed=SEED)
            seconds = fit(model, Sampled(BPR()), optimizer(0.01), arrays, batch, epochs=5)
            name = f"TwoTower 64, BPR, {optimizer.__name__}, batch {batch}, {num_rows:,} rows"
            value = np.median(seconds[1:]) / 64 * 1000
            rows.append(row("made up", "fit", name, "step_ms", value, unit="ms"))
            del model
            keras.utils.clear_session()  # or the tables of all the models add up
    return rows


def main() -> None:
    """Runs the sections and writes results/factorization.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas")
    parser.add_argument("--peers", action="store_true", help="run surprise and cornac as well")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = [r for name in arguments.only.split(",") for r in globals()[name](arguments.peers)]
    path = RESULTS / "factorization.json"
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    new = {(r["data"], r["model"], r["metric"]) for r in rows}
    kept = [r for r in kept if (r["data"], r["model"], r["metric"]) not in new]
    write("factorization", kept + rows, seed=SEED)


if __name__ == "__main__":
    main()
