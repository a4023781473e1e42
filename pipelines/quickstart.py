"""The demo world, from generated events to a pushed two-tower model.

    tfrecs pipeline run pipelines/quickstart.py
    tfrecs pipeline run pipelines/quickstart.py --set model=deepfm --set protocol=random \\
        --set epochs=1 --set learning_rate=0.001

About 2 minutes on 2 cores; a second run is all cached. Expect ndcg@10 above item-kNN's, or the
model is not pushed (the last event of each user is held out). A click model learns the demo
world's impressions in one pass; with the first command's 20 it is worse than chance and not pushed.
"""

from tfrecs import components as c


def pipeline(
    saved_models: str = "saved_models",
    model: str = "two_tower",
    protocol: str = "leave-last-out",
    num_events: int = 100_000,
    epochs: int = 20,
    embedding_dim: int = 64,
    learning_rate: float = 0.05,
    above_baseline: float = 0.0,
) -> c.Pipeline:
    """Returns the pipeline."""
    positive = {"column": "clicked", "at_least": 1}
    gen = c.DatasetExampleGen(dataset="demo", num_events=num_events, protocol=protocol)
    sides = {"queries": gen["queries"], "candidates": gen["candidates"]}
    events = c.StatisticsGen(examples=gen["examples"])
    users = c.StatisticsGen(id="UserStatisticsGen", examples=gen["queries"])
    items = c.StatisticsGen(id="ItemStatisticsGen", examples=gen["candidates"])
    counted = {"queries": users["statistics"], "candidates": items["statistics"]}
    schema = c.SchemaGen(statistics=events["statistics"], **counted)
    valid = c.ExampleValidator(statistics=events["statistics"], schema=schema["schema"], **counted)
    data = {
        "examples": gen["examples"],
        "schema": schema["schema"],
        "anomalies": valid["anomalies"],
        "model": model,
        "positive": positive,
        **sides,
    }
    transform = c.Transform(**data)
    trainer = c.Trainer(
        transform_graph=transform["transform_graph"],
        options={
            "epochs": epochs,
            "embedding_dim": embedding_dim,
            "learning_rate": learning_rate,
        },
        **data,
    )
    trained = trainer["trained"]
    evaluator = c.Evaluator(
        model=trained,
        baseline_model=c.LatestBlessed(other_than=trained),
        above_baseline=above_baseline,
        slices=["device"],
    )
    index = c.IndexBuilder(model=trained, name="quickstart")
    infra = c.InfraValidator(index=index["index"])
    pusher = c.Pusher(
        index=index["index"],
        blessing=evaluator["blessing"],
        infra_blessing=infra["blessing"],
        destination=saved_models,
    )
    nodes = (gen, events, users, items, schema, valid, transform, trainer)
    return c.Pipeline("quickstart", (*nodes, evaluator, index, infra, pusher))
