import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PEERS = {"ranx", "pytrec_eval-terrier", "rectools", "scikit-learn"}


@pytest.fixture
def judges(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    spec = importlib.util.spec_from_file_location("judges", BENCHMARKS / "judges.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_judges_that_were_asked_agreed(judges):
    rows = json.loads((BENCHMARKS / "results" / "judges.json").read_text())["rows"]
    assert {row["peer"].split()[0] for row in rows} == PEERS
    assert {row["data"].split()[0] for row in rows} == {"1,000"}
    assert max(row["value"] for row in rows) <= judges.LARGEST


def test_a_judge_that_disagrees_is_seen(judges):
    cases = judges.make_cases(8)
    own = judges.own_values(cases)
    agreed = {name: list(own[name]) for name in ("ndcg@10", "auc")}
    rows = list(judges.compared(cases, {"peer 1": agreed}))
    assert {(row["protocol"], row["model"]) for row in rows} == {
        ("NumPy", "ndcg@10"),
        ("Keras, mean", "ndcg@10"),
        ("NumPy", "auc"),
        ("Keras", "auc"),
    }
    assert max(row["value"] for row in rows) <= judges.LARGEST
    agreed["auc"][3] += 0.25
    worst = max(judges.compared(cases, {"peer 1": agreed}), key=lambda row: row["value"])
    assert (worst["model"], worst["value"]) == ("auc", pytest.approx(0.25))


def test_judges_from_outside_say_the_same(judges):
    python = os.environ.get("TFRECS_JUDGES")
    if not python:
        pytest.skip("set TFRECS_JUDGES to a Python with ranx, pytrec_eval, rectools, scikit-learn")
    cases = judges.make_cases(50)
    rows = list(judges.compared(cases, judges.answers_of(python, cases)))
    assert {row["peer"].split()[0] for row in rows} == PEERS
    assert max(row["value"] for row in rows) <= judges.LARGEST
