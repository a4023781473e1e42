"""News: how well impressions are ranked, training throughput, memory by tokens.

    TFRECS_DATA=DIR python benchmarks/news.py --only demo,ablation,fragment,memory
    python benchmarks/news.py --only speed --torch PYTHON --legacy PYTHON --repo DIR

Sections: `demo` (the generated news), `ablation` (the Perceiver without an encoding), `fragment`
(MIND-small's 5,000 impressions, ids alone), `speed` (samples/s beside peers, news_peers.py),
`memory` (peak memory of a step by tokens). `--torch` is an interpreter with torch, `--legacy` one
with tf_keras, `--repo` a checkout of recommenders-team/recommenders. Rows of the sections not run
are kept.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import compare, row, write

SEED = 0
SECTIONS = ("demo", "ablation", "fragment", "speed", "memory")
METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10", "flat_auc")
TITLE, BODY, HISTORY = 12, 16, 20  # words and clicks read of the generated news
SIZES = (50_000, 20_000, 200_000)  # users, news, impressions
SAMPLES = 16_000  # clicks that a model is trained on in an epoch
TESTED = 2_000  # impressions, of the last fifth by time


class Problem:
    """Impressions split by time, encoded; the catalogue; the baselines' counts."""

    def __init__(self, data: Any, names: list[str], tested: int) -> None:
        from tfrecs.features import FeatureTransform, encode_impressions
        from tfrecs.spec import Categorical, FeatureSpec, Sequence, Text

        train, test = data.split(0.2)
        rng = np.random.default_rng(SEED)
        if test.log.num_rows > tested:
            test = test.take(np.sort(rng.choice(test.log.num_rows, tested, replace=False)))
        words = vocabulary(data) if {"title", "body"} & set(names) else None
        kinds = {
            "title": Text("title", max_length=TITLE, vocabulary=words),
            "body": Text("body", max_length=BODY, vocabulary=words),
            "category": Categorical("category", "candidate"),
            "subcategory": Categorical("subcategory", "candidate"),
        }
        spec = FeatureSpec(
            (
                Categorical("news_id", "candidate", is_id=True),
                *(kinds[name] for name in names),
                Sequence("history", "query", shared_with="news_id", max_length=HISTORY),
            )
        )
        self.transform = FeatureTransform(spec).adapt(data.news, data.log.select(["history"]))
        self.spec = self.transform.spec
        self.items = self.transform.encode(data.news, ["news_id", *names])
        self.data, self.train, self.test = data, train, test
        self.train_ids = encode_impressions(train.log, self.transform)
        self.test_ids = encode_impressions(test.log, self.transform)
        self.size = self.spec.candidate_id.size

    def quality(self, scores: np.ndarray) -> Any:
        """Measures scores of the test's candidates."""
        from tfrecs.evaluation import impression_quality

        return impression_quality(self.test_ids.labels, scores, self.test_ids.lengths)


def vocabulary(data: Any) -> tuple[str, ...]:
    """Returns the words of all titles and bodies, in order of first use."""
    from tfrecs.features import tokenize

    found = [
        tokenize(data.news[name].to_pylist()).flat_values.numpy() for name in ("title", "body")
    ]
    return tuple(word.decode() for word in dict.fromkeys(np.concatenate(found).tolist()))


def baselines(problem: Problem) -> dict[str, np.ndarray]:
    """Returns scores of popularity, of the cosine of the history's words, and of the oracle."""
    import scipy.sparse as sp

    train, test = problem.train_ids, problem.test_ids
    clicks, shown = (
        np.bincount(train.candidates, train.labels == label, problem.size) for label in (1, 0)
    )
    rate = (clicks + 1) / (clicks + shown + 10)
    found = {"popularity (click rate)": rate[test.candidates]}
    if len(problem.items) > 1:
        rows, columns = [], []
        for name in ("title", "body"):
            if name in problem.items:
                item, place = np.nonzero(problem.items[name])
                rows.append(problem.items["news_id"][item])
                columns.append(problem.items[name][item, place])
        rows, columns = np.concatenate(rows), np.concatenate(columns)
        shape = (problem.size, int(columns.max()) + 1)
        words = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
        often = np.asarray((words > 0).sum(axis=0)).ravel()
        words = words @ sp.diags(np.log((1 + problem.size) / (1 + often)))
        words = sp.diags(1 / np.maximum(sp.linalg.norm(words, axis=1), 1e-9)) @ words
        name = "tf-idf cosine of the history"
    else:  # ids: how often both were clicked by one user
        user = np.repeat(np.arange(len(train.history_lengths)), train.history_lengths)
        ones = np.ones(len(user), np.float32)
        shape = (len(train.history_lengths), problem.size)
        words = sp.csr_matrix((ones, (user, train.history)), shape).T.tocsr()
        words = sp.diags(1 / np.maximum(sp.linalg.norm(words, axis=1), 1e-9)) @ words
        name = "item-item cosine of the history"
    past = np.repeat(np.arange(len(test.history_lengths)), test.history_lengths)
    ones = np.ones(len(past), np.float32)
    users = sp.csr_matrix((ones, (past, test.history)), (len(test.history_lengths), problem.size))
    users = (users @ words).tocsr()
    of = np.repeat(np.arange(len(test.lengths)), test.lengths)
    found[name] = np.asarray(users[of].multiply(words[test.candidates]).sum(axis=1)).ravel()
    if problem.data.truth is not None:
        found["oracle"] = problem.data.truth.click_chance(problem.test.log)
    return found


def build(kind: str, problem: Problem, seed: int, **arguments: Any) -> tuple[Any, Any]:
    """Returns a model with its catalogue, and its loss."""
    from tfrecs import losses, models

    if kind == "NRMS":
        settings = {"num_heads": 4, "head_dim": 16, "attention_dim": 32}
        model, loss = models.NRMS(problem.spec, 64, seed=seed, **settings), losses.Softmax()
    else:
        settings = {"latents": (8, 64), "layers": (1, 1), "num_heads": 4, "distance": "dot"}
        settings |= arguments
        model = models.PerceiverTwoTower(problem.spec, 64, seed=seed, **settings)
        loss = losses.Softmax() if settings["distance"] == "dot" else losses.Triplet(0.5)
    model.set_catalogue(problem.items)
    return model, loss


def trained(
    kind: str, problem: Problem, seed: int, *, epochs: int, rate: float = 2e-3, **arguments: Any
) -> tuple[np.ndarray, float]:
    """Trains a model; returns its scores of the test's candidates, and seconds."""
    from dataclasses import replace

    import keras

    from tfrecs.evaluation import score_impressions
    from tfrecs.features import from_histories, from_impressions
    from tfrecs.optimizers import LazyAdam

    model, loss = build(kind, problem, seed, **arguments)
    log, rng = problem.train_ids, np.random.default_rng([seed, 1])
    clicked = np.flatnonzero(log.labels == 1)
    if len(clicked) > SAMPLES * epochs:  # each is seen once at most
        kept = rng.choice(clicked, SAMPLES * epochs, replace=False)
        labels = np.where(log.labels == 1, np.int8(-1), log.labels)
        labels[kept] = 1
        log, rounds = replace(log, labels=labels), 1
    else:
        rounds = epochs
    more = {"max_length": HISTORY, "seed": seed}
    distinct: dict[str, Any] = {}
    if len(problem.items) > 1:
        counts = np.full(problem.size, TITLE)
        distinct = {"num_tokens": counts, "widths": (max(TITLE, BODY),)}
    rows = from_impressions(log, 64, with_history=kind == "NRMS", **distinct, **more)
    steps = int(rows.cardinality()) * rounds
    decay = keras.optimizers.schedules.CosineDecay(rate, steps, 0.05)
    model.compile(LazyAdam(decay), loss, jit_compile=False)
    start = time.perf_counter()
    history = model.fit(rows, epochs=rounds, shuffle=False, verbose=0).history["loss"]
    seconds = time.perf_counter() - start
    used = distinct if kind == "NRMS" else {}
    histories = from_histories(problem.test_ids, 128, max_length=HISTORY, **used)
    scores = score_impressions(model, problem.items, histories, problem.test_ids)
    means = problem.quality(scores).means
    print(kind, arguments, seed, steps, f"{seconds:.0f} s", history, means, flush=True)
    return scores, seconds


def rows_of(data: str, protocol: str, name: str, found: list[Any]) -> list[dict[str, Any]]:
    """Returns the rows of one model; of several seeds the mean and its standard error."""
    made = []
    for metric in METRICS:
        values = [quality.means[metric] for quality in found]
        error = found[0].errors.get(metric)
        if len(values) > 1:
            error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
        made.append(row(data, protocol, name, metric, np.mean(values), stderr=error))
    return made


def demo_problem() -> Problem:
    """Returns the generated news."""
    from tfrecs.datasets import demo_impressions

    return Problem(demo_impressions(*SIZES, seed=SEED), ["title", "category"], TESTED)


def protocol_of(problem: Problem, epochs: int, seeds: int) -> str:
    """Describes the split and the training."""
    clicks = min(SAMPLES * epochs, int((problem.train_ids.labels == 1).sum()))
    return (
        f"{len(problem.test_ids.lengths):,} of the last fifth of {problem.data.log.num_rows:,} "
        f"impressions; {clicks:,} clicks trained; {seeds} seeds"
    )


def compare_models(
    problem: Problem, epochs: int, seeds: int, kinds: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measures baselines and models."""
    told = protocol_of(problem, epochs, seeds)
    rows = []
    for name, scores in baselines(problem).items():
        rows += rows_of(problem.data.name, told, name, [problem.quality(scores)])
    for name, settings in kinds.items():
        runs = [trained(name, problem, seed, epochs=epochs, **settings) for seed in range(seeds)]
        found = [problem.quality(scores) for scores, _ in runs]
        rows += rows_of(problem.data.name, told, name, found)
    return rows


def demo(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Quality on the generated news."""
    kinds: dict[str, dict[str, Any]] = {"NRMS": {}, "Perceiver": {}}
    return compare_models(demo_problem(), arguments.epochs, arguments.seeds, kinds)


def ablation(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The Perceiver with all encodings, and without one."""
    problem, rows = demo_problem(), []
    told = protocol_of(problem, arguments.epochs, arguments.seeds)
    variants = {
        "all encodings": None,
        "no word places": ("type", "history"),
        "no feature types": ("word", "history"),
        "no history places": ("type", "word"),
        "no encoding": (),
    }
    for name, encodings in variants.items():
        runs = [
            trained("Perceiver", problem, seed, epochs=arguments.epochs, encodings=encodings)
            for seed in range(arguments.seeds)
        ]
        found = [problem.quality(scores) for scores, _ in runs]
        rows += rows_of(problem.data.name, told, f"Perceiver, {name}", found)
    return rows


def fragment(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Ids alone on the fragment of MIND-small."""
    from tfrecs.datasets import mind

    if "TFRECS_DATA" not in os.environ:
        raise SystemExit("Set TFRECS_DATA to the folder of real data, or leave out `fragment`.")
    folder = Path(os.environ["TFRECS_DATA"], "mind-small-fragment")
    data = mind(folder, "MIND-small fragment, ids").with_all_ids()
    problem = Problem(data, [], 1_000)
    kinds: dict[str, dict[str, Any]] = {"NRMS": {}, "Perceiver": {}}
    return compare_models(problem, 5, arguments.seeds, kinds)


def worker(python: str, model: str, seconds: float, repo: str = "") -> float:
    """Returns the samples a second that news_peers.py measures in a process of its own."""
    script = Path(__file__).with_name("news_peers.py")
    command = [python, script, model, str(seconds), "--repo", repo]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{model} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["samples_per_s"])


def speed(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Samples a second of training, on 2 threads."""
    own, seconds, rows = sys.executable, arguments.seconds, []
    if arguments.torch:
        shapes = "1,600 user tokens, 2 x 160 of news, width 332, 32 latents of 256, batch 8"
        kinds = {"": "", "_bfloat16": ", mixed bfloat16"}
        found: dict[str, list[float]] = {}
        for _ in range(arguments.rounds):
            for kind in kinds:
                for python, model in ((arguments.torch, "torch"), (own, "tfrecs_perceiver")):
                    rate = worker(python, model + kind, seconds)
                    found.setdefault(model + kind, []).append(rate)
        for kind, told in kinds.items():
            ours, theirs = (
                float(np.median(found[model + kind])) for model in ("tfrecs_perceiver", "torch")
            )
            name, peer = f"Perceiver{told}", f"torch Perceiver{told}"
            rows.append(row("made up", shapes, name, "samples_per_s", ours, unit="1/s"))
            options = {"unit": "1/s", "peer": peer, "ratio": ours / theirs}
            rows.append(row("made up", shapes, peer, "samples_per_s", theirs, **options))
    shapes = "MIND shapes: title 30 (6 to 15 words), history 50, 1 + 4 candidates, batch 32"
    names = {
        "tfrecs_nrms": "NRMS, distinct news, LazyAdam",
        "tfrecs_nrms_adam": "NRMS, distinct news, Adam",
    }
    first = len(rows)
    for kind, name in names.items():
        rate = worker(own, kind, seconds)
        rows.append(row("made up", shapes, name, "samples_per_s", rate, unit="1/s"))
    peers = {"plain Keras port": (own, "keras")}
    if arguments.legacy:
        peers["recommenders-team"] = (arguments.legacy, "recommenders")
    for peer, (python, kind) in peers.items():
        try:
            rate = worker(python, kind, seconds, arguments.repo)
        except RuntimeError as error:
            print(f"peer skipped: {error}")
            continue
        rows.append(row("made up", shapes, peer, "samples_per_s", rate, unit="1/s", peer=peer))
        rows[-1]["ratio"] = compare(rows[first], rows[-1])
    return rows


MEMORY = """
import resource, sys
import numpy as np, tensorflow as tf
from tfrecs.layers.perceiver import PerceiverEncoder
encoder, tokens = PerceiverEncoder(332, 64, 64, num_layers=2, num_blocks=2), int(sys.argv[1])
@tf.function
def step(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(encoder(x, tf.ones(tf.shape(x)[:2], tf.bool)) ** 2)
    return tape.gradient(loss, [x, *[v.value for v in encoder.trainable_variables]])
step(tf.zeros((1, 8, 332)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(tf.zeros((8, tokens, 332)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def memory(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Peak memory of a gradient by the number of tokens."""
    rows = []
    for tokens in (1_000, 4_000, 16_000):
        command = [sys.executable, "-c", MEMORY, str(tokens)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        megabytes = int(done.stdout.split()[-1]) / 1024
        told = "gradient of 8 rows, width 332, 64 latents of 64, above the process's own"
        name = f"Perceiver, {tokens:,} tokens"
        rows.append(row("made up", told, name, "peak_memory", megabytes, unit="MiB"))
    return rows


def main() -> None:
    """Runs the sections and writes results/news.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1, help=f"of {SAMPLES:,} clicks each")
    parser.add_argument("--seconds", type=float, default=8, help="of each timing")
    parser.add_argument("--rounds", type=int, default=3, help="of timings, in turn")
    parser.add_argument("--torch", default="", help="interpreter with torch")
    parser.add_argument("--legacy", default="", help="interpreter with tf_keras")
    parser.add_argument("--repo", default="", help="checkout of recommenders-team/recommenders")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = [r for name in arguments.only.split(",") for r in globals()[name](arguments)]
    write("news", rows, seed=SEED, packages=("tensorflow", "keras", "numpy", "scipy"), keep=True)


if __name__ == "__main__":
    main()
