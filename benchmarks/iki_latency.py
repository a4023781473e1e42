"""The SavedModel that iki.py times: a feed of 100,000 items of the demo world, and its requests."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from iki_data import SEED, Problem, trained

ITEMS = 100_000
REQUESTS = 400
HEAVY = ("body", "image", "spectrogram", "price")  # of no use here


def write_feed(folder: Path) -> None:
    """Trains for one epoch, exports FOLDER/feed and writes FOLDER/requests.json."""
    from tfrecs.datasets import demo
    from tfrecs.datasets.demo_topics import TOPICS
    from tfrecs.export.feed import export_feed
    from tfrecs.export.feed_graph import FeedSignatures
    from tfrecs.features.skill_extractor import SkillExtractor, TaggerOptions
    from tfrecs.recipes import recipe
    from tfrecs.recipes.feed import prepare
    from tfrecs.recipes.feed_candidates import tag_candidates
    from tfrecs.recipes.feed_skills import with_skills

    tables = demo(num_users=10_000, num_items=ITEMS, num_events=200_000, seed=SEED)
    kept = [name for name in tables.spec.names if name not in HEAVY]
    tables = replace(
        tables,
        candidates=tables.candidates.drop_columns(list(HEAVY)),
        spec=tables.spec.select(*kept),
    )
    cvs = [cv or "" for cv in tables.queries["cv"].to_pylist()]
    listed = [skill for topic in TOPICS for skill in topic.skills]
    extractor = SkillExtractor.train(cvs[:600], listed, TaggerOptions(epochs=3))
    tables, skills = with_skills(tables, extractor)
    split = recipe("iki").task.split(tables, "random")
    tables = prepare(tables, split)
    model, transform = trained(Problem("demo", "", tables, split), epochs=1)
    candidates = tag_candidates(model, transform, split.train, tables)
    feed = FeedSignatures(model, transform, candidates, extractor=extractor, skills=skills)
    export_feed(feed, tables.queries, folder, name="feed")
    rng = np.random.default_rng(SEED)
    names = [topic.name for topic in TOPICS]
    bodies = []
    for user in rng.permutation(tables.queries.num_rows)[:REQUESTS].tolist():
        known = tables.queries.slice(user, 1).to_pylist()[0]
        body = {name: [list(known[name] or []) or [""]] for name in feed.names}
        body |= {"cv": [known["cv"] or ""], "tag": [str(rng.choice(known["user_tags"] or names))]}
        bodies.append(body | {"skills": [[""]]})  # those of the CV
    (folder / "requests.json").write_text(json.dumps(bodies))
