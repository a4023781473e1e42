"""The oracle of each task of the demo shop beside popularity and item-kNN, by nDCG@10."""

from collections.abc import Callable
from typing import Any

import common
import numpy as np
import scipy.sparse as sp
from demo_probes import Log, rows_of

K = 10
_TEST_USERS = 1_000


def rows(seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Returns the tasks' rows, the mean of worlds of several seeds."""
    from tfrecs.datasets import demo_shop

    found: dict[tuple[str, str], list[float]] = {}
    for seed in seeds:
        tables = demo_shop(seed=seed)
        for task, judge in TASKS.items():
            for name, value in judge(tables).items():
                found.setdefault((task, name), []).append(value)
    return [
        common.row(
            f"shop, {len(seeds)} seeds: {task}",
            f"gain of the first {K}, all items ranked",
            name,
            f"ndcg@{K}",
            np.mean(values),
            stderr=np.std(values, ddof=1) / len(values) ** 0.5,
        )
        for (task, name), values in found.items()
    ]


def next_click(tables: Any) -> dict[str, float]:
    """The last click of each user, what was clicked before left out."""
    log = Log.of(tables)
    clicks = np.flatnonzero(log.clicked == 1)
    last = clicks[np.unique(log.user[clicks][::-1], return_index=True)[1] * -1 + len(clicks) - 1]
    train = np.setdiff1d(clicks, last)
    last = last[np.isin(log.user[last], log.user[train])][:_TEST_USERS]
    given = sp.csr_matrix((np.ones(len(train)), (log.user[train], log.item[train])), log.shape)
    queries = tables.events.take(last).select(["user_id", "timestamp"])
    scores = {
        "popularity": np.asarray(given.sum(axis=0)),
        "item-kNN": given[log.user[last]] @ cosines(given),
        "oracle": tables.truth.click_probability(queries),
    }
    return ranked(scores, log.item[last][:, None], given[log.user[last]].toarray() > 0)


def seconds_watched(tables: Any) -> dict[str, float]:
    """What is watched of what is shown at once, in the last fifth: gains are logs of seconds."""
    log = Log.of(tables)
    seconds = np.log1p(tables.events["seconds_watched"].to_numpy())
    train = ~log.test
    value = (seconds[train], (log.user[train], log.item[train]))
    given = sp.csr_matrix(value, log.shape)
    rows = np.flatnonzero(log.test)
    rows = rows[np.argsort(log.user[rows], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(log.user[rows]) != 0])
    shown = np.bincount(log.item[train], minlength=log.shape[1]) + 5.0
    queries = tables.events.take(rows[starts]).select(["user_id", "timestamp"])
    user = log.user[rows[starts]]
    scores = {
        "popularity": np.broadcast_to(
            np.asarray(given.sum(axis=0)) / shown, (len(user), log.shape[1])
        ),
        "item-kNN": np.asarray(given[user] @ cosines(given)),
        "oracle": tables.truth.expected_seconds(queries),
    }
    place = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(rows)]))
    found = {}
    for name, score in scores.items():
        values = [
            gain(score[n][log.item[part]], seconds[part])
            for n, part in enumerate(np.split(rows, np.flatnonzero(np.diff(place)) + 1))
        ]
        found[name] = float(np.nanmean(values))
    return found


def gain(score: np.ndarray, worth: np.ndarray) -> float:
    """Returns nDCG@10 of one list with graded worths, NaN where nothing is worth anything."""
    discount = 1 / np.log2(np.arange(min(K, len(score))) + 2)
    best = np.sort(worth)[::-1][:K] @ discount
    order = np.argsort(-score, kind="stable")[:K]
    return float(worth[order] @ discount / best) if best else float("nan")


def companions(tables: Any) -> dict[str, float]:
    """What follows the first item of the last fifth of the baskets."""
    baskets = tables.baskets.sort_by([("basket_id", "ascending"), ("place", "ascending")])
    item = rows_of(baskets["item_id"], tables.candidates["item_id"])
    place, time = baskets["place"].to_numpy(), baskets["timestamp"].to_numpy()
    first = np.maximum.accumulate(np.where(place == 0, np.arange(len(place)), 0))
    test = time > np.quantile(time, 0.8)  # all items of a basket have one time
    size = tables.candidates.num_rows
    train = (np.ones((~test).sum()), (first[~test], item[~test]))
    given = sp.csr_matrix(train, (len(item), size))
    rows = test & (place > 0)
    anchor, companion = item[first][rows], item[rows]
    ids = tables.candidates["item_id"].combine_chunks()
    one, other = np.repeat(anchor, size), np.tile(np.arange(size), len(anchor))
    when = np.repeat(time[rows], size)
    oracle = tables.truth.complement_probability(ids.take(one), ids.take(other), when)
    scores = {
        "popularity": np.asarray(given.sum(axis=0)),
        "item-kNN": np.asarray(cosines(given)[anchor]),
        "oracle": oracle.reshape(len(anchor), size),
    }
    return ranked(scores, companion[:, None], np.eye(size, dtype=bool)[anchor])


def product_queries(tables: Any) -> dict[str, float]:
    """What the last fifth of the engagements of each query led to; kNN is by the query's vector."""
    engaged = tables.engagements
    query = rows_of(engaged["query_id"], tables.product_queries["query_id"])
    item = rows_of(engaged["item_id"], tables.candidates["item_id"])
    test = np.arange(len(query)) >= 0.8 * len(query)
    vectors = np.array(tables.product_queries["vector"].to_pylist())[query[test]]
    images = [np.mean(views, axis=0) for views in tables.candidates["images"].to_pylist()]
    scores = {
        "popularity": np.bincount(item[~test], minlength=len(images))[None, :],
        "nearest image": vectors @ np.stack(images).T,
        "oracle": tables.truth.relevance(tables.product_queries.take(query[test])),
    }
    return ranked(scores, item[test][:, None], None)


def cosines(given: sp.csr_matrix) -> np.ndarray:
    """Returns the cosines of the columns, 0 on the diagonal."""
    norm = np.sqrt(np.asarray(given.multiply(given).sum(axis=0))).ravel()
    near = (given.T @ given).toarray() / np.maximum(norm[:, None] * norm[None, :], 1e-12)
    np.fill_diagonal(near, 0.0)
    return near


def ranked(
    scores: dict[str, np.ndarray], wanted: np.ndarray, seen: np.ndarray | None
) -> dict[str, float]:
    """Returns nDCG@10 of one wanted item a row, which stands in the middle of its ties."""
    found = {}
    for name, score in scores.items():
        score = np.broadcast_to(score, (len(wanted), score.shape[1])).astype(float)
        if seen is not None:
            score = np.where(seen, -np.inf, score)
        own = np.take_along_axis(score, wanted, axis=1)
        above = (score > own).sum(axis=1) + ((score == own).sum(axis=1) - 1) / 2
        found[name] = float(np.where(above < K, 1 / np.log2(above + 2), 0.0).mean())
    return found


TASKS: dict[str, Callable[[Any], dict[str, float]]] = {
    "next click": next_click,
    "seconds watched": seconds_watched,
    "bought together": companions,
    "query to product": product_queries,
}
