"""A model of vectors, pairs, shares and aligned lists, asked as TF Serving asks it."""

import json

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from keras import ops

from tfrecs.export import publish
from tfrecs.export.items import padded
from tfrecs.features import FeatureTransform
from tfrecs.models import Retriever
from tfrecs.retrieval import Exact
from tfrecs.serving import Session
from tfrecs.spec import Attributes, Categorical, FeatureSpec, Numeric, Sequence, Vector

ITEMS = 12
SPEC = FeatureSpec(
    (
        Categorical("user", is_id=True),
        Categorical("item", "candidate", is_id=True),
        Sequence("history", shared_with="item", max_length=4),
        Sequence("prices", dtype="float32", max_length=4, aligned_with="history"),
        Numeric("age", normalize="cdf", num_bins=4),
        Vector("photos", dim=3, max_count=2),
        Attributes("facts", max_count=2, max_length=3),
    )
)


class Kinds(Retriever):
    """Reads every feature but the ids and the history, which the prices follow."""

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        normal = keras.initializers.RandomNormal(seed=3)
        facts = spec["facts"]
        self.words = keras.layers.Embedding(facts.size, 4, normal, name="words")
        self.keys = keras.layers.Embedding(facts.num_keys, 4, normal, name="keys")
        self.project = keras.layers.Dense(4, kernel_initializer=normal, name="photos")
        self.words.build()
        self.keys.build()
        self.project.build((None, 3))

    def query(self, batch, training=False):
        known = ops.cast(batch["age_missing"], "float32")
        count = ops.sum(ops.cast(batch["prices_mask"], "float32"), axis=1)
        return ops.stack([batch["age"], known, ops.sum(batch["prices"], axis=1), count], axis=1)

    def candidate(self, batch, training=False):
        mask = ops.cast(batch["photos_mask"], "float32")[..., None]
        photos = ops.sum(self.project(batch["photos"]) * mask, axis=1)
        token = ops.cast(batch["facts_mask"], "float32")[..., None]
        words = ops.sum(self.words(batch["facts"]) * token, axis=2)
        key = ops.cast(batch["facts_keys"] > 0, "float32")[..., None]
        return photos + ops.sum(words + self.keys(batch["facts_keys"]) * key, axis=1)

    def score(self, query, candidate):
        equation = "bd,cd->bc" if len(candidate.shape) == 2 else "bd,bcd->bc"
        return ops.einsum(equation, query, candidate)

    def call(self, batch, training=False):
        return self.score(self.query(batch), self.candidate(batch))


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    items = [f"i{item}" for item in range(ITEMS)]
    queries = pa.table(
        {
            "user": ["a", "b", "c"],
            "history": [["i1", "i2"], None, ["i3"] * 6],
            "prices": [[1.0, None], None, [float(n) for n in range(6)]],
            "age": [20.0, None, 50.0],
        }
    )
    facts = [[("brand", f"b{i % 3}"), ("title", f"Red shoe {i}")][: i % 3] for i in range(ITEMS)]
    candidates = pa.table(
        {
            "item": items,
            "photos": pa.array(
                [rng.normal(size=(i % 4, 3)).tolist() for i in range(ITEMS)],
                pa.list_(pa.list_(pa.float32())),
            ),
            "facts": pa.array(facts, pa.map_(pa.string(), pa.string())),
        }
    )
    transform = FeatureTransform(SPEC).adapt(queries, candidates)
    model = Kinds(transform.spec)
    return model, transform, queries, candidates


def _vectors(world):
    model, transform, _, candidates = world
    return np.asarray(model.candidate(transform.encode(candidates, ["photos", "facts"])))


@pytest.mark.parametrize(
    "rows", ["given", pytest.param("made of the vocabularies", marks=pytest.mark.slow)]
)
def test_every_signature_answers_as_the_model_does(world, tmp_path, rows):
    """`export` asks each of them, JSON and tf.Examples, through the C API, and compares."""
    model, transform, queries, candidates = world
    exported = publish.export(
        model,
        transform,
        Exact().index(_vectors(world), candidates["item"].to_pylist()),
        candidates,
        tmp_path,
        name="kinds",
        k=3,
        display=(),
        queries=queries if rows == "given" else None,
    )
    session = Session(exported.paths["stock"])
    body = {
        "photos": [[[1.0, 2.0, 3.0], [0.5, 0.0, 1.0]], [[float("nan")] * 3] * 2],
        "facts": [[["title", "Red SHOE"]], [["", ""]]],
    }
    found = session.run("encode_candidate", json.loads(json.dumps(body)))["embedding"]
    table = pa.table(
        {
            "photos": pa.array([body["photos"][0], None], pa.list_(pa.list_(pa.float32()))),
            "facts": pa.array([body["facts"][0], None], pa.list_(pa.list_(pa.string()))),
        }
    )
    expected = np.asarray(model.candidate(transform.encode(table, ["photos", "facts"])))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected[0]).max() > 0


def test_a_signature_asks_for_the_lists_that_others_follow(world):
    assert "history" in world[1].raw_signature(["prices"])


def test_candidates_kept_in_a_model_are_padded_with_missing_values(world):
    candidates = world[3].slice(0, 3)
    photos = padded(candidates["photos"], tf.TensorSpec([None, None, 3], tf.float32, "photos"))
    assert photos.shape == (4, 2, 3)  # the last row is all missing
    assert np.isnan(photos).all(axis=2).tolist() == [
        *([True, True], [False, True], [False, False], [True, True])
    ]
    facts = padded(candidates["facts"], tf.TensorSpec([None, None, 2], tf.string, "facts"))
    assert facts[2].tolist() == [["brand", "b2"], ["title", "Red shoe 2"]]
    assert facts[1].tolist() == [["brand", "b1"], ["", ""]]
    assert facts[3].tolist() == [["", ""], ["", ""]]
