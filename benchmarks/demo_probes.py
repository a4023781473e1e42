"""Probes of the demo shop: which of its signals tell clicks, by closed forms in NumPy alone.

A click of the last fifth of the year is looked for among all items, by how much the columns of an
item agree with those of the items that its user clicked before. Groups of columns are added one
after the other, each without what those before it tell of it; a logistic regression on the earlier
clicks weighs the agreements.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

GROUPS = ("text", "attributes", "meta", "images")
_TEST = 0.2  # share of the impressions, the last ones
_NEGATIVES = 8  # random items beside each click, to fit the weights
_SHRINK = 10.0  # clicks that a profile starts from
_WORTH = {"view": 0.0, "hide": -1.0, "click": 0.5, "save": 1.5, "cart": 2.0, "purchase": 2.5}
_SECONDS = 0.5  # worth of a unit of the log of seconds watched


def orderings(tables: Any) -> dict[str, float]:
    """Returns how well the next click is found by groups of columns, each with all before it.

    The figure is the mean share of items that stand below the one that was clicked, 0.5 by chance.
    """
    log = Log.of(tables)
    text, attributes = _text(tables.candidates), _attributes(tables.candidates)
    images = np.stack([np.mean(views, axis=0) for views in tables.candidates["images"].to_pylist()])
    beyond_text = [_beyond(part, text) for part in attributes]
    beyond_all = _beyond(images, np.concatenate([text, *attributes], axis=1))
    clicks, plain, graded = log.clicks(), log.contrast(log.clicked), log.contrast(_worth(tables))
    groups = {
        "text": [(text, clicks)],
        "attributes": [(part, plain) for part in beyond_text],
        "meta": [(part, graded) for part in [*beyond_text, text]],
        "images": [(beyond_all, plain), (beyond_all, graded)],
    }
    judge, scores = Judge(log), {}
    for group in GROUPS:
        for columns, given in groups[group]:
            judge.add(columns, given)
        scores[group if group == GROUPS[0] else f"+ {group}"] = judge.found()
    return scores


def rows_of(ids: Any, known: Any) -> np.ndarray:
    """Returns the rows of ids in a column of distinct ids."""
    import pyarrow.compute as pc

    found = pc.index_in(ids.combine_chunks(), value_set=known.combine_chunks())
    rows: np.ndarray = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


@dataclass(frozen=True)
class Log:
    """The impressions in order of time: `user`, `item`, `clicked`, and which are of the test."""

    user: np.ndarray
    item: np.ndarray
    clicked: np.ndarray
    test: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, tables: Any) -> "Log":
        """Reads the events of tables."""
        events = tables.events
        user = rows_of(events["user_id"], tables.queries["user_id"])
        item = rows_of(events["item_id"], tables.candidates["item_id"])
        test = np.arange(len(user)) >= (1 - _TEST) * len(user)
        shape = (tables.queries.num_rows, tables.candidates.num_rows)
        return cls(user, item, events["clicked"].to_numpy().astype(float), test, shape)

    def clicks(self) -> sp.csr_matrix:
        """The training clicks, `(U, C)`."""
        return self._matrix(self.clicked, ~self.test)

    def contrast(self, worth: np.ndarray) -> sp.csr_matrix:
        """What the training impressions are worth above their mean, `(U, C)`."""
        return self._matrix(worth - worth[~self.test].mean(), ~self.test)

    def _matrix(self, value: np.ndarray, rows: np.ndarray) -> sp.csr_matrix:
        return sp.csr_matrix((value[rows], (self.user[rows], self.item[rows])), self.shape)


class Judge:
    """Adds agreements one by one and tells how well they find the test's clicks.

    Args:
        log: The impressions.
    """

    def __init__(self, log: Log):
        self.log = log
        taken = (log.clicked == 1) & ~log.test
        self.user, self.item = log.user[taken], log.item[taken]
        rng = np.random.default_rng(0)
        self.other = rng.integers(0, log.shape[1], (len(self.item), _NEGATIVES)).ravel()
        self.number = np.bincount(self.user, minlength=log.shape[0]).astype(float)
        popular = np.log(np.bincount(self.item, minlength=log.shape[1]) + 1.0)
        self.scores = [np.broadcast_to(popular, log.shape)]  # (U, C) each
        self.pairs = [np.concatenate([popular[self.item], popular[self.other]])]

    def add(self, columns: np.ndarray, given: sp.csr_matrix) -> None:
        """Adds `profile . x` with `profile = sum of given x`, without the click that is judged."""
        centred = columns - columns.mean(axis=0)
        profile, size = np.asarray(given @ centred), self.number + _SHRINK
        self.scores.append(profile @ centred.T / size[:, None])
        own = np.asarray(given[self.user, self.item]).ravel()
        own = own * (centred[self.item] ** 2).sum(axis=1) / size[self.user]
        users = np.repeat(self.user, _NEGATIVES)
        score = self.scores[-1]
        self.pairs.append(
            np.concatenate([score[self.user, self.item] - own, score[users, self.other]])
        )

    def found(self) -> float:
        """Returns the mean share of items below a click of the test, what was clicked left out."""
        pairs = np.stack(self.pairs, axis=1)
        mean, deviation = pairs.mean(axis=0), pairs.std(axis=0) + 1e-12
        label = np.arange(len(pairs)) < len(self.item)
        weights = _logistic((pairs - mean) / deviation, label.astype(float)) / deviation
        score = sum(w * s for w, s in zip(weights, self.scores, strict=True))
        score[self.user, self.item] = -np.inf
        rows = (self.log.clicked == 1) & self.log.test
        user, item = self.log.user[rows], self.log.item[rows]
        below = (score[user] < score[user, item][:, None]).mean(axis=1)
        return float(below.mean())


def _worth(tables: Any) -> np.ndarray:
    """How strong the interest was, by the action and the seconds."""
    kinds = np.array(sorted(_WORTH))
    action = tables.events["action"].to_numpy(zero_copy_only=False).astype(str)
    worth = np.array([_WORTH[kind] for kind in kinds])[np.searchsorted(kinds, action)]
    seconds = np.log1p(tables.events["seconds_watched"].to_numpy())
    return np.where(seconds > 0, worth + _SECONDS * (seconds - 3.5), worth)


def _text(candidates: Any, dim: int = 48) -> np.ndarray:
    """The first singular vectors of tf-idf of titles and bodies, of unit length."""
    texts = zip(*(candidates[name].to_pylist() for name in ("title", "body")), strict=True)
    words = [re.findall(r"[a-z]+", " ".join(pair).lower()) for pair in texts]
    index = {word: n for n, word in enumerate(sorted({w for ws in words for w in ws}))}
    rows = np.repeat(np.arange(len(words)), [len(ws) for ws in words])
    columns = np.array([index[w] for ws in words for w in ws])
    counts = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(words), len(index)))
    idf = np.log(len(words) / np.maximum(1, np.asarray((counts > 0).sum(axis=0)).ravel()))
    left, values, _ = svds(counts.multiply(idf).tocsr(), k=dim, random_state=0)
    vectors = left * values
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _attributes(candidates: Any) -> list[np.ndarray]:
    """Brand, colour, material as ones and zeros; the booleans and the logs of numbers, scaled."""
    parts = []
    for name in ("brand", "colour", "material"):
        values = candidates[name].to_numpy(zero_copy_only=False).astype(str)
        parts.append(np.eye(len(np.unique(values)))[np.unique(values, return_inverse=True)[1]])
    flags = [candidates[name].to_numpy().astype(float) for name in ("handmade", "recycled")]
    sizes = [np.log(candidates[name].to_numpy()) for name in ("weight_grams", "width_cm")]
    numbers = np.stack(flags + sizes, axis=1)
    parts.append((numbers - numbers.mean(axis=0)) / numbers.std(axis=0))
    return parts


def _beyond(columns: np.ndarray, known: np.ndarray, ridge: float = 3.0) -> np.ndarray:
    """What columns say that known ones do not: the residuals of a ridge regression."""
    known, columns = known - known.mean(axis=0), columns - columns.mean(axis=0)
    square = known.T @ known + ridge * np.eye(known.shape[1])
    return columns - known @ np.linalg.solve(square, known.T @ columns)


def _logistic(features: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Fits a logistic regression with a light ridge by Newton steps; returns its weights."""
    x = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    weights = np.zeros(x.shape[1])
    for _ in range(8):
        chance = 1 / (1 + np.exp(-(x @ weights)))
        hessian = (x * (chance * (1 - chance))[:, None]).T @ x + np.eye(len(weights))
        weights -= np.linalg.solve(hessian, x.T @ (chance - label) + weights)
    return weights[1:]


def example_age(tables: Any) -> dict[str, float]:
    """Returns how well popularity finds the next click, without and with the age of items.

    Popularity is an item's training clicks a day since publication; with age, times how many clicks
    items of that age get, over what their popularity says. Judged among the items that are
    published then, on the clicks of those that were not at the start of the year.
    """
    log = Log.of(tables)
    start = int(tables.events["timestamp"][0].as_py()) // 86_400
    published = tables.candidates["published"].to_numpy() / 86_400 - start
    day = tables.events["timestamp"].to_numpy() / 86_400 - start
    end = day[~log.test][-1]
    taken = (log.clicked == 1) & ~log.test
    lived = np.maximum(end - np.maximum(published, 0.0), 1.0)
    rate = (np.bincount(log.item[taken], minlength=log.shape[1]) + 0.3) / lived
    edges = np.array([-np.inf, 2, 5, 10, 20, 40, 80, np.inf])

    def bins(when: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.searchsorted(edges, when - published[items], side="right") - 1

    clicks = np.bincount(bins(day[taken], log.item[taken]), minlength=len(edges))
    days = np.arange(0.5, end)
    usual = np.zeros(len(edges))
    for item in range(log.shape[1]):
        there = days[days > published[item]]
        usual += rate[item] * np.bincount(
            bins(there, np.full(len(there), item)), minlength=len(edges)
        )
    curve = (clicks + 1.0) / (usual + 1.0)
    rows = np.flatnonzero((log.clicked == 1) & log.test & (published[log.item] > 0))
    every = np.arange(log.shape[1])
    found = {"popularity": [], "popularity and age": []}
    for row in rows:
        there = published < day[row]
        aged = rate * curve[bins(np.full(len(every), day[row]), every)]
        for name, score in zip(found, (rate, aged), strict=True):
            found[name].append((score[there] < score[log.item[row]]).mean())
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def moods(tables: Any, ahead: tuple[float, float] = (14.0, 28.0)) -> dict[str, float]:
    """Returns how often the topic of a click is told by the last click, and by a user's history.

    "next": the next click of the same session; "14 to 28 days": a click that much later. The
    history is all clicks before the session: a daily profile, its most frequent topic.
    """
    clicks = tables.positives.sort_by([("user_id", "ascending"), ("timestamp", "ascending")])
    tags = np.array([tags[0] for tags in tables.candidates["tags"].to_pylist()])
    topics = np.unique(tags, return_inverse=True)[1]
    topic = topics[rows_of(clicks["item_id"], tables.candidates["item_id"])]
    user = rows_of(clicks["user_id"], tables.queries["user_id"])
    session, day = clicks["session_id"].to_numpy(), clicks["timestamp"].to_numpy() / 86_400
    hits: dict[str, list[bool]] = {}
    for rows in np.split(np.arange(len(user)), np.flatnonzero(np.diff(user)) + 1):
        counts = np.zeros(topics.max() + 1)
        pending: list[int] = []
        for place, row in enumerate(rows[:-1]):
            if pending and session[pending[-1]] != session[row]:
                counts += np.bincount(topic[pending], minlength=len(counts))
                pending = []
            pending.append(int(row))
            if not counts.any():
                continue
            guesses = {"real-time": topic[row], "daily": counts.argmax()}
            later = rows[place + 1 :]
            gap = day[later] - day[row]
            horizons = {
                "next": later[:1][session[later[:1]] == session[row]],
                "14 to 28 days": later[(gap > ahead[0]) & (gap <= ahead[1])],
            }
            for horizon, targets in horizons.items():
                for name, guess in guesses.items():
                    hits.setdefault(f"{horizon}: {name}", []).extend(topic[targets] == guess)
    return {name: float(np.mean(found)) for name, found in hits.items()}
