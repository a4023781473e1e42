import dataclasses

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs import FeatureTransform, datasets, recipes
from tfrecs.models import FNN
from tfrecs.optimizers import LazyAdam, SparseFTRL
from tfrecs.recipes import clicks


@pytest.fixture(scope="module")
def tables():
    return datasets.demo(num_users=100, num_items=40, num_events=10_000)


def fitted(tables, model, epochs=2, **arguments):
    recipe = recipes.recipe(model)
    split = recipe.task.split(tables)
    spec = recipe.features(tables.spec)
    transform = FeatureTransform(spec).adapt(tables.queries, tables.candidates, split.train)
    options = recipe.options(
        epochs=epochs, embedding_dim=4, batch_size=256, learning_rate=0.01, arguments=arguments
    )
    training = recipes.Training(
        recipe.model, transform, split.train, tables, options, lambda steps: []
    )
    model, history = recipe.fit(training)
    trained = dataclasses.make_dataclass(
        "Trained", ["model", "transform", "tables", "split", "options"]
    )
    return trained(model, transform, tables, split, options), history


def test_positive_events_are_clicks_and_all_events_are_learned_from(tables):
    events = clicks.clicks(tables)
    assert events.num_rows == tables.events.num_rows
    assert pc.sum(events["click"]).as_py() == tables.positives.num_rows


def test_deepfm_beats_the_mean_rate_on_the_demo_world(tables):
    trained, history = fitted(tables, "deepfm", epochs=3, hidden=[16])
    assert history["loss"][-1] < history["loss"][0]
    results = recipes.recipe("deepfm").task.judge(trained, (), 0)
    assert results["deepfm", "auc"] > 0.5
    assert 0.5 < results["deepfm", "calibration"] < 2


def test_fnn_starts_from_a_machine_of_the_same_training(tables):
    trained, history = fitted(tables, "fnn", hidden=[16])
    assert type(trained.model) is FNN
    assert len(history["loss"]) == 4  # two epochs each


def test_the_wide_part_has_an_optimizer_of_its_own(tables):
    trained, _ = fitted(tables, "wide_deep", hidden=[16])
    assert type(trained.model.optimizer) is keras.optimizers.MultiOptimizer
    kinds = {type(optimizer) for optimizer in trained.model.optimizer.optimizers}
    assert kinds == {LazyAdam, SparseFTRL}


def test_labels_of_0_and_1_need_no_rule(tables):
    spec = tables.spec
    label = spec.by_role("label")[0].name
    values = pa.array(np.arange(tables.events.num_rows) % 2, pa.float32())
    place = tables.events.column_names.index(label)
    events = tables.events.set_column(place, label, values)
    plain = dataclasses.replace(tables, events=events, positive=None)
    assert clicks.clicks(plain)["click"].to_pylist()[:4] == [0, 1, 0, 1]
    other = pc.add(events[label], pa.scalar(1.0, pa.float32()))
    plain = dataclasses.replace(plain, events=events.set_column(place, label, other))
    with pytest.raises(ValueError, match=r"must hold clicks, 0 or 1\. Received: 2 in row 1 "):
        clicks.clicks(plain)


def test_events_of_one_kind_teach_nothing(tables):
    positive = dataclasses.replace(tables, events=tables.positives)
    with pytest.raises(ValueError, match=r"events of both kinds.* all of them positive"):
        clicks.clicks(positive)


def test_without_items_all_is_known_of_the_event(tables):
    spec = datasets.criteo_spec()
    assert clicks.features(spec).names == tuple(name for name in spec.names if name != "label")
    assert "timestamp" not in clicks.features(tables.spec)
