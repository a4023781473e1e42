import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tfrecs import FeatureTransform, datasets, recipes
from tfrecs.spec import FeatureSpec, Numeric, Sequence


@pytest.fixture(scope="module")
def tables():
    return datasets.demo(num_users=60, num_items=40, num_events=1500)


def fitted(tables):
    recipe = recipes.recipe("ials")
    split = recipe.task.split(tables)
    spec = recipe.features(tables.spec)
    transform = FeatureTransform(spec).adapt(tables.queries, tables.candidates, split.train)
    options = recipe.options(epochs=3, embedding_dim=4)
    training = recipes.Training(
        recipe.model, transform, split.train, tables, options, lambda steps: []
    )
    return training, *recipe.fit(training)


def test_it_solves_as_many_times_as_there_are_epochs(tables):
    training, model, history = fitted(tables)
    assert len(history["loss"]) == 3
    assert training.transform.spec.names == ("user_id", "item_id")
    assert np.asarray(model.tables[0].embeddings).shape[1] == 4


def test_the_weight_of_an_event_is_its_strength(tables):
    twice = tables.events.append_column("plays", pa.array([2.0] * tables.events.num_rows))
    spec = FeatureSpec((*tables.spec, Numeric("plays", "weight")))
    weighted = dataclasses.replace(tables, events=twice, spec=spec)
    first = fitted(weighted)[1]
    training = fitted(tables)[0]
    training = dataclasses.replace(training, events=pa.concat_tables([training.events] * 2))
    second, _ = recipes.recipe("ials").fit(training)
    np.testing.assert_allclose(
        np.asarray(first.tables[1].embeddings), np.asarray(second.tables[1].embeddings), atol=1e-4
    )


def test_a_history_is_among_its_features(tables):
    history = Sequence("history", "query", shared_with="item_id")
    spec = FeatureSpec((*tables.spec, history))
    assert recipes.recipe("ials").features(spec).names == ("user_id", "item_id", "history")
