"""The main job: tables -> trained model -> leaderboard -> index -> SavedModel -> answer.

tfrecs quickstart                                   the demo world, under 2 minutes on 2 cores
tfrecs quickstart --dataset movielens-1m --data-dir DIR
tfrecs quickstart --events events.parquet --items items.csv
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa

from tfrecs import export, retrieval, serving
from tfrecs.evaluation import Results, join_events
from tfrecs.export.catalogue import can_display
from tfrecs.export.feed import export_feed
from tfrecs.models import IkiRanker
from tfrecs.recipes import recipe
from tfrecs.recipes.feed_export import feed_of
from tfrecs.recipes.feed_skills import CV, RunSkills
from tfrecs.run import Run

DISPLAYED = ("title", "image_url", "category", "tags", "genres")  # where candidates have them


@dataclass(frozen=True)
class Indexed:
    """An index with what was measured of it.

    Args:
        index: The index over the model's candidate vectors.
        kind: "ScaNN" or "Exact".
        recall: recall@k against exact search, over test users' vectors.
        k: The k of `recall`.
        why: Why it is exact, where it is; "" for ScaNN.
        curve: Recall against latency, of ScaNN and where it was asked for.
    """

    index: Any
    kind: str
    recall: float
    k: int
    why: str = ""
    curve: Sequence[retrieval.Point] = ()


def build_index(
    run: Run, k: int = 100, recall: float = 0.98, small: bool = False, curve: bool = False
) -> Indexed:
    """Builds the index over the model's candidate vectors and measures its recall against exact.

    Args:
        run: The trained run.
        k: Results per query at which the recall is measured. Defaults to 100.
        recall: The recall wanted of an approximate index. Defaults to 0.98.
        small: Whether to take ScaNN for a small catalogue too, where exact search is as quick.
            Defaults to `False`.
        curve: Whether to measure recall against latency too. Defaults to `False`.
    """
    vectors, queries = candidate_vectors(run), query_vectors(run, run.tables.queries)
    ids = run.tables.candidates[run.tables.spec.candidate_id.name].to_numpy()
    k = min(k, len(ids))
    sample = np.random.default_rng(0).permutation(len(queries))[:1024]
    chosen, judged = queries[sample[::2]], queries[sample[1::2]]
    why = ""
    try:
        if small:
            index: Any = retrieval.ScaNN(k=k, recall=recall).index(vectors, ids, chosen)
        else:
            index = retrieval.build(vectors, ids, k=k, recall=recall, queries=chosen)
            why = f"{len(ids):,} items are few"
    except ImportError as error:
        index, why = retrieval.Exact(k=k).index(vectors, ids), str(error)
    if not index.needs_scann:
        return Indexed(index, "Exact", 1.0, k, why)
    exact = retrieval.Exact(k=k).index(vectors, ids)
    measured = retrieval.recall_at_k(index, exact, judged if len(judged) else chosen, k)
    points = retrieval.recall_curve(index, queries[sample]) if curve and len(judged) else ()
    return Indexed(index, "ScaNN", float(measured), k, curve=points)


def candidate_vectors(run: Run) -> np.ndarray:
    """Returns the model's vectors of all candidates, `(C, D)` float32."""
    names = [f.name for f in run.transform.spec.by_role("candidate")]
    batch = run.transform.encode(run.tables.candidates, names)
    return np.asarray(keras.ops.convert_to_numpy(run.model.candidate(batch)), "float32")


def query_vectors(run: Run, queries: pa.Table) -> np.ndarray:
    """Returns the model's vectors of `queries`, `(B, D)` float32."""
    names = [f.name for f in run.transform.spec.by_role("query")]
    batch = run.transform.encode(queries, names)
    return np.asarray(keras.ops.convert_to_numpy(run.model.query(batch)), "float32")


def export_run(
    run: Run,
    indexed: Indexed | None,
    directory: str | Path,
    name: str,
    results: Results | None = None,
) -> Any:
    """Exports features, model and, of a Retriever, its index as a versioned SavedModel."""
    card: dict[str, Any] = {
        "data": run.dataset,
        "protocol": run.protocol,
        "parameters": run.describe()["options"],
    }
    if results is not None:
        card["metrics"] = results.to_dict()
    if isinstance(run.model, IkiRanker):
        return _export_feed(run, directory, name, card)
    if indexed is None:
        rows = join_events(run.split.test.slice(0, 256), run.tables)
        logits = recipe(run.options.model).task.logits
        return export.export_ranker(
            run.model, run.transform, rows, directory, name=name, probability=logits, card=card
        )
    card["index"] = {"kind": indexed.kind, f"recall@{indexed.k}": indexed.recall}
    candidates = run.tables.candidates
    shown = [f for f in candidates.schema if f.name in DISPLAYED and can_display(f.type)]
    return export.export(
        run.model,
        run.transform,
        indexed.index,
        candidates,
        directory,
        name=name,
        k=min(10, candidates.num_rows),
        display=[field.name for field in shown],
        card=card,
        queries=run.tables.queries.slice(0, 64),
    )


def _export_feed(run: Run, directory: str | Path, name: str, card: dict[str, Any]) -> Any:
    """Exports a feed; where it reads CVs, what finds skills in them by itself too."""
    skills = RunSkills.load(run.folder)
    feed, queries = feed_of(run, skills=skills), run.tables.queries
    exported = export_feed(feed, queries, directory, name=name, card=card)
    if skills is None:
        return exported
    cvs = [cv for cv in queries[CV].slice(0, 64).to_pylist() if cv]
    own: Any = {"texts": cvs, "skills": skills.skills, "card": card}
    found = export.export_skills(skills.extractor, directory, name=f"{name}_skills", **own)
    return replace(exported, paths={**exported.paths, "skills": found.paths["stock"]})


def ask(
    saved_model: str | Path, inputs: dict[str, Any], signature: str = "serving_default"
) -> dict[str, Any]:
    """Asks a SavedModel in a fresh process that imports neither tfrecs nor TensorFlow's Python.

    Args:
        saved_model: Folder of one version.
        inputs: Raw features by name, one list each, and what else the signature takes.
        signature: Which one to ask. Defaults to "serving_default".

    Returns:
        The outputs by name.

    Raises:
        RuntimeError: If the process fails; the message is what it printed.
    """
    script = Path(serving.__file__).parent / "session.py"
    command = [sys.executable, str(script), str(saved_model), "--signature", signature]
    command += ["--inputs", json.dumps(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{saved_model} does not answer: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
