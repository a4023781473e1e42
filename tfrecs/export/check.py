"""Asks a SavedModel in a fresh process, through TensorFlow's C API, and compares the answers."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs.export.catalogue import SCORE
from tfrecs.export.requests import Request

# float32 rounding of dot products summed in another order
TOLERANCE = 1e-5
SESSION = Path(__file__).parents[1] / "serving" / "session.py"


def ask(path: Path, bodies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the answers to requests, given as TF Serving's REST interface takes them.

    Raises:
        RuntimeError: If the SavedModel does not load or does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests.json"
        file.write_text(json.dumps(bodies), encoding="utf-8")
        answers: list[dict[str, Any]] = run_session(path, "--requests", str(file))
    return answers


def run_session(path: Path, *arguments: str) -> Any:
    """Runs `serving/session.py`, which imports neither tfrecs nor TensorFlow's Python.

    Args:
        path: SavedModel.
        *arguments: Of its command line; without any it tells the signatures.

    Raises:
        RuntimeError: If it fails.
    """
    command = [sys.executable, str(SESSION), str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(
            "The SavedModel does not answer in a process of its own "
            f"(exit code {done.returncode}): {said}"
        )
    return json.loads(done.stdout)


def check(path: Path, requests: Sequence[Request]) -> float:
    """Compares a SavedModel's answers with the Python path's.

    Ids must be equal, but where scores tie within the tolerance; numbers within 1e-5, absolute
    or relative.

    Args:
        path: SavedModel.
        requests: Requests with expected answers.

    Returns:
        The greatest difference between finite numbers.

    Raises:
        RuntimeError: If the SavedModel does not answer, or answers otherwise.
    """
    greatest = 0.0
    answers = ask(path, [request.body() for request in requests])
    for request, answer in zip(requests, answers, strict=True):
        expected = request.expected
        for name in sorted(expected, key=lambda name: expected[name].dtype.kind != "f"):
            got = np.array(answer[name], expected[name].dtype).reshape(expected[name].shape)
            if expected[name].dtype.kind == "f":
                wrong = ~np.isclose(got, expected[name], TOLERANCE, TOLERANCE)
                finite = np.isfinite(got) & np.isfinite(expected[name])
                difference = np.abs(got[finite] - expected[name][finite])
                greatest = max(greatest, float(difference.max(initial=0)))
            else:
                ties = _ties(expected[SCORE]) if SCORE in expected else np.False_
                wrong = (got != expected[name]) & ~ties
            if wrong.any():
                place = tuple(int(i[0]) for i in np.nonzero(wrong))
                raise RuntimeError(
                    f"The SavedModel does not answer as the model does: signature "
                    f"{request.signature!r}, output {name!r} at {place} is {got[place]!r} and "
                    f"must be {expected[name][place]!r}. Is the model deterministic?"
                )
    return greatest


def _ties(scores: np.ndarray) -> np.ndarray:
    """Returns where a score equals the one before or after it; the last of a row may tie too."""
    tied = np.zeros(scores.shape, bool)
    equal = np.isclose(scores[:, 1:], scores[:, :-1], TOLERANCE, TOLERANCE)
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    tied[:, -1:] = True
    return tied
