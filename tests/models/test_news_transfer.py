"""One model of articles, unchanged: keywords, similar articles, similar users, categories."""

import keras
import numpy as np
import pyarrow as pa
import pytest

from tfrecs.datasets import demo_impressions
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.features import (
    FeatureTransform,
    encode_impressions,
    from_histories,
    from_impressions,
    tokenize,
)
from tfrecs.losses import Softmax
from tfrecs.models import PerceiverTwoTower
from tfrecs.retrieval import Exact
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Text

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world():
    """Generated news, their features, a trained model."""
    keras.utils.set_random_seed(0)
    data = demo_impressions(1_000, 400, 8_000)
    words = tokenize(data.news["title"].to_pylist()).flat_values.numpy()
    words = tuple(word.decode() for word in dict.fromkeys(words.tolist()))
    spec = FeatureSpec(
        (
            Categorical("news_id", "candidate", is_id=True),
            Text("title", max_length=12, vocabulary=words),
            Categorical("category", "candidate"),
            Sequence("history", "query", shared_with="news_id", max_length=10),
        )
    )
    transform = FeatureTransform(spec).adapt(data.news, data.log.select(["history"]))
    items = transform.encode(data.news, ["news_id", "title", "category"])
    model = build(transform, items)
    log = encode_impressions(data.log, transform)
    model.compile(keras.optimizers.Adam(2e-3), Softmax())
    rows = from_impressions(log, 64, max_length=10)
    model.fit(rows, epochs=6, shuffle=False, verbose=0)
    return data, transform, items, model, log


def build(transform, items, **arguments):
    model = PerceiverTwoTower(
        *(transform.spec, 32),
        latents=(8, 32),
        layers=(1, 1),
        num_heads=4,
        distance="dot",
        **arguments,
    )
    model.set_catalogue(items)
    return model


def by_id(data, items, name):
    """Returns a column of the news by the id of each."""
    found = np.empty(items["news_id"].max() + 1, object)
    found[items["news_id"]] = data.news[name].to_pylist()
    return found


def users_of(model, log, **arguments):
    batches = from_histories(log, 256, max_length=10, **arguments)
    return np.concatenate([np.asarray(model.query(batch)) for batch in batches])


def test_keywords_are_recommended_by_the_model_of_articles(world):
    data, transform, items, model, log = world
    # a keyword is an entity with a title alone: no new weights
    topic_of = {thing: topic.name for topic in TOPICS for thing in topic.things}
    names = list(topic_of.values())
    things = pa.array(list(topic_of))
    keywords = pa.table({"title": things, "category": pa.nulls(len(names), pa.string())})
    encoded = transform.encode(keywords, ["title", "category"])
    index = Exact().index(
        np.asarray(model.candidate(encoded)), things.to_numpy(zero_copy_only=False)
    )
    read = by_id(data, items, "subcategory")[log.history]
    ends = np.cumsum(log.history_lengths)
    _, found = index(users_of(model, log), 5)
    shares, chances = [], []
    for row in np.flatnonzero(log.history_lengths >= 5):
        own = read[ends[row] - log.history_lengths[row] : ends[row]]
        told = [topic_of[thing.decode()] for thing in np.asarray(found[row])]
        shares.append(np.isin(told, own).mean())
        chances.append(np.isin(names, own).mean())
    assert np.mean(shares) > 1.25 * np.mean(chances)


def test_similar_articles_are_of_the_same_category(world):
    data, _, items, model, _ = world
    vectors = np.asarray(model.candidate(items))
    index = Exact(similarity="cosine").index(vectors, items["news_id"].astype(np.int64))
    _, found = index(vectors, 6)
    category = by_id(data, items, "category")
    same = (category[np.asarray(found)[:, 1:]] == category[items["news_id"]][:, None]).mean()
    assert same > 0.5  # one of eight by chance


def test_similar_users_share_interests(world):
    data, _, _, model, log = world
    rows = np.flatnonzero(log.history_lengths >= 5)
    users = users_of(model, log)[rows]
    owner = np.array([int(u[1:]) - 1 for u in data.log["user_id"].to_pylist()])[rows]
    index = Exact(similarity="cosine").index(users, np.arange(len(rows)))
    _, found = index(users, 10)
    likes = np.zeros((1_000, 24), bool)
    np.put_along_axis(likes, data.truth.users.topics, True, axis=1)
    near = owner[np.asarray(found)]
    other = near != owner[:, None]
    both = (likes[owner][:, None] & likes[near]).sum(axis=-1)
    rng = np.random.default_rng(0)
    chance = (likes[owner] & likes[rng.permutation(owner)]).sum(axis=-1).mean()
    assert both[other].mean() > 1.3 * chance


def test_the_multiclass_head_recommends_categories(world):
    _data, transform, items, _, log = world
    model = build(transform, items, classes="category")
    number = transform.spec["category"].size - 2
    at = np.flatnonzero(log.labels == 1)
    of = np.repeat(np.arange(len(log.lengths)), log.lengths)[at]
    kind = np.zeros(transform.spec.candidate_id.size, np.int64)
    kind[items["news_id"]] = items["category"]
    target = kind[log.candidates[at]] - 2
    longest = next(iter(from_histories(log, len(log.lengths), max_length=10)))
    batch = {name: np.asarray(x)[of] for name, x in longest.items()}
    batch["category"] = np.tile(np.arange(number) + 2, (len(of), 1))
    model.compile(keras.optimizers.Adam(2e-3), Softmax())
    cut = len(of) * 4 // 5
    train, test = ({k: v[s] for k, v in batch.items()} for s in (slice(cut), slice(cut, None)))
    model.fit(train, np.eye(number)[target[:cut]], epochs=3, batch_size=64, verbose=0)
    hits = model.predict(test, verbose=0).argmax(axis=1) == target[cut:]
    most = np.bincount(target).max() / len(target)
    assert hits.mean() > 1.3 * most
