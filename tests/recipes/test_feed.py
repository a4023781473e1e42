import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import run as runs
from tfrecs.datasets import Tables, demo
from tfrecs.recipes import recipe
from tfrecs.recipes.feed import features, feedback, prepare, with_unmet
from tfrecs.recipes.feed_candidates import by_radius, report_candidates, tag_candidates
from tfrecs.recipes.feed_tags import TagOptions, rows_by_tag, train_tags
from tfrecs.retrieval.tag_candidates import SOURCES, CandidateOptions
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical


@pytest.fixture(scope="module")
def tables():
    return demo(num_users=150, num_items=240, num_events=8_000)


@pytest.fixture(scope="module")
def run(tables, tmp_path_factory):
    options = recipe("iki").options(epochs=2, arguments={"hidden": [32]})
    split = recipe("iki").task.split(tables, "time")
    return runs.train(tables, split, tmp_path_factory.mktemp("runs") / "iki", options)


@pytest.fixture(scope="module")
def candidates(run):
    return tag_candidates(run.model, run.transform, run.split.train, run.tables)


def libraries():
    """Two users with libraries of articles, without times, reactions or tags of their own."""
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", "int64", is_id=True),
            Categorical("item_id", "candidate", "int64", is_id=True),
            MultiCategorical("tags", "candidate"),
        )
    )
    events = pa.table({"user_id": [0, 0, 0, 1, 1], "item_id": [0, 1, 2, 2, 3]})
    tags = [["a"], ["a", "b"], ["a"], ["b"], ["c"], ["c"], []]
    items = pa.table({"item_id": range(7), "tags": pa.array(tags, pa.list_(pa.string()))})
    return Tables("libraries", events, pa.table({"user_id": [0, 1]}), items, spec)


def test_reactions_are_plus_and_minus_one_and_other_clicks_zero(tables):
    events = feedback(tables)
    assert events.num_rows == tables.positives.num_rows
    expected = {"like": 1.0, "dislike": -1.0, "none": 0.0}
    told = zip(events["reaction"].to_pylist(), events["feedback"].to_pylist(), strict=True)
    assert all(expected[reaction] == value for reaction, value in told)


def test_without_ratings_views_are_drawn_of_what_a_user_has_not_met():
    tables = libraries()
    events = feedback(tables)
    likes, views = events.slice(0, 5), events.slice(5)
    assert likes.drop_columns(["feedback", "sampled"]) == tables.events
    assert set(likes["feedback"].to_pylist()) == {1.0}
    assert set(views["feedback"].to_pylist()) == {0.0}
    met = set(zip(*(tables.events[n].to_pylist() for n in ("user_id", "item_id")), strict=True))
    drawn = zip(*(views[n].to_pylist() for n in ("user_id", "item_id")), strict=True)
    assert not met & set(drawn)


def test_beside_real_views_five_items_that_were_not_met_stand_for_each_like(tables):
    events = feedback(tables)
    found = with_unmet(events, tables)
    assert found.slice(0, events.num_rows) == events
    drawn = found.slice(events.num_rows)
    likes = events["feedback"].to_pylist().count(1.0)
    assert 4 * likes < drawn.num_rows <= 5 * likes
    assert set(drawn["feedback"].to_pylist()) == {-0.5}
    pairs = [
        set(zip(*(part[n].to_pylist() for n in ("user_id", "item_id")), strict=True))
        for part in (events, drawn)
    ]
    assert not pairs[0] & pairs[1]
    sampled = feedback(libraries())
    assert with_unmet(sampled, libraries()) is sampled


def test_histories_are_those_of_training_and_sampled_views_are_no_history():
    tables = libraries()
    split = recipe("iki").task.split(tables, "random")
    made = prepare(tables, dataclasses.replace(split, train=feedback(tables)))
    assert made.queries["liked"].to_pylist() == [[0, 1, 2], [2, 3]]
    assert made.queries["viewed"].to_pylist() == [[], []]
    # user 0 liked three of tag a and one of b
    assert made.queries["user_tags"].to_pylist() == [["a", "b"], ["a", "b"]]
    assert set(features(made.spec).names) == {
        *("user_id", "user_tags", "liked", "disliked", "viewed", "item_id", "tags", "feedback")
    }


def test_tables_without_tags_or_unprepared_are_refused():
    tables = libraries()
    bare = dataclasses.replace(tables, spec=tables.spec.select("user_id", "item_id"))
    with pytest.raises(ValueError, match="`spec` must be one with the tags of items"):
        prepare(bare, recipe("iki").task.split(bare, "random"))
    with pytest.raises(ValueError, match="`spec` must be one with 'liked'"):
        features(tables.spec)


def test_a_run_is_trained_kept_and_judged(run):
    loaded = runs.Run.load(run.folder)
    results = loaded.judge()
    assert results["iki", "rmse"] == run.judge()["iki", "rmse"]
    assert loaded.model.content.shape[1] == 64
    assert np.abs(loaded.model.item_svd.numpy()).max() > 0


def test_tags_are_trained_by_one_trace_and_the_rest_stay_global(run):
    options = TagOptions(min_interactions=60, epochs=1, batch_size=64)
    trained = train_tags(run.model, run.transform, run.split.train, run.tables, options)
    assert trained.traces == [1]
    assert len(trained.events) > 10
    assert min(trained.events.values()) >= 60
    assert trained.left
    predict = trained.model.for_tag
    ids = {name: i + 2 for i, name in enumerate(run.transform.vocabulary("tags").tolist())}
    batch = run.transform.encode(
        run.tables.queries.slice(0, 4), ("user_tags", "liked", "disliked", "viewed")
    )
    batch["item_id"] = np.array([2, 3, 4, 5], "int32")
    batch = {k: v for k, v in batch.items() if not k.startswith("user_id")}
    globally = run.model(batch).numpy()
    np.testing.assert_allclose(predict(batch, np.int32(ids[trained.left[0]])), globally, atol=1e-5)
    own = predict(batch, np.int32(ids[next(iter(trained.events))])).numpy()
    assert np.abs(own - globally).max() > 1e-3


def test_rows_of_a_tag_are_those_of_its_items(run):
    items = run.transform.encode(run.split.train.select(["item_id"]), ["item_id"])["item_id"]
    rows = rows_by_tag(run.transform, items, run.tables)
    tag = run.transform.vocabulary("tags")[0]
    by_item = dict(
        zip(*(run.tables.candidates[n].to_pylist() for n in ("item_id", "tags")), strict=True)
    )
    ids = run.split.train["item_id"].to_pylist()
    np.testing.assert_array_equal(rows[2], [r for r, i in enumerate(ids) if tag in by_item[i]])


@pytest.mark.slow
def test_processes_train_what_one_process_trains(run):
    options = TagOptions(min_interactions=100, epochs=1, batch_size=64)
    arguments = (run.model, run.transform, run.split.train, run.tables)
    one = train_tags(*arguments, options)
    two = train_tags(*arguments, dataclasses.replace(options, processes=2))
    assert two.traces == [1, 1]
    for a, b in zip(one.model.instances, two.model.instances, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_report_counts_by_source_and_a_wider_radius_gives_more(run, candidates):
    arguments = {"transform": run.transform, "test": run.split.test, "tables": run.tables}
    report = report_candidates(candidates, **arguments, max_pairs=60)
    assert set(report.counts) == {*SOURCES, "union"}
    assert report.recall["union"] >= max(report.recall[source] for source in SOURCES)
    assert report.recall_at[500] >= report.recall_at[100]
    reports = by_radius(candidates, (0.95, 0.5), **arguments, max_pairs=60)
    assert reports[0.95].counts["neighbours"] <= reports[0.5].counts["neighbours"]
    assert candidates.options == CandidateOptions()


def test_options_of_tags_are_checked():
    with pytest.raises(ValueError, match="`processes` must be greater than 0"):
        TagOptions(processes=0)
