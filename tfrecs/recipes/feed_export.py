"""A trained iki run as a feed: to be asked in Python, or exported as one SavedModel."""

from typing import Any

from tfrecs.export.feed_graph import FeedSignatures
from tfrecs.recipes.base import Trained
from tfrecs.recipes.feed import content_of
from tfrecs.recipes.feed_candidates import tag_candidates
from tfrecs.recipes.feed_skills import RunSkills
from tfrecs.retrieval.tag_candidates import CandidateOptions


def feed_of(
    trained: Trained,
    *,
    n: int = 10,
    options: CandidateOptions | None = None,
    skills: RunSkills | None = None,
) -> FeedSignatures:
    """Returns the feed of a run: `feed_of(run).feed({...})`, or `export_feed(feed_of(run), ...)`.

    Args:
        trained: A run of the model "iki".
        n: Number of results. Defaults to 10.
        options: How far each source of candidates reaches.
        skills: Those of the training; `None` for a feed without CVs, which leaves skills as they
            come.
    """
    model, transform, tables = trained.model, trained.transform, trained.tables
    candidates = tag_candidates(model, transform, trained.split.train, tables, options)
    more: dict[str, Any] = {} if skills is None else vars(skills)
    return FeedSignatures(model, transform, candidates, n=n, content=content_of(tables), **more)
