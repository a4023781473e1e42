"""`export`: features, model and index into versioned SavedModels, whole or not at all."""

import dataclasses
import datetime
import logging
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf
from google.protobuf import text_format

from tfrecs.export import gates
from tfrecs.export.card import NEEDS, package_versions, write_card
from tfrecs.export.catalogue import Catalogue
from tfrecs.export.check import TOLERANCE
from tfrecs.export.check import check as check_answers
from tfrecs.export.folders import STOCK, opened, unpublished, variant_folders
from tfrecs.export.requests import NUM_ODD_ROWS, PythonPath, Request, first_row, sample_rows
from tfrecs.export.servable import Servable, Signatures, describe
from tfrecs.export.warmup import write_warmup
from tfrecs.features import FeatureTransform
from tfrecs.models import Retriever
from tfrecs.retrieval import Index

logger = logging.getLogger("tfrecs")


@dataclass(frozen=True)
class Export:
    """What `export` wrote.

    Args:
        paths: Directory of the version, by variant: "scann", "stock".
        version: The version.
        recall: Recall of the index against exact search, on the sample queries.
    """

    paths: dict[str, Path]
    version: int
    recall: float


def export(
    model: Retriever,
    transform: FeatureTransform,
    index: Index,
    candidates: pa.Table,
    directory: str | os.PathLike[str],
    *,
    name: str,
    version: int | None = None,
    k: int = 10,
    display: Sequence[str] = ("title",),
    card: Mapping[str, Any] | None = None,
    queries: pa.Table | None = None,
    min_recall: float = 0.9,
    check: bool = True,
) -> Export:
    """Writes SavedModels that take raw features and answer with ids: see `tfrecs.export`.

    Args:
        model: A Retriever.
        transform: The adapted features.
        index: Index of the model's candidate vectors, by the ids in `candidates`.
        candidates: One row a candidate.
        directory: Folder of all models.
        name: Name of the model, which names its folder.
        version: A positive integer that is not there yet. Defaults to the next.
        k: Number of results of `serving_default`. Defaults to 10.
        display: Columns of `candidates` to return beside the ids. Defaults to `("title",)`.
        card: More for the card, by section: "data", "metrics", "parameters".
        queries: Raw query rows to check with. Defaults to rows made of the vocabularies.
        min_recall: Least recall of the index against exact search. Defaults to 0.9.
        check: Whether to ask the SavedModels in a fresh process, and compare. Defaults to `True`.

    Returns:
        Paths by variant, version and recall.

    Raises:
        OSError, RuntimeError: If the files cannot be written, or answer otherwise than the model;
            nothing is published then. TypeError, ValueError: If an argument is wrong.
    """
    gates.check_arguments(
        name,
        model=(model, Retriever),
        transform=(transform, FeatureTransform),
        index=(index, Index),
    )
    gates.check_k(k, index)
    folders = variant_folders(Path(directory), name, index, version)
    with tempfile.TemporaryDirectory() as scratch, unpublished(directory), ExitStack() as asides:
        id_name = transform.spec.candidate_id.name
        table = gates.in_order_of(index, candidates, id_name)
        shown = Catalogue(table, id_name, display, Path(scratch))
        signatures = Signatures(model, transform, shown, k)
        exact = gates.exact_twin(model, transform, index, table, signatures.candidate_names)
        rows = sample_rows(signatures, queries, table)
        vectors = PythonPath(signatures, exact).query(rows[0])[:-NUM_ODD_ROWS]
        recall = gates.check_index(model, index, exact, vectors, min_recall)
        said = _said(signatures, index, recall, card or {})
        for variant in opened(folders, index, exact, asides):
            functions = signatures.trace(variant.index.export_module())
            names = (*signatures.query_names, *signatures.candidate_names)
            servable = Servable(functions, transform, names, signatures.index, shown)
            requests = PythonPath(signatures, variant.index).requests(*rows)
            card_of = variant.label | said
            write_version(variant.folder, servable, functions, transform, requests, card_of, check)
    for name, folder in folders.items():
        logger.info("Exported the %s variant to %s.", name, folder)
    return Export(folders, int(folders[STOCK].name), recall)


def write_version(
    folder: Path,
    servable: Servable,
    functions: Mapping[str, Any],
    transform: FeatureTransform,
    requests: Sequence[Request],
    card: Mapping[str, Any],
    check: bool,
) -> None:
    """Writes one variant into a folder that nobody sees yet, and checks it there.

    Args:
        folder: The folder.
        servable: What is saved.
        functions: Its signatures.
        transform: The adapted features.
        requests: Requests with the answers of the Python path, the first one for the card.
        card: Name, version, variant, and the sections of the card.
        check: Whether to ask it in a fresh process, and compare.
    """
    _save(servable, functions, folder)
    schema = text_format.MessageToString(transform.spec.to_schema())
    (folder / "schema.pbtxt").write_text(schema, encoding="utf-8")
    examples = [first_row(request) for request in requests]
    write_warmup(folder, card["name"], [*examples, *requests], functions)
    checked = "Its answers were not compared with the model's."
    if check:
        count, greatest = (
            len(next(iter(requests[0].inputs.values()))),
            check_answers(folder, requests),
        )
        checked = (
            f"{len(requests)} requests of up to {count} rows, asked through TensorFlow's C API in "
            "a fresh process, were answered as the model answers: ids equal, numbers within "
            f"{TOLERANCE:g} (greatest difference {greatest:.2g})."
        )
    header = {
        **{key: card[key] for key in ("name", "version", "variant")},
        "needs": NEEDS[card["variant"]],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "checked": checked,
    }
    usage = {
        "signatures": describe(functions),
        "examples": [request.body() for request in examples],
    }
    write_card(folder, {**header, **card, **usage})
    for path in [*folder.rglob("*"), folder]:  # on the disk before the rename is
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _save(servable: Servable, functions: Mapping[str, Any], folder: Path) -> None:
    level = tf.get_logger().level
    tf.get_logger().setLevel(logging.WARNING)  # it would show the temporary path
    try:
        tf.saved_model.save(servable, str(folder), signatures=functions)
    finally:
        tf.get_logger().setLevel(level)


def _said(
    signatures: Signatures, index: Index, recall: float, card: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the sections of the card that both variants share, the caller's among them."""
    own: dict[str, Any] = {
        "kind": type(index).__name__,
        "candidates": index.num_candidates,
        "dim": index.dim,
        "similarity": index.similarity,
        f"recall@{min(index.k, index.num_candidates)}": recall,
    }
    if index.needs_scann:
        own["plan"] = dataclasses.asdict(index.plan)
    sections = about_model(signatures.model, card)
    return {**sections, "index": {**own, **card.get("index", {})}}


def about_model(model: Any, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the caller's sections of the card, the model's and the versions'."""
    parameters = sum(math.prod(weight.shape) for weight in model.weights)
    own = {"class": type(model).__name__, "parameters": parameters, "config": model.get_config()}
    return {**card, "model": own, "versions": package_versions()}
