"""The data sets and the metrics of implicit.py."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from common import row

HOLDOUT = "80/20 per user, all candidates ranked but those of training"
NCF = "NCF leave-one-out, 99 given negatives, ties against"


@dataclass(frozen=True)
class Problem:
    """Training and test events as matrices, and the test's given negatives where there are.

    `users` keeps the main metric of every user, by model, for paired differences.
    """

    data: str
    protocol: str
    train: scipy.sparse.csr_matrix
    test: scipy.sparse.csr_matrix
    given: np.ndarray | None = None
    users: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The main metric."""
        return "ndcg@100" if self.given is None else "ndcg@10"


def data(*parts: str) -> Path:
    """Returns a path in the folder of real data."""
    if "TFRECS_DATA" not in os.environ:
        raise SystemExit("Set TFRECS_DATA to the folder of real data.")
    return Path(os.environ["TFRECS_DATA"], *parts)


def events(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns users and items of a data set, of users with 5 events or more."""
    import pyarrow.parquet as pq

    from tfrecs import datasets

    if name.startswith("ml-1m"):
        table = pq.read_table(data("ml-1m", "ratings.parquet"))
        table = table.filter(table["rating"].to_numpy() >= 4) if name == "ml-1m-4" else table
        table = table.rename_columns({"movie_id": "item_id"})
    else:
        table = {"lastfm": datasets.hetrec_lastfm, "citeulike": datasets.citeulike}[name](data())
        table = table.events
    users, items = table["user_id"].to_numpy(), table["item_id"].to_numpy()
    kept = np.bincount(users)[users] >= 5
    return tuple(np.unique(ids[kept], return_inverse=True)[1] for ids in (users, items))


def matrix(users: Any, items: Any, shape: Any) -> scipy.sparse.csr_matrix:
    """Returns a sparse matrix of ones."""
    return scipy.sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)


def holdout(name: str) -> Problem:
    """Holds out a fifth of each user's events."""
    users, items = events(name)
    order = np.lexsort((np.random.default_rng(42).random(len(users)), users))
    counts = np.bincount(users)
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    test = np.zeros(len(users), bool)
    test[order] = place < np.maximum(1, np.round(0.2 * np.repeat(counts, counts)))
    shape = (len(counts), items.max() + 1)
    parts = [matrix(users[side], items[side], shape) for side in (~test, test)]
    said = {"ml-1m-4": "ratings of 4 and 5, "}.get(name, "")
    return Problem(name.removesuffix("-4"), said + HOLDOUT, *parts)


def leave_one_out() -> Problem:
    """Returns the leave-one-out split of neural collaborative filtering."""
    from tfrecs.datasets import ncf_leave_one_out

    train, test = ncf_leave_one_out(data("ml-1m"))
    given = np.column_stack([test["item_id"], np.stack(test["negatives"].to_numpy())])
    movies = np.union1d(np.asarray(train["item_id"]), given)
    users = np.asarray(train["user_id"]) - 1
    shape = (6040, len(movies))
    parts = matrix(users, np.searchsorted(movies, train["item_id"]), shape)
    order = np.argsort(np.asarray(test["user_id"]))
    given = np.searchsorted(movies, given[order])
    return Problem("ml-1m", NCF, parts, matrix(np.arange(6040), given[:, 0], shape), given)


Score = Callable[[np.ndarray], np.ndarray]  # rows of users to scores (B, C)


def metrics(problem: Problem, score: Score) -> dict[str, np.ndarray]:
    """Returns the metrics of every user."""
    from tfrecs.metrics.ranking import per_user

    users, found = np.flatnonzero(np.diff(problem.test.indptr)), []
    for start in range(0, len(users), 1024):
        block = users[start : start + 1024]
        scores = np.array(score(block), np.float32)
        if problem.given is not None:
            own = np.take_along_axis(scores, problem.given[block], 1)
            rank = (own[:, 1:] >= own[:, :1]).sum(axis=1)
            found.append({"hr@10": rank < 10, "ndcg@10": (rank < 10) / np.log2(rank + 2)})
            continue
        scores[problem.train[block].nonzero()] = -np.inf
        best = np.argpartition(-scores, 100, axis=1)[:, :100]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        values = per_user(np.take_along_axis(best, order, 1), problem.test[block], (10, 20, 100))
        wanted = {"recall@20": "capped_recall@20", "ndcg@100": "ndcg@100", "hr@10": "hr@10"}
        found.append({name: values[of] for name, of in wanted.items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def judged(problem: Problem, model: str, score: Score, **seconds: float) -> list[dict[str, Any]]:
    """Returns the rows of a model: metrics with standard errors, and times."""
    rows, found = [], metrics(problem, score)
    problem.users[model] = found[problem.main]
    for name, values in found.items():
        stderr = float(np.std(values) / np.sqrt(len(values)))
        rows.append(row(problem.data, problem.protocol, model, name, values.mean(), stderr=stderr))
    for name, value in seconds.items():
        rows.append(row(problem.data, problem.protocol, model, name, value, unit="s"))
    return rows


def differences(problem: Problem, reference: str, ours: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns each of our models' mean difference to a reference, of the same users.

    With the ends of the 95 % interval, by a bootstrap over users.
    """
    from tfrecs.evaluation.bootstrap import Estimate, resample_means

    rows = []
    of = [name for name in problem.users if name.startswith(reference)]
    for model in problem.users:
        if not of or not model.startswith(ours):
            continue
        values = (problem.users[model] - problem.users[of[0]])[:, None]
        found = Estimate.of(values.mean(), resample_means(values, 2000)[:, 0])
        metric = f"{problem.main} less {reference}'s"
        ends = {"": found.value, ", low end": found.low, ", high end": found.high}
        for end, value in ends.items():
            rows.append(row(problem.data, problem.protocol, model, metric + end, value))
        rows[-3]["stderr"] = found.stderr
    return rows
