"""What ranx, pytrec_eval, RecTools and scikit-learn say of the cases of judges.py; writes JSON.

    python benchmarks/judges_peers.py CASES ANSWERS

Run by `benchmarks/judges.py` in an interpreter that has these four libraries; it needs no tfrecs.
"""

import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytrec_eval
import ranx
import sklearn.metrics as sk
from rectools import metrics as rectools

NAMES = ("recall", "precision", "hr", "mrr", "map", "ndcg")


def of_ranx(lists, k):
    """Returns the values of each list, by metric."""
    keys = [f"{number:06d}" for number in range(len(lists))]
    qrels = {
        key: {str(item): 1 for item in case["relevant"]}
        for key, case in zip(keys, lists, strict=True)
    }
    runs = {
        key: {str(i): s for i, s in zip(case["items"], case["scores"], strict=True)}
        for key, case in zip(keys, lists, strict=True)
    }
    own = ("recall", "precision", "hit_rate", "mrr", "map", "ndcg")
    found = ranx.evaluate(
        ranx.Qrels(qrels), ranx.Run(runs), [f"{name}@{k}" for name in own], return_mean=False
    )
    return {f"{n}@{k}": found[f"{o}@{k}"].tolist() for n, o in zip(NAMES, own, strict=True)}


def of_trec(lists, k):
    """Returns the values of each list, by metric: reciprocal rank has no cut-off there."""
    qrels = {
        str(n): {str(item): int(item in case["relevant"]) for item in range(case["catalogue"])}
        for n, case in enumerate(lists)
    }
    runs = {
        str(n): {str(i): s for i, s in zip(case["items"], case["scores"], strict=True)}
        for n, case in enumerate(lists)
    }
    own = {
        f"recall@{k}": f"recall_{k}",
        f"precision@{k}": f"P_{k}",
        f"hr@{k}": f"success_{k}",
        "mrr": "recip_rank",
        f"map@{k}": f"map_cut_{k}",
        f"ndcg@{k}": f"ndcg_cut_{k}",
    }
    asked = {name.replace(f"_{k}", f".{k}") for name in own.values()}
    found = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(runs)
    return {
        name: [found[str(n)][measure] for n in range(len(lists))] for name, measure in own.items()
    }


def of_rectools(lists, k, popularity):
    """Returns the values of each list, by metric, and those of the catalogue."""
    ranked = [
        (n, item, rank)
        for n, case in enumerate(lists)
        for rank, item in enumerate(
            np.array(case["items"])[np.argsort(-np.array(case["scores"]))].tolist(), 1
        )
    ]
    reco = pd.DataFrame(ranked, columns=["user_id", "item_id", "rank"])
    wanted = [(n, item) for n, case in enumerate(lists) for item in case["relevant"]]
    interactions = pd.DataFrame(wanted, columns=["user_id", "item_id"])
    before = [(n, item) for item, count in enumerate(popularity) for n in range(count)]
    before = pd.DataFrame(before, columns=["user_id", "item_id"])
    kinds = (
        rectools.Recall(k),
        rectools.Precision(k),
        rectools.HitRate(k),
        rectools.MRR(k),
        rectools.MAP(k),
        rectools.NDCG(k, divide_by_achievable=True),
    )
    answers = {
        f"{name}@{k}": metric.calc_per_user(reco, interactions).sort_index().tolist()
        for name, metric in zip(NAMES, kinds, strict=True)
    }
    own = rectools.NDCG(k).calc_per_user(reco, interactions).sort_index()
    answers[f"ndcg@{k}, ideal of k"] = own.tolist()
    catalogue = np.arange(len(popularity))
    coverage = rectools.CatalogCoverage(k, normalize=True).calc(reco, catalogue)
    answers[f"coverage@{k}"] = float(coverage)
    answers[f"average_popularity@{k}"] = float(rectools.AvgRecPopularity(k).calc(reco, before))
    return answers


def of_sklearn(lists, clicks, k):
    """Returns the values of each list and of each table of clicks, by metric."""
    answers = {f"ndcg@{k}": [], "map": [], "auc": [], "log_loss": [], "rmse": [], "mae": []}
    for case in lists:
        labels = np.isin(case["items"], case["relevant"]).astype(int)
        # what is relevant and not ranked is last, with a score a piece
        rest = len(set(case["relevant"]) - set(case["items"]))
        labels = np.r_[labels, np.ones(rest, int)]
        scores = np.r_[case["scores"], -1e3 - np.arange(rest)]
        ranked = len(case["items"]) >= k  # else what is last would be among the k first
        answers[f"ndcg@{k}"].append(sk.ndcg_score([labels], [scores], k=k) if ranked else None)
        answers["map"].append(sk.average_precision_score(labels, scores) if not rest else None)
    for case in clicks:
        labels, scores = np.array(case["labels"]), np.array(case["scores"])
        answers["auc"].append(sk.roc_auc_score(labels, scores))
        answers["log_loss"].append(sk.log_loss(labels, 1 / (1 + np.exp(-scores))))
        answers["rmse"].append(sk.root_mean_squared_error(labels, scores))
        answers["mae"].append(sk.mean_absolute_error(labels, scores))
    return answers


def main():
    cases, answers = sys.argv[1:]
    with open(cases, encoding="utf-8") as file:
        said = json.load(file)
    lists, clicks, k = said["lists"], said["clicks"], said["k"]
    found = {
        "ranx": of_ranx(lists, k),
        "pytrec_eval-terrier": of_trec(lists, k),
        "rectools": of_rectools(lists, k, said["popularity"]),
        "scikit-learn": of_sklearn(lists, clicks, k),
    }
    with open(answers, "w", encoding="utf-8") as file:
        json.dump({f"{peer} {version(peer)}": values for peer, values in found.items()}, file)


if __name__ == "__main__":
    main()
