import numpy as np
import pytest

from tfrecs import datasets, losses, models, recipes


@pytest.fixture(scope="module")
def tables():
    return datasets.demo(num_users=60, num_items=40, num_events=1500)


def training(tables, model, **given):
    """Returns what `fit` of the model's recipe gets, and the recipe."""
    from tfrecs import FeatureTransform

    chosen = recipes.recipe(model)
    spec = chosen.features(tables.spec)
    split = chosen.task.split(tables)
    transform = FeatureTransform(spec).adapt(tables.queries, tables.candidates, split.train)
    options = chosen.options(epochs=1, embedding_dim=4, **given)
    return chosen, recipes.Training(
        chosen.model, transform, split.train, tables, options, lambda steps: []
    )


def test_every_recipe_is_named_after_its_models_module():
    for name, recipe in recipes.RECIPES.items():
        assert recipe.model.__module__ == f"tfrecs.models.{name}"
        assert recipe.about.endswith(".")


def test_what_is_given_stands_over_the_recipes_defaults_over_the_general_ones():
    options = recipes.recipe("matrix_factorization").options(epochs=3, batch_size=None)
    assert (options.epochs, options.batch_size, options.embedding_dim) == (3, 1024, 64)


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(ValueError, match=r"`model` must be one of .*Did you mean 'two_tower'\?"):
        recipes.recipe("two_towers")


def test_an_argument_that_the_model_has_not_names_the_nearest():
    with pytest.raises(ValueError, match=r"`argument of two_tower` must be .*'temperature'\?"):
        recipes.recipe("two_tower").options(arguments={"temprature": 1})


def test_what_is_searched_are_options_or_arguments_of_the_model():
    for recipe in recipes.RECIPES.values():
        assert recipe.space
        others = set(recipe.space) - set(recipes.TrainingOptions.__dataclass_fields__)
        assert set(recipe.options(arguments=dict.fromkeys(others)).arguments) == others


@pytest.mark.parametrize("name", ["embedding_dim", "epochs", "batch_size", "learning_rate"])
def test_options_are_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` must be greater than 0. Received: 0"):
        recipes.recipe("two_tower").options(**{name: 0})


def test_a_protocol_is_one_of_those_known(tables):
    with pytest.raises(ValueError, match="`protocol` must be one of 'auto'"):
        recipes.NEXT_ITEM.split(tables, "leave-two-out")


def test_auto_is_leave_last_out_for_what_comes_next_and_random_for_ratings(tables):
    assert recipes.NEXT_ITEM.split(tables).protocol.startswith("leave last out")
    assert recipes.RATING.split(tables).protocol.startswith("random")


def test_arguments_reach_the_model(tables):
    chosen, given = training(tables, "two_tower", arguments={"temperature": 0.5, "l2": 0.1})
    model, history = chosen.fit(given)
    assert (model.temperature, model.l2) == (0.5, 0.1)
    assert np.isfinite(history["loss"]).all()


def test_the_two_towers_are_corrected_by_the_share_of_each_item(tables, monkeypatch):
    given = {}
    monkeypatch.setattr(
        recipes.Training, "fit", lambda self, model, arrays, label: given.update(arrays) or {}
    )
    chosen, prepared = training(tables, "two_tower")
    chosen.fit(prepared)
    items = prepared.events["item_id"].to_pylist()
    shares = [items.count(item) / len(items) for item in items]
    np.testing.assert_allclose(np.exp(given["item_id_log_q"]), shares, rtol=1e-5)


def test_training_goes_on_from_an_initial_model(tables):
    from dataclasses import replace

    chosen, given = training(tables, "two_tower")
    model = given.build()
    model.compile("sgd", losses.InBatch(losses.Softmax()))
    fitted, _ = chosen.fit(replace(given, initial=model))
    assert fitted is model
    assert isinstance(fitted, models.TwoTower)


def test_what_comes_next_is_judged_beside_all_that_a_model_must_beat(tables):
    from types import SimpleNamespace

    chosen, given = training(tables, "two_tower")
    model, _ = chosen.fit(given)
    trained = SimpleNamespace(
        model=model,
        transform=given.transform,
        tables=tables,
        split=chosen.task.split(tables),
        options=given.options,
    )
    results = chosen.task.judge(trained, (10,), 0)
    ranked = ["random", "popularity", "item-kNN", "user-kNN", "EASE", "two_tower", "oracle"]
    assert list(results.scores) == ranked
