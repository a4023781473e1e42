import numpy as np
import pytest

from tfrecs.datasets import demo_impressions, mind, write_mind


@pytest.fixture(scope="module")
def data():
    return demo_impressions(300, 100, 2_000)


def test_sizes_are_those_asked_for(data):
    assert data.news.num_rows == 100
    assert 1_800 < data.log.num_rows < 2_200
    assert len(set(data.log["user_id"].to_pylist())) > 290
    assert data.absent == {"history": 0, "candidates": 0}


def test_a_history_is_what_was_clicked_before(data):
    rows = sorted(data.log.to_pylist(), key=lambda row: row["time"])
    clicks = {}
    for row in rows:
        before = clicks.setdefault(row["user_id"], [])
        assert sorted(row["history"]) == sorted(before)
        assert len(set(row["candidates"])) == len(row["candidates"])
        pairs = zip(row["candidates"], row["clicked"], strict=True)
        before += [news for news, clicked in pairs if clicked]


def test_the_oracle_knows_more_than_popularity(data):
    chance = data.truth.click_chance(data.log)
    clicked = np.concatenate(data.log["clicked"].to_numpy(zero_copy_only=False))
    assert chance[clicked == 1].mean() > chance[clicked == 0].mean() + 0.1
    part = data.take(np.array([5, 7]))
    lengths = np.array([len(c) for c in data.log["candidates"].to_pylist()])
    start = lengths[:5].sum()
    np.testing.assert_array_equal(
        data.truth.click_chance(part.log)[: lengths[5]], chance[start : start + lengths[5]]
    )


def test_the_order_of_candidates_says_nothing(data):
    clicked = data.log["clicked"].to_pylist()
    first = np.mean([c[0] for c in clicked if len(c) > 4])
    last = np.mean([c[-1] for c in clicked if len(c) > 4])
    assert abs(first - last) < 0.06


def test_it_is_written_and_read_as_mind_is(data, tmp_path):
    write_mind(data, tmp_path)
    copy = mind(tmp_path)
    assert copy.log == data.log
    assert copy.news["title"] == data.news["title"]


def test_the_same_seed_gives_the_same_world(data):
    assert demo_impressions(300, 100, 2_000).log == data.log
    assert demo_impressions(300, 100, 2_000, seed=1).log != data.log


def test_too_few_news_are_refused():
    with pytest.raises(ValueError, match="`num_news` must be 24 or more"):
        demo_impressions(num_news=3)
