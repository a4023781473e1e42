"""The matrix products of one step of GRU4Rec alone, for `benchmarks/sessions.py --only products`.

However the rest of a step is written, it takes no less than these: of its two inputs, the scores,
and their gradients, 512 units. `PYTHON benchmarks/sessions_products.py` times PyTorch's, in a
process of its own.
"""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH, UNITS, COLUMNS = 128, 512, 128 + 2048
ROUNDS, STEPS = 9, 20


def matrices() -> list[np.ndarray]:
    """Returns embeddings, states, candidates and their scores' gradient, kernels and the gates'."""
    rng, wide = np.random.default_rng(0), 3 * UNITS
    shapes = [(BATCH, UNITS), (BATCH, UNITS), (COLUMNS, UNITS), (BATCH, COLUMNS)]
    shapes += [(UNITS, wide), (UNITS, wide), (BATCH, wide)]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def step(x: Any, h: Any, e: Any, ds: Any, w: Any, u: Any, dg: Any) -> list[Any]:
    """Returns the eight products: forward, of the scores back, of the gates back."""
    return [x @ w, h @ u, h @ e.T, ds @ e, ds.T @ h, dg @ w.T, x.T @ dg, h.T @ dg]


def median_ms(run: Callable[[], Any]) -> float:
    """Returns the median time of one run, in milliseconds."""
    taken = []
    for _ in range(ROUNDS + 1):  # the first warms up
        start = time.perf_counter()
        for _ in range(STEPS):
            run()
        taken.append((time.perf_counter() - start) / STEPS * 1e3)
    return float(np.median(taken[1:]))


def products(arguments: Any) -> list[dict[str, Any]]:
    """Milliseconds of the products alone, TensorFlow's and PyTorch's, with both cores."""
    import tensorflow as tf
    from common import compare, row

    constants = [tf.constant(matrix) for matrix in matrices()]

    @tf.function
    def run(x: Any, h: Any, e: Any, ds: Any, w: Any, u: Any, dg: Any) -> list[Any]:
        mul = tf.matmul
        forward = [mul(x, w), mul(h, u), mul(h, e, transpose_b=True)]
        back = [mul(ds, e), mul(ds, h, transpose_a=True), mul(dg, w, transpose_b=True)]
        return [*forward, *back, mul(x, dg, transpose_a=True), mul(h, dg, transpose_a=True)]

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
    print(median_ms(lambda: step(*tensors)))


SECTIONS = {products.__name__: products}
if __name__ == "__main__":
    main()
