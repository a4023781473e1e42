import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from keras import ops

from tfrecs.export import export
from tfrecs.features import FeatureTransform
from tfrecs.models import Retriever
from tfrecs.retrieval import Exact, ScaNN
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Sequence, Text, Vector

USERS, ITEMS, DIM = 1000, 2000, 16


class Content(Retriever):
    """Towers that read one feature of every kind; `device` and `body` are read by neither."""

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        spread = keras.initializers.RandomNormal(stddev=0.5, seed=1)
        names = ("user_id", "item_id", "country", "tags", "title")
        self.tables = {
            name: keras.layers.Embedding(spec[name].size, DIM, spread, name=name) for name in names
        }
        self.project = keras.layers.Dense(DIM, kernel_initializer=spread, name="image")
        for table in self.tables.values():
            table.build()
        self.project.build((None, 3))

    def _mean(self, table, batch, name):
        mask = ops.cast(batch[f"{name}_mask"], "float32")[..., None]
        total = ops.sum(self.tables[table](batch[name]) * mask, axis=-2)
        return total / ops.maximum(ops.sum(mask, axis=-2), 1.0)

    def query(self, batch, training=False):
        ids = self.tables["user_id"](batch["user_id"]) + self.tables["country"](batch["country"])
        return ids * (1.0 + batch["age"][:, None]) + self._mean("item_id", batch, "history")

    def candidate(self, batch, training=False):
        texts = self._mean("tags", batch, "tags") + self._mean("title", batch, "title")
        return self.tables["item_id"](batch["item_id"]) + texts + self.project(batch["image"])

    def score(self, query, candidate):
        equation = "bd,cd->bc" if len(candidate.shape) == 2 else "bd,bcd->bc"
        return ops.einsum(equation, query, candidate)

    def call(self, batch, training=False):
        return self.score(self.query(batch), self.candidate(batch))


def make_tables(seed=0):
    rng = np.random.default_rng(seed)
    items = [f"i_{item}" for item in range(ITEMS)]
    lengths = rng.integers(0, 6, USERS)
    histories = [[items[i] for i in rng.integers(0, ITEMS, n)] for n in lengths]
    queries = pa.table(
        {
            "user_id": [f"u_{user}" for user in range(USERS)],
            "country": [None if user % 7 == 0 else f"c{user % 5}" for user in range(USERS)],
            "age": [None if user % 11 == 0 else float(user % 80) for user in range(USERS)],
            "history": [None if user % 13 == 0 else histories[user] for user in range(USERS)],
            "device": ["phone"] * USERS,
        }
    )
    words = np.array(["red", "green", "blue", "Héllo", "world", "and"])
    candidates = pa.table(
        {
            "item_id": items,
            "title": [
                None if i == 5 else " ".join(rng.choice(words, 3)) + f" {i}" for i in range(ITEMS)
            ],
            "tags": [[f"t{j}" for j in range(i % 4)] for i in range(ITEMS)],
            "image": rng.normal(size=(ITEMS, 3)).astype("float32").tolist(),
            "body": ["unread"] * ITEMS,
            "price": rng.random(ITEMS).astype("float32"),
            "stock": [None if i == 0 else i for i in range(ITEMS)],
            "new": [i % 2 == 0 for i in range(ITEMS)],
        }
    )
    return queries, candidates


def make_transform(queries, candidates):
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True),
            Categorical("country", "query"),
            Categorical("device", "query"),
            Numeric("age", "query", normalize="standard"),
            Sequence("history", "query", shared_with="item_id", max_length=4),
            Categorical("item_id", "candidate", is_id=True),
            MultiCategorical("tags", "candidate"),
            Text("title", "candidate"),
            Text("body", "candidate"),
            Vector("image", "candidate", dim=3),
        )
    )
    return FeatureTransform(spec).adapt(queries, candidates)


@pytest.fixture(scope="session")
def world():
    """A model with its features, and its candidates in an exact index."""
    queries, candidates = make_tables()
    transform = make_transform(queries, candidates)
    model = Content(transform.spec)
    ids = candidates["item_id"].to_numpy()
    vectors = model.candidate(transform.encode(candidates, ["item_id", "tags", "title", "image"]))
    query_vectors = model.query(transform.encode(queries, ["user_id", "country", "age", "history"]))
    return SimpleNamespace(
        queries=queries,
        candidates=candidates,
        transform=transform,
        model=model,
        vectors=np.asarray(vectors),
        ids=ids,
        query_vectors=np.asarray(query_vectors),
        exact=Exact(k=20).index(vectors, ids),
    )


@pytest.fixture(scope="session")
def exported(world, tmp_path_factory):
    """Both variants, checked and published, and what both indexes answer to all queries."""
    scann = ScaNN(k=20, recall=0.95).index(world.vectors, world.ids, queries=world.query_vectors)
    export_ = export(
        world.model,
        world.transform,
        scann,
        world.candidates,
        tmp_path_factory.mktemp("models"),
        name="content",
        k=7,
        display=("title", "stock", "price", "new"),
        card={"data": "made up", "metrics": {"ndcg@10": 0.5}, "index": {"built_by": "a test"}},
        queries=world.queries,
    )
    indexes = {"scann": scann, "stock": world.exact}
    answers = {variant: index(world.query_vectors, 7) for variant, index in indexes.items()}
    return SimpleNamespace(**vars(export_), answers=answers)


@pytest.fixture(scope="session")
def moved(exported, tmp_path_factory):
    """A copy of the stock variant elsewhere, loaded in Python."""
    path = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(exported.paths["stock"], path)
    return path, tf.saved_model.load(str(path)).signatures
