"""The folders of new versions: numbered, written aside, and seen whole or not at all."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrecs import checks
from tfrecs.files import written_aside
from tfrecs.retrieval import Index

logger = logging.getLogger("tfrecs")

SCANN, STOCK = "scann", "stock"
NUMBER = re.compile(r"[0-9]{1,18}")  # of a version: Python knows more digits, TF Serving does not


@dataclass(frozen=True)
class Variant:
    """A SavedModel that is being written.

    Args:
        index: What it searches.
        folder: Where it is written: nobody sees it yet.
        label: Name, version and variant, for its card.
    """

    index: Index
    folder: Path
    label: dict[str, Any]


def variant_folders(root: Path, name: str, index: Index, version: int | None) -> dict[str, Path]:
    """Returns the folder of the new version, by variant: stock alone if ScaNN is not needed.

    Args:
        root: Folder of all models.
        name: Name of the served model.
        index: What it searches.
        version: As for `new_versions`.
    """
    folders = new_versions(root, {SCANN: name, STOCK: f"{name}_stock"}, version)
    if not index.needs_scann:
        logger.info("%s needs no ScaNN: only the stock variant is written.", type(index).__name__)
        del folders[SCANN]
    return folders


def opened(
    folders: Mapping[str, Path], index: Index, exact: Index, asides: ExitStack
) -> Iterator[Variant]:
    """Gives each variant with its index and a folder that is renamed when `asides` ends.

    Args:
        folders: Of `variant_folders`.
        index: What the export was asked for.
        exact: Its twin without ScaNN's operations, for the stock variant.
        asides: Renames all folders at its end, or none after an error.
    """
    for variant, folder in folders.items():
        chosen = exact if variant == STOCK and index.needs_scann else index
        yield Variant(
            chosen, asides.enter_context(written_aside(folder)), label_of(folder, variant)
        )


def label_of(folder: Path, variant: str) -> dict[str, Any]:
    """Returns name, version and variant of a version's folder, for its card."""
    return {"name": folder.parent.name, "version": int(folder.name), "variant": variant}


def new_versions(root: Path, variants: Mapping[str, str], version: int | None) -> dict[str, Path]:
    """Returns the folder of the new version, by variant.

    Args:
        root: Folder of all models.
        variants: Name of the served model, by variant.
        version: A positive integer that none of them has; `None` for the next.
    """
    folders = {variant: root / name for variant, name in variants.items()}
    there = [p.name for folder in folders.values() if folder.is_dir() for p in folder.iterdir()]
    if version is None:
        version = max((int(name) for name in there if NUMBER.fullmatch(name)), default=0) + 1
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(checks.expected("version", "a positive integer", version))
    if str(version) in there:
        remedy = "A server may be reading it. Leave `version` out to take the next."
        where = f"{version}, which is in {' or '.join(map(str, folders.values()))}"
        raise ValueError(checks.expected("version", "new", where, remedy))
    for left in (path for path in there if path.startswith(".")):
        logger.warning("%s was left by an export that was killed. Delete it.", left)
    return {variant: folder / str(version) for variant, folder in folders.items()}


@contextmanager
def unpublished(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Says of a failure to write what is there now: nothing."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        where = os.fspath(directory)
        raise OSError(
            f"The export to {where} failed and nothing was published: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    """Returns what the system said, without TensorFlow's names of operations and hidden paths."""
    if not isinstance(error, tf.errors.OpError):
        return getattr(error, "strerror", None) or str(error)
    said = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:.*", "", error.message).rsplit("; ", 1)[-1]
    return f"{said}. Free some space there, or name another folder."
