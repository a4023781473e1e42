"""Skills of the users of a data set: those they give, and those in their CVs.

Extractor and fixed set belong to one training: `train_skills` makes both anew from the list and
the CVs of that day, and they are kept in the folder of the run, so that its exports hold a copy of
their own and an older version goes on answering by the set that it was trained with.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from tfrecs import checks
from tfrecs.datasets import Tables
from tfrecs.features.skill_extractor import SkillExtractor, TaggerOptions
from tfrecs.features.skills import Skills
from tfrecs.spec import FeatureSpec, MultiCategorical

CV, SKILLS = "cv", "skills"
_EXTRACTOR, _SET = "extractor", "skills.json"


@dataclass(frozen=True)
class RunSkills:
    """What finds the skills in a CV, and the fixed set of one training.

    Args:
        extractor: Reads CVs.
        skills: The set.
    """

    extractor: SkillExtractor
    skills: Skills

    def save(self, run: str | Path) -> None:
        """Writes both into the folder of a run."""
        folder = Path(run) / SKILLS
        folder.mkdir(parents=True, exist_ok=True)
        self.extractor.save(folder / _EXTRACTOR)
        self.skills.save(folder / _SET)

    @classmethod
    def load(cls, run: str | Path) -> "RunSkills | None":
        """Reads what `save` wrote; `None` where a run was trained without a list of skills."""
        folder = Path(run) / SKILLS
        if not folder.is_dir():
            return None
        return cls(SkillExtractor.load(folder / _EXTRACTOR), Skills.load(folder / _SET))


def read_skills(file: str | Path) -> list[str]:
    """Returns the skills of a text file of one skill a line, without empty lines."""
    lines = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def train_skills(
    tables: Tables, listed: Iterable[str], options: TaggerOptions | None = None
) -> tuple[Tables, RunSkills]:
    """Trains an extractor on the CVs, and gives users the skills that it finds.

    Args:
        tables: Users with the text "cv".
        listed: Skills to learn from, in any spelling.
        options: Size and training of the extractor.

    Raises:
        ValueError: If users have no "cv", or none of the skills is in any.
    """
    if CV not in tables.queries.column_names:
        remedy = "Skills are read out of CVs: add the column, or leave the list of skills out."
        raise ValueError(
            checks.expected("users", f"with {CV!r}", tables.queries.column_names, remedy)
        )
    texts = [cv for cv in tables.queries[CV].to_pylist() if cv]
    extractor = SkillExtractor.train(texts, listed, options)
    tables, skills = with_skills(tables, extractor)
    return tables, RunSkills(extractor, skills)


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
