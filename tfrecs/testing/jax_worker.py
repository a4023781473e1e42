"""Scores saved models on JAX, in a process of its own: one JSON request a line.

    KERAS_BACKEND=jax python -m tfrecs.testing.jax_worker

A request names a `.keras` file, a `.npz` file of the batch, the Python files that define the model
where tfrecs does not, and the `.npy` file to write the scores to.
"""

import importlib.util
import json
import sys
import traceback
from functools import partial
from typing import Any

import jax
import keras
import numpy as np

from tfrecs.testing.world import pair_scores


def answer(request: dict[str, Any]) -> None:
    """Writes the scores of the request's batch."""
    for path in request["modules"]:
        spec = importlib.util.spec_from_file_location("defines_the_model", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file.")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    model = keras.saving.load_model(request["model"], compile=False)
    with np.load(request["batch"]) as batch:
        compiled = jax.jit(partial(pair_scores, model))  # one by one, each operation is compiled
        np.save(request["scores"], np.asarray(compiled(dict(batch))))


def main() -> None:
    """Answers requests until the input ends; a line of JSON each, the error or nothing."""
    for line in sys.stdin:
        try:
            answer(json.loads(line))
            reply = ""
        except Exception:  # the reply carries it to the process that asked
            reply = traceback.format_exc()
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
