import pytest
import tensorflow as tf  # before any Session: see tfrecs/serving/session.py


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
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve, "types": types})
    return path
