import numpy as np
import pyarrow as pa
import pytest

from tests.serving.browser import Browser
from tfrecs.export import export
from tfrecs.features import FeatureTransform
from tfrecs.models import TwoTower
from tfrecs.retrieval import Exact
from tfrecs.serving.server import Server
from tfrecs.serving.service import find_models
from tfrecs.spec import Categorical, FeatureSpec

PICTURE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='40' height='30'%3E"
    "%3Crect width='40' height='30' fill='teal'/%3E%3C/svg%3E"
)
USERS = pa.table({"user_id": [f"u{i}" for i in range(20)]})
ITEMS = pa.table(
    {
        "item_id": [f"i{i}" for i in range(30)],
        "title": [f"Title <b>{i}</b>" for i in range(30)],
        "tags": [["fast", "red"]] * 30,
        "image_url": [PICTURE] * 29 + [None],
    }
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of an exported model, and its index with the vectors of the users."""
    folder = tmp_path_factory.mktemp("models")
    spec = FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True),
            Categorical("item_id", "candidate", is_id=True),
        )
    )
    transform = FeatureTransform(spec).adapt(USERS, ITEMS)
    model = TwoTower(transform.spec, embedding_dim=8)
    vectors = model.candidate(transform.encode(ITEMS, ["item_id"]))
    index = Exact(k=5).index(vectors, ITEMS["item_id"].to_numpy())
    shown = ("title", "tags", "image_url")
    export(model, transform, index, ITEMS, folder, name="news", display=shown, check=False)
    queries = np.asarray(model.query(transform.encode(USERS, ["user_id"])))
    with Server(find_models(folder), grpc_port=0, rest_port=0) as server:
        yield f"http://127.0.0.1:{server.rest_port}/", index, queries


def cards(browser, number):
    """Waits for a number of recommendations; returns [title, picture loaded, tags] of each."""
    browser.wait_for(f"document.querySelectorAll('#results li').length === {number}")
    return browser.value(
        "[...document.querySelectorAll('#results li')].map(card => ["
        "card.querySelector('b').textContent,"
        "card.querySelector('img')?.getAttribute('src') ?? '',"
        "[...card.querySelectorAll('.tag')].map(tag => tag.textContent)])"
    )


def test_a_user_who_is_typed_is_shown_titles_pictures_and_tags(served, tmp_path):
    url, index, queries = served
    with Browser(tmp_path) as browser:
        browser.open(url)
        browser.wait_for("document.querySelector('input[name=user_id]') !== null")
        browser.type("input[name=user_id]", "u7")
        shown = cards(browser, 10)
        best = np.asarray(index.search(queries[7:8], 10)[1])[0].tolist()
        pictures = ITEMS["image_url"].to_pylist()
        assert shown == [
            [f"Title <b>{i}</b>", pictures[i] or "", ["fast", "red"]] for i in best
        ]  # names are text, not HTML
        loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
        browser.wait_for(loaded)
        browser.screenshot(tmp_path / "page.png")
        # the items that the user knows are left out
        browser.type("input[name=exclude]", f"i{best[0]}, i{best[1]}")
        first = "document.querySelector('#results li b')?.textContent"
        browser.wait_for(f"{first} === 'Title <b>{best[2]}</b>'")
        assert [title for title, *_ in cards(browser, 10)][:8] == [
            f"Title <b>{i}</b>" for i in best[2:]
        ]


def test_a_wrong_entry_is_told_and_the_next_one_answered(served, tmp_path):
    url, _, _ = served
    with Browser(tmp_path) as browser:
        browser.open(f"{url}?k=31")
        said = browser.wait_for("document.querySelector('.wrong')?.textContent")
        assert "`k` must be between 1" in said
        browser.value("document.querySelector('input[name=k]').value = ''")
        browser.type("input[name=k]", "3")
        assert len(cards(browser, 3)) == 3
