"""What iki.py compares the ranker with, fitted to the same training events.

Hybrid MF is two of them: a factorization machine on ids and tags, by squared error on the ranker's
own rows; and LightFM's model (Kula 2015), written anew since LightFM 1.17 does not build for Python
3.11: a user is the sum of the embeddings of the id and the chosen tags, an item that of its id and
tags, with biases, by WARP (Weston et al. 2011) and Adagrad, on likes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from iki_data import SEED, Problem

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows of users, ids of items
DRAWS = 10  # of WARP, of one of which the rank is estimated


def peers(problem: Problem, transform: Any) -> dict[str, Scores]:
    """Returns what the ranker is compared with, fitted to the same training events."""
    import pyarrow.compute as pc

    from tfrecs import baselines
    from tfrecs.recipes.feed import observed

    tables, train = problem.tables, observed(problem.split.train)
    position = positions(transform, problem)
    found: dict[str, Scores] = {}
    factors = {"SVD 32": baselines.SVD(), "NMF 32": baselines.NMF()}
    factors[f"SVD {problem.rank}"] = baselines.SVD(problem.rank)
    for name, model in factors.items():
        model.fit(train, tables.candidates, tables.spec)
        found_at = pc.index_in(tables.queries["user_id"], value_set=model._query_ids)
        rows = np.asarray(found_at.fill_null(-1))
        p, q = model.query_vectors[rows], model.candidate_vectors
        found[name] = lambda users, items, p=p, q=q: np.sum(p[users] * q[position[items]], axis=1)
    counts = np.bincount(
        transform.encode(train.select(["item_id"]), ["item_id"])["item_id"], minlength=len(position)
    )
    found["Popularity"] = lambda users, items: np.log1p(counts[items])
    found["Hybrid MF 32 (factorization machine, MSE)"] = machine(problem, position)
    found["Hybrid MF 32 (sums of features, WARP)"] = warp(problem, position)
    return found


def positions(transform: Any, problem: Problem) -> np.ndarray:
    """Returns the row of each item in the catalogue, by its id."""
    items = problem.tables.candidates.select(["item_id"])
    item = transform.encode(items, ["item_id"])["item_id"]
    position = np.zeros(item.max() + 1, np.int64)
    position[item] = np.arange(len(item))
    return position


def encoded(problem: Problem) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns features of ids and tags, and users and items encoded by them."""
    from tfrecs.features import FeatureTransform

    tables, train = problem.tables, problem.split.train
    spec = tables.spec.select("user_id", "user_tags", "item_id", "tags", "feedback")
    own = FeatureTransform(spec).adapt(tables.queries, tables.candidates, train)
    users = own.encode(tables.queries, ["user_id", "user_tags"])
    return own, users, own.encode(tables.candidates, ["item_id", "tags"])


def machine(problem: Problem, position: np.ndarray) -> Scores:
    """Returns a factorization machine, trained on the rows that the ranker is trained on."""
    import keras

    from tfrecs.evaluation.truth import candidate_positions, query_positions
    from tfrecs.features import from_arrays
    from tfrecs.models import FactorizationMachine
    from tfrecs.optimizers import LazyAdam
    from tfrecs.spec import FeatureSpec

    tables, train = problem.tables, problem.split.train
    own, users, sides = encoded(problem)
    rows, columns = query_positions(train, tables), candidate_positions(train, tables)
    arrays = {k: v[columns] for k, v in sides.items()} | {k: v[rows] for k, v in users.items()}
    arrays["feedback"] = train["feedback"].to_numpy().astype(np.float32)
    model = FactorizationMachine(FeatureSpec(tuple(own.spec)), 32, l2=1e-3, seed=SEED)
    model.compile(LazyAdam(0.003), "mean_squared_error")
    data = from_arrays(arrays, 512, label="feedback", shuffle=True, drop_remainder=True)
    model.fit(data, epochs=6, shuffle=False, verbose=0)

    def scores(some: np.ndarray, items: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(some), 8192):
            block = slice(start, start + 8192)
            batch = {k: v[some[block]] for k, v in users.items()}
            batch |= {k: v[position[items[block]]] for k, v in sides.items()}
            parts.append(keras.ops.convert_to_numpy(model(batch)))
        return np.concatenate(parts)

    return scores


def warp(
    problem: Problem,
    position: np.ndarray,
    tags: tuple[bool, bool] = (True, True),
    dim: int = 32,
    epochs: int = 10,
    rate: float = 0.05,
) -> Scores:
    """Returns LightFM's hybrid: sums of embeddings of features, trained by WARP on likes.

    `tags` says whether the tags of users, and those of items, are among the features.
    """
    import keras
    import tensorflow as tf

    from tfrecs.evaluation.truth import candidate_positions, query_positions

    tables = problem.tables
    _, users, sides = encoded(problem)
    likes = problem.split.train.filter(np.asarray(problem.split.train["feedback"]) == 1)
    rows, columns = query_positions(likes, tables), candidate_positions(likes, tables)
    rng = np.random.default_rng(SEED)
    bags = [
        bag(users["user_id"], users["user_tags"] * tags[0]),
        bag(sides["item_id"], sides["tags"] * tags[1]),
    ]
    weights = []
    for ids in bags:
        start = rng.normal(0, 1 / dim, (ids.max() + 1, dim + 1)) * (np.arange(dim + 1) < dim)
        start[0] = 0  # padding
        weights.append(tf.Variable(start.astype(np.float32)))
    tensors = [tf.constant(ids) for ids in bags]
    optimizer = keras.optimizers.Adagrad(rate, initial_accumulator_value=1e-2)
    optimizer.build(weights)
    many = len(bags[1])

    def vectors(side: int, at: Any) -> Any:
        ids = tf.gather(tensors[side], at)
        known = tf.cast(ids > 0, tf.float32)[..., None]
        return tf.reduce_sum(tf.gather(weights[side], ids) * known, axis=-2)

    def score(user: Any, item: Any) -> Any:
        return tf.reduce_sum(user[..., :-1] * item[..., :-1], -1) + item[..., -1] + user[..., -1]

    @tf.function
    def step(user: Any, item: Any, drawn: Any) -> None:
        with tf.GradientTape() as tape:
            u = vectors(0, user)
            margins = 1 - score(u, vectors(1, item))[:, None] + score(u[:, None], vectors(1, drawn))
            wrong = margins > 0
            first = tf.argmax(wrong, axis=1, output_type=tf.int32)  # draws until one is too high
            rank = tf.cast((many - 1) // (first + 1), tf.float32)
            weight = tf.where(tf.reduce_any(wrong, 1), tf.math.log(tf.maximum(1.0, rank)), 0.0)
            loss = tf.reduce_sum(weight * tf.gather(margins, first, batch_dims=1))
        optimizer.apply(tape.gradient(loss, weights), weights)

    for _ in range(epochs):
        order = rng.permutation(len(rows))
        for start in range(0, len(order) - 127, 128):
            some = order[start : start + 128]
            drawn = rng.integers(many, size=(len(some), DRAWS)).astype(np.int32)
            step(tf.constant(rows[some]), tf.constant(columns[some]), tf.constant(drawn))
    p, q = (vectors(side, np.arange(len(ids))).numpy() for side, ids in enumerate(bags))

    def scores(some: np.ndarray, items: np.ndarray) -> np.ndarray:
        left, right = p[some], q[position[items]]
        return np.sum(left[:, :-1] * right[:, :-1], axis=1) + right[:, -1]

    return scores


def bag(ids: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Returns the features of each row: its id, then its tags after all ids; 0 for none."""
    return np.concatenate([ids[:, None], np.where(tags > 1, tags + ids.max(), 0)], axis=1)
