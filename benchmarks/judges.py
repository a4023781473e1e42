"""Our metrics beside those of other libraries, on random cases: the largest differences.

    TFRECS_JUDGES=PYTHON python benchmarks/judges.py [--cases 1000]

PYTHON is an interpreter with ranx, pytrec_eval-terrier, rectools and scikit-learn
(`pip install ranx pytrec_eval-terrier rectools scikit-learn` in a venv of its own); without it
nothing is compared and a line says so. A difference above 1e-6 is an error.

A list ranks 5 to 40 of 40 items, without ties: libraries differ there, and ours count them against
the positive. Some of the 1 to 15 relevant items are not ranked. A table of clicks has 5 to 200
rows, and many scores are equal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from common import row, write

from tfrecs import metrics

CATALOGUE, K, SEED, LARGEST = 40, 10, 0, 1e-6
LISTS = {
    "recall": metrics.Recall,
    "precision": metrics.Precision,
    "hr": metrics.HitRate,
    "mrr": metrics.MRR,
    "map": metrics.MAP,
    "ndcg": metrics.NDCG,
}


def make_cases(number):
    """Returns lists and tables of clicks as plain values."""
    rng = np.random.default_rng(SEED)
    lists = []
    for _ in range(number):
        items = rng.permutation(CATALOGUE)[: rng.integers(5, CATALOGUE + 1)]
        relevant = rng.permutation(CATALOGUE)[: rng.integers(1, 16)]
        scores = rng.permutation(CATALOGUE)[: len(items)] / 8
        lists.append(
            {
                "items": items.tolist(),
                "scores": scores.tolist(),
                "relevant": sorted(relevant.tolist()),
                "catalogue": CATALOGUE,
            }
        )
    clicks = []
    for _ in range(number):
        labels = np.r_[0, 1, rng.integers(0, 2, rng.integers(3, 199))]
        scores = np.round(rng.normal(labels, 1.5), 1)
        clicks.append({"labels": labels.tolist(), "scores": scores.tolist()})
    popularity = rng.integers(0, 50, CATALOGUE).tolist()
    return {"lists": lists, "clicks": clicks, "popularity": popularity, "k": K}


def positions_of(lists):
    """Returns the rankings (U, C), -1 past their end, and what is relevant (U, C)."""
    positions = np.full((len(lists), CATALOGUE), -1)
    relevant = np.zeros((len(lists), CATALOGUE), bool)
    for n, case in enumerate(lists):
        order = np.argsort(-np.array(case["scores"]))
        positions[n, : len(order)] = np.array(case["items"])[order]
        relevant[n, case["relevant"]] = True
    return positions, sp.csr_matrix(relevant)


def own_values(cases):
    """Returns what tfrecs says, by the names that peers use."""
    positions, relevant = positions_of(cases["lists"])
    found = metrics.per_user(positions, relevant, [K, CATALOGUE])
    values = {name: found[name] for name in found if name.endswith(f"@{K}")}
    values["mrr"], values["map"] = (found[f"{name}@{CATALOGUE}"] for name in ("mrr", "map"))
    ideal = (1 / np.log2(np.arange(2, K + 2))).cumsum()
    achievable = ideal[np.minimum(np.asarray(relevant.sum(axis=1)).ravel(), K) - 1]
    values[f"ndcg@{K}, ideal of k"] = found[f"ndcg@{K}"] * achievable / ideal[-1]
    values[f"coverage@{K}"] = metrics.coverage(positions, CATALOGUE, K)
    popularity = np.array(cases["popularity"])
    values[f"average_popularity@{K}"] = metrics.average_popularity(positions, popularity, K)
    clicks = [(case["labels"], case["scores"]) for case in cases["clicks"]]
    values["auc"] = [metrics.auc(*case) for case in clicks]
    values["log_loss"] = [metrics.log_loss(*case) for case in clicks]
    return values


def whole(case):
    """Returns whether k items are ranked: then those that are not can stand after them."""
    return len(case["items"]) >= K


def own_lists(lists):
    """Returns the Keras metrics of the lists of k items or more, all together."""
    chosen = [case for case in lists if whole(case)]
    labels = np.full((len(chosen), CATALOGUE), -1.0, np.float32)
    scores = np.full(labels.shape, -1e3, np.float32)
    for n, case in enumerate(chosen):
        labels[n, case["items"]] = 0
        labels[n, case["relevant"]] = 1
        scores[n, case["items"]] = case["scores"]
    return {f"{name}@{K}": float(build(k=K)(labels, scores)) for name, build in LISTS.items()}


def own_points(clicks):
    """Returns the Keras metrics of each table of clicks, in float64."""
    kinds = {
        "rmse": metrics.RMSE,
        "mae": metrics.MAE,
        "log_loss": metrics.LogLoss,
        "auc": partial(metrics.AUC, 200),
    }
    return {
        name: [float(build(dtype="float64")(c["labels"], c["scores"])) for c in clicks]
        for name, build in kinds.items()
    }


def answers_of(python, cases):
    """Returns what the peers say, in a process of their own."""
    script = Path(__file__).with_name("judges_peers.py")
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder, "cases.json"), Path(folder, "answers.json")
        given.write_text(json.dumps(cases))
        subprocess.run([python, script, given, answers], check=True)
        return json.loads(answers.read_text())


def compared(cases, answers):
    """Yields rows of the largest difference of each metric and peer."""
    per_user, lists = own_values(cases), own_lists(cases["lists"])
    points = own_points(cases["clicks"])
    chosen = np.array([whole(case) for case in cases["lists"]])
    for peer, values in answers.items():
        for name, theirs in values.items():
            theirs = np.array(theirs, float)  # None is NaN: not compared
            ours = [("NumPy", per_user.get(name)), ("Keras", points.get(name))]
            pairs = [(kind, np.array(own), theirs) for kind, own in ours if own is not None]
            if name in lists:
                pairs.append(("Keras, mean", lists[name], theirs[chosen].mean()))
            clicks = name in points
            about = f"{len(cases['lists']):,} random {'click tables' if clicks else 'lists'}"
            for kind, own, found in pairs:
                apart = np.nanmax(np.abs(own - found))
                yield row(about, kind, name, "largest difference", apart, peer=peer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000, help="lists, and tables of clicks")
    python = os.environ.get("TFRECS_JUDGES")
    cases = make_cases(parser.parse_args().cases)
    if not python:
        print(
            "Set TFRECS_JUDGES to a Python with ranx, pytrec_eval-terrier, rectools, scikit-learn."
        )
        return 0
    rows = list(compared(cases, answers_of(python, cases)))
    write("judges", rows, seed=SEED, packages=("tensorflow", "keras", "keras-rs", "numpy", "scipy"))
    wrong = [row for row in rows if not row["value"] <= LARGEST]
    for found in wrong:
        print(
            f"{found['peer']} says something else of {found['model']}: {found['value']:.3g} apart"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
