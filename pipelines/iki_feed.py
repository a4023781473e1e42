"""The iki feed, from tables to a pushed SavedModel: skills out of CVs, rankers of tags, reasons.

    tfrecs pipeline run pipelines/iki_feed.py
    tfrecs pipeline run pipelines/iki_feed.py --set skills=skills.txt --set num_events=100000

About a minute on 2 cores with `--set num_events=20000`. The last tenth of the events is held out;
expect an RMSE of the feedback below 1, and from the second run on no worse than the last blessed
model's. Each run trains the extractor anew on the CVs of that day and a list of skills (a file of
one a line; without one the demo world's own), so that the set of skills is of that day and goes
with the export. Pushed are the feed, `iki`, and `iki_skills`, which finds skills in any text.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tfrecs import components as c
from tfrecs import datasets
from tfrecs.components import artifacts
from tfrecs.components import examples as io
from tfrecs.datasets.demo_topics import TOPICS
from tfrecs.features.skill_extractor import TaggerOptions
from tfrecs.recipes.feed_skills import RunSkills, read_skills, train_skills
from tfrecs.recipes.feed_tags import TagOptions
from tfrecs.recipes.feed_tags import train_tags as train
from tfrecs.run import Run
from tfrecs.spec import Categorical, FeatureSpec


def extract_skills(
    queries: artifacts.Examples,
    users: c.Output[artifacts.Examples],
    extractor: c.Output[artifacts.TransformGraph],
    *,
    user: str = "user_id",
    skills: str = "",
    epochs: int = 12,
) -> None:
    """Trains what finds skills in CVs, and gives the users the column "skills".

    Args:
        queries: One row a user, with "cv".
        users: The same, with "skills".
        extractor: What finds them, and the fixed set.
        user: Column of the users' ids.
        skills: File of one skill a line; "" for the demo world's.
        epochs: Passes over the CVs.
    """
    own = [skill for topic in TOPICS for skill in topic.skills]
    listed = read_skills(skills) if skills else own
    table = io.read_table(queries, io.splits(queries)[0])
    spec = FeatureSpec((Categorical(user, "query", is_id=True),))
    tables = datasets.Tables("users", table.select([user]), table, None, spec)
    tables, found = train_skills(tables, listed, TaggerOptions(epochs=epochs))
    for output in (users, extractor):
        output.path.mkdir(exist_ok=True)
    io.write_tables(users, {"all": tables.queries})
    found.save(extractor.path)
    extractor.properties["skills"] = len(found.skills.names)


def train_tags(
    model: artifacts.Model,
    extractor: artifacts.TransformGraph,
    trained: c.Output[artifacts.Model],
    *,
    min_interactions: int = 50,
) -> None:
    """Trains the rankers of the tags beside the global one.

    Args:
        model: The global one.
        extractor: Goes with it.
        trained: The run, with both.
        min_interactions: Tags of fewer events share the global ranker.
    """
    run = Run.load(model.path)
    options = TagOptions(min_interactions=min_interactions)
    found = train(run.model, run.transform, run.split.train, run.tables, options)
    replace(run, model=found.model, folder=trained.path).save()
    skills = RunSkills.load(extractor.path)
    if skills is not None:
        skills.save(trained.path)
    trained.properties |= {**model.properties, "tags": len(found.events)}


def _skills_file(parameters: dict[str, Any]) -> list[Path]:
    return [Path(parameters["skills"])] if parameters["skills"] else []


ExtractSkills = c.Component(extract_skills, files=_skills_file, places=("skills",))
TrainTags = c.Component(train_tags)


def pipeline(
    saved_models: str = "saved_models",
    skills: str = "",
    num_events: int = 50_000,
    epochs: int = 6,
    batch_size: int = 128,
    min_interactions: int = 50,
) -> c.Pipeline:
    """Returns the pipeline."""
    gen = c.DatasetExampleGen(dataset="demo", num_events=num_events, protocol="time")
    found = ExtractSkills(queries=gen["queries"], skills=skills)
    sides = {"queries": found["users"], "candidates": gen["candidates"]}
    events = c.StatisticsGen(examples=gen["examples"])
    users = c.StatisticsGen(id="UserStatisticsGen", examples=found["users"])
    items = c.StatisticsGen(id="ItemStatisticsGen", examples=gen["candidates"])
    counted = {"queries": users["statistics"], "candidates": items["statistics"]}
    roles = {"reaction": {"role": "label"}, "user_tags": {"shared_with": "tags"}}
    schema = c.SchemaGen(statistics=events["statistics"], overrides=roles, **counted)
    valid = c.ExampleValidator(statistics=events["statistics"], schema=schema["schema"], **counted)
    data = {
        "examples": gen["examples"],
        "schema": schema["schema"],
        "anomalies": valid["anomalies"],
        "model": "iki",
        "positive": {"column": "clicked", "at_least": 1},
        **sides,
    }
    transform = c.Transform(**data)
    trainer = c.Trainer(
        transform_graph=transform["transform_graph"],
        options={"epochs": epochs, "batch_size": batch_size},
        **data,
    )
    tags = TrainTags(
        model=trainer["trained"],
        extractor=found["extractor"],
        min_interactions=min_interactions,
    )
    model = tags["trained"]
    last = c.LatestBlessed(other_than=model)
    # scores order items; as estimates of feedback they are judged against the last model's alone
    evaluator = c.Evaluator(model=model, baseline_model=last, above_baseline=None)
    export = c.IndexBuilder(model=model, name="iki")
    infra = c.InfraValidator(index=export["index"])
    pusher = c.Pusher(
        index=export["index"],
        blessing=evaluator["blessing"],
        infra_blessing=infra["blessing"],
        destination=saved_models,
    )
    nodes = (gen, found, events, users, items, schema, valid, transform, trainer, tags)
    return c.Pipeline("iki_feed", (*nodes, evaluator, export, infra, pusher))
