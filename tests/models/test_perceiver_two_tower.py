import keras
import numpy as np
import pytest

from tfrecs.features import ImpressionIds, from_impressions
from tfrecs.losses import InBatch, Sigmoid, Softmax, Triplet
from tfrecs.models import PerceiverTwoTower
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Numeric, Sequence, Text
from tfrecs.testing import ModelCase

SMALL = {"latents": (4, 16), "layers": (1, 1), "num_heads": 2, "output_dim": 16}


def features(*more, size=None):
    item = Categorical("news_id", "candidate", is_id=True, size=size)
    history = Sequence("history", "query", shared_with="news_id", max_length=10, size=size)
    return FeatureSpec((item, *more, history))


def small(spec):
    """Builds a model whose catalogue has random tokens."""
    model, rng = PerceiverTwoTower(spec, 16, **SMALL, distance="dot"), np.random.default_rng(0)
    ids = np.arange(2, spec.candidate_id.size)
    arrays = {"news_id": ids}
    for feature in spec.by_role("candidate")[1:]:
        width = 5 if feature.name == "title" else 1
        arrays[feature.name] = rng.integers(2, feature.size, (len(ids), width))
    model.set_catalogue(arrays)
    return model


def case(name, *more, **exceptions):
    return ModelCase(
        name,
        build=small,
        loss=lambda: InBatch(Softmax()),
        label="news_id",
        spec=features(*more),
        learning_rate=0.01,
        steps=150,
        exceptions=exceptions,
    )


MADE_UP = "the made-up titles of that check say nothing of the ids"
CASES = [
    case(
        "perceiver_two_tower",
        Text("title", max_length=5),
        Categorical("category", "candidate"),
        MultiCategorical("user_tags", "query"),
        predictable_sequences=MADE_UP,
    ),
    case(
        "perceiver_two_tower_ids",
        mixed_precision="dot products of 16 larger numbers cancel to less than float16 keeps",
    ),
]
SIZES = features(Text("title", max_length=4, size=30), size=20)


def titled(spec=SIZES, **arguments):
    model, rng = PerceiverTwoTower(spec, 16, **{**SMALL, **arguments}), np.random.default_rng(1)
    titles = rng.integers(2, 30, (18, 4)) * (np.arange(4) < rng.integers(1, 5, (18, 1)))
    arrays = {"news_id": np.arange(2, 20), "title": titles, "category": np.arange(18) % 2 + 2}
    model.set_catalogue(arrays)
    return model, titles


def clicks(number):
    """Users of even news click even news."""
    rng = np.random.default_rng(0)
    parity = np.repeat(rng.integers(0, 2, number), 3)
    history = 2 * rng.integers(1, 10, 3 * number) + parity
    labels = np.tile([1, 0, 0], number)
    candidates = 2 * rng.integers(1, 10, 3 * number) + np.where(labels, parity, 1 - parity)
    lengths = np.full(number, 3)
    return ImpressionIds(history, lengths, candidates, labels, lengths)


def rows(*histories, **more):
    history = np.array(histories)
    return {"history": history, "history_mask": history > 0, **more}


def test_scores_are_negated_distances():
    model, _ = titled(distance="euclidean")
    query, candidate = np.array([[1.0, 2.0]], "float32"), np.array([[4.0, 6.0]], "float32")
    np.testing.assert_allclose(model.score(query, candidate), [[-5.0]], rtol=1e-5)
    squared, _ = titled(distance="squared_euclidean")
    np.testing.assert_allclose(squared.score(query, candidate), [[-25.0]])


def test_cosine_vectors_have_length_1():
    model, _ = titled()
    users, items = model.query(rows([2, 3], [4, 0])), model.candidate({"news_id": np.arange(2, 9)})
    for vectors in (users, items):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_one_tower_encodes_users_and_items():
    # without the place in the history a user of one click is that item
    model, _ = titled(encodings=("type", "word"))
    items = model.candidate({"news_id": np.array([4, 7])})
    np.testing.assert_allclose(model.query(rows([4, 0], [7, 0])), items, atol=1e-5)


@pytest.mark.parametrize("encoding", ["word", "history"])
def test_an_encoding_tells_places_apart(encoding):
    same = {True: np.testing.assert_allclose, False: None}
    for used in (True, False):
        chosen = tuple(e for e in ("type", "word", "history") if used or e != encoding)
        model, titles = titled(encodings=chosen)
        if encoding == "history":
            first, second = model.query(rows([2, 3])), model.query(rows([3, 2]))
        else:
            four = titles[(titles > 0).all(axis=1)][:1]
            first, second = (model.candidate({"title": t}) for t in (four, four[:, ::-1]))
        if used:
            assert np.abs(np.asarray(first) - np.asarray(second)).max() > 1e-4
        else:
            same[True](first, second, atol=1e-5)


def test_several_histories_are_told_apart():
    marked = Sequence("marked", "query", shared_with="news_id", max_length=10, size=20)
    model, _ = titled(FeatureSpec((*SIZES, marked)))
    one, none = np.array([[4, 5]]), np.array([[0, 0]])

    def user(clicked, later):
        batch = {"history": clicked, "marked": later}
        masks = {f"{name}_mask": ids > 0 for name, ids in batch.items()}
        return np.asarray(model.query({**batch, **masks}))

    assert np.abs(user(one, none) - user(none, one)).max() > 1e-4
    assert np.isfinite(user(none, none)).all()


def test_distinct_candidates_give_the_same_scores():
    model, titles = titled()
    counts = np.append([0, 0], (titles > 0).sum(axis=1))
    data = from_impressions(
        clicks(16), 8, num_negatives=2, num_tokens=counts, widths=(2, 4), with_history=False
    )
    batch, _ = next(iter(data))
    plain = {name: batch[name] for name in ("history", "history_mask", "news_id")}
    np.testing.assert_allclose(model(batch), model(plain), atol=1e-5)


@pytest.mark.parametrize(
    "loss, distance",
    [
        pytest.param(Triplet(0.5), "euclidean", id="triplet_euclidean"),
        pytest.param(Triplet(0.5), "cosine", id="triplet_cosine", marks=pytest.mark.slow),
        pytest.param(Sigmoid(), "dot", id="binary", marks=pytest.mark.slow),
        pytest.param(Softmax(), "dot", id="softmax", marks=pytest.mark.slow),
    ],
)
def test_fit_on_impressions_ranks_what_is_like_the_history(loss, distance):
    model, _ = titled(distance=distance)
    data = from_impressions(clicks(256), 32, num_negatives=2)
    model.compile(keras.optimizers.Adam(0.01), loss)
    losses = model.fit(data, epochs=6, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]


def test_the_multiclass_head_learns_the_category_of_the_next_click():
    spec = features(
        Text("title", max_length=4, size=30),
        Categorical("category", "candidate", size=4),
        size=20,
    )
    model, _ = titled(spec, distance="dot", classes="category")
    rng = np.random.default_rng(0)
    parity = rng.integers(0, 2, (256, 1))
    history = 2 * rng.integers(1, 10, (256, 3)) + parity
    batch = rows(*history, category=np.tile([2, 3], (256, 1)))  # all classes
    labels = np.eye(2)[parity[:, 0]]
    model.compile(keras.optimizers.Adam(0.01), Softmax())
    model.fit(batch, labels, epochs=12, batch_size=32, verbose=0)
    scores = model.predict(batch, verbose=0)
    assert (scores.argmax(axis=1) == parity[:, 0]).mean() > 0.95
    classes = model.candidate({"category": np.array([2, 3])})
    np.testing.assert_allclose(model.score(model.query(batch), classes), scores, atol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"distance": "l1"}, "`distance` must be one of 'euclidean', 'squared_euclidean'"),
        ({"encodings": ("place",)}, "`encodings` must be one of 'type', 'word', 'history'"),
        ({"classes": "category"}, "`distance` must be 'dot' where there are classes"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PerceiverTwoTower(SIZES, **arguments)


def test_a_user_has_tokens_of_some_kind():
    bare = FeatureSpec((SIZES["news_id"], SIZES["title"], Numeric("age", "query")))
    with pytest.raises(ValueError, match="`spec` must be with a feature of role query"):
        PerceiverTwoTower(bare)
