from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from keras import ops

from tfrecs.features import FeatureTransform
from tfrecs.spec import Categorical, FeatureSpec, Numeric, Timestamp

USERS, ITEMS, DIM = 11, 23, 4
SPEC = FeatureSpec(
    (
        Categorical("user", "query", dtype="int64", is_id=True),
        Categorical("item", "candidate", dtype="int64", is_id=True),
        Timestamp("time"),
        Numeric("rating", "label"),
    )
)


class Vectors:
    """A retriever that looks its vectors up by raw id."""

    def __init__(self, query, candidate):
        self.tables = {"user": query, "item": candidate}

    def query(self, batch):
        return ops.take(ops.convert_to_tensor(self.tables["user"]), batch["user"], axis=0)

    def candidate(self, batch):
        return ops.take(ops.convert_to_tensor(self.tables["item"]), batch["item"], axis=0)

    def score(self, query, candidate):
        if len(candidate.shape) == 3:
            return ops.einsum("bd,bnd->bn", query, candidate)
        return ops.matmul(query, ops.transpose(candidate))


class Pairs:
    """A ranker with the scores of `Vectors`."""

    def __init__(self, query, candidate):
        self.vectors = Vectors(query, candidate)

    def __call__(self, batch, training=False):
        return ops.sum(self.vectors.query(batch) * self.vectors.candidate(batch), axis=-1)


class RawIds:
    """Stands for a FeatureTransform whose ids are the raw ones."""

    spec = SPEC.select("user", "item")

    def encode(self, table, names):
        return {name: table[name].to_numpy().astype("int32") for name in names}


class Fixed:
    """Recommends given lists, whatever it is asked."""

    def __init__(self, lists):
        self.lists = lists

    def recommend(self, queries, k, exclude=None):
        rows = np.array([self.lists[user][:k] for user in queries["user"].to_pylist()])
        return np.tile(np.arange(k, 0, -1, dtype=np.float32), (len(rows), 1)), rows


@pytest.fixture
def vectors():
    # small whole numbers: sums are exact in any order, and there are many ties
    rng = np.random.default_rng(0)
    query = rng.integers(-2, 3, (USERS, DIM)).astype("float32")
    return query, rng.integers(-2, 3, (ITEMS, DIM)).astype("float32")


@pytest.fixture
def world(vectors):
    """Tables of 11 users and 23 items, fakes, and the transform of raw ids."""
    return SimpleNamespace(
        queries=pa.table({"user": np.arange(USERS)}),
        candidates=pa.table({"item": np.arange(ITEMS)}),
        retriever=Vectors(*vectors),
        ranker=Pairs(*vectors),
        scores=vectors[0] @ vectors[1].T,
        transform=RawIds(),
        vectors=Vectors,
        pairs=Pairs,
    )


@pytest.fixture
def small():
    """Three users, four items: tables, and a function that makes a recommender of lists."""
    return SimpleNamespace(
        name="small",
        queries=pa.table({"user": [10, 20, 30]}),
        candidates=pa.table({"item": [1, 2, 3, 4], "title": ["one", "two", None, "<four>"]}),
        spec=SPEC,
        fixed=Fixed,
        describe=lambda: {"users": 3, "items": 4},
    )


@pytest.fixture
def adapt():
    return lambda tables, *events: FeatureTransform(tables.spec.select("user", "item")).adapt(
        tables.queries, tables.candidates, *events
    )
