"""Training on what a user read so far and read next, by the texts of items."""

from typing import Any

from tfrecs import losses, models, optimizers
from tfrecs.datasets.histories import HISTORY
from tfrecs.models import RecModel
from tfrecs.recipes.base import History, Recipe, Training
from tfrecs.recipes.sessions import SEQUENCE, fit_histories, prepare, prepared
from tfrecs.spec import Categorical, FeatureSpec, Text

_LONGEST = 20  # items of a history that a step reads
_ARGUMENTS: dict[type[RecModel], dict[str, Any]] = {
    models.NRMS: {"num_heads": 4, "head_dim": 16, "attention_dim": 64},
    models.PerceiverTwoTower: {
        "latents": (16, 64),
        "layers": (1, 1),
        "num_heads": 4,
        "distance": "dot",
    },
}


def texts(spec: FeatureSpec) -> FeatureSpec:
    """Returns the spec of the item's id, its title and categories, and the history of items.

    Of several texts the one called title is read, or the first. Without texts and categories the
    id is what is known of an item.
    """
    found = [f for f in spec.by_role("candidate") if isinstance(f, Text)]
    chosen = [f.name for f in found if f.name == "title"] or [f.name for f in found][:1]
    kinds = [f for f in spec.by_role("candidate") if isinstance(f, Categorical) and not f.is_id]
    return spec.select(spec.candidate_id.name, *chosen, *(f.name for f in kinds), HISTORY)


def fit(training: Training) -> tuple[RecModel, History]:
    """Trains on pairs of a history and what came next, by in-batch softmax and lazy Adam."""
    columns, lengths = prepared(training)
    transform, options = training.transform, training.options
    model: Any = training.initial
    if model is None:
        model = training.build(**_ARGUMENTS[training.model])
        loss = losses.InBatch(losses.Softmax())
        model.compile(optimizers.LazyAdam(options.learning_rate), loss, jit_compile=False)
    known = [f.name for f in transform.spec.by_role("candidate")]
    model.set_catalogue(transform.encode(training.tables.candidates, known))
    return model, fit_histories(training, model, columns, lengths, _LONGEST)


_DEFAULTS = {"embedding_dim": 64, "epochs": 8, "batch_size": 128, "learning_rate": 2e-3}
NEWS_RECIPES = tuple(Recipe(kind, SEQUENCE, texts, fit, _DEFAULTS, prepare) for kind in _ARGUMENTS)
