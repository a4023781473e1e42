"""IndexBuilder: the index over the items' vectors, and the SavedModels that hold it."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import quickstart
from tfrecs.components import examples as io
from tfrecs.components.artifacts import Examples, Model, RetrievalIndex
from tfrecs.components.component import Component, Output
from tfrecs.models import Retriever
from tfrecs.run import Run

VECTORS = "vectors.npy"


def index_builder(
    model: Model,
    index: Output[RetrievalIndex],
    candidates: Examples | None = None,
    *,
    name: str | None = None,
    recall: float = 0.98,
) -> None:
    """The index over the items' vectors, and the SavedModels that hold it.

    By itself it gets new items into the index without training: give it the new `candidates`. A
    Ranker, which has no vectors, is exported without an index.

    Args:
        model: The trained model.
        index: The saved index in `index/`, SavedModels in `serving/<name>/<version>/`.
        candidates: Items to index; `None` for those of the training.
        name: Name under which it is served; `None` for the model's.
        recall: Wanted recall of an approximate index against exact search. Defaults to 0.98.
    """
    keras.utils.clear_session(free_memory=False)  # names of layers count from 1 again
    run = Run.load(model.path)
    if candidates is not None:
        rows = io.read_table(candidates, io.splits(candidates)[0])
        run = replace(run, tables=replace(run.tables, candidates=_with_known(run, rows)))
    name = name or run.options.model
    indexed = (
        quickstart.build_index(run, recall=recall) if isinstance(run.model, Retriever) else None
    )
    index.path.mkdir(exist_ok=True)
    if indexed is not None:
        indexed.index.save(index.path / "index")
        np.save(index.path / VECTORS, quickstart.candidate_vectors(run))
    exported = quickstart.export_run(run, indexed, index.path / "serving", name)
    index.properties |= {
        "name": name,
        "kind": "none" if indexed is None else indexed.kind,
        "recall": exported.recall if indexed is not None else None,
        "candidates": run.tables.candidates.num_rows,
        "span": model.properties.get("span"),
        "variants": {v: str(p.relative_to(index.path)) for v, p in exported.paths.items()},
    }


def _with_known(run: Run, rows: Any) -> Any:
    """Returns the new items, and those that the events of the run need."""
    name = run.tables.spec.candidate_id.name
    known = run.tables.candidates
    kept = known.filter(pc.invert(pc.is_in(known[name], value_set=rows[name].combine_chunks())))
    return pa.concat_tables([rows, kept], promote_options="permissive")


IndexBuilder = Component(index_builder)
