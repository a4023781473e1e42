import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tests.export.padded import assert_same, marked, serve_together
from tfrecs import run as runs
from tfrecs.datasets import demo
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.export.check import ask
from tfrecs.export.feed import export_feed
from tfrecs.export.feed_graph import FeedSignatures
from tfrecs.features.skill_extractor import SkillExtractor, TaggerOptions
from tfrecs.recipes import recipe
from tfrecs.recipes.feed import content_of
from tfrecs.recipes.feed_candidates import tag_candidates
from tfrecs.recipes.feed_skills import with_skills
from tfrecs.recipes.feed_tags import TagOptions, train_tags
from tfrecs.serving import Session

ITEMLESS = "a tag that a user has and no item"


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """A feed of the demo world, whole: skills out of CVs, rankers of tags, all sources."""
    tables = demo(num_users=150, num_items=240, num_events=6_000)
    cvs = [cv for cv in tables.queries["cv"].to_pylist() if cv]
    listed = [skill for topic in TOPICS for skill in topic.skills]
    extractor = SkillExtractor.train(cvs, listed, TaggerOptions(epochs=25))
    tables, skills = with_skills(tables, extractor)
    chosen_tags = tables.queries["user_tags"].to_pylist()
    chosen_tags[0] = [*(chosen_tags[0] or ()), ITEMLESS]
    column = pa.array(chosen_tags, pa.list_(pa.string()))
    place = tables.queries.column_names.index("user_tags")
    tables = dataclasses.replace(
        tables, queries=tables.queries.set_column(place, "user_tags", column)
    )
    chosen = recipe("iki")
    options = chosen.options(epochs=1, arguments={"hidden": [16]})
    split = chosen.task.split(tables, "time")
    run = runs.train(tables, split, tmp_path_factory.mktemp("runs") / "iki", options)
    # a tag whose items nobody met
    model = train_tags(
        run.model, run.transform, split.train, run.tables, TagOptions(60, epochs=1)
    ).model
    found = tag_candidates(model, run.transform, split.train, run.tables)
    content = content_of(run.tables)
    more = {"extractor": extractor, "skills": skills, "content": content}
    return run, FeedSignatures(model, run.transform, found, n=10, **more)


def asked(signatures, n=10, **changed):
    """One user of nothing, but what is changed."""
    raw = {}
    for name, spec in signatures.inputs.items():
        value = changed.get(name, [] if len(spec.shape) > 1 else "")
        shape = [1, len(value)] if len(spec.shape) > 1 else [1]
        raw[name] = tf.reshape(tf.constant(value, spec.dtype), shape)
    found = signatures.feed({**raw, "n": tf.constant(n)})
    return {key: value.numpy()[0] for key, value in found.items()}


def test_the_saved_model_answers_as_python_does_in_a_fresh_process(feed, tmp_path):
    run, signatures = feed
    export = export_feed(signatures, run.tables.queries, tmp_path, name="feed")
    body = {"liked": [["i_000001"]], "disliked": [[]], "viewed": [[]], "user_tags": [[]]}
    body |= {"skills": [[]], "cv": [""], "tag": ["baking"]}
    # TF Serving's REST knows no empty lists of strings in a request: a missing value does
    body = {k: [[""]] if v == [[]] else v for k, v in body.items()}
    answer = ask(export.paths["stock"], [{"signature_name": "serving_default", "inputs": body}])[0]
    expected = asked(signatures, liked=["i_000001"], tag="baking")
    assert [i.encode() for i in answer["item_id"][0]] == expected["item_id"].tolist()


def test_scores_are_those_of_the_model_for_the_pairs(feed):
    run, signatures = feed
    liked = run.tables.queries["liked"].to_pylist()
    user = int(np.argmax([len(items) for items in liked]))
    row = run.tables.queries.slice(user, 1)
    lists = {n: row[n][0].as_py() for n in signatures.names}
    found = asked(signatures, **lists, tag="baking")
    items = [i.decode() for i in found["item_id"] if i]
    assert len(items) > 3
    pairs = pa.concat_tables([row] * len(items)).append_column("item_id", [items])
    batch = run.transform.encode(pairs, (*signatures.names, "item_id"))
    tag = run.transform.vocabulary("tags").tolist().index("baking") + 2
    scores = signatures.model.for_tag(batch, np.int32(tag)).numpy()
    np.testing.assert_allclose(found["score"][: len(items)], scores, atol=1e-5)
    tags = dict(
        zip(*(run.tables.candidates[n].to_pylist() for n in ("item_id", "tags")), strict=True)
    )
    assert all("baking" in tags[item] for item in items)
    assert not set(items) & {*lists["liked"], *lists["disliked"], *lists["viewed"]}
    assert all(near.decode() in lists["liked"] for near in found["nearest_liked"][: len(items)])
    assert all(source for source in found["source"][: len(items)])


def test_skills_in_the_cv_change_the_profile_as_given_skills_do(feed):
    run, signatures = feed
    cvs = [cv for cv in run.tables.queries["cv"].to_pylist() if cv]
    extracted = signatures.extractor.extract(cvs)
    known = [
        len(row) for row in signatures.skills.encode(pa.chunked_array([extracted])).to_pylist()
    ]
    place = int(np.argmax(known))
    assert known[place] > 0
    given = asked(signatures, tag="baking", skills=extracted[place])
    written = asked(signatures, tag="baking", cv=cvs[place])
    np.testing.assert_allclose(written["score"], given["score"], atol=1e-6)
    assert np.abs(asked(signatures, tag="baking")["score"] - given["score"]).max() > 0


@pytest.mark.parametrize(
    "cv", ["", "Опытный пекарь, люблю тесто.", "学習 " * 100, "Trained in latte art. " * 50_000]
)
def test_odd_cvs_have_finite_scores(feed, cv):
    found = asked(feed[1], tag="baking", cv=cv)
    assert np.isfinite(found["score"]).all()


def test_no_history_at_all_gets_what_is_popular_and_new_on_the_tag(feed):
    found = asked(feed[1], tag="baking")
    assert np.isfinite(found["score"]).all()
    told = {name for source in found["source"] for name in source.decode().split(", ")}
    assert told <= {"popular", "recent"}
    assert set(found["nearest_liked"].tolist()) == {b""}


@pytest.mark.parametrize("tag", ["no such tag", "", ITEMLESS])
def test_an_unknown_tag_and_one_without_items_have_an_empty_feed(feed, tag):
    assert tag not in feed[0].transform.vocabulary("tags").tolist()
    found = asked(feed[1], tag=tag, liked=["i_000001"], n=3)
    assert found["item_id"].tolist() == [b""] * 3
    assert np.isneginf(found["score"]).all()
    assert set(found["source"].tolist()) == {b""}


def test_bad_arguments_are_refused(feed):
    run, signatures = feed
    with pytest.raises(ValueError, match="`n` must be greater than 0"):
        FeedSignatures(signatures.model, run.transform, signatures.candidates, n=0)


@pytest.mark.slow
def test_lists_that_begin_with_the_missing_value_survive_the_padding_of_tensorflow_serving(
    feed, tmp_path
):
    run, signatures = feed
    made = export_feed(signatures, run.tables.queries, tmp_path, name="feed", check=False)
    session = Session(made.paths["stock"])
    lists = [name for name, spec in signatures.inputs.items() if len(spec.shape) > 1]
    rest = {n: [""] for n, spec in signatures.inputs.items() if len(spec.shape) == 1}
    few = {n: [["i_000001"]] if n == "liked" else [[]] for n in lists} | rest | {"tag": ["baking"]}
    many = few | {"liked": [["i_000002", "i_000003"]], "viewed": [["i_000004"]]}
    alone = [session.run("serving_default", request) for request in (few, many)]
    requests = [marked(request, **dict.fromkeys(lists, "")) for request in (few, many)]
    assert_same(serve_together(session, "serving_default", requests), alone)
