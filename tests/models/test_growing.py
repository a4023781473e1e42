import keras
import numpy as np
import pytest
from keras import ops

from tfrecs import losses, optimizers
from tfrecs.models import DeepFM, LogisticRegression, TwoTower, WideDeep
from tfrecs.models.growing import expand_tables
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical

OPTIMIZERS = {
    "sparse adagrad": lambda: optimizers.SparseAdagrad(0.1),
    "lazy adam": lambda: optimizers.LazyAdam(0.01),
    "adam": lambda: keras.optimizers.Adam(0.01),
}


def spec(users, items):
    return FeatureSpec(
        (
            Categorical("user", "query", is_id=True, size=users),
            Categorical("item", "candidate", is_id=True, size=items),
        )
    )


def trained(optimizer, users=5, items=6):
    model = TwoTower(spec(users, items), embedding_dim=3, log_q=False)
    model.compile(optimizer=optimizer, loss=losses.InBatch(losses.Softmax()))
    fit(model, users, items)
    return model


def fit(model, users, items):
    batch = {"user": np.array([2, users - 1, 3]), "item": np.array([3, items - 1, 2])}
    batch = {name: ids.astype("int32") for name, ids in batch.items()}
    model.train_on_batch(batch, batch["item"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_and_slots_are_carried_twice_in_a_row(name):
    model = trained(OPTIMIZERS[name]())
    users, items = 5, 6
    for more in (2, 4):
        grown = expand_tables(model, spec(users + more, items + more))
        old = [*model.variables, *model.optimizer.variables]
        new = [*grown.variables, *grown.optimizer.variables]
        fresh = TwoTower(spec(users + more, items + more), embedding_dim=3, log_q=False)
        assert len(old) == len(new)
        for source, target in zip(old, new, strict=True):
            values = source.numpy()
            rows = target.numpy()[: len(values)] if values.ndim else target.numpy()
            np.testing.assert_array_equal(rows, values)
        for target, expected in zip(grown.weights, fresh.weights, strict=True):
            np.testing.assert_array_equal(target.numpy()[-more:], expected.numpy()[-more:])
        slot = next(v for v in grown.optimizer.variables if tuple(v.shape) == (users + more, 3))
        start = 0.1 if name == "sparse adagrad" else 0.0
        np.testing.assert_allclose(slot.numpy()[-more:], start)
        assert int(grown.optimizer.iterations) == int(model.optimizer.iterations)
        users, items, model = users + more, items + more, grown
        fit(model, users, items)


def test_training_goes_on_as_if_nothing_had_grown():
    model = trained(OPTIMIZERS["sparse adagrad"]())
    grown = expand_tables(model, spec(9, 9))
    for one in (model, grown):
        fit(one, 5, 6)
    for old, new in zip(model.weights, grown.weights, strict=True):
        np.testing.assert_allclose(new.numpy()[: old.shape[0]], old.numpy(), atol=1e-6)


def test_a_model_that_is_not_compiled_grows_too():
    model = TwoTower(spec(3, 3), embedding_dim=2)
    grown = expand_tables(model, spec(4, 3))
    assert [tuple(weight.shape) for weight in grown.weights] == [(4, 2), (3, 2)]
    assert ops.all(grown.weights[0][:3] == model.weights[0])


def test_a_table_does_not_shrink():
    with pytest.raises(ValueError, match=r"`spec` must be of sizes that leave .* as wide"):
        expand_tables(TwoTower(spec(5, 5), embedding_dim=2), spec(4, 5))


def click_spec(users, items, places=4):
    return FeatureSpec(
        (
            Categorical("user", "query", is_id=True, size=users),
            Categorical("item", "candidate", is_id=True, size=items),
            Categorical("place", "context", size=places),
            MultiCategorical("tags", "candidate", size=items, shared_with="item"),
        )
    )


def click_batch(users, items, places):
    batch = {"user": users, "item": items, "place": places}
    batch = {name: np.array(ids, "int32") for name, ids in batch.items()}
    tags = np.stack([batch["item"]] * 2, axis=1)
    return batch | {"tags": tags, "tags_mask": tags > 0}


@pytest.mark.parametrize("kind", [DeepFM, WideDeep, LogisticRegression])
def test_rows_of_features_that_share_a_table_stay_theirs_twice_in_a_row(kind):
    options = {} if kind is LogisticRegression else {"embedding_dim": 3}
    model = kind(click_spec(5, 6), **options)
    model.compile(optimizer=optimizers.SparseAdagrad(0.1), loss=losses.LogLoss())
    batch = click_batch([2, 4, 3], [3, 5, 2], [2, 3, 3])
    labels = np.array([1.0, 0.0, 1.0])
    model.train_on_batch(batch, labels)
    straight = model(batch)
    for more in (2, 5):
        model = expand_tables(model, click_spec(5 + more, 6 + 2 * more, 4 + more))
        np.testing.assert_allclose(model(batch), straight, rtol=1e-6)
        assert np.isfinite(model(click_batch([6], [9], [5]))).all()
    # the slots have moved with their rows: one more step is that of a model that has not grown
    small = kind(click_spec(5, 6), **options)
    small.compile(optimizer=optimizers.SparseAdagrad(0.1), loss=losses.LogLoss())
    for _ in range(2):
        small.train_on_batch(batch, labels)
    model.train_on_batch(batch, labels)
    np.testing.assert_allclose(model(batch), small(batch), rtol=1e-5)


def test_a_feature_that_would_be_cut_is_refused():
    options = {"embedding_dim": 3, "max_rows": 6}
    with pytest.raises(ValueError, match=r"`spec` must be of at most 6 ids of 'user'"):
        expand_tables(DeepFM(click_spec(5, 6), **options), click_spec(9, 6))


def test_a_cut_feature_grows():
    model = DeepFM(click_spec(9, 20), embedding_dim=3, max_rows=5)
    batch = click_batch([2, 8, 3], [3, 19, 2], [2, 3, 3])
    grown = expand_tables(model, click_spec(19, 40))
    np.testing.assert_allclose(grown(batch), model(batch), rtol=1e-6)


def test_a_popularity_sampler_keeps_its_odds_twice_in_a_row():
    arguments = {"negatives": "popularity", "num_negatives": 2, "log_q": False}
    model = TwoTower(spec(5, 6), embedding_dim=3, **arguments)
    model.sampler.set_counts([0, 0, 8, 4, 0, 2])
    for size, counts in ((7, [0, 0, 8, 4, 0, 2, 2]), (9, [0, 0, 8, 4, 0, 2, 2, 2, 2])):
        model = expand_tables(model, spec(5, size))
        ids = model.sampler.sample((20_000,), seed=0).numpy()
        shares = np.bincount(ids, minlength=size) / len(ids)
        np.testing.assert_allclose(shares, np.array(counts) / sum(counts), atol=0.015)
        log_q = np.log(np.maximum(counts, 1) / sum(counts))
        np.testing.assert_allclose(model.sampler.log_q.numpy(), log_q, rtol=1e-5)
