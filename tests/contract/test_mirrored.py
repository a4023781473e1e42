"""Models of the zoo on two mirrored devices: the weights of one, by plain `fit`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FEW = ("two_tower_in_batch",)
DRAWN = "negatives are drawn by each replica"
DIFFERENT = {
    "two_tower_uniform": DRAWN,
    "two_tower_popularity": DRAWN,
    "two_tower_mixed": DRAWN,
    "ials": "its fit solves equations, without gradients",
    "ials_folded_in": "its fit solves equations, without gradients",
}


def compare(*names):
    folder = Path(__file__).parent
    command = [sys.executable, "mirrored.py", *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row.pop("case"): row for row in rows}


def check(found):
    for name, row in found.items():
        assert row["saved"] == 0, name
        if name not in DIFFERENT:
            assert row["weights"] < 1e-5, (name, row)
            assert row["loss"] < 1e-5, (name, row)


def test_two_devices_train_a_retriever_as_one():
    found = compare(*FEW)
    assert set(found) == set(FEW)
    check(found)


@pytest.mark.slow
def test_two_devices_train_every_model_as_one():
    found = compare()
    assert len(found) > 30
    assert set(DIFFERENT) < set(found)
    check(found)
