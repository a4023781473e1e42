"""Transform: the feature layer, learned from the training split."""

from typing import Any

from tfrecs.components.artifacts import ExampleAnomalies, Examples, Model, Schema, TransformGraph
from tfrecs.components.component import Component, Output
from tfrecs.components.example_validator import require_blessed
from tfrecs.components.tables import read_tables, split_of
from tfrecs.features import FeatureTransform
from tfrecs.features.expanding import expand_vocabulary
from tfrecs.recipes import recipe


def transform(
    examples: Examples,
    schema: Schema,
    transform_graph: Output[TransformGraph],
    queries: Examples | None = None,
    candidates: Examples | None = None,
    anomalies: ExampleAnomalies | None = None,
    base_model: Model | None = None,
    *,
    model: str = "two_tower",
    positive: dict[str, Any] | None = None,
) -> None:
    """The feature layer, learned from the training split; its graph is the one that serves.

    Args:
        examples: Events; the split "train" is learned from.
        schema: Features and roles.
        transform_graph: The saved FeatureTransform.
        queries: One row a user.
        candidates: One row an item.
        anomalies: Data that are not blessed are refused.
        base_model: Model to be trained further: its ids stay, new values follow.
        model: Name of the model, whose recipe chooses the features. Defaults to "two_tower".
        positive: See `tables.read_tables`.
    """
    require_blessed(anomalies)
    tables, train, test = read_tables(examples, schema, queries, candidates, positive)
    chosen = recipe(model)
    split = split_of(chosen.task, tables, train, test, "splits of ExampleGen")
    tables, events = chosen.prepare(tables, split), split.train
    sources = (tables.queries, tables.candidates, events)
    if base_model is None:
        adapted = FeatureTransform(chosen.features(tables.spec)).adapt(*sources)
    else:
        known = FeatureTransform.load(base_model.path / "features")
        adapted = expand_vocabulary(known, *sources)
    adapted.save(transform_graph.path)
    sizes = {f.name: size for f in adapted.spec if (size := getattr(f, "size", None)) is not None}
    transform_graph.properties["sizes"] = sizes


Transform = Component(transform)
