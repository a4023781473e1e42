import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tfrecs.components import local
from tfrecs.components.pipeline import load
from tfrecs.quickstart import ask

FILE = Path(__file__).parents[2] / "pipelines" / "criteo_deepfm.py"


def write_impressions(path, number=4_000):
    """Rows in Criteo's format, where C1 and I1 tell of the click."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 4, number)
    count = rng.integers(0, 40, number)
    clicks = rng.random(number) < 1 / (1 + np.exp(2 - 2 * (colour == 1) - 0.05 * count))
    lines = []
    for row in range(number):
        counts = ["" if row % 7 == i else str(i * row % 11) for i in range(12)]
        categories = [f"{(row * i) % 5 + 0xA73E00:08x}" if i % 6 else "" for i in range(1, 26)]
        first = f"{colour[row] + 0x68FD00:08x}"
        cells = [str(int(clicks[row])), str(count[row]), *counts, first, *categories]
        lines.append("\t".join(cells))
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


def run(tmp_path, data, **parameters):
    loaded = load(FILE, data=str(data), saved_models=str(tmp_path / "served"), **parameters)
    done = local.run(loaded, tmp_path / "root", processes=0)
    metrics = done.outputs["Evaluator"]["evaluation"].path / "metrics.json"
    return done, json.loads(metrics.read_text())["overall"]


@pytest.mark.slow
def test_generated_impressions_come_to_a_model_that_answers(tmp_path):
    write_impressions(tmp_path / "train.txt.gz")
    data = tmp_path / "train.txt.gz"
    done, found = run(tmp_path, data, epochs=4, learning_rate=0.01, batch_size=256)
    assert found["deepfm"]["auc"] > 0.65
    assert found["deepfm"]["log_loss"] < found["mean rate"]["log_loss"]
    assert "gauc" not in found["deepfm"]
    assert done.outputs["Pusher"]["pushed"].properties["pushed"] == 1
    schema = (done.outputs["SchemaGen"]["schema"].path / "schema.pbtxt").read_text()
    assert 'name: "C26"' in schema
    row = {f"C{i}": [""] for i in range(1, 27)} | {f"I{i}": [1.0] for i in range(1, 14)}
    served = tmp_path / "served" / "criteo" / "1"
    scores = [ask(served, row | {"C1": [value]})["score"][0] for value in ("0068fd01", "0068fd02")]
    assert scores[0] > scores[1]


@pytest.mark.slow
def test_the_real_sample_trains(tmp_path, tfrecs_data):
    data = tfrecs_data / "criteo-sample"
    for part in ("train", "dev"):
        (tmp_path / f"{part}.tsv.gz").symlink_to(data / f"criteo8k_{part}.tsv.gz")
    _, found = run(tmp_path, tmp_path / "*.gz", epochs=2, min_count=3)
    assert found["deepfm"]["auc"] > 0.6
