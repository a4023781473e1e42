"""What the command line does for feeds alone: rankers of tags, and the feed of a user."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from tfrecs.cli.options import console

MODEL = "iki"


def check(option: str, model: str) -> None:
    """Raises ValueError where an option of feeds is given to another model."""
    if model != MODEL:
        raise ValueError(f"{option} is for --model {MODEL}. Received: --model {model}.")


def train_tags(run: Any, min_interactions: int, processes: int) -> Any:
    """Trains the rankers of the tags of a run, and keeps them in it."""
    from tfrecs.recipes.feed_tags import TagOptions
    from tfrecs.recipes.feed_tags import train_tags as train
    from tfrecs.report import LOGS

    options = TagOptions(min_interactions=min_interactions, processes=processes)
    with console.status("  rankers of tags"):
        trained = train(run.model, run.transform, run.split.train, run.tables, options)
    console.print(
        f"  {len(trained.events)} tags have rankers of their own ({trained.seconds:.1f} s), "
        f"{len(trained.left)} of fewer than {min_interactions} events the global one"
    )
    run = dataclasses.replace(run, model=trained.model)
    logs = run.folder / LOGS
    with tempfile.TemporaryDirectory(prefix=".logs-", dir=run.folder.parent) as place:
        kept = shutil.copytree(logs, Path(place) / LOGS) if logs.is_dir() else None
        run.save()  # anew, so without what others have put there
        if kept is not None:
            kept.rename(logs)
    return run


def train_skills(tables: Any, file: Path) -> Any:
    """Trains what finds skills in CVs, by a file of one skill a line; returns tables and both."""
    from tfrecs import checks
    from tfrecs.recipes.feed_skills import read_skills
    from tfrecs.recipes.feed_skills import train_skills as train

    listed = read_skills(file)
    if not listed:
        raise ValueError(checks.expected("--skills", "a file of one skill a line", str(file)))
    with console.status("  skills"):
        tables, found = train(tables, listed)
    console.print(f"  {len(found.skills.names):,} skills are in the CVs of two users or more")
    return tables, found


def recommend(run: Any, users: list[str], tag: str, n: int) -> None:
    """Prints the feed of users on a tag: items, scores, and why each is there."""
    import numpy as np
    import pyarrow.compute as pc
    import tensorflow as tf

    from tfrecs import checks
    from tfrecs.export.feed_graph import CV, TAG, N
    from tfrecs.recipes.feed_export import feed_of
    from tfrecs.recipes.feed_skills import RunSkills

    check("--tag", run.options.model)
    checks.one_of("tag", tag, run.transform.vocabulary("tags").tolist())
    feed = feed_of(run, n=n, skills=RunSkills.load(run.folder))
    query, queries = run.tables.spec.query_id.name, run.tables.queries
    for user in users:
        row = queries.filter(pc.equal(queries[query].cast("string"), user))
        lists = [row[name][0].as_py() or [] if row.num_rows else [] for name in feed.names]
        raw = {
            name: tf.reshape(tf.constant(values, feed.inputs[name].dtype), [1, len(values)])
            for name, values in zip(feed.names, lists, strict=True)
        }
        if CV in feed.inputs:
            raw[CV] = tf.constant([row[CV][0].as_py() or "" if row.num_rows else ""])
        found = feed.feed({**raw, TAG: tf.constant([tag]), N: tf.constant(n)})
        note = "" if row.num_rows else "  (unknown user: no history)"
        console.print(f"[bold]{user}[/] on [bold]{tag}[/]{note}")
        known = np.isfinite(found["score"][0])
        table = Table("score", "item", "why", "nearest liked", box=None, header_style="bold")
        columns = [found[name][0].numpy()[known] for name in ("score", feed.item, "source")]
        for score, item, source, near in zip(
            *columns, found["nearest_liked"][0].numpy()[known], strict=True
        ):
            table.add_row(f"{score:6.3f}", _text(item), _text(source), _text(near))
        console.print(table)


def _text(value: Any) -> str:
    """Returns an id as text; a missing one is nothing."""
    if isinstance(value, bytes):
        return value.decode()
    return "" if value == -1 else str(value)
