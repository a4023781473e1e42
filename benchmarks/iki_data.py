"""The problems of iki.py: prepared tables, held-out feedback, candidate lists to rank."""

import csv
import gzip
import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SEED = 0
TAGS = 300
# passes over the training events and rank of the SVD beside SVD 32, both chosen on held-out
# training events (`iki.py --only validate` for the passes)
SETS = {"citeulike": (10, 64), "lastfm": (6, 8), "demo": (6, 32)}


@dataclass(frozen=True)
class Problem:
    """Tables with the feedback of the ranker, split."""

    name: str
    protocol: str
    tables: Any
    split: Any
    epochs: int = 6
    rank: int = 32


def read(name: str, folder: str, validation: bool = False, **options: Any) -> Problem:
    """Reads a data set, holds a part of its feedback out, and prepares the rest.

    With `validation` the part is held out of what is left when the test is: for choices.
    """
    from tfrecs.recipes.feed import feedback, prepare

    tables = {"citeulike": _citeulike, "lastfm": _lastfm, "demo": _demo}[name](folder, **options)
    split, how = _split(name, tables, feedback(tables))
    if validation:
        split, how = _split(name, tables, split.train)[0], f"of the training part: {how}"
    return Problem(tables.name, how, prepare(tables, split), split, *SETS[name])


def _split(name: str, tables: Any, events: Any) -> Any:
    from tfrecs.evaluation import splits

    if name == "demo":
        return splits.by_time(events, tables.spec, fraction=0.2), "last 20 % by time"
    how = "600 users, 300 tags; random 20 %; zeros are sampled views"
    return splits.random(events, fraction=0.2, seed=SEED), how


def _demo(folder: str) -> Any:
    from tfrecs.datasets import demo
    from tfrecs.datasets.demo_topics import TOPICS
    from tfrecs.features.skill_extractor import SkillExtractor, TaggerOptions
    from tfrecs.recipes.feed_skills import with_skills

    tables = demo(num_users=1500, num_items=2000, num_events=120_000, seed=SEED)
    cvs = [cv for cv in tables.queries["cv"].to_pylist() if cv]
    skills = [skill for topic in TOPICS for skill in topic.skills]
    extractor = SkillExtractor.train(cvs, skills, TaggerOptions(epochs=4))
    return with_skills(tables, extractor)[0]


def _citeulike(folder: str, users: int = 600) -> Any:
    """Users at random; titles and abstracts of the articles that have any, and tags."""
    from tfrecs.datasets import citeulike

    tables = citeulike(folder)
    texts = [""] * tables.candidates.num_rows
    path = next(Path(folder).glob("**/raw-data.head.csv.gz"))
    lines = io.StringIO(gzip.decompress(path.read_bytes()).decode("latin-1"))
    for line in csv.DictReader(lines, escapechar="\\", doublequote=False):
        texts[int(line["doc.id"])] = f"{line['title']} {line['raw.abstract'] or ''}"
    return _limited(tables, texts, users)


def _lastfm(folder: str) -> Any:
    from tfrecs.datasets import hetrec_lastfm

    tables = hetrec_lastfm(folder)
    return _limited(tables, tables.candidates["title"].to_pylist(), 600)


def _limited(tables: Any, texts: list[str], users: int) -> Any:
    """Keeps some users and the 300 most frequent tags; all tags stay as text."""
    from tfrecs.spec import FeatureSpec, Text

    tags = [row or [] for row in tables.candidates["tags"].to_pylist()]
    counts = Counter(tag for row in tags for tag in row)
    kept = {tag for tag, _ in counts.most_common(TAGS)}
    ids = tables.queries["user_id"].combine_chunks()
    chosen = ids.take(pa.array(np.random.default_rng(SEED).permutation(len(ids))[:users]))
    words = [" ".join([text or "", *row]) for text, row in zip(texts, tags, strict=True)]
    lists = pa.array([[t for t in row if t in kept] for row in tags], pa.list_(pa.string()))
    items = tables.candidates.drop_columns(["tags"]).append_column("tags", lists)
    return replace(
        tables,
        events=tables.events.filter(pc.is_in(tables.events["user_id"], chosen)),
        queries=tables.queries.filter(pc.is_in(tables.queries["user_id"], chosen)),
        candidates=items.append_column("text", pa.array(words)),
        spec=FeatureSpec((*tables.spec, Text("text", "candidate"))),
    )


def features_of(problem: Problem) -> Any:
    """Returns the ranker's features, adapted."""
    from tfrecs.features import FeatureTransform
    from tfrecs.recipes import recipe

    tables = problem.tables
    transform = FeatureTransform(recipe("iki").features(tables.spec))
    return transform.adapt(tables.queries, tables.candidates, problem.split.train)


def trained(
    problem: Problem,
    epochs: int | None = None,
    model: Any = None,
    callbacks: Any = (),
    **arguments: Any,
) -> tuple[Any, Any]:
    """Returns the global ranker and its features.

    Args:
        problem: The data.
        epochs: Passes; `None` for those that its validation chose.
        model: Another class than the recipe's; `None` for that.
        callbacks: Of Keras.
        **arguments: Of the model.
    """
    from tfrecs.recipes import Training, recipe

    chosen, tables, transform = recipe("iki"), problem.tables, features_of(problem)
    options = chosen.options(epochs=epochs or problem.epochs, arguments=arguments, seed=SEED)
    training = Training(
        model or chosen.model,
        transform,
        problem.split.train,
        tables,
        options,
        lambda steps: list(callbacks),
    )
    return chosen.fit(training)[0], transform


def auc_by_tag(
    scores: np.ndarray, liked: np.ndarray, rows: dict[int, np.ndarray], least: int = 10
) -> np.ndarray:
    """Returns the AUC of likes against the rest for each tag with enough of both."""
    from scipy.stats import rankdata

    found = []
    for of_tag in rows.values():
        positive = liked[of_tag]
        count = int(positive.sum())
        if min(count, len(positive) - count) < least:
            continue
        ranks = rankdata(scores[of_tag])[positive].sum()
        found.append((ranks - count * (count + 1) / 2) / (count * (len(positive) - count)))
    return np.array(found)


def stderr_by(groups: np.ndarray, values: np.ndarray) -> float:
    """Returns the standard error of a mean of values that go together by group."""
    sums = np.bincount(groups, values - values.mean())
    return float(np.sqrt(np.sum(sums**2)) / len(values))


def ndcg(scores: np.ndarray, relevant: np.ndarray, wanted: int, k: int = 10) -> float:
    """Returns nDCG@k of one list, ideal where all that was wanted came first."""
    order = np.argsort(-scores, kind="stable")[:k]
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gain = (relevant[order] * discounts[: len(order)]).sum()
    return float(gain / discounts[: min(wanted, k)].sum())
