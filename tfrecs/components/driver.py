"""Runs one function over many parts of the data: in processes here, or by Apache Beam."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tfrecs import checks
from tfrecs.components.worker import end_with

_Result = TypeVar("_Result")
RUNNERS = ("local", "beam")
_SMALL = 64 << 20  # bytes below which starting processes takes longer than the work


def drive(
    work: Callable[[Any], _Result],
    parts: Sequence[Any],
    runner: str = "local",
    beam_options: Sequence[str] = (),
    *,
    size: int = 0,
    scratch: str | Path = ".",
) -> list[_Result]:
    """Returns `work(part)` for every part, in their order.

    Args:
        work: The function; it, its parts and its results can be pickled.
        parts: What it is given.
        runner: "local", as many processes as processors, or "beam".
        beam_options: Options of the Beam pipeline.
        size: Bytes of all parts; a few are worked through in this process.
        scratch: Folder for what Beam's workers return.

    Example:

    >>> drive(len, ["a", "bc"])
    [1, 2]
    """
    checks.one_of("runner", runner, RUNNERS)
    workers = 1 if size < _SMALL else min(os.cpu_count() or 1, len(parts))
    if runner == "beam":
        from tfrecs.components import beam

        return beam.drive(work, parts, beam_options, scratch, workers)
    if workers == 1:
        return [work(part) for part in parts]
    spawn = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with ProcessPoolExecutor(workers, spawn, end_with, (os.getpid(),)) as processes:
        return list(processes.map(work, parts))
