"""The iki feed: ranker, ablation, candidates, cold start, skills, rankers of tags, latency.

    TFRECS_DATA=DIR python benchmarks/iki.py --only rank --data lastfm     # one data set
    TFRECS_DATA=DIR python benchmarks/iki.py --only validate --data demo   # how many epochs
    TFRECS_DATA=DIR python benchmarks/iki.py --only ablation --data demo
    TFRECS_DATA=DIR python benchmarks/iki.py --only why --data lastfm
    TFRECS_DATA=DIR python benchmarks/iki.py --only hybrid --data lastfm
    TFRECS_DATA=DIR python benchmarks/iki.py --only per_tag --data demo
    TFRECS_DATA=DIR python benchmarks/iki.py --only tags        # 300 tags of CiteULike-a
    python benchmarks/iki.py --only skills
    python benchmarks/iki.py --only latency --folder FOLDER     # twice: writes, then measures

`rank` compares the global ranker with SVD, NMF, hybrid MF (iki_peers.py) and popularity. Test pairs
of half of the users fit a line from each model's scores to the feedback, the other half is judged:
sign (feedback above the middle or not), squared error, AUC a tag; and nDCG@10 over the candidates
of pairs of a user and a tag with held-out likes. Candidates that miss a like count against all
models alike. The standard error of a difference takes the pairs of one user together.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import row, write
from iki_data import SEED, SETS, Problem, auc_by_tag, features_of, ndcg, read, stderr_by, trained
from iki_peers import Scores, peers, positions, warp

OURS = "IkiRanker, global"
PAIRS = 2000
WARP_TAGS = {  # which tags its features are
    "ids alone": (False, False),
    "ids and tags of users": (True, False),
    "ids and tags of items": (False, True),
}
CHECKED = (2, 3, 4, 5, 6, 8, 10, 12)  # epochs at which the validation looks


def scorer(call: Any, transform: Any, tables: Any) -> Scores:
    """Returns the scores of a ranker: `call(batch)` on blocks of pairs."""
    import tensorflow as tf

    names = [f.name for f in transform.spec.by_role("query") if f.name != "user_id"]
    users = {k: tf.constant(v) for k, v in transform.encode(tables.queries, names).items()}

    @tf.function(reduce_retracing=True)
    def score(rows: Any, items: Any) -> Any:
        return call({**{k: tf.gather(v, rows) for k, v in users.items()}, "item_id": items})

    def scores(rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        parts = [
            score(tf.constant(rows[i : i + 4096]), tf.constant(items[i : i + 4096])).numpy()
            for i in range(0, len(rows), 4096)
        ]
        return np.concatenate(parts)

    return scores


def gains_of(score: Scores, lists: Any) -> np.ndarray:
    """Returns nDCG@10 of each list of candidates."""
    sizes = [len(of_pair) for _, of_pair, _ in lists]
    at = np.repeat([user for user, _, _ in lists], sizes)
    ids = np.concatenate([of_pair for _, of_pair, _ in lists])
    ranked = np.split(score(at, ids), np.cumsum(sizes)[:-1])
    found = [
        ndcg(scores, np.isin(of_pair, wanted), len(wanted))
        for scores, (_, of_pair, wanted) in zip(ranked, lists, strict=True)
    ]
    return np.array(found)


def judged(problem: Problem, transform: Any, models: dict[str, Scores], lists: Any) -> list[Any]:
    """Returns the rows of all models on held-out pairs and candidate lists."""
    from tfrecs.evaluation.truth import query_positions
    from tfrecs.recipes.feed_tags import rows_by_tag

    test = problem.split.test
    users = query_positions(test, problem.tables)
    items = transform.encode(test.select(["item_id"]), ["item_id"])["item_id"]
    target = np.asarray(test["feedback"], np.float64)
    fitted = users % 2 == 0
    by_tag = rows_by_tag(transform, items[~fitted], problem.tables)
    middle = 0.5 if target.min() == 0 else 0.0
    rated = target != 0 if target.min() < 0 else np.ones(len(target), bool)
    rows, gains = [], {}
    for name, score in models.items():
        scores = score(users, items)
        slope, offset = np.polyfit(scores[fitted], target[fitted], 1)
        predicted = np.clip(slope * scores + offset, -1, 1)[~fitted]
        truth = target[~fitted]
        right = ((predicted > middle) == (truth > middle))[rated[~fitted]]
        error = (predicted - truth) ** 2
        auc = auc_by_tag(scores[~fitted], truth == 1, by_tag)
        gains[name] = gains_of(score, lists)
        for metric, values in (
            ("sign accuracy", right),
            ("MSE", error),
            ("AUC per tag", auc),
            ("nDCG@10", gains[name]),
        ):
            if len(values) == 0:  # no tag with enough of both
                continue
            spread = float(np.std(values) / np.sqrt(len(values)))
            rows.append(
                row(problem.name, problem.protocol, name, metric, np.mean(values), stderr=spread)
            )
        if name != next(iter(models)):
            difference = gains[next(iter(models))] - gains[name]
            spread = stderr_by(np.array([user for user, _, _ in lists]), difference)
            metric = f"nDCG@10 of {next(iter(models))} minus it, paired"
            rows.append(
                row(problem.name, problem.protocol, name, metric, difference.mean(), stderr=spread)
            )
    return rows


def candidate_lists(problem: Problem, candidates: Any, transform: Any) -> Any:
    """Returns user, candidate ids and held-out likes of pairs of a user and a tag."""
    import tensorflow as tf

    from tfrecs.recipes.feed_candidates import histories, like_pairs

    queries = histories(transform, problem.tables)
    find = tf.function(candidates.__call__, autograph=False)
    pairs = like_pairs(transform, problem.split.test, problem.tables, PAIRS, SEED)
    return [
        (user, find(tf.constant(tag), *(v[user] for v in queries.values()))[0].numpy(), wanted)
        for (user, tag), wanted in pairs.items()
    ]


def rank(problem: Problem) -> list[Any]:
    """The ranker against the others."""
    return compared(problem, lambda transform: peers(problem, transform))


def compared(problem: Problem, others: Callable[[Any], dict[str, Scores]]) -> list[Any]:
    """Returns the rows of the ranker and of others, which get its features, on the same lists."""
    from tfrecs.recipes.feed_candidates import tag_candidates

    model, transform = trained(problem)
    candidates = tag_candidates(model, transform, problem.split.train, problem.tables)
    lists = candidate_lists(problem, candidates, transform)
    models = {OURS: scorer(model, transform, problem.tables)} | others(transform)
    return judged(problem, transform, models, lists)


def reach(problem: Problem) -> list[Any]:
    """How many candidates there are, what they reach, and how far apart a cold start's are."""
    from tfrecs.recipes.feed_candidates import by_radius, report_candidates, tag_candidates

    model, transform = trained(problem, epochs=1)
    candidates = tag_candidates(model, transform, problem.split.train, problem.tables)
    arguments = {"transform": transform, "test": problem.split.test, "tables": problem.tables}
    report = report_candidates(candidates, **arguments)
    told = [(f"candidates by {n}", v) for n, v in report.counts.items()]
    told += [(f"recall of {n}", v) for n, v in report.recall.items()]
    told += [(f"recall@{k}", v) for k, v in report.recall_at.items()]
    for radius, found in by_radius(candidates, (0.9, 0.7, 0.3), **arguments).items():
        told.append((f"candidates by neighbours, radius {radius}", found.counts["neighbours"]))
        told.append((f"recall of neighbours, radius {radius}", found.recall["neighbours"]))
    rows = [row(problem.name, problem.protocol, "candidates", m, v) for m, v in told]
    return rows + cold(problem, candidates)


def ablation(problem: Problem) -> list[Any]:
    """The ranker without each of its inputs, on the same candidate lists."""
    from tfrecs.models.iki import INPUTS

    return beside(problem, {f"without {name}": {"without": [name]} for name in INPUTS})


def why(problem: Problem) -> list[Any]:
    """The ranker without what makes it learn products and keeps the label from it."""
    from iki_variants import VARIANTS

    return beside(problem, {name: {"model": model} for name, model in VARIANTS.items()})


def hybrid(problem: Problem) -> list[Any]:
    """What hybrid MF by WARP owes to the tags: without those of users, of items, of both."""

    def others(transform: Any) -> dict[str, Scores]:
        position = positions(transform, problem)
        return {
            f"Hybrid MF 32 (WARP), {name}": warp(problem, position, tags)
            for name, tags in WARP_TAGS.items()
        }

    return but_ours(compared(problem, others))


def beside(problem: Problem, variants: dict[str, dict[str, Any]]) -> list[Any]:
    """Returns the rows of rankers that are trained otherwise, beside the ranker."""

    def others(transform: Any) -> dict[str, Scores]:
        return {
            name: scorer(trained(problem, **options)[0], transform, problem.tables)
            for name, options in variants.items()
        }

    return but_ours(compared(problem, others))


def but_ours(rows: list[Any]) -> list[Any]:
    """Returns the rows of the others; `rank` has the ranker's."""
    return [one for one in rows if one["model"] != OURS]


def validate(problem: Problem) -> list[Any]:
    """nDCG@10 by epochs, on a part held out of the training events."""
    import keras

    from tfrecs.recipes.feed_candidates import tag_candidates

    rows: list[Any] = []

    class Look(keras.callbacks.Callback):
        lists: Any = None

        def on_train_begin(self, logs: Any = None) -> None:
            found = tag_candidates(self.model, transform, problem.split.train, problem.tables)
            self.lists = candidate_lists(problem, found, transform)
            self.score = scorer(self.model, transform, problem.tables)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 in CHECKED:
                gains = gains_of(self.score, self.lists)
                spread = stderr_by(np.array([user for user, _, _ in self.lists]), gains)
                about = f"validation nDCG@10, {epoch + 1} epochs"
                rows.append(
                    row(problem.name, problem.protocol, OURS, about, gains.mean(), stderr=spread)
                )

    transform = features_of(problem)
    trained(problem, max(CHECKED), callbacks=[Look()])
    return rows


def per_tag(problem: Problem) -> list[Any]:
    """nDCG@10 of the rankers of the tags, beside the global one's on the same lists."""
    import tensorflow as tf

    from tfrecs.recipes.feed_candidates import like_pairs, tag_candidates
    from tfrecs.recipes.feed_tags import TagOptions, train_tags

    model, transform = trained(problem)
    candidates = tag_candidates(model, transform, problem.split.train, problem.tables)
    lists = candidate_lists(problem, candidates, transform)
    pairs = like_pairs(transform, problem.split.test, problem.tables, PAIRS, SEED)
    tags = np.array([tag for _, tag in pairs])
    options = TagOptions(epochs=1)
    found = train_tags(model, transform, problem.split.train, problem.tables, options)
    own = np.flatnonzero(np.isin(tags, np.flatnonzero(found.model.places.numpy())))
    users = np.array([lists[place][0] for place in own])
    tag = tf.Variable(0)
    score = scorer(lambda batch: found.model.for_tag(batch, tag), transform, problem.tables)
    gains: dict[str, list[float]] = {"global": [], "of their tags": []}
    for name, wanted in (("global", np.zeros_like(own)), ("of their tags", tags[own])):
        for place, value in zip(own, wanted, strict=True):
            tag.assign(value)
            gains[name] += gains_of(score, [lists[place]]).tolist()
    ours = {name: np.array(values) for name, values in gains.items()}
    ours["of their tags minus global, paired"] = ours["of their tags"] - ours["global"]
    metric = f"nDCG@10 on the {len(found.events)} tags of {options.min_interactions} events or more"
    return [
        row(
            problem.name,
            problem.protocol,
            f"IkiRanker, {name}",
            metric,
            values.mean(),
            stderr=stderr_by(users, values),
        )
        for name, values in ours.items()
    ]


def cold(problem: Problem, candidates: Any, draws: int = 100, size: int = 10) -> list[Any]:
    """How often a diverse start has a smallest distance of at least a random one's."""
    import tensorflow as tf

    from tfrecs.retrieval.diverse import farthest_points

    rng = np.random.default_rng(SEED)
    starts, items = candidates.tag_starts.numpy(), candidates.tag_items.numpy()
    large = np.flatnonzero(np.diff(starts) >= 5 * size)
    find = tf.function(farthest_points, reduce_retracing=True)
    wins = []
    for _ in range(draws):
        tag = rng.choice(large)
        points = candidates.content.numpy()[items[starts[tag] : starts[tag + 1]]]
        far = find(tf.constant(points), tf.constant(size), tf.constant(rng.integers(len(points))))
        chosen = (points[far.numpy()], points[rng.choice(len(points), size, replace=False)])
        smallest = [
            np.linalg.norm(x[:, None] - x, axis=-1)[np.triu_indices(size, 1)].min() for x in chosen
        ]
        wins.append(smallest[0] >= smallest[1])
    name = "k-center against random, smallest distance of 10"
    return [row(problem.name, f"{draws} draws of a tag", "cold start", name, float(np.mean(wins)))]


def skills() -> list[Any]:
    """The extractor on the demo world's CVs, a fifth of the skills never seen, by seed."""
    import tensorflow as tf

    from tfrecs.datasets import demo
    from tfrecs.datasets.demo_topics import TOPICS
    from tfrecs.features.skill_extractor import SkillExtractor, drop_sentences
    from tfrecs.features.skills import fold

    def keys(phrases: Any) -> set[bytes]:
        return set(fold(tf.constant([*phrases] or [""], tf.string)).numpy()) - {b""}

    tables = demo(num_users=3000, num_items=50, num_events=3000)
    cvs = [cv or "" for cv in tables.queries["cv"].to_pylist()]
    listed = sorted({skill for topic in TOPICS for skill in topic.skills})
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(3):
        held = np.random.default_rng(seed).permutation(listed)[: len(listed) // 5].tolist()
        texts = [t for t in drop_sentences(cvs[:2400], held) if t]
        known = sorted(set(listed) - set(held))
        extractor = SkillExtractor.train(texts, known)
        truth = [keys(row) for row in tables.truth.skills[2400:]]
        taken = {
            "SkillExtractor": [keys(row) for row in extractor.extract(cvs[2400:])],
            "dictionary matcher": [keys(row) for row in matched(cvs[2400:], known)],
        }
        seen = keys(known)
        for name, rows in taken.items():
            pairs = list(zip(rows, truth, strict=True))
            parts = {
                "seen": [(a & seen, b & seen) for a, b in pairs],
                "held-out": [(a - seen, b - seen) for a, b in pairs],
            }
            for part, sets in parts.items():
                right, given, there = (
                    sum(map(len, column))
                    for column in zip(*((a & b, a, b) for a, b in sets), strict=True)
                )
                p, r = right / max(given, 1), right / max(there, 1)
                values = (p, r, 2 * p * r / max(p + r, 1e-9))
                for metric, value in zip(("precision", "recall", "F1"), values, strict=True):
                    found.setdefault((name, f"{metric}, {part} skills"), []).append(value)
    how = "a fifth of the skills held out of list and text, 3 draws, 600 new CVs"
    return [
        row("demo CVs", how, *key, np.mean(values), stderr=float(np.std(values) / 3**0.5))
        for key, values in found.items()
    ]


def matched(texts: list[str], listed: list[str]) -> list[list[str]]:
    """Returns the phrases of a list that are in each text."""
    import tensorflow as tf

    from tfrecs.features.skill_extractor import label_tokens, tokens_of

    tokens = tokens_of(tf.constant(texts))
    found = []
    for words, labels in zip(tokens.to_list(), label_tokens(tokens, listed).to_list(), strict=True):
        phrases: list[list[str]] = []
        for word, label in zip(words, labels, strict=True):
            if label == 1:
                phrases.append([])
            if label:
                phrases[-1].append(word.decode())
        found.append([" ".join(phrase) for phrase in phrases])
    return found


def tags(folder: str, processes: int) -> list[Any]:
    """Seconds to train the rankers of 300 tags at 100,000 ratings."""
    from dataclasses import replace

    import pyarrow as pa

    from tfrecs.models.iki import TAGS
    from tfrecs.recipes.feed_tags import TagOptions, rows_by_tag, train_tags

    problem = read("citeulike", folder, users=2500)
    train = problem.split.train
    chosen = np.random.default_rng(SEED).permutation(train.num_rows)[:100_000]
    problem = replace(problem, split=replace(problem.split, train=train.take(pa.array(chosen))))
    model, transform = trained(problem)
    items = transform.encode(problem.split.train.select(["item_id"]), ["item_id"])["item_id"]
    sizes = sorted(map(len, rows_by_tag(transform, items, problem.tables).values()))
    least = sizes[-min(300, len(sizes))]
    options = TagOptions(min_interactions=least, processes=processes)
    start = time.perf_counter()
    found = train_tags(model, transform, problem.split.train, problem.tables, options)
    seconds = time.perf_counter() - start
    how = f"{len(chosen):,} ratings, {TAGS} of {least} or more, {processes} processes"
    told = {"tags": len(found.events), "seconds": seconds, "most traces": max(found.traces)}
    return [row("citeulike-a", how, "rankers of tags", m, v) for m, v in told.items()]


def latency(folder: Path) -> list[Any]:
    """Writes a feed of 100,000 items; when it is there, times it through TensorFlow's C API."""
    requests = folder / "requests.json"
    if not requests.exists():
        from iki_latency import write_feed

        write_feed(folder)
        return []
    from tfrecs.serving import Session

    bodies = json.loads(requests.read_text())
    session = Session(folder / "feed")
    arrays = [session.to_arrays("serving_default", body) for body in bodies]
    for some in arrays[:20]:
        session.run_arrays("serving_default", some)
    seconds = []
    for some in arrays:
        start = time.perf_counter()
        session.run_arrays("serving_default", some)
        seconds.append(time.perf_counter() - start)
    how = f"C API, {len(bodies)} requests of one user, {os.cpu_count()} cores"
    cuts = {"p50": 50, "p99": 99}
    return [
        row(
            "demo world, 100,000 items",
            how,
            "feed",
            f"latency {name}",
            1e3 * np.percentile(seconds, cut),
            unit="ms",
        )
        for name, cut in cuts.items()
    ]


def main() -> None:
    """Runs the parts that are asked for; rows of the others are kept."""
    parser = argparse.ArgumentParser()
    every = "validate,rank,reach,why,hybrid,ablation,per_tag,skills,tags"
    parser.add_argument("--only", default=every)
    parser.add_argument("--data", default=",".join(SETS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    data = os.environ.get("TFRECS_DATA", "")
    rows: list[Any] = []
    parts = {
        "rank": rank,
        "reach": reach,
        "why": why,
        "hybrid": hybrid,
        "ablation": ablation,
        "validate": validate,
        "per_tag": per_tag,
    }
    for part in given.only.split(","):
        if part in parts:
            for name in given.data.split(","):
                rows += parts[part](read(name, data, validation=part == "validate"))
        elif part == "tags":
            rows += tags(data, given.processes)
        else:
            rows += skills() if part == "skills" else latency(given.folder)
    if rows:
        write("iki", rows, seed=SEED, keep=True)


if __name__ == "__main__":
    main()
