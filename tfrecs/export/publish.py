"""`export`: features, model and index into versioned SavedModels, whole or not at all."""

import dataclasses
import datetime
import logging
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf
from google.protobuf import text_format

from tfrecs import checks
from tfrecs.export import gates
from tfrecs.export.card import NEEDS, package_versions, write_card
from tfrecs.export.catalogue import Catalogue
from tfrecs.export.check import TOLERANCE
from tfrecs.export.check import check as check_answers
from tfrecs.export.requests import NUM_ODD_ROWS, PythonPath, Request, first_row, sample_rows
from tfrecs.export.servable import Servable, Signatures, describe
from tfrecs.export.warmup import write_warmup
from tfrecs.features import FeatureTransform
from tfrecs.files import written_aside
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
        TypeError: If the model, the features or the index are none.
        ValueError: If an argument is wrong, or the recall too low.
        RuntimeError: If a SavedModel does not answer like the model; nothing is published.
        OSError: If the files cannot be written; nothing is published.
    """
    gates.check_arguments(model, transform, index, name, k)
    variants = {"scann": name} if index.needs_scann else {}
    if not variants:
        logger.info("%s needs no ScaNN: only the stock variant is written.", type(index).__name__)
    folders = {v: Path(directory) / n for v, n in (variants | {"stock": f"{name}_stock"}).items()}
    number = _next_version(folders.values()) if version is None else version
    _check_version(folders.values(), number)
    with tempfile.TemporaryDirectory() as scratch, _unpublished(directory), ExitStack() as asides:
        table = gates.in_order_of(index, candidates, transform.spec.candidate_id.name)
        shown = Catalogue(table, transform.spec.candidate_id.name, display, Path(scratch))
        signatures = Signatures(model, transform, index.export_module(), shown, k)
        exact = gates.exact_twin(model, transform, index, table, signatures.candidate_names)
        rows = sample_rows(signatures, queries, table)
        vectors = PythonPath(signatures, exact).query(rows[0])[:-NUM_ODD_ROWS]
        gates.check_similarity(model, exact, vectors)
        at, recall = gates.check_recall(index, exact, vectors, min_recall)
        said = _said(signatures, index, {f"recall@{at}": recall}, card or {})
        for variant, folder in folders.items():
            chosen = exact if variant == "stock" and index.needs_scann else index
            signatures.index = chosen.export_module()
            requests = PythonPath(signatures, chosen).requests(*rows)
            aside = asides.enter_context(written_aside(folder / str(number)))
            made = {"name": folder.name, "version": number, "variant": variant}
            _write(aside, signatures, requests, made | said, check)
    for variant, folder in folders.items():
        logger.info("Exported the %s variant to %s.", variant, folder / str(number))
    paths = {variant: folder / str(number) for variant, folder in folders.items()}
    return Export(paths, number, recall)


def _write(
    folder: Path,
    signatures: Signatures,
    requests: Sequence[Request],
    card: Mapping[str, Any],
    check: bool,
) -> None:
    """Writes one variant into a folder that nobody sees yet, and checks it there."""
    functions = signatures.trace()
    level = tf.get_logger().level
    tf.get_logger().setLevel(logging.WARNING)  # it would show the temporary path
    try:
        tf.saved_model.save(Servable(signatures, functions), str(folder), signatures=functions)
    finally:
        tf.get_logger().setLevel(level)
    schema = text_format.MessageToString(signatures.transform.spec.to_schema())
    (folder / "schema.pbtxt").write_text(schema, encoding="utf-8")
    examples = [first_row(request) for request in requests]
    write_warmup(folder, card["name"], [*examples, *requests], functions)
    checked = "Its answers were not compared with the model's."
    if check:
        greatest, count = check_answers(folder, requests), len(requests)
        checked = (
            f"{count} requests of up to {_rows(requests)} rows, asked through TensorFlow's C API "
            "in a fresh process, were answered as the model answers: ids equal, numbers within "
            f"{TOLERANCE:g} (greatest difference {greatest:.2g})."
        )
    write_card(
        folder,
        {
            **{key: card[key] for key in ("name", "version", "variant")},
            "needs": NEEDS[card["variant"]],
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "checked": checked,
            **card,
            "signatures": describe(functions),
            "examples": [request.body() for request in examples],
        },
    )
    for path in [*folder.rglob("*"), folder]:  # on the disk before the rename is
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _rows(requests: Sequence[Request]) -> int:
    return max(len(v) for r in requests for v in r.inputs.values() if isinstance(v, list))


def _said(
    signatures: Signatures, index: Index, measured: Mapping[str, Any], card: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the sections of the card that both variants share, the caller's among them."""
    model = signatures.model
    own: dict[str, Any] = {
        "kind": type(index).__name__,
        "candidates": index.num_candidates,
        "dim": index.dim,
        "similarity": index.similarity,
        **measured,
    }
    if index.needs_scann:
        own["plan"] = dataclasses.asdict(index.plan)
    return {
        **card,
        "model": {
            "class": type(model).__name__,
            "parameters": sum(math.prod(weight.shape) for weight in model.weights),
            "config": model.get_config(),
        },
        "index": {**own, **card.get("index", {})},
        "versions": package_versions(),
    }


def _next_version(folders: Iterable[Path]) -> int:
    there = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return max((int(name) for name in there if name.isdigit()), default=0) + 1


def _check_version(folders: Iterable[Path], version: int) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(checks.expected("version", "a positive integer", version))
    for folder in folders:
        if (folder / str(version)).exists():
            raise ValueError(
                checks.expected(
                    "version",
                    "new: a server may be reading the one there",
                    str(folder / str(version)),
                    "Leave it out to take the next.",
                )
            )
        for left in folder.glob(".*.tmp-*"):
            logger.warning("%s was left by an export that was killed. Delete it.", left)


@contextmanager
def _unpublished(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Says of a failure to write what is there now: nothing."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise OSError(
            f"The export to {os.fspath(directory)} failed and nothing was published: {error}"
        ) from error
