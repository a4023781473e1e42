"""Implicit feedback: quality, seconds an iteration and seconds to the peer's quality.

    TFRECS_DATA=DIR python benchmarks/implicit.py --peers --timed               # everything
    TFRECS_DATA=DIR python benchmarks/implicit.py --only ml-1m-4 --peers

Data sets: `ml-1m-4` (ratings of 4 and 5), `ml-1m` (all ratings), `lastfm`, `citeulike`: 20 % of
each user's events held out at random, users of 5 events or more; `ncf` (ml-1m leave-one-out, 99
given negatives). `--peers` runs the library implicit too, ALS and BPR, in a process and a venv of
its own, with as many threads. Rows of data sets not run are kept. Times of the clock are kept with
`--timed` alone, to be given where nothing else runs; CPU seconds, of all threads, always.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from common import row, write
from implicit_problems import (
    Problem,
    Score,
    differences,
    holdout,
    judged,
    leave_one_out,
    metrics,
)

SEED = 0
THREADS = os.cpu_count() or 1
ALS = "implicit ALS 64, alpha 10, reg 10"
BPR = "implicit BPR 64, lr 0.05, reg 0.01"
SETS = ("ml-1m-4", "ml-1m", "lastfm", "citeulike", "ncf")


def matches(name: str, wanted: str) -> bool:
    """Returns whether a name holds one of the texts wanted, given by commas."""
    return any(text in name for text in wanted.split(","))


def baselines(problem: Problem, wanted: str) -> Iterator[list[dict[str, Any]]]:
    """Judges what a model must beat."""
    import pyarrow as pa

    from tfrecs import baselines
    from tfrecs.spec import Categorical, FeatureSpec

    user = Categorical("user_id", "query", "int64", is_id=True)
    spec = FeatureSpec((user, Categorical("item_id", "candidate", "int64", is_id=True)))
    pairs = problem.train.nonzero()
    table = pa.table({"user_id": pairs[0], "item_id": pairs[1]})
    items = pa.table({"item_id": np.arange(problem.train.shape[1])})
    models = {
        "Popularity": baselines.Popularity(),
        "ItemKNN 100, cosine": baselines.ItemKNN(),
        "ItemKNN 100, bm25": baselines.ItemKNN(weighting="bm25"),
        "UserKNN 100": baselines.UserKNN(),
        f"EASE, l2 {EASE_L2[problem.data]:g}": baselines.EASE(EASE_L2[problem.data]),
    }
    for name, model in models.items():
        if not matches(name, wanted):
            continue
        start = time.perf_counter()
        model.fit(table, items, spec)
        seconds = time.perf_counter() - start
        yield judged(
            problem, name, lambda b, m=model: m.score(pa.table({"user_id": b})), fit_s=seconds
        )


# IALS's were chosen on a tenth of the training events, held out at random, by nDCG@100, for Last.fm
# and CiteULike-a (at 64 factors); those for ml-1m were known to do well on this very split, and
# at 192 factors were as well the best of nine on such a tenth, after 5 or 6 epochs of 9. The l2 of
# EASE is its paper's for ml-1m and not tuned elsewhere.
EASE_L2 = {"ml-1m": 500.0, "lastfm": 50.0, "citeulike": 50.0}
SETTINGS = {
    "ml-1m": {"unobserved_weight": 0.3, "l2": 0.007},
    "lastfm": {"unobserved_weight": 0.03, "l2": 0.01},
    "citeulike": {"unobserved_weight": 0.01, "l2": 0.003},
}


def spec_of(problem: Problem) -> Any:
    """Returns a spec of the two ids."""
    from tfrecs.spec import Categorical, FeatureSpec

    sizes = [size + 2 for size in problem.train.shape]
    user = Categorical("user_id", "query", is_id=True, size=sizes[0])
    return FeatureSpec((user, Categorical("item_id", "candidate", is_id=True, size=sizes[1])))


class Curve:
    """Keeps the factors after each epoch, and the seconds of training until then."""

    def __init__(self, model: Any, tables: Any) -> None:
        import keras

        self.model, self.tables = model, tables
        self.seconds: list[float] = []
        self.cpu: list[float] = []  # of all threads, of each epoch
        self.factors: list[Any] = []
        self.callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.begin(),
            on_epoch_end=lambda epoch, logs: self.end(),
        )
        self.start = self.kept = self.begun = 0.0

    def begin(self) -> None:
        """Starts the clock at the first epoch."""
        self.start = self.start or time.perf_counter()
        self.begun = time.process_time()

    def end(self) -> None:
        """Keeps the factors; the clock stands still meanwhile."""
        self.cpu.append(time.process_time() - self.begun)
        now = time.perf_counter()
        self.seconds.append(now - self.start - self.kept)
        self.factors.append([np.asarray(table(), np.float32)[2:].copy() for table in self.tables])
        self.kept += time.perf_counter() - now

    def score(self, epoch: int) -> Score:
        """Returns the scores after an epoch."""
        p, q = self.factors[epoch]
        return lambda block: p[block] @ q.T

    def until(self, problem: Problem, metric: str, wanted: float) -> float | None:
        """Returns the seconds until a metric is as good as wanted."""
        for epoch, seconds in enumerate(self.seconds):
            if metrics(problem, self.score(epoch))[metric].mean() >= wanted:
                return seconds
        return None


def train_ials(problem: Problem, dim: int, epochs: int) -> Curve:
    """Trains IALS by its `fit`."""
    from tfrecs.models import IALS

    model = IALS(spec_of(problem), dim, **SETTINGS[problem.data], seed=SEED)
    curve = Curve(model, [lambda t=table: t.embeddings for table in model.tables])
    pairs = problem.train.nonzero()
    model.fit(
        {"user_id": pairs[0] + 2, "item_id": pairs[1] + 2},
        epochs=epochs,
        callbacks=[curve.callback],
    )
    return curve


def train_two_tower(problem: Problem, kind: str, epochs: int) -> Curve:
    """Trains TwoTower by `fit`: "BPR" or "softmax"."""
    from tfrecs.features import from_arrays, log_q
    from tfrecs.losses import BPR, InBatch, Sampled, Softmax
    from tfrecs.models import TwoTower
    from tfrecs.optimizers import SparseAdagrad

    users, items = (ids.astype(np.int32) + 2 for ids in problem.train.nonzero())
    arrays = {"user_id": users, "item_id": items, "label": items}
    softmax = kind == "softmax"
    if softmax:
        arrays["item_id_log_q"] = log_q(items)
        model = TwoTower(spec_of(problem), 64, temperature=0.2, num_negatives=127, seed=SEED)
        loss, rate, batch = InBatch(Softmax()), 0.1, 2048
    else:
        model = TwoTower(spec_of(problem), 64, negatives="uniform", l2=1e-3, seed=SEED)
        loss, rate, batch = Sampled(BPR()), 0.2, 4096
    steps = len(users) // batch
    model.compile(
        SparseAdagrad(rate, initial_accumulator_value=1e-8),
        loss,
        steps_per_execution=min(steps, 64),
    )
    ids = {"user_id": np.arange(problem.train.shape[0]) + 2}
    every = {"item_id": np.arange(problem.train.shape[1]) + 2}
    nothing = np.zeros((2, 64), np.float32)
    sides = (lambda: model.query(ids), lambda: model.candidate(every))
    tables = [lambda side=side: np.concatenate([nothing, np.asarray(side())]) for side in sides]
    curve = Curve(model, tables)
    dataset = from_arrays(
        arrays, batch, label="label", shuffle=True, seed=SEED, drop_remainder=True
    )
    model.fit(dataset, epochs=epochs, shuffle=False, verbose=0, callbacks=[curve.callback])
    return curve


def ours(
    problem: Problem, peers: dict[str, list[dict[str, Any]]], wanted: str
) -> Iterator[list[dict[str, Any]]]:
    """Judges our models, beside the peer of the same objective."""
    runs: dict[str, tuple[Callable[[], Curve], str]] = {
        f"IALS {dim}, {epochs} epochs": (lambda d=dim, e=epochs: train_ials(problem, d, e), ALS)
        for dim, epochs in ((64, 16), (192, 6))
    }
    if problem.given is None:
        runs |= {
            f"TwoTower 64, {kind}, {epochs} epochs": (
                lambda k=kind, e=epochs: train_two_tower(problem, k, e),
                BPR,
            )
            for kind, epochs in (("BPR", 12), ("softmax", 12))
        }
    for name, (train, peer) in runs.items():
        if not matches(name, wanted):
            continue
        curve = train()
        each = float(np.median(np.diff([0.0, *curve.seconds])))
        cpu = float(np.median(curve.cpu))
        took = {"fit_s": curve.seconds[-1], "iteration_s": each, "iteration_cpu_s": cpu}
        rows = judged(problem, name, curve.score(-1), **took)
        theirs = {r["metric"]: r["value"] for r in peers.get(peer, [])}
        main = problem.main
        for r in rows:
            if r["metric"] in theirs:
                r["peer"], r["ratio"] = peer, r["value"] / theirs[r["metric"]]
        if theirs and (seconds := curve.until(problem, main, theirs[main])) is not None:
            until = f"seconds to {main} {theirs[main]:.3f}"
            ratio = seconds / theirs["fit_s"]
            rows.append(
                row(problem.data, problem.protocol, name, until, seconds, unit="s", peer=peer)
                | {"ratio": ratio}
            )
        yield rows


def run_peers(problem: Problem, python: str) -> dict[str, list[dict[str, Any]]]:
    """Runs the library implicit in its own process and judges what it learned, by name."""
    with tempfile.TemporaryDirectory() as folder:
        scipy.sparse.save_npz(f"{folder}/train.npz", problem.train)
        script = Path(__file__).with_name("implicit_peers.py")
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # it has threads of its own
        # -P: or `import implicit` would find this file
        command = [python, "-P", script, folder, str(THREADS)]
        subprocess.run(command, check=True, env=environment)
        found = {}
        for name, told in json.loads(Path(folder, "peers.json").read_text()).items():
            arrays = np.load(f"{folder}/{told['file']}")
            score = lambda block, a=arrays: a["p"][block] @ a["q"].T  # noqa: E731
            took = {"fit_s": told["seconds"], "iteration_s": told["iteration"]}
            rows = judged(problem, name, score, **took, iteration_cpu_s=told["cpu"])
            found[name] = [{**r, "peer": "implicit"} for r in rows]
        return found


def make_venv(folder: str) -> str:
    """Makes a venv with the library implicit; returns its Python."""
    python = f"{folder}/venv/bin/python"
    packages = ["implicit==0.7.3", "numpy", "scipy"]
    if uv := shutil.which("uv"):
        commands = [[uv, "venv", "-q", "--python", sys.executable, f"{folder}/venv"]]
        commands += [[uv, "pip", "install", "-q", "--python", python, *packages]]
    else:
        commands = [[sys.executable, "-m", "venv", f"{folder}/venv"]]
        commands += [[python, "-m", "pip", "install", "-q", *packages]]
    for command in commands:
        subprocess.run(command, check=True)
    return python


def main() -> None:
    """Runs the data sets and writes results/implicit.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SETS), help="data sets, by commas")
    parser.add_argument(
        "--models", default="", help="only those whose names hold one of these, by commas"
    )
    parser.add_argument("--timed", action="store_true", help="keep times: the machine is free")
    parser.add_argument("--peers", action="store_true", help="run the library implicit as well")
    parser.add_argument("--python", default="", help="a Python that has implicit, for --peers")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in arguments.only.split(","):
        problem = leave_one_out() if name == "ncf" else holdout(name)
        with tempfile.TemporaryDirectory() as folder:
            found = {}
            if arguments.peers:
                found = run_peers(problem, arguments.python or make_venv(folder))
        rows = [r for part in found.values() for r in part]
        wanted = arguments.models
        for part in (*baselines(problem, wanted), *ours(problem, found, wanted)):
            rows += part
        rows += differences(problem, "EASE", ("IALS", "TwoTower"))
        if not arguments.timed:
            rows = [r for r in rows if r["unit"] != "s" or r["metric"] == "iteration_cpu_s"]
        packages = ("tensorflow", "keras", "numpy", "scipy")
        write("implicit", rows, seed=SEED, packages=packages, keep=True)


if __name__ == "__main__":
    main()
