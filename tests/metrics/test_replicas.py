"""Metrics on two replicas, in a process of their own: devices are chosen before any is used."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json
import keras
import numpy as np
import tensorflow as tf
from tfrecs import metrics

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
random = np.random.default_rng(0)
scores = random.normal(size=(60, 6)).astype("float32")
labels = (random.random((60, 6)) < 0.3).astype("float32")


class Same(keras.Model):
    def call(self, x):
        return x


def evaluate(strategy, y, s, made):
    with strategy.scope():
        model = Same()
        model.compile(loss="mse", metrics=made())
    data = tf.data.Dataset.from_tensor_slices((s, y)).batch(10)
    found = model.evaluate(data, verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items() if name != "loss"}


def single():
    few = [metrics.AUC(360), metrics.RMSE()]
    return few + [
        metrics.LogLoss(), metrics.Calibration(), metrics.NormalizedEntropy(), metrics.MAE(),
    ] if ALL else few


def lists():
    few = [metrics.NDCG(3)]
    return few + [metrics.Recall(3), metrics.MRR(), metrics.MAP()] if ALL else few


two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rows = {
    "flat": (labels.ravel(), scores.ravel(), single),
    "lists": (labels, scores, lists),
    "none": (np.full((8, 6), -1.0, "float32"), scores[:8], lists),
}
found = {}
for name, row in rows.items():
    found[name] = [evaluate(strategy, *row) for strategy in (tf.distribute.get_strategy(), two)]
found["exact"] = metrics.auc(labels.ravel(), scores.ravel())
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_two_replicas_give_the_values_of_one(whole):
    command = [sys.executable, "-c", f"ALL = {whole}\n{SCRIPT}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for part in ("flat", "lists"):
        one, two = found[part]
        for name, value in one.items():
            assert abs(two[name] - value) < 1e-5, (name, value, two[name])
    assert abs(found["flat"][1]["auc"] - found["exact"]) < 1e-6
    for values in found["none"]:
        assert all(value != value for value in values.values()), values
