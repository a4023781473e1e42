"""A trained iki run as a feed: to be asked in Python, or exported as one SavedModel."""

from typing import Any

from tfrecs.export.feed_graph import FeedSignatures
from tfrecs.features.skill_extractor import SkillExtractor
from tfrecs.features.skills import Skills
from tfrecs.recipes.base import Trained
from tfrecs.recipes.feed import content_of
from tfrecs.recipes.feed_candidates import tag_candidates
from tfrecs.retrieval.tag_candidates import CandidateOptions


def feed_of(
    trained: Trained,
    *,
    n: int = 10,
    options: CandidateOptions | None = None,
    extractor: SkillExtractor | None = None,
    skills: Skills | None = None,
) -> FeedSignatures:
    """Returns the feed of a run: `feed_of(run).feed({...})`, or `export_feed(feed_of(run), ...)`.

    Args:
        trained: A run of the model "iki".
        n: Number of results. Defaults to 10.
        options: How far each source of candidates reaches.
        extractor: Reads skills out of CVs; `None` for a feed without CVs.
        skills: The set of skills of the training; `None` leaves skills as they come.
    """
    model, transform, tables = trained.model, trained.transform, trained.tables
    candidates = tag_candidates(model, transform, trained.split.train, tables, options)
    more: dict[str, Any] = {"extractor": extractor, "skills": skills}
    return FeedSignatures(model, transform, candidates, n=n, content=content_of(tables), **more)
