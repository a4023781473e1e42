"""Continuous operation: a day of events (a span) trains the last blessed model further, and pushes.

    tfrecs pipeline run pipelines/daily_two_tower.py --set span=2 --set events='data/day-{SPAN}/*'

About half a minute a day of 20,000 events on 2 cores. Day 1 begins anew. From day 2 on new users
and items get rows of their own in the tables, the data are compared with the day before, and the
model with the last blessed one. The schema is that of the first day. Expect ndcg@10 to stay within
two percent of the day before or better, else nothing is pushed.
"""

from tfrecs import components as c


def pipeline(
    events: str = "data/day-{SPAN}/events.parquet",
    users: str = "data/users.parquet",
    items: str = "data/items.parquet",
    span: int = 1,
    first_span: int = 1,
    label: str = "clicked",
    saved_models: str = "saved_models",
    epochs: int = 5,
    above_baseline: float = -1.0,
) -> c.Pipeline:
    """Returns the pipeline of one day."""
    nodes: list[c.Node] = []

    def add(node: c.Node) -> c.Node:
        nodes.append(node)
        return node

    def day(number: int, name: str) -> tuple[c.Node, c.Node]:
        gen = add(c.ExampleGen(id=f"{name}ExampleGen", source=events, span=number))
        counted = c.StatisticsGen(id=f"{name}StatisticsGen", examples=gen["examples"])
        return gen, add(counted)

    sides, side_counts = {}, {}
    for side, source in (("queries", users), ("candidates", items)):
        name = side.capitalize()
        gen = add(c.ExampleGen(id=f"{name}ExampleGen", source=source, splits={"all": 1}))
        sides[side] = gen["examples"]
        counted = add(c.StatisticsGen(id=f"{name}StatisticsGen", examples=gen["examples"]))
        side_counts[side] = counted["statistics"]
    gen, statistics = day(span, "")
    first = statistics if span == first_span else day(first_span, "First")[1]
    before = (
        None
        if span == first_span
        else first
        if span == first_span + 1
        else day(span - 1, "Previous")[1]
    )
    schema = add(c.SchemaGen(statistics=first["statistics"], **side_counts))
    valid = add(
        c.ExampleValidator(
            statistics=statistics["statistics"],
            schema=schema["schema"],
            previous=before and before["statistics"],
            **side_counts,
        )
    )
    last = None if span == first_span else c.LatestBlessed(before_span=span)
    data = {
        "examples": gen["examples"],
        "schema": schema["schema"],
        "anomalies": valid["anomalies"],
        "base_model": last,
        "positive": {"column": label, "at_least": 1},
        **sides,
    }
    transform = add(c.Transform(**data))
    trainer = add(
        c.Trainer(transform_graph=transform["transform_graph"], options={"epochs": epochs}, **data)
    )
    evaluator = add(
        c.Evaluator(model=trainer["trained"], baseline_model=last, above_baseline=above_baseline)
    )
    index = add(c.IndexBuilder(model=trainer["trained"], name="daily"))
    infra = add(c.InfraValidator(index=index["index"]))
    add(
        c.Pusher(
            index=index["index"],
            blessing=evaluator["blessing"],
            infra_blessing=infra["blessing"],
            destination=saved_models,
        )
    )
    return c.Pipeline("daily_two_tower", nodes)
