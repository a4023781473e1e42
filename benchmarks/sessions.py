"""Sessions: GRU4Rec beside its authors' code, baselines, contexts, transformers.

    TFRECS_DATA=DIR python benchmarks/sessions.py --only baselines,globo
    TFRECS_DATA=DIR python benchmarks/sessions.py --only forward,parity,speed \
        --peer-repo CHECKOUT --peer-python PYTHON

Sections: `baselines` (rsc15-100k), `parity` (Recall@20 and MRR@20, ours and theirs), `forward` (one
step from the same weights), `speed` (events/s in training), `globo` (contexts), `s3rec` (SASRec),
`memory` (of training by number of sessions), `bloom` (quality by compression), `products` (of
one step with 512 units alone: what no way to write the rest goes below). The peer is the
authors' PyTorch code, see sessions_peers.py. Rows of the sections not run are kept. TensorFlow
runs two operations at a time, each by `--threads`: one is the fastest at every setting. The peer
has both cores, its fastest.
"""

import argparse
import gc
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import compare, row, write

PEER = "authors' PyTorch code"
AUTHORS = "all items ranked for every event but the first, ties standard"
# the authors' parameters for RSC15 by cross-entropy, and for Diginetica by BPR-max
SMALL = {
    "loss": "cross-entropy",
    "layers": [100],
    "batch_size": 32,
    "dropout_p_embed": 0.0,
    "dropout_p_hidden": 0.4,
    "learning_rate": 0.2,
    "momentum": 0.2,
    "n_sample": 2048,
    "sample_alpha": 0.5,
    "bpreg": 0.0,
    "logq": 1.0,
    "constrained_embedding": True,
    "embedding": 0,
    "elu_param": 0,
    "n_epochs": 10,
}
WIDE = SMALL | {
    "loss": "bpr-max",
    "layers": [512],
    "batch_size": 128,
    "dropout_p_embed": 0.5,
    "dropout_p_hidden": 0.3,
    "learning_rate": 0.05,
    "momentum": 0.15,
    "sample_alpha": 0.3,
    "bpreg": 0.9,
    "logq": 0.0,
    "elu_param": 1,
}


def data(*parts: str) -> Path:
    """Returns a path in the folder of real data."""
    return Path(os.environ["TFRECS_DATA"], *parts)


def encoded(sessions: Any, *features: str) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns the adapted features, and the ids of the training events by column."""
    from tfrecs import FeatureTransform

    spec = sessions.spec.select("item_id", "history", *features)
    transform = FeatureTransform(spec).adapt(sessions.train, sessions.histories)
    items = transform.encode(sessions.train, ["item_id"])
    return transform, {"item": items["item_id"]}


def steps_of(
    columns: dict[str, np.ndarray], lengths: Any, setting: dict[str, Any], seed: int
) -> Any:
    """Returns the session-parallel batches of a setting."""
    from tfrecs.features import from_sessions

    return from_sessions(
        columns,
        lengths,
        setting["batch_size"],
        inputs={"history": "item"},
        targets={"item_id": "item"},
        num_negatives=setting["n_sample"],
        alpha=setting["sample_alpha"],
        distinct=True,
        seed=seed,
    )


def gru4rec(spec: Any, setting: dict[str, Any], seed: int) -> Any:
    """Returns GRU4Rec compiled by the authors' names of parameters."""
    import keras

    from tfrecs.losses import BPRMax, SharedNegatives, Softmax
    from tfrecs.models import GRU4Rec
    from tfrecs.optimizers import AdagradMomentum

    keras.utils.set_random_seed(seed)
    model = GRU4Rec(
        spec,
        setting["layers"],
        dropout=setting["dropout_p_hidden"],
        embedding_dropout=setting["dropout_p_embed"],
        log_q=setting["logq"],
        lanes=setting["batch_size"],
        seed=seed,
    )
    loss = Softmax()
    if setting["loss"] == "bpr-max":
        loss = BPRMax(setting["bpreg"], elu=setting["elu_param"])
    optimizer = AdagradMomentum(setting["learning_rate"], momentum=setting["momentum"])
    model.compile(
        optimizer,
        SharedNegatives(loss),
        steps_per_execution=64,
        jit_compile=False,
    )
    return model


def judged(model: Any, transform: Any, sessions: Any) -> dict[str, float]:
    """Returns Recall@20 and MRR@20 by the authors' protocol."""
    from tfrecs.evaluation import SessionScorer, next_item_ranks, next_items, recall_and_mrr

    events = next_items(sessions.test, sessions.candidates, transform.spec)
    scorer = SessionScorer(model, transform, sessions.candidates)
    return recall_and_mrr(next_item_ranks(scorer.score, events))


def peer(arguments: Any, setting: dict[str, Any], arrays: dict[str, Any], *more: str) -> Any:
    """Runs the authors' code in a process of its own and returns what it found."""
    script = Path(__file__).with_name("sessions_peers.py")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/data.npz", **arrays)
        command = [arguments.peer_python, script, "--repo", arguments.peer_repo]
        command += ["--data", f"{folder}/data.npz", "--setting", json.dumps(setting)]
        subprocess.run([*command, "--out", f"{folder}/out.json", *more], check=True)
        return json.loads(Path(folder, "out.json").read_text())


def triples(events: Any) -> np.ndarray:
    """Returns `(N, 3)` of session, item and time, as the peer reads them."""
    items = np.asarray(events["item_id"].cast("int64"))
    return np.stack([events["session_id"], items, events["time"]], axis=1)


def parity(arguments: Any) -> list[dict[str, Any]]:
    """Recall@20 and MRR@20 by seed, ours and theirs; of Diginetica the last `--events` events."""
    from tfrecs import datasets
    from tfrecs.datasets.sessions import latest

    if arguments.parity_data == "diginetica":
        sessions = latest(datasets.diginetica(data("diginetica-sessions")), arguments.events)
    else:
        sessions = datasets.session_folder(data("rsc15-100k"))
    transform, columns = encoded(sessions)
    setting = SMALL | {"n_epochs": arguments.parity_epochs}
    found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    arrays = {"train": triples(sessions.train), "test": triples(sessions.test)}
    for seed in range(arguments.seeds):
        model = gru4rec(transform.spec, setting, seed)
        steps = steps_of(columns, sessions.lengths, setting, seed)
        model.fit(steps, epochs=setting["n_epochs"], shuffle=False, verbose=0)
        found["ours"].append(judged(model, transform, sessions))
        print(seed, found["ours"][-1], flush=True)
        if arguments.peer_repo:
            more = ("--seed", str(seed), "--threads", "1")  # sums in the same order each time
            found["theirs"].append(peer(arguments, setting, arrays, *more))
            print(seed, found["theirs"][-1], flush=True)
    name = f"GRU4Rec 100, cross-entropy, batch 32, 2,048 samples, {setting['n_epochs']} epochs"
    label = f"{sessions.name}, {sessions.train.num_rows:,} events"
    rows = []
    for metric in ("recall@20", "mrr@20"):
        mine, theirs = ([f[metric] for f in found[side]] for side in ("ours", "theirs"))
        protocol = f"{AUTHORS}, mean of {arguments.seeds} seeds"
        rows += with_peer(label, protocol, name, metric, mine, theirs)
    return rows


def with_peer(
    dataset: str,
    protocol: str,
    name: str,
    metric: str,
    ours: list[float],
    theirs: list[float],
    unit: str = "",
) -> list[dict[str, Any]]:
    """Returns a row of ours, and where the peer ran one of theirs and the ratio."""

    def one(model: str, values: list[float], **more: Any) -> dict[str, Any]:
        few = len(values) < 2
        stderr = None if few else float(np.std(values, ddof=1) / len(values) ** 0.5)
        return row(
            dataset, protocol, model, metric, np.mean(values), stderr=stderr, unit=unit, **more
        )

    rows = [one(name, ours)]
    if theirs:
        rows.append(one(f"{name} ({PEER})", theirs, peer=PEER))
        rows[0] |= {"peer": PEER, "ratio": compare(rows[0], rows[1])}
    return rows


def forward(arguments: Any) -> list[dict[str, Any]]:
    """Scores, loss and state of one step from the same weights: the greatest difference."""
    from tfrecs.spec import Categorical, FeatureSpec, Sequence

    rng, rows = np.random.default_rng(0), []
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=52),
            Sequence("history", "query", shared_with="item_id", size=52),
        )
    )
    for setting in (SMALL, WIDE):
        setting = setting | {"layers": [16], "batch_size": 4, "logq": 0.0, "n_sample": 6}
        model = gru4rec(spec, setting | {"dropout_p_hidden": 0.0, "dropout_p_embed": 0.0}, 0)
        table = rng.normal(size=(52, 17)).astype("float32") / 4
        state = rng.normal(size=(4, 16)).astype("float32")
        bias = rng.normal(size=(2, 48)).astype("float32") / 4
        model.items.embeddings.assign(table)
        model.projections[0].bias.assign(bias[0])
        model.cells[0].bias.assign(bias[1])
        model.states[0].assign(state)
        ids = rng.integers(2, 52, 14).astype("int64")
        batch = {"history": ids[:4, None], "history_mask": np.ones((4, 1), bool)}
        batch |= {"item_id": ids[4:8], "negatives": ids[8:], "carried": np.ones((4, 1), bool)}
        scores = np.asarray(model(batch))
        loss = float(model.loss(ids[4:8], scores))
        kernels = [model.projections[0].kernel, model.cells[0].recurrent]
        transposed = [np.asarray(k).T for k in kernels]
        arrays = {"items": table[2:, :-1], "item_bias": table[2:, -1:], "state": state}
        arrays |= {"kernel": transposed[0], "recurrent": transposed[1]}
        arrays |= {"bias": bias[0], "inner": bias[1]}
        arrays |= {"inputs": ids[:4] - 2, "candidates": ids[4:] - 2}
        theirs = peer(arguments, setting, arrays, "--forward")
        differences = {
            "scores": np.abs(scores - theirs["scores"]).max(),
            "loss": abs(loss - theirs["loss"]) / abs(theirs["loss"]),
            "state": np.abs(np.asarray(model.states[0]) - theirs["state"]).max(),
        }
        name = f"GRU4Rec 16, {setting['loss']}"
        for what, value in differences.items():
            metric = f"greatest difference of {what}"
            rows.append(
                row("made up", "one step, weights transplanted", name, metric, value, peer=PEER)
            )
    return rows


def speed(arguments: Any) -> list[dict[str, Any]]:
    """Events/s of ours and theirs in turn; an epoch of ours to warm up, then the rounds."""
    import keras

    from tfrecs import datasets
    from tfrecs.datasets.sessions import latest

    keras.config.set_dtype_policy(arguments.dtype)
    rsc15 = datasets.session_folder(data("rsc15-100k"))
    diginetica = datasets.diginetica(data("diginetica-sessions"))
    runs = [
        (rsc15, SMALL),
        (latest(diginetica, 200_000), SMALL | {"batch_size": 128}),
        (latest(diginetica, 60_000), WIDE),
    ]
    rows = []
    for sessions, setting in [runs[int(place)] for place in arguments.settings.split(",")]:
        transform, columns = encoded(sessions)
        model = gru4rec(transform.spec, setting, 0)
        steps = steps_of(columns, sessions.lengths, setting, 0)
        model.fit(steps, shuffle=False, verbose=0)
        count = sessions.train.num_rows - len(sessions.lengths)
        found: dict[str, list[float]] = {"ours": [], "theirs": []}
        arrays = {"train": triples(sessions.train), "test": np.empty((0, 3), np.int64)}
        for _ in range(arguments.rounds):
            start = time.perf_counter()
            model.fit(steps, shuffle=False, verbose=0)
            found["ours"].append(count / (time.perf_counter() - start))
            if arguments.peer_repo:
                once = setting | {"n_epochs": 1}
                found["theirs"].append(peer(arguments, once, arrays)["events_per_s"])
        name = "GRU4Rec {}, {}, batch {}, 2,048 samples".format(
            setting["layers"][0], setting["loss"], setting["batch_size"]
        )
        metric, protocol = "events_per_s", f"fit, median of {arguments.rounds} epochs"
        protocol += "" if arguments.dtype == "float32" else f", ours in {arguments.dtype}"
        middle = {side: [float(np.median(v))] if v else [] for side, v in found.items()}
        name_of = f"{sessions.name}, {sessions.train.num_rows:,} events"
        rows += with_peer(
            name_of, protocol, name, metric, middle["ours"], middle["theirs"], unit="1/s"
        )
        print(rows[-2:], flush=True)
    return rows


def baselines(arguments: Any) -> list[dict[str, Any]]:
    """The recommenders without a network."""
    from tfrecs import datasets

    sessions = datasets.session_folder(data("rsc15-100k"))
    return [r for r, _ in baseline_rows(sessions, sessions.spec, AUTHORS)]


def baseline_rows(
    sessions: Any, spec: Any, protocol: str, events: Any = None
) -> list[tuple[dict[str, Any], Any]]:
    """Returns rows of all baselines, each with the ranks that it comes from."""
    from tfrecs import baselines as kinds
    from tfrecs.evaluation import next_item_ranks, next_items, recall_and_mrr

    if events is None:
        events = next_items(sessions.test, sessions.candidates, spec.select("item_id", "history"))
    made = {
        "popularity": kinds.Popularity(),
        "session popularity": kinds.SessionPopularity(),
        "association rules": kinds.AssociationRules(),
        "item-kNN of sessions": kinds.AssociationRules(cosine=True),
        "Markov chain": kinds.Markov(),
        "sequential rules": kinds.SequentialRules(),
        "V-SKNN": kinds.VSKNN(),
    }
    rows = []
    for name, baseline in made.items():
        baseline.fit(sessions.train, sessions.candidates, spec)
        ranks = next_item_ranks(baseline.score, events)
        for metric, value in recall_and_mrr(ranks).items():
            rows.append((row(sessions.name, protocol, name, metric, value), ranks))
    return rows


def memory(arguments: Any) -> list[dict[str, Any]]:
    """Resident memory after an epoch, by number of sessions, each in a process of its own."""
    rows = []
    for number in (10_000, 100_000, 1_000_000):
        script = (
            "import sys; sys.path.insert(0, sys.argv[1]); import sessions; "
            f"print(sessions.resident({number}))"
        )
        command = [os.sys.executable, "-c", script, str(Path(__file__).parent)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        name = f"GRU4Rec 32, batch 128, {number:,} sessions of 4 events"
        value = float(done.stdout.split()[-1])
        rows.append(row("made up", "fit, 200 steps", name, "resident_mb", value, unit="MB"))
    return rows


def resident(number: int) -> float:
    """Returns the resident memory in MB after 200 steps on so many sessions."""
    import resource

    from tfrecs.spec import Categorical, FeatureSpec, Sequence

    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=5000),
            Sequence("history", "query", shared_with="item_id", size=5000),
        )
    )
    setting = SMALL | {"layers": [32], "batch_size": 128, "n_sample": 256}
    items = np.random.default_rng(0).integers(2, 5000, 4 * number, dtype=np.int32)
    steps = steps_of({"item": items}, np.full(number, 4), setting, 0).take(200)
    gru4rec(spec, setting, 0).fit(steps, shuffle=False, verbose=0)
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def save(rows: list[dict[str, Any]]) -> None:
    """Writes rows into results/sessions.json; others stay, with the command they came from."""
    write("sessions", rows, seed=0, keep=True)


SECTIONS = {f.__name__: f for f in (baselines, parity, forward, speed, memory)}


def main() -> None:
    """Runs the sections and writes results/sessions.json."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from sessions_models import SECTIONS as MODELS
    from sessions_products import SECTIONS as PRODUCTS

    sections = SECTIONS | MODELS | PRODUCTS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(sections), help="sections, by commas")
    parser.add_argument("--peer-repo", help="checkout of the authors' PyTorch code")
    parser.add_argument("--peer-python", help="a Python that has torch")
    parser.add_argument("--seeds", type=int, default=3, help="of parity and s3rec")
    parser.add_argument("--parity-data", default="rsc15", choices=("rsc15", "diginetica"))
    parser.add_argument("--parity-epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", default="0,1,2", help="of speed, by commas")
    parser.add_argument("--dtype", default="float32", help="of speed, Keras's policy for ours")
    parser.add_argument("--events", type=int, default=200_000, help="training events of globo")
    parser.add_argument("--judged", type=int, default=20_000, help="test events of globo")
    parser.add_argument(
        "--modes",
        default=",input+recurrence+output,input,recurrence,output,sasrec",
        help="where contexts enter in globo, by commas; the first is what others are compared "
        "with; `sasrec` trains that one",
    )
    parser.add_argument("--sets", default="LastFM", help="data sets of s3rec, by commas")
    parser.add_argument("--epochs", type=int, default=120, help="epochs of s3rec")
    arguments = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    for name in arguments.only.split(","):
        save(sections[name](arguments))


if __name__ == "__main__":
    main()
