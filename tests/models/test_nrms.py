import keras
import numpy as np
import pytest

from tfrecs.features import ImpressionIds, from_impressions
from tfrecs.losses import InBatch, Softmax
from tfrecs.models import NRMS
from tfrecs.spec import Categorical, FeatureSpec, Sequence, Text
from tfrecs.testing import ModelCase

SMALL = {"num_heads": 2, "head_dim": 8, "attention_dim": 8, "dropout": 0.0}
TEXTS = (Text("title", max_length=5), Categorical("category", "candidate"))


def small(spec):
    """Builds a model whose catalogue has random tokens."""
    model, rng = NRMS(spec, 16, **SMALL), np.random.default_rng(0)
    ids = np.arange(2, spec.candidate_id.size)
    arrays = {"news_id": ids}
    for feature in spec.by_role("candidate")[1:]:
        width = 5 if feature.name == "title" else 1
        arrays[feature.name] = rng.integers(2, feature.size, (len(ids), width))
    model.set_catalogue(arrays)
    return model


def features(*more):
    item = Categorical("news_id", "candidate", is_id=True)
    return FeatureSpec((item, *more, Sequence("history", "query", shared_with="news_id")))


CASES = [
    ModelCase(
        "nrms",
        build=small,
        loss=lambda: InBatch(Softmax()),
        label="news_id",
        spec=features(*TEXTS),
        learning_rate=0.01,
        exceptions={
            "predictable_sequences": "the made-up titles of that check say nothing of the ids",
        },
    ),
    ModelCase(
        "nrms_ids",
        build=lambda spec: NRMS(spec, 16, **SMALL),
        loss=lambda: InBatch(Softmax()),
        label="news_id",
        spec=features(),
        learning_rate=0.01,
        exceptions={
            "predictable_sequences": "a set of clicks has no order: which one was the last?",
            "gradients": "with one token, attention within news has nothing to weigh: its queries "
            "and keys have a gradient of exactly 0",
        },
    ),
]
SIZES = FeatureSpec(
    (
        Categorical("news_id", "candidate", is_id=True, size=20),
        Text("title", max_length=4, size=30),
        Sequence("history", "query", shared_with="news_id", size=20),
    )
)


def titled(**arguments):
    model = NRMS(SIZES, 16, **{**SMALL, **arguments})
    rng = np.random.default_rng(1)
    titles = rng.integers(2, 30, (18, 4)) * (np.arange(4) < rng.integers(1, 5, (18, 1)))
    model.set_catalogue({"news_id": np.arange(2, 20), "title": titles})
    return model, titles


def clicks(number=64):
    """Users of even news click even news."""
    rng = np.random.default_rng(0)
    parity = np.repeat(rng.integers(0, 2, number), 3)
    history = 2 * rng.integers(1, 10, 3 * number) + parity
    labels = np.tile([1, 0, 0], number)
    candidates = 2 * rng.integers(1, 10, 3 * number) + np.where(labels, parity, 1 - parity)
    lengths = np.full(number, 3)
    return ImpressionIds(history, lengths, candidates, labels, lengths)


@pytest.mark.parametrize("mask_padding", [True, False])
def test_distinct_news_give_the_same_scores(mask_padding):
    model, titles = titled(mask_padding=mask_padding)
    counts = np.append([0, 0], (titles > 0).sum(axis=1))
    widths = (2, 4) if mask_padding else (4,)  # padding that counts cannot be cut off
    data = from_impressions(clicks(), 8, num_negatives=2, num_tokens=counts, widths=widths)
    batch, _ = next(iter(data))
    plain = {name: batch[name] for name in ("history", "history_mask", "news_id")}
    np.testing.assert_allclose(model(batch), model(plain), atol=1e-5)
    np.testing.assert_allclose(model.query(batch), model.query(plain), atol=1e-5)


def test_a_news_is_read_by_its_title_too():
    model, titles = titled()
    by_id = model.candidate({"news_id": np.array([2, 5])})
    by_title = model.candidate({"title": titles[[0, 3]]})
    np.testing.assert_allclose(by_id, by_title, atol=1e-6)
    lists = model.candidate({"title": titles[[[0, 3], [3, 3]]]})
    np.testing.assert_allclose(lists[0], by_title, atol=1e-6)


def test_unknown_and_missing_news_of_a_history_count_for_nothing():
    model, _ = titled()
    rows = np.array([[4, 5, 1, 0], [4, 5, 0, 0]])
    users = model.query({"history": rows, "history_mask": rows > 0})
    np.testing.assert_allclose(users[0], users[1], atol=1e-6)
    empty = model.query({"history": rows * 0, "history_mask": rows < 0})
    assert not np.asarray(empty).any()


def test_fit_on_impressions_ranks_what_is_like_the_history():
    model, titles = titled()
    log = clicks(256)
    counts = np.append([0, 0], (titles > 0).sum(axis=1))
    data = from_impressions(log, 32, num_negatives=2, num_tokens=counts, widths=(2, 4))
    model.compile(keras.optimizers.Adam(0.01), Softmax())
    losses = model.fit(data, epochs=6, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("name", ["num_heads", "head_dim", "attention_dim"])
def test_a_wrong_argument_is_named(name):
    with pytest.raises(ValueError, match=f"`{name}` must be greater than 0"):
        NRMS(SIZES, **{name: 0})
