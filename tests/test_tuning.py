import sys

import pytest

from tfrecs import datasets, recipes, tuning
from tfrecs.evaluation import Results
from tfrecs.evaluation.bootstrap import Estimate
from tfrecs.evaluation.results import Setting
from tfrecs.tuning import Range, Trial, Tuned, tune

pytest.importorskip("optuna", reason="extra `tuning` is not installed")


@pytest.fixture(scope="module")
def tables():
    return datasets.demo(num_users=80, num_items=40, num_events=2500)


@pytest.fixture(scope="module")
def split(tables):
    return recipes.NEXT_ITEM.split(tables)


def test_the_best_of_the_trials_is_found_and_told(tables, split):
    seen = []
    space = {"embedding_dim": (2, 8), "l2": Range(1e-3, 10.0), "epochs": Range(2, 4, log=False)}
    tuned = tune("ials", tables, split, trials=6, space=space, ks=(10,), on_trial=seen.append)
    assert seen == tuned.trials
    assert len(seen) == 6
    scores = [trial.score for trial in seen if trial.score is not None]
    assert tuned.metric == "ndcg@10"
    assert tuned.best.score == max(scores)
    assert tuned.options.arguments["l2"] == tuned.best.values["l2"]
    assert tuned.options.embedding_dim in (2, 8)
    assert tuned.options.epochs in (2, 3, 4)
    table = tuned.table()
    assert table.columns == ["trial", "embedding_dim", "l2", "epochs", "ndcg@10", "seconds"]
    assert sum(row[0].endswith("*") for row in table.rows) == 1
    assert "leave last out" in tuned.remarks()[0]
    assert tuned.plot().startswith("<svg")


def test_the_seed_decides_and_the_test_events_are_not_read(tables, split):
    space = {"l2": Range(1e-3, 1.0)}
    kw = {"trials": 2, "space": space, "ks": (10,), "epochs": 2, "embedding_dim": 4}
    first = tune("ials", tables, split, **kw)
    other = recipes.NEXT_ITEM.split(tables, "random", seed=3)
    again = tune("ials", tables, type(split)(split.train, other.test, "another test"), **kw)
    assert [t.score for t in first.trials] == [t.score for t in again.trials]


def test_a_bad_trial_is_broken_off(tables, split):
    space = {"l2": (0.01, 0.011, 0.012, 0.013, 0.014, 1e4)}
    kw = {"space": space, "ks": (10,), "epochs": 4, "embedding_dim": 8}
    tuned = tune("ials", tables, split, trials=14, **kw)
    states = {trial.state for trial in tuned.trials if trial.values["l2"] == 1e4}
    assert states <= {"done", "broken off"}
    assert any(trial.state == "broken off" for trial in tuned.trials)
    assert all(row[-2] == "broken off" or float(row[-2]) >= 0 for row in tuned.table().rows)


def test_a_trial_without_a_value_is_never_the_best(tables, split, monkeypatch):
    setting = Setting("demo", "leave last out", 2, 9)
    scores = iter([float("nan"), 0.1])

    def judged(self, proposed, pruned, ks):
        value = next(scores)
        return Results(setting, {"ials": {"ndcg@10": Estimate(value, value, value)}}, {})

    monkeypatch.setattr(tuning._Candidate, "judged", judged)
    tuned = tune("ials", tables, split, trials=2, space={"l2": Range(1e-3, 1.0)}, ks=(10,))
    assert tuned.best.score == 0.1
    assert "The metric is NaN" in tuned.trials[0].error


def test_a_space_of_wrong_names_is_refused(tables, split):
    with pytest.raises(ValueError, match=r"`argument of ials` must be one of .*'l2_exponent'"):
        tune("ials", tables, split, trials=1, space={"l2_exponnt": (1.0, 2.0)})
    with pytest.raises(ValueError, match="`space` must be one name to search or more"):
        tune("ials", tables, split, space={})
    with pytest.raises(ValueError, match="`trials` must be greater than 0"):
        tune("ials", tables, split, trials=0)


def test_trials_that_all_fail_say_why(tables, split):
    with pytest.raises(ValueError, match=r"None of the 1 trials of ials .* `l2` must be greater"):
        tune("ials", tables, split, trials=1, space={"l2": (-1.0,)})


def test_without_optuna_the_extra_is_named(tables, split, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install tfrecs\[tuning\]"):
        tune("ials", tables, split)


def test_the_least_error_is_the_best():
    trials = [Trial({"l2": v}, s, "done", 1.0) for v, s in ((1, 0.9), (2, 0.8), (3, None))]
    tuned = Tuned("matrix_factorization", "rmse", None, trials)
    assert tuned.best is trials[1]
    assert "best so far" in tuned.plot() or "<svg" in tuned.plot()
