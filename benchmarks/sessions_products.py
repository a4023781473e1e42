"""The matrix products of one step of GRU4Rec alone, for `benchmarks/sessions.py --only products`.

However the rest of a step is written, it takes no less than these, written as the model writes
them: of its two inputs, the scores, and their gradients, 512 units.
`PYTHON benchmarks/sessions_products.py` times PyTorch's, in a process of its own.
"""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
from common import alternate, compare, row

BATCH, UNITS, COLUMNS = 128, 512, 128 + 2048
ROUNDS, STEPS = 9, 20


def matrices() -> list[np.ndarray]:
    """Returns embeddings, states, candidates and their scores' gradient, kernels and the gates'."""
    rng, wide = np.random.default_rng(0), 3 * UNITS
    shapes = [(BATCH, UNITS), (BATCH, UNITS), (COLUMNS, UNITS), (BATCH, COLUMNS)]
    shapes += [(UNITS, wide), (UNITS, wide), (BATCH, wide)]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def step(t: Any, x: Any, h: Any, e: Any, ds: Any, w: Any, u: Any, dg: Any) -> list[Any]:
    """Returns the eight products, forward, of the scores and of the gates; `t` transposes."""
    forward = [x @ w, h @ u, h @ t(e)]
    return [*forward, ds @ e, t(ds) @ h, dg @ t(w), t(x) @ dg, t(h) @ dg]


def median_ms(run: Callable[[], Any]) -> float:
    """Returns the median time of one run, in milliseconds."""
    seconds = alternate({"steps": lambda: [run() for _ in range(STEPS)]}, ROUNDS)
    return seconds["steps"] / STEPS * 1e3


def products(arguments: Any) -> list[dict[str, Any]]:
    """Milliseconds of the products alone, TensorFlow's and PyTorch's, with both cores."""
    import tensorflow as tf

    constants = [tf.constant(matrix) for matrix in matrices()]

    run = tf.function(lambda *given: step(tf.transpose, *given))
    data, protocol = "made up", f"median of {ROUNDS} times {STEPS} steps, both cores"
    name = f"products of a step, {UNITS} units, batch {BATCH}, {COLUMNS:,} columns"
    found = median_ms(lambda: run(*constants)[-1].numpy())
    rows = [row(data, protocol, f"{name}: TensorFlow", "step_ms", found, unit="ms")]
    if arguments.peer_python:
        told = subprocess.run([arguments.peer_python, __file__], check=True, capture_output=True)
        theirs = json.loads(told.stdout)
        rows.append(row(data, protocol, f"{name}: PyTorch", "step_ms", theirs, unit="ms"))
        rows[0] |= {"peer": "PyTorch", "ratio": compare(rows[0], rows[1])}
    return rows


def main() -> None:
    """Prints PyTorch's time."""
    import torch

    torch.set_num_threads(2)
    tensors = [torch.from_numpy(matrix) for matrix in matrices()]
    print(median_ms(lambda: step(torch.t, *tensors)))


SECTIONS = {products.__name__: products}
if __name__ == "__main__":
    main()
