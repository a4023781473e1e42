import numpy as np
import pytest

from tfrecs.datasets import demo
from tfrecs.datasets.demo_media import SPECTROGRAM_SHAPE
from tfrecs.datasets.demo_topics import CATEGORIES, CATEGORY_OF, TOPICS
from tfrecs.datasets.demo_world import siblings


@pytest.fixture(scope="module")
def tables():
    return demo()


@pytest.fixture(scope="module")
def topic(tables):
    return tables.truth.items.topic


def accuracy_of_nearest_centroid(vectors, labels):
    """Centroids of the even rows, asked about the odd rows."""
    centroids = np.stack([vectors[::2][labels[::2] == label].mean(axis=0) for label in range(24)])
    distances = ((vectors[1::2, None, :] - centroids) ** 2).sum(axis=2)
    return (distances.argmin(axis=1) == labels[1::2]).mean()


def test_topics_stand_three_by_three_in_their_category():
    assert list(CATEGORY_OF) == [row // 3 for row in range(24)]
    assert len(CATEGORIES) == 8
    np.testing.assert_array_equal(siblings(np.array([0, 1, 2, 3])), [1, 2, 0, 4])


def test_words_belong_to_one_topic():
    things = [thing for topic in TOPICS for thing in topic.things]
    skills = [skill for topic in TOPICS for skill in topic.skills]
    assert len(things) == len(set(things)) == 240
    assert len(set(skills)) >= 90  # code review and the like may serve two trades
    assert all(len(topic.things) == 10 and len(topic.skills) == 4 for topic in TOPICS)


def test_titles_and_bodies_are_about_the_topic(tables, topic):
    titles, bodies = tables.candidates["title"].to_pylist(), tables.candidates["body"].to_pylist()
    for row, (title, body) in enumerate(zip(titles, bodies, strict=True)):
        things = TOPICS[topic[row]].things
        assert any(thing in title.lower() for thing in things)
        assert sum(thing in body for thing in things) >= 2
        assert title[0].isupper()
        assert "{" not in title + body
        sentences = body.split(". ")
        assert len(set(sentences)) == len(sentences) == 4
    assert len(set(titles)) > 900


def test_tags_and_category_follow_the_topics(tables, topic):
    second = tables.truth.items.second
    for row, tags in enumerate(tables.candidates["tags"].to_pylist()):
        assert tags[:2] == [TOPICS[topic[row]].name, TOPICS[second[row]].name]
        assert tags[2] in TOPICS[topic[row]].things
    expected = [TOPICS[t].category for t in topic]
    assert tables.candidates["category"].to_pylist() == expected


def test_user_tags_are_the_dearest_topics_or_none(tables):
    dearest = tables.truth.users.topics[:, :2]
    empty = 0
    for row, tags in enumerate(tables.queries["user_tags"].to_pylist()):
        assert set(tags) <= {TOPICS[t].name for t in dearest[row]}
        empty += not tags
    assert empty / 2_000 == pytest.approx(0.1, abs=0.03)  # 4 deviations of 2,000 users


def test_images_tell_the_topic(tables, topic):
    images = np.array(tables.candidates["image"].to_pylist(), np.float32)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1.0, rtol=1e-5)
    # 24 topics: 4 percent by chance
    assert accuracy_of_nearest_centroid(images, topic) > 0.8


def test_spectrograms_tell_the_topic(tables, topic):
    sounds = np.array(tables.candidates["spectrogram"].to_pylist(), np.float32)
    sounds = sounds.reshape(-1, *SPECTROGRAM_SHAPE)  # (C, frames, bands)
    assert sounds.min() >= 0.0
    # the mean over time says which bands sound, whenever the beat starts
    assert accuracy_of_nearest_centroid(sounds.mean(axis=1), topic) > 0.3
    # two frames of one item sound more alike than frames of two items
    steps = np.abs(sounds[:, 1:] - sounds[:, :-1]).mean()
    others = np.abs(sounds[1:, :] - sounds[:-1, :]).mean()
    assert steps < others


def test_countries_have_their_tastes(tables):
    users = tables.truth.users
    counts = np.zeros((8, 24))
    np.add.at(counts, (users.country, users.topics[:, 0]), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert np.abs(shares - shares.mean(axis=0)).sum(axis=1).mean() > 0.3


def test_prices_keep_buyers_away(tables):
    prices = tables.candidates["price"].to_numpy()
    ids = tables.candidates["item_id"].to_pylist()
    price_of = dict(zip(ids, prices, strict=True))
    clicks = tables.positives
    paid = np.array([price_of[item] for item in clicks["item_id"].to_pylist()])
    bought = clicks["purchased"].to_numpy() == 1
    cheap = paid < np.median(paid)
    assert bought[cheap].mean() > 1.2 * bought[~cheap].mean()
    assert prices.min() > 0
