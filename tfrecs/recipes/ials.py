"""Training in closed form on all positive events at once."""

from tfrecs.models import IALS
from tfrecs.recipes.base import History, Range, Recipe, Space, Training
from tfrecs.recipes.pairs import NEXT_ITEM
from tfrecs.spec import FeatureSpec, MultiCategorical, Numeric, Sequence


def features(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the two ids, of lists of such ids, and of the weight of an event."""
    ids = [spec.query_id.name, spec.candidate_id.name]
    lists = [f for f in spec if isinstance(f, MultiCategorical | Sequence)]
    names = [f.name for f in lists if f.shared_with in ids]
    names += [f.name for f in spec.by_role("weight") if isinstance(f, Numeric)][:1]
    return spec.select(*ids, *names)


def fit(training: Training) -> tuple[IALS, History]:
    """Solves by turns for users and items; the weight of an event is its strength."""
    spec = training.transform.spec
    names = [spec.query_id.name, spec.candidate_id.name, *(f.name for f in spec.by_role("weight"))]
    arrays = training.transform.encode(training.events, names)
    model = training.build() if training.initial is None else training.initial
    strengths = arrays[names[2]] if len(names) > 2 else None
    return model, training.fit_data(model, [(arrays, strengths)], steps=1)


SPACE: Space = {
    "embedding_dim": (32, 64, 128),
    "unobserved_weight": Range(0.003, 1.0),
    "l2": Range(1e-3, 0.1),
}
IALS_RECIPE = Recipe(IALS, NEXT_ITEM, features, fit, {"epochs": 16}, space=SPACE)
