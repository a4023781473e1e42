from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs.datasets import demo
from tfrecs.datasets import demo_world as world
from tfrecs.datasets.demo_events import generate
from tfrecs.datasets.demo_setting import SHOP, SITE
from tfrecs.datasets.demo_truth import Truth


@pytest.fixture(scope="module")
def tables():
    return demo(num_users=400, num_items=150, num_events=20_000)


@pytest.mark.parametrize("setting", [SITE, replace(SHOP, once=0.0)])
def test_click_probability_is_what_happens(setting):
    """Sessions of one impression make the formula exact; a quarter event a user, few repeats."""
    setting = replace(setting, session_end=1.0)
    items, users = world.draw_items(120, 0, setting), world.draw_users(60_000, 0, setting)
    ids = pa.array([f"u{row}" for row in range(60_000)])
    truth = Truth(items, users, ids, skills=[], focus=np.array([]), last=np.zeros(60_000))
    expected, observed = np.zeros(120), np.zeros(120)
    for chunk in generate(items, users, num_events=15_000, seed=0):
        for rows in np.array_split(np.arange(len(chunk.user)), 5):
            seconds = chunk.time[rows] + world.START
            queries = pa.table({"user_id": ids.take(chunk.user[rows]), "timestamp": seconds})
            expected += truth.click_probability(queries).sum(axis=0)
        observed += np.bincount(chunk.item[chunk.clicked], minlength=120)
    # a Poisson count of N clicks has a deviation of sqrt(N); repeats take about 1 percent away
    assert observed.sum() == pytest.approx(expected.sum(), abs=4 * expected.sum() ** 0.5)
    deviation = (observed - expected) / np.sqrt(expected)
    assert np.abs(deviation).max() < 5
    assert deviation.std() == pytest.approx(1.0, abs=0.2)


def test_default_world_clicks_as_often_as_the_truth_says(tables):
    """With pages and turns: the share of impressions after the turn is a sum over all lengths."""
    events = tables.events
    wanted = tables.truth.click_probability(events.select(["user_id", "timestamp"]))
    ids = tables.candidates["item_id"].combine_chunks()
    item = pc.index_in(events["item_id"].combine_chunks(), value_set=ids).to_numpy()
    user = events["user_id"].to_pylist()
    opened = {}
    for row, (who, what, clicked) in enumerate(
        zip(user, item.tolist(), events["clicked"].to_pylist(), strict=True)
    ):
        wanted[row, opened.setdefault(who, [])] = 0.0  # is not opened again
        if clicked:
            opened[who].append(what)
    assert wanted.sum() == pytest.approx(tables.positives.num_rows, rel=0.05)


def test_interests_drift(tables):
    queries = tables.queries.slice(0, 50)
    days = pa.array(np.full(50, world.START)), pa.array(np.full(50, world.START + 60 * 86_400))
    begin, end = (
        tables.truth.click_probability(queries.append_column("timestamp", day)) for day in days
    )
    new = tables.truth.users.topics[:50, 3]
    rows = np.arange(50)
    of_new = tables.truth.items.topic[None, :] == new[:, None]
    assert ((end * of_new).sum(axis=1) > (begin * of_new).sum(axis=1)).mean() > 0.9
    np.testing.assert_allclose(
        tables.truth.users.shares(rows, np.full(50, 30.0)).sum(axis=1),
        1.0,
        rtol=1e-5,  # float32
    )


def test_without_a_time_the_state_is_that_of_the_last_event(tables):
    last = tables.events.group_by("user_id").aggregate([("timestamp", "max")])
    last = last.rename_columns(["user_id", "timestamp"])
    np.testing.assert_allclose(
        tables.truth.click_probability(last.select(["user_id"])),
        tables.truth.click_probability(last),
        rtol=1e-6,
    )


def test_a_session_moves_its_topic_up(tables):
    events = tables.events.slice(0, 4_000).select(["user_id", "timestamp", "session_id"])
    inside = tables.truth.click_probability(events)
    outside = tables.truth.click_probability(events.drop(["session_id"]))
    focus = tables.truth.focus[events["session_id"].to_numpy()]
    chosen = tables.truth.items.topic[None, :] == focus[:, None]
    assert (inside * chosen).sum() > 1.3 * (outside * chosen).sum()
    # the moments of all sessions make up the interests: the same clicks in all
    assert inside.sum() == pytest.approx(outside.sum(), rel=0.03)


def test_strangers_are_refused(tables):
    with pytest.raises(ValueError, match=r"of this world \(u_000000 to u_000399\).*'u_9'"):
        tables.truth.click_probability(pa.table({"user_id": ["u_000001", "u_9"]}))
    with pytest.raises(ValueError, match="`queries` must be a table with the column 'user_id'"):
        tables.truth.click_probability(pa.table({"user": ["u_000001"]}))
    with pytest.raises(ValueError, match="Column `user_id` of `queries` must hold text"):
        tables.truth.click_probability(pa.table({"user_id": [1]}))
    queries = pa.table({"user_id": ["u_000001"], "session_id": [10**6]})
    with pytest.raises(ValueError, match=r"with session_id from 0 to .* Received: 1000000"):
        tables.truth.click_probability(queries)


def test_skills_of_the_truth_stand_in_the_cvs(tables):
    cvs = tables.queries["cv"].to_pylist()
    for cv, skills in zip(cvs, tables.truth.skills, strict=True):
        assert all(skill in cv for skill in skills) if cv else skills == []
    assert np.mean([cv is None for cv in cvs]) == pytest.approx(0.1, abs=0.06)  # 4 deviations


def test_topics_have_names(tables):
    assert len(tables.truth.topics) == len(set(tables.truth.topics)) == 24
    assert "machine learning" in tables.truth.topics
