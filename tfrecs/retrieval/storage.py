"""Indexes on disk: a directory that appears whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs import checks
from tfrecs.files import written_aside

HEADER = "index.json"


def write(
    directory: str | os.PathLike[str],
    header: Mapping[str, Any],
    ids: np.ndarray,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Writes beside `directory` and renames, so that a reader never sees half an index."""
    with written_aside(Path(directory)) as aside:
        aside.mkdir()
        (aside / HEADER).write_text(json.dumps(header, indent=1) + "\n")
        strings = ids.dtype == object
        if strings:
            (aside / "ids.json").write_text(json.dumps(ids.tolist()))
        for name, array in {**arrays, **({} if strings else {"ids": ids})}.items():
            np.save(aside / f"{name}.npy", array, allow_pickle=False)


def read_header(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the class, config and settings of a saved index."""
    path = Path(directory) / HEADER
    if not path.is_file():
        raise ValueError(
            checks.expected("directory", f"a saved index, with {HEADER} in it", str(directory))
        )
    try:
        header: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise _damaged(directory, path.name, error) from error
    return header


def read(directory: str | os.PathLike[str]) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns the ids and the arrays of a saved index."""
    files = sorted(Path(directory).glob("*.npy"))
    try:
        arrays = {path.stem: np.load(path, allow_pickle=False) for path in files}
        if "ids" in arrays:
            return arrays.pop("ids"), arrays
        return json.loads((Path(directory) / "ids.json").read_text()), arrays
    except (ValueError, OSError, EOFError) as error:
        raise _damaged(directory, "ids or arrays", error) from error


def _damaged(directory: str | os.PathLike[str], what: str, why: Exception) -> ValueError:
    remedy = f"Its {what} cannot be read ({why}). Save it again."
    return ValueError(checks.expected("directory", "a whole saved index", str(directory), remedy))
