import shutil

import pytest
import tensorflow as tf  # before any Session: see tfrecs/serving/session.py

from tfrecs.serving.server import Server
from tfrecs.serving.service import Limits, find_models


class Echo(tf.Module):
    """A tensor of every dtype in and out, and an assertion that fails for k < 1."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable([1.5, -2.0])
        self.names = tf.Variable(["a" * 100_000, "é"])

    def serve(self, text, k):
        tf.debugging.Assert(k > 0, ["`k` must be positive. Received:", k])
        return {"text": text, "twice": 2 * k, "weight": self.weight, "names": self.names}

    def types(self, f, i, j, b, d):
        return {"f": f + 1, "i": i + 1, "j": j + 1, "b": tf.logical_not(b), "d": d / 2}


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "echo" / "1"
    module = Echo()
    spec = tf.TensorSpec
    serve = tf.function(module.serve, autograph=False).get_concrete_function(
        text=spec([None], tf.string, "text"), k=spec([], tf.int32, "k")
    )
    types = tf.function(module.types, autograph=False).get_concrete_function(
        f=spec([None, 2], tf.float32, "f"),
        i=spec([None], tf.int32, "i"),
        j=spec([None], tf.int64, "j"),
        b=spec([None], tf.bool, "b"),
        d=spec(None, tf.float64, "d"),
    )
    signatures = {"serving_default": serve, "types": types}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


class Recommender(tf.Module):
    """Five items by the length of the user's name, under one bias: different in each version."""

    def __init__(self, bias):
        super().__init__()
        self.bias = tf.Variable(float(bias))
        self.names = tf.Variable([f"i{i}" for i in range(5)])

    def recommend(self, user_id, k):
        check = tf.debugging.Assert(k <= 5, ["`k` must be at most 5. Received:", k])
        with tf.control_dependencies([check]):  # top_k fails by itself otherwise, at times first
            k = tf.identity(k)
        length = tf.cast(tf.strings.length(user_id), tf.float32)[:, None]
        score, place = tf.math.top_k(self.bias + length - tf.range(5.0), k)
        return {"item_id": tf.gather(self.names, place), "score": score}

    def encode(self, user_id):
        return {"embedding": tf.zeros([tf.shape(user_id)[0], 2]) + self.bias}


def write_recommender(path, bias):
    module, spec = Recommender(bias), tf.TensorSpec([None], tf.string, "user_id")
    recommend = tf.function(module.recommend, autograph=False).get_concrete_function(
        user_id=spec, k=tf.TensorSpec([], tf.int32, "k")
    )
    encode = tf.function(module.encode, autograph=False).get_concrete_function(user_id=spec)
    default = tf.function(lambda user_id: module.recommend(user_id, 3), autograph=False)
    signatures = {
        "serving_default": default.get_concrete_function(user_id=spec),
        "recommend": recommend,
        "encode_query": encode,
    }
    tf.saved_model.save(module, str(path), signatures=signatures)


@pytest.fixture(scope="session")
def versions(tmp_path_factory):
    """Versions 1 and 2 of a recommender, whose scores begin at 1 and 2."""
    folder = tmp_path_factory.mktemp("versions")
    for bias in (1, 2):
        write_recommender(folder / str(bias), bias)
    return folder


@pytest.fixture
def served(versions, tmp_path):
    """A folder of models with version 1 of the model "toy"."""
    shutil.copytree(versions / "1", tmp_path / "models" / "toy" / "1")
    return tmp_path / "models"


@pytest.fixture
def server(served):
    limits = Limits(request_bytes=100_000, seconds=5)
    with Server(
        find_models(served), grpc_port=0, rest_port=0, limits=limits, poll_seconds=0.05
    ) as running:
        yield running
