"""Every recipe trains on the demo shop as on the site: its tables hold all that the site's hold."""

import math

import pytest

from tfrecs import datasets, recipes, run


@pytest.fixture(scope="module")
def shop():
    return datasets.demo_shop(num_events=8_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_trains_on_the_shop_and_is_judged(shop, name, tmp_path):
    recipe = recipes.recipe(name)
    made = run.train(shop, recipe.task.split(shop), tmp_path / "run", recipe.options(epochs=1))
    found = made.judge()
    assert math.isfinite(made.history["loss"][-1])
    assert math.isfinite(found.scores[name][found.metrics[0]].value)
