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
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import compare, row, write

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
    """Returns ids of users, ids of items, ratings."""
    import pyarrow.parquet as pq

    table = pq.read_table(data("ml-1m", "ratings.parquet"))
    user, item, rating = (table[name].to_numpy() for name in ("user_id", "movie_id", "rating"))
    return ids(user), ids(item), rating.astype(np.float32)


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
    model.fit(dataset, shuffle=False, verbose=0, callbacks=[clock], **kw)
    return seconds


def rmse(
    train: Any, test: Any, sizes: Any, *, dim: int, l2: float, rate: float, batch: int, epochs: int
) -> Any:
    """Trains MatrixFactorization on (users, items, ratings); returns test RMSE and seconds."""
    import keras

    from tfrecs.models import MatrixFactorization
    from tfrecs.optimizers import LazyAdam

    users, items, ratings = train
    model = MatrixFactorization(spec(*sizes), dim, mean=float(ratings.mean()), l2=l2, seed=SEED)
    decay = keras.optimizers.schedules.CosineDecay(rate, epochs * (len(users) // batch), 0.01)
    arrays = {"user_id": users, "item_id": items, "label": ratings}
    seconds = sum(fit(model, "mse", LazyAdam(decay), arrays, batch, epochs=epochs))
    pairs = {"user_id": test[0], "item_id": test[1]}
    predicted = model.predict(pairs, batch_size=65_536, verbose=0)
    return np.sqrt(np.mean((np.clip(predicted, 1, 5) - test[2]) ** 2)), seconds


# l2 was chosen on a tenth of the training ratings (of fold 1's), held out at random: 0.045, 0.055,
# 0.065 gave RMSE 0.8476, 0.8475, 0.8506; 0.06, 0.08, 0.1, 0.12 gave 0.928, 0.919, 0.916, 0.917.
ML_1M = {"dim": 128, "l2": 0.055, "rate": 2e-3, "batch": 4096, "epochs": 20}
ML_100K = {"dim": 64, "l2": 0.1, "rate": 4e-3, "batch": 1024, "epochs": 20}


def named(setting: dict[str, Any]) -> str:
    """Names a model by its setting."""
    return "MatrixFactorization {dim}, l2 {l2}, LazyAdam, {epochs} epochs".format(**setting)


def explicit(peers: bool) -> list[dict[str, Any]]:
    """RMSE of ratings."""
    from tfrecs.datasets import movielens_folds

    columns = ml_1m()
    test = np.random.default_rng(42).random(len(columns[0])) < 0.1
    train, held = [c[~test] for c in columns], [c[test] for c in columns]
    error, seconds = rmse(train, held, (6042, 3708), **ML_1M)
    rows = [
        row("ml-1m", RANDOM_90_10, named(ML_1M), "rmse", error),
        row("ml-1m", RANDOM_90_10, named(ML_1M), "fit_s", seconds, unit="s"),
    ]
    if peers:
        ours = {r["metric"]: r for r in rows}
        theirs = run_peers(*columns, test)
        rows += [{**r, "ratio": compare(ours[r["metric"]], r)} for r in theirs]
    found = []
    for fold in movielens_folds(data("ml-100k")):  # ids run from 1 without a gap
        sides = [
            [np.asarray(part[n], np.int32) + 1 for n in ("user_id", "item_id")]
            + [np.asarray(part["rating"], np.float32)]
            for part in fold
        ]
        found.append(rmse(*sides, (945, 1684), **ML_100K))
    errors, times = zip(*found, strict=True)
    stderr = float(np.std(errors, ddof=1) / np.sqrt(5))
    protocol, name = "official five folds, mean, clipped to 1..5", named(ML_100K)
    rows.append(row("ml-100k", protocol, name, "rmse", np.mean(errors), stderr=stderr))
    return [*rows, row("ml-100k", protocol, name, "fit_s", np.mean(times), unit="s")]


def run_peers(user: Any, item: Any, rating: Any, test: Any) -> list[dict[str, Any]]:
    """Runs the peers in a venv of their own, or says why not."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/ratings.npz", user=user, item=item, rating=rating, test=test)
        python = f"{folder}/venv/bin/python"
        packages = ["scikit-surprise", "cornac"]
        if uv := shutil.which("uv"):
            make = [[uv, "venv", "-q", "--python", sys.executable, f"{folder}/venv"]]
            make += [[uv, "pip", "install", "-q", "--python", python, *packages]]
        else:
            make = [[sys.executable, "-m", "venv", f"{folder}/venv"]]
            make += [[python, "-m", "pip", "install", "-q", *packages]]
        try:
            for command in make:
                subprocess.run(command, check=True)
            script = Path(__file__).with_name("factorization_peers.py")
            subprocess.run([python, script, folder, RANDOM_90_10], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"peers skipped: {error}")
            return []
        return json.loads(Path(folder, "peers.json").read_text())


# Chosen on one more film of each user, held out at random among 99 unrated, at 64 or 128 wide:
# dot products with l2 0.006 to 0.012 and LazyAdam gave HR@10 0.826 to 0.827 at batch 512, 0.831 at
# 1024; cosine / 0.2 with Adagrad 0.819, sigmoid with 8 uniform negatives 0.807. 192 is the width of
# arXiv 2005.09683. The given test film is the user's last, which is harder.
NCF = {"dim": 192, "l2": 0.008, "batch": 1024, "rate": 3e-3, "epochs": 10}


def ncf(peers: bool) -> list[dict[str, Any]]:
    """HR@10 and nDCG@10 of the held-out film among 99 given negatives."""
    import keras

    from tfrecs.datasets import ncf_leave_one_out
    from tfrecs.features import log_q
    from tfrecs.losses import InBatch, Softmax
    from tfrecs.models import TwoTower
    from tfrecs.optimizers import LazyAdam

    train, test = ncf_leave_one_out(data("ml-1m"))
    users, items = (np.asarray(train[name]) for name in ("user_id", "item_id"))
    given = np.column_stack([test["item_id"], np.stack(test["negatives"].to_numpy())])
    movies = np.union1d(items, given)
    items, given = (np.searchsorted(movies, i).astype(np.int32) + 2 for i in (items, given))
    users, test_users = (u.astype(np.int32) + 1 for u in (users, np.asarray(test["user_id"])))
    arrays = {"user_id": users, "item_id": items, "item_id_log_q": log_q(items), "label": items}
    model = TwoTower(spec(6042, 3708), NCF["dim"], l2=NCF["l2"], seed=SEED)
    steps = NCF["epochs"] * (len(users) // NCF["batch"])
    decay = keras.optimizers.schedules.CosineDecay(NCF["rate"], steps, 0.01)
    kw = {"batch": NCF["batch"], "epochs": NCF["epochs"]}
    seconds = sum(fit(model, InBatch(Softmax()), LazyAdam(decay), arrays, **kw))
    lists = {"user_id": test_users, "item_id": given}
    scores = model.predict(lists, batch_size=1024, verbose=0)
    rank = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)  # ties count against the model
    hit, gain = rank < 10, (rank < 10) / np.log2(rank + 2)
    name = "TwoTower {dim}, l2 {l2}, in-batch softmax, batch {batch}, {epochs} epochs".format(**NCF)
    protocol = "NCF leave-one-out, 99 given negatives, ties against"
    error = [float(np.std(v) / np.sqrt(len(v))) for v in (hit, gain)]
    return [
        row("ml-1m", protocol, name, "hr@10", hit.mean(), stderr=error[0]),
        row("ml-1m", protocol, name, "ndcg@10", gain.mean(), stderr=error[1]),
        row("ml-1m", protocol, name, "fit_s", seconds, unit="s"),
    ]


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
    import tensorflow as tf

    from tfrecs.losses import BPR, InBatch, Sampled, Softmax
    from tfrecs.models import MatrixFactorization, TwoTower
    from tfrecs.optimizers import SparseAdagrad

    size, count = (6042, 3708), 1 << 21
    arrays = interactions(*size, count)
    bare = {name: arrays[name] for name in ("user_id", "item_id", "label")}
    ratings = {**bare, "label": (arrays["item_id"] % 5 + 1).astype(np.float32)}
    softmax, ids = InBatch(Softmax()), spec(*size)
    groups = TwoTower(ids, num_negatives=127)
    runs = {
        "BPR, batch 32768": (TwoTower(ids, negatives="uniform"), Sampled(BPR()), bare, 32_768),
        "in-batch softmax, batch 256": (TwoTower(ids), softmax, arrays, 256),
        "in-batch softmax, batch 4096 in groups of 128": (groups, softmax, arrays, 4096),
        "explicit, batch 8192": (MatrixFactorization(ids, mean=3.0), "mse", ratings, 8192),
    }
    rows = []
    for name, (model, loss, columns, batch) in runs.items():
        some = min(count, 2048 * batch)
        columns = {key: column[:some] for key, column in columns.items()}
        seconds = fit(model, loss, SparseAdagrad(0.1), columns, batch, epochs=5)
        name, rate = f"{type(model).__name__} 64, {name}", some / np.median(seconds[1:])
        rows.append(row("made up", "fit", name, "examples_per_s", rate, unit="1/s"))
    inputs = [keras.Input((), dtype="int32", name=n) for n in ("user_id", "item_id")]
    rows_of = [keras.layers.Embedding(n, 64)(x) for n, x in zip(size, inputs, strict=True)]
    plain = keras.Model(inputs, keras.ops.sum(rows_of[0] * rows_of[1], axis=-1))
    plain.compile("adam", "mse")
    few = 1 << 19  # examples; it is slow, and the rate is what counts
    features = {name: ratings[name][:few] for name in ("user_id", "item_id")}
    dataset = tf.data.Dataset.from_tensor_slices((features, ratings["label"][:few]))
    dataset = dataset.shuffle(100_000, seed=SEED).batch(8192, drop_remainder=True).prefetch(2)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        plain.fit(dataset, epochs=1, shuffle=False, verbose=0)
        seconds.append(time.perf_counter() - start)
    peer, rate = "plain Keras 64, Adam, explicit, batch 8192", few / np.median(seconds[1:])
    rows.append(row("made up", "fit", peer, "examples_per_s", rate, unit="1/s", peer=peer))
    rows[-2]["peer"], rows[-2]["ratio"] = peer, rows[-2]["value"] / rate
    return rows


def tables(peers: bool) -> list[dict[str, Any]]:
    """Milliseconds of a step by the number of rows of the users' table, ids uniform."""
    import gc

    import keras

    from tfrecs.losses import BPR, InBatch, Sampled, Softmax
    from tfrecs.models import TwoTower
    from tfrecs.optimizers import LazyAdam, SparseAdagrad

    kinds = {
        "in-batch softmax": ("in_batch", InBatch(Softmax()), 512),
        "BPR": ("uniform", Sampled(BPR()), 8192),
    }
    rows = []
    for kind, (negatives, loss, batch) in kinds.items():
        for optimizer in (SparseAdagrad, LazyAdam, keras.optimizers.SGD):
            for num_rows in TABLE_ROWS:
                arrays = interactions(num_rows, 3708, 64 * batch)
                model = TwoTower(spec(num_rows, 3708), 64, negatives=negatives, seed=SEED)
                seconds = fit(model, loss, optimizer(0.01), arrays, batch, epochs=5)
                name = (
                    f"TwoTower 64, {kind}, {optimizer.__name__}, batch {batch}, {num_rows:,} rows"
                )
                value = np.median(seconds[1:]) / 64 * 1000
                rows.append(row("made up", "fit", name, "step_ms", value, unit="ms"))
                del model
                keras.utils.clear_session()  # or the tables of all the models add up
                gc.collect()
    return rows


TABLE_ROWS = (10_000, 1_000_000, 10_000_000)


def main() -> None:
    """Runs the sections and writes results/factorization.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas")
    parser.add_argument("--peers", action="store_true", help="run surprise and cornac as well")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = [r for name in arguments.only.split(",") for r in globals()[name](arguments.peers)]
    write("factorization", rows, seed=SEED, keep=True)


if __name__ == "__main__":
    main()
