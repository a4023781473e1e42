import os
import re
import xml.dom.minidom
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from tests.serving.browser import Browser
from tfrecs.evaluation import (
    Example,
    ItemMap,
    Summary,
    describe_environment,
    find_examples,
    full_ranking,
    rating_errors,
    splits,
    summarize,
    write_report,
)
from tfrecs.retrieval import Point

EVIL = "<script>alert('$x$')</script>"
LISTS = {10: [2, 3], 20: [3, 0], 30: [0, 1]}


@pytest.fixture
def split():
    return splits.given(
        pa.table({"user": [10, 10, 30], "item": [1, 2, 3], "time": [5, 4, 6]}),
        pa.table({"user": [10, 20, 30], "item": [3, 1, 4], "time": [7, 8, 9]}),
    )


@pytest.fixture
def arguments(small, split):
    results = full_ranking(
        {EVIL: small.fixed(LISTS), "other": small.fixed(LISTS)}, split, small, ks=(1, 2)
    )
    return {
        "title": f"Report of {EVIL}",
        "summary": summarize(small, split),
        "results": results,
        "history": {"loss": [3.0, 2.0], "val_loss": [3.1, 2.9], "auc": [0.5, 0.75]},
        "examples": find_examples(small.fixed(LISTS), split, small, k=2),
        "index": {"kind": "ScaNN", "recall@100": 0.987},
        "item_map": ItemMap(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.16, EVIL, [EVIL, ""]),
        "recall_curve": [Point("exact", 1.0, 3.0), Point(EVIL, 0.98, 0.2)],
        "export": {"stock": f"models/{EVIL}", "sizes": {"variables": 12}},
        "environment": {"machine": EVIL},
    }


class Tags(HTMLParser):
    """Collects the tags of a page and checks that they close."""

    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read_tags(page):
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.tags


def test_the_page_holds_all_it_was_given(arguments, tmp_path):
    path = write_report(tmp_path / "report.html", **arguments)
    page = path.read_text()
    tags = read_tags(page)
    # leaderboard, popularity, training, items by vectors, users, items, recall
    assert tags.count("svg") == 7
    told = (
        "ndcg@1",
        "0.987",
        "training events",
        "val",
        "&lt;four&gt;",
        "All metrics",
        "items of",
        "16%",
    )
    for text in told:
        assert text in page, text
    for plot in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        xml.dom.minidom.parseString(plot)
        assert "viewBox" in plot.split(">")[0]
        assert not re.search(r"\s(width|height)=", plot.split(">")[0])


def test_names_and_titles_are_escaped(arguments, tmp_path):
    page = write_report(tmp_path / "report.html", **arguments).read_text()
    assert "script" not in read_tags(page)
    assert page.count("&lt;script&gt;alert(") >= 5


def test_the_page_needs_no_network(arguments, tmp_path):
    page = write_report(tmp_path / "report.html", **arguments).read_text()
    assert not re.search(r"<(link|script|img|iframe)|@import|(src|href)=\"(?!#)", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_a_phone_or_a_desk(arguments, tmp_path, width):
    page = write_report(tmp_path / "report.html", **arguments)
    with Browser(tmp_path) as browser:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.call("Emulation.setDeviceMetricsOverride", **size)
        browser.open(page.as_uri())
        browser.wait_for("document.querySelectorAll('section').length >= 7")
        assert browser.value("document.documentElement.scrollWidth") <= width
        boxes = "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)"
        assert min(browser.value(boxes)) > 200


def test_ids_of_plots_do_not_meet(arguments, tmp_path):
    page = write_report(tmp_path / "report.html", **arguments).read_text()
    ids = re.findall(r'\sid="([^"]*)"', page)
    wanted = re.findall(r'(?:href="#|url\(#)([^")]*)', page)
    assert len(ids) == len(set(ids))
    assert set(wanted) <= set(ids)


def test_a_page_of_ratings_has_no_popularity(small, tmp_path):
    train, test = (
        pa.table({"user": [10, 20], "item": [1, 2], "rating": ratings})
        for ratings in ([1.0, 3.0], [2.0, 4.0])
    )
    split = splits.given(train, test)

    class One:
        def predict(self, events):
            return np.ones(events.num_rows)

    results = rating_errors({"one": One()}, split, small)
    summary = Summary({"users": 3}, np.array([1, 1]), np.array([1, 1, 0, 0]))
    path = write_report(tmp_path / "r.html", title="Ratings", summary=summary, results=results)
    page = path.read_text()
    assert read_tags(page).count("svg") == 3
    assert "Popularity bias" not in page
    # errors of "one" are -1 and -3: mae 2; of the mean, 2, they are 0 and -2: mae 1
    assert 'class="worse">+1.0000' in page


def test_a_report_that_fails_leaves_the_old_one(arguments, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(AttributeError):
        write_report(path, **{**arguments, "summary": None})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_an_unwritable_place_is_named(arguments, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report(tmp_path / "file" / "report.html", **arguments)


def test_examples_tell_history_latest_first_and_mark_hits(small, split):
    found = {e.query: e for e in find_examples(small.fixed(LISTS), split, small, k=2)}
    # of user 10, item 1 came after item 2; item 3, without a title, is taken and comes first
    assert found["10"] == Example(
        query="10",
        about="",
        history=["one", "two"],
        taken=["3"],
        recommended=[("3", 2.0, True), ("<four>", 1.0, False)],
    )
    assert found["20"].history == []


def test_summaries_count_training_events(small, split):
    found = summarize(small, split)
    assert found.user_events.tolist() == [2, 1]
    assert found.item_events.tolist() == [1, 1, 1, 0]
    assert found.facts == {
        "users": 3,
        "items": 4,
        "training events": 3,
        "test events": 3,
        "split": "given",
    }


def test_the_environment_names_versions():
    assert {"Python", "keras", "tensorflow", "machine"} <= set(describe_environment())


def test_no_examples_of_no_users(small, split):
    with pytest.raises(ValueError, match="`num_users` must be greater than 0"):
        find_examples(small.fixed(LISTS), split, small, num_users=0)
