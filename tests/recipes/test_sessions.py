import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import FeatureTransform, datasets, quickstart, recipes, run, tuning
from tfrecs.spec import Categorical, FeatureSpec, Numeric, Timestamp
from tfrecs.testing import markov_sequences

MODELS = ("gru4rec", "contextual_gru4rec", "cnn_3d", "sasrec", "bert4rec")


@pytest.fixture(scope="module")
def tables():
    """80 sessions of 5 events; an item is followed by the next one in a cycle of 12."""
    rows = markov_sequences(80, 5, num_items=12, predictability=1.0)
    sessions = np.repeat(np.arange(80), 5)
    order = np.random.default_rng(0).permutation(400)
    times = 1000 * sessions + np.tile(20 * np.arange(5), 80)
    events = pa.table(
        {
            "session": [f"s{number}" for number in sessions[order]],
            "item": [f"i{number}" for number in rows.ravel()[order]],
            "time": times[order],
            "kind": np.where(times % 40 == 0, "view", "buy")[order],
            "price": np.ones(400),
        }
    )
    spec = FeatureSpec(
        (
            Categorical("session", "query", is_id=True),
            Categorical("item", "candidate", is_id=True),
            Timestamp("time"),
            Categorical("kind", "context"),
            Numeric("price", "context"),
        )
    )
    queries = pa.table({"session": events["session"].unique()})
    candidates = pa.table({"item": events["item"].unique()})
    return datasets.Tables("clicks", events, queries, candidates, spec)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_trained_judged_and_kept(tables, tmp_path, model):
    chosen = recipes.recipe(model)
    split = chosen.task.split(tables)
    rate = 0.005 if model == "cnn_3d" else 0.02
    epochs = 90 if model == "bert4rec" else 20
    options = chosen.options(epochs=epochs, embedding_dim=16, batch_size=16, learning_rate=rate)
    if "gru" in model:
        options = chosen.options(epochs=12, embedding_dim=16, batch_size=8, learning_rate=0.2)
    trained = run.train(tables, split, tmp_path / "run", options)
    results = run.Run.load(trained.folder).judge(ks=(1, 3))
    assert results.metrics[0] == "recall@1"
    # a fifth of the places is asked for at a time: BERT4Rec takes longer; chance is 1 of 12
    assert results[model, "recall@1"] > (0.3 if model == "bert4rec" else 0.8)
    assert results["V-SKNN", "recall@3"] > 0
    assert results.reference != "popularity"
    assert results.setting.num_candidates == 12


def test_sessions_are_split_whole_by_their_first_event_and_users_by_their_last(tables):
    split = recipes.SESSION.split(tables)
    assert split.protocol == "by time, the last 10 % of sessions"
    assert set(split.test["session"].to_pylist()) == {f"s{n}" for n in range(72, 80)}
    assert split.test.num_rows == 40
    drawn = recipes.SESSION.split(tables, "random")
    assert not set(drawn.test["session"].to_pylist()) & set(drawn.train["session"].to_pylist())
    assert recipes.SEQUENCE.split(tables).test.num_rows == 80


def test_what_comes_before_a_test_event_is_known_from_training_too(tables, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        recipes.sessions, "next_item_ranking", lambda *given, **more: seen.update(given=given)
    )
    monkeypatch.setattr(recipes.sessions, "SessionScorer", lambda *given: None)
    split = recipes.SEQUENCE.split(tables)  # the last event of each
    prepared = recipes.sessions.prepare(tables, split)

    class Trained:
        model, tables, options = None, prepared, recipes.recipe("sasrec").options()
        transform = type("Transform", (), {"spec": prepared.spec})

    Trained.split = split
    recipes.sessions.judge(Trained)
    _, events, judged, *_ = seen["given"]
    assert events["session_id"].to_pylist()[:6] == ["s0"] * 5 + ["s1"]
    assert judged[:6].tolist() == [False] * 4 + [True, False]


def test_contexts_and_gaps_stand_beside_the_history(tables):
    split = recipes.SESSION.split(tables)
    prepared = recipes.sessions.prepare(tables, split)
    row = prepared.queries.filter(pa.compute.field("session") == "s3").to_pylist()[0]
    assert row["history_gap"] == ["first", "4", "4", "4", "4"]  # log2(21) = 4.39
    assert row["history_kind"] == ["view", "buy", "view", "buy", "view"]
    late = prepared.queries.filter(pa.compute.field("session") == "s79").to_pylist()[0]
    assert len(late["history"]) == 4  # of the test: all but the last
    chosen = recipes.recipe("contextual_gru4rec").features(prepared.spec)
    assert chosen.names == ("item", "history", "history_kind", "history_gap")
    assert recipes.recipe("gru4rec").features(prepared.spec).names == ("item", "history")


def test_the_texts_of_items_are_id_and_title(tables):
    chosen = recipes.recipe("cnn_3d")
    titled = tables.candidates.append_column("title", pa.array(["Hat"] * 12))
    titled = dataclasses.replace(tables, candidates=titled)
    split = chosen.task.split(titled)
    prepared = chosen.prepare(titled, split)
    transform = FeatureTransform(chosen.features(prepared.spec))
    transform.adapt(prepared.queries, prepared.candidates, split.train)
    training = recipes.Training(
        chosen.model, transform, split.train, prepared, chosen.options(), lambda steps: []
    )
    texts = recipes.sessions.texts_of(training)
    assert texts[:2] == [["", ""], ["", ""]]
    assert texts[2] == [transform.vocabulary("item")[0], "Hat"]


def test_arguments_are_searched(tables):
    chosen = recipes.recipe("gru4rec")
    tuned = tuning.tune(
        "gru4rec",
        tables,
        chosen.task.split(tables),
        trials=1,
        space={"learning_rate": (0.1,)},
        ks=(3,),
        epochs=1,
        embedding_dim=8,
    )
    assert tuned.metric == "recall@3"


@pytest.mark.slow
def test_the_export_takes_the_items_of_a_session(tables, tmp_path):
    chosen = recipes.recipe("gru4rec")
    split = chosen.task.split(tables)
    options = chosen.options(epochs=12, embedding_dim=16, batch_size=8, learning_rate=0.2)
    trained = run.train(tables, split, tmp_path / "run", options)
    indexed = quickstart.build_index(trained)
    exported = quickstart.export_run(trained, indexed, tmp_path / "served", "next")
    session = tables.events.filter(pa.compute.field("session") == "s9").sort_by("time")
    items = session["item"].to_pylist()
    said = quickstart.ask(exported.paths["stock"], {"history": [items[:3]]})
    assert said["item"][0][0] == items[3], json.dumps(said)
