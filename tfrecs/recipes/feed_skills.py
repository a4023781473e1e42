"""Skills of the users of a data set: those they give, and those in their CVs."""

from dataclasses import replace

import pyarrow as pa

from tfrecs.datasets import Tables
from tfrecs.features.skill_extractor import SkillExtractor
from tfrecs.features.skills import Skills
from tfrecs.spec import FeatureSpec, MultiCategorical

CV, SKILLS = "cv", "skills"


def with_skills(
    tables: Tables,
    extractor: SkillExtractor | None = None,
    *,
    min_count: int = 2,
    max_skills: int = 1000,
) -> tuple[Tables, Skills]:
    """Gives users the column "skills": a fixed set, made anew for each training.

    Args:
        tables: Users with the text "cv", lists "skills" of their own, or both.
        extractor: Reads the CVs; `None` leaves them.
        min_count: Skills of fewer users are dropped. Defaults to 2.
        max_skills: Most skills kept. Defaults to 1,000.

    Returns:
        The tables, and the set, which an export needs.
    """
    queries = tables.queries
    given = SKILLS in queries.column_names
    rows = [list(row or ()) for row in queries[SKILLS].to_pylist()] if given else None
    phrases = rows or [[] for _ in range(queries.num_rows)]
    if extractor is not None:
        found = extractor.extract(queries[CV].to_pylist())
        phrases = [own + more for own, more in zip(phrases, found, strict=True)]
    skills = Skills.adapt(
        (p for row in phrases for p in row), min_count=min_count, max_skills=max_skills
    )
    lists = skills.encode(pa.chunked_array([pa.array(phrases, pa.list_(pa.string()))]))
    if given:
        queries = queries.drop_columns([SKILLS])
    kept = [f for f in tables.spec if f.name != SKILLS]
    spec = FeatureSpec((*kept, MultiCategorical(SKILLS, "query")))
    return replace(tables, queries=queries.append_column(SKILLS, lists), spec=spec), skills
