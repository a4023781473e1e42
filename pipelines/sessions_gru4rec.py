"""Sessions of clicks, from a file of events to a pushed GRU4Rec.

    tfrecs pipeline run pipelines/sessions_gru4rec.py --set events=DIR/clicks.parquet

The events have a session, an item and a time in whole seconds, by names such as session_id, item_id
and timestamp. The last tenth of the sessions is held out, whole.

Some minutes on 2 cores for the 70,000 events of a RecSys 2015 sample: recall@10 0.58. V-SKNN has
0.60 there, so that GRU4Rec is not pushed: with `--set above_baseline=-0.05` it is.
"""

from tfrecs import components as c


def pipeline(
    events: str = "data/sessions/*.parquet",
    session: str = "session_id",
    time: str = "timestamp",
    saved_models: str = "saved_models",
    model: str = "gru4rec",
    units: int = 100,
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float = 0.1,
    above_baseline: float = 0.0,
) -> c.Pipeline:
    """Returns the pipeline."""
    gen = c.ExampleGen(source=events, partition=session, time=time)
    statistics = c.StatisticsGen(examples=gen["examples"])
    schema = c.SchemaGen(statistics=statistics["statistics"])
    # items come and go with the days: what is new in the last tenth is no defect
    valid = c.ExampleValidator(
        statistics=statistics["statistics"], schema=schema["schema"], skew_threshold=0.5
    )
    given = {
        "examples": gen["examples"],
        "schema": schema["schema"],
        "anomalies": valid["anomalies"],
        "model": model,
    }
    transform = c.Transform(**given)
    trainer = c.Trainer(
        transform_graph=transform["transform_graph"],
        options={
            "embedding_dim": units,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
        },
        **given,
    )
    trained = trainer["trained"]
    evaluator = c.Evaluator(
        model=trained,
        baseline_model=c.LatestBlessed(other_than=trained),
        above_baseline=above_baseline,
    )
    index = c.IndexBuilder(model=trained, name="sessions")
    infra = c.InfraValidator(index=index["index"])
    pusher = c.Pusher(
        index=index["index"],
        blessing=evaluator["blessing"],
        infra_blessing=infra["blessing"],
        destination=saved_models,
    )
    nodes = (gen, statistics, schema, valid, transform, trainer, evaluator, index, infra, pusher)
    return c.Pipeline("sessions_gru4rec", nodes)
