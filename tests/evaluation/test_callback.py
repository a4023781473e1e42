import keras
import numpy as np
import pyarrow as pa
import pytest

from tfrecs.datasets import Tables
from tfrecs.evaluation import CatalogueMetrics, ModelRecommender, Split, full_ranking
from tfrecs.features import FeatureTransform, from_arrays
from tfrecs.losses import InBatch, Softmax
from tfrecs.models import TwoTower
from tfrecs.spec import Categorical, FeatureSpec

SPEC = FeatureSpec(
    (
        Categorical("user", "query", dtype="int64", is_id=True),
        Categorical("item", "candidate", dtype="int64", is_id=True),
    )
)
USERS, ITEMS = 12, 8


def events(pairs):
    users, items = zip(*pairs, strict=True)
    return pa.table({"user": users, "item": items})


@pytest.fixture
def shop():
    """Users like every second item; the last one that they like is kept for validation."""
    liked = [[(u, i) for i in range(ITEMS) if i % 2 == u % 2] for u in range(USERS)]
    train = events([pair for pairs in liked for pair in pairs[:-1]])
    validation, test = events([pairs[-1] for pairs in liked]), events([(0, 1)])
    split = Split(train, test, "hand", validation=validation)
    ids = pa.table({"user": range(USERS)}), pa.table({"item": range(ITEMS)})
    tables = Tables("shop", pa.concat_tables([train, validation]), *ids, SPEC)
    transform = FeatureTransform(SPEC).adapt(tables.events)
    model = TwoTower(transform.spec, 4, log_q=False)
    model.compile(keras.optimizers.Adam(0.1), InBatch(Softmax()))
    data = from_arrays(transform.encode(train), 12, label="item", shuffle=True)

    def fit(*callbacks, epochs=1):
        options = {"callbacks": list(callbacks), "verbose": 0, "shuffle": False}
        return model.fit(data, epochs=epochs, **options).history

    return split, tables, transform, model, fit


def test_the_logs_have_what_full_ranking_says_of_the_validation_part(shop):
    split, tables, transform, model, fit = shop
    history = fit(CatalogueMetrics(transform, split, tables, (1, 3)), epochs=2)
    judged = Split(split.train, split.validation, "validation")
    recommender = ModelRecommender(model, transform, tables.candidates)
    scores = full_ranking({"m": recommender}, judged, tables, (1, 3), num_bootstrap=0).scores["m"]
    for name in ("recall@1", "recall@3", "ndcg@1", "ndcg@3"):
        assert history[f"val_{name}"][-1] == pytest.approx(scores[name].value)
    assert len(history["val_recall@1"]) == 2


def test_keras_s_callbacks_go_by_it(shop, tmp_path):
    split, tables, transform, model, fit = shop
    model.optimizer.learning_rate = 0.0
    metrics = CatalogueMetrics(transform, split, tables, (3,))
    stop = keras.callbacks.EarlyStopping("val_ndcg@3", mode="max", patience=2)
    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", "val_recall@3", mode="max", save_best_only=True,
        save_weights_only=True,
    )  # fmt: skip
    assert len(fit(metrics, stop, best, epochs=9)["val_ndcg@3"]) == 3  # nothing is learned
    assert (tmp_path / "best.weights.h5").exists()


def test_a_sample_of_users_is_that_of_the_seed(shop):
    split, tables, transform, *_ = shop
    drawn = [
        CatalogueMetrics(transform, split, tables, num_users=5, ks=(2,), seed=seed).truth.queries
        for seed in (0, 0, 1)
    ]
    assert drawn[0].num_rows == 5
    assert drawn[0].equals(drawn[1])
    assert not drawn[0].equals(drawn[2])
    users = drawn[0]["user"].to_numpy()
    assert (np.diff(users) > 0).all()
    everyone = CatalogueMetrics(transform, split, tables, num_users=None, ks=(2,))
    assert everyone.truth.queries.num_rows == USERS


def test_epochs_may_be_left_out(shop):
    split, tables, transform, _, fit = shop
    history = fit(CatalogueMetrics(transform, split, tables, (2,), every=2), epochs=4)
    assert len(history["val_recall@2"]) == 2


def test_a_model_that_scores_all_alike_has_no_value(shop):
    split, tables, transform, model, fit = shop
    model.query_embedding.embeddings.assign(0 * model.query_embedding.embeddings)
    model.query_embedding.trainable = False
    history = fit(CatalogueMetrics(transform, split, tables, (2,)))
    assert np.isnan(history["val_recall@2"]).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_users": 0}, "`num_users` must be greater than 0"),
        ({"every": 0}, "`every` must be greater than 0"),
        ({"ks": (99,)}, "`ks` must be"),
    ],
)
def test_options_out_of_range_are_refused(shop, options, message):
    split, tables, transform, *_ = shop
    with pytest.raises(ValueError, match=message):
        CatalogueMetrics(transform, split, tables, **{"ks": (2,), **options})


def test_a_split_without_validation_is_refused(shop):
    split, tables, transform, *_ = shop
    with pytest.raises(ValueError, match=r"`split` must be with a validation part.*validation=0.1"):
        CatalogueMetrics(transform, Split(split.train, split.test, "hand"), tables, (2,))


def test_another_model_is_ranked_by_itself(shop):
    split, tables, transform, _, fit = shop
    metrics = CatalogueMetrics(transform, split, tables, (3,))
    fit(metrics, epochs=2)
    other = TwoTower(transform.spec, 4, log_q=False, seed=7)
    found = []
    for callback in (metrics, CatalogueMetrics(transform, split, tables, (3,))):
        callback.set_model(other)
        callback.on_epoch_end(0, logs := {})
        found.append(logs)
    assert found[0] == found[1] != {}
