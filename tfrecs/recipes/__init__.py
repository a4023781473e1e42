"""Recipes: how each model of the zoo is trained from tables and judged, one file a kind."""

from tfrecs import checks
from tfrecs.recipes.base import PROTOCOLS as PROTOCOLS
from tfrecs.recipes.base import History as History
from tfrecs.recipes.base import Range as Range
from tfrecs.recipes.base import Recipe as Recipe
from tfrecs.recipes.base import Space as Space
from tfrecs.recipes.base import Task as Task
from tfrecs.recipes.base import Trained as Trained
from tfrecs.recipes.base import Training as Training
from tfrecs.recipes.base import TrainingOptions as TrainingOptions
from tfrecs.recipes.clicks import CLICK as CLICK
from tfrecs.recipes.clicks import CLICK_RECIPES
from tfrecs.recipes.feed import FEED as FEED
from tfrecs.recipes.feed import IKI
from tfrecs.recipes.ials import IALS_RECIPE
from tfrecs.recipes.news import NEWS_RECIPES
from tfrecs.recipes.pairs import NEXT_ITEM as NEXT_ITEM
from tfrecs.recipes.pairs import TWO_TOWER
from tfrecs.recipes.ratings import MATRIX_FACTORIZATION
from tfrecs.recipes.ratings import RATING as RATING
from tfrecs.recipes.sessions import SEQUENCE as SEQUENCE
from tfrecs.recipes.sessions import SESSION as SESSION
from tfrecs.recipes.sessions import SESSION_RECIPES

_ALL = (
    *(TWO_TOWER, IALS_RECIPE, MATRIX_FACTORIZATION, IKI),
    *(*SESSION_RECIPES, *NEWS_RECIPES, *CLICK_RECIPES),
)
RECIPES = {r.name: r for r in _ALL}


def recipe(model: str) -> Recipe:
    """Returns the recipe of a model, by the model's name.

    Example:

    >>> recipe("two_tower").options(epochs=3)
    TrainingOptions(model='two_tower', embedding_dim=64, epochs=3, ...)
    """
    checks.one_of("model", model, RECIPES)
    return RECIPES[model]
