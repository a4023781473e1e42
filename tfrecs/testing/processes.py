"""Checks of a model that need a process of their own: JAX, and the exported graph."""

import atexit
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from keras import ops

from tfrecs.export import export, export_ranker
from tfrecs.retrieval import Exact
from tfrecs.testing.case import expect, expect_close
from tfrecs.testing.world import World, scores, tensors

TOP = 5  # recommendations that are compared
SESSION = Path(__file__).parents[1] / "serving" / "session.py"
# a process that has neither tfrecs nor TensorFlow's Python
CLIENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import session
model, rows = session.Session(sys.argv[2]), json.load(sys.stdin)
answer = {
    name: model.run(name, {column: rows[column] for column in model.signatures[name].inputs})
    for name in {"serving_default", "encode_query", "score"} & set(model.signatures)
}
answer["modules"] = sorted({"tfrecs", "tensorflow", "keras"} & set(sys.modules))
print(json.dumps(answer))
"""


def equals_jax(world: World) -> None:
    """The scores of a `.keras` file are the same on TensorFlow and on JAX."""
    model = world.build()
    source = inspect.getsourcefile(type(model))
    outside = not type(model).__module__.startswith("tfrecs.")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        model.save(path / "model.keras")
        np.savez(path / "batch.npz", **world.features)
        request = {
            "model": str(path / "model.keras"),
            "batch": str(path / "batch.npz"),
            "scores": str(path / "scores.npy"),
            "modules": [source] if outside else [],
        }
        worker = jax_worker()
        if worker.stdin is None or worker.stdout is None:
            raise RuntimeError("The JAX process has no pipes.")
        worker.stdin.write(json.dumps(request) + "\n")
        worker.stdin.flush()
        reply = worker.stdout.readline()
        expect(
            bool(reply), "The JAX process ended. Is JAX installed? Run `pip install tfrecs[jax]`."
        )
        expect(not json.loads(reply), f"The JAX process says:\n{json.loads(reply)}")
        on_jax = np.load(path / "scores.npy")
    expect_close(on_jax, scores(model, world.features), "Scores on JAX")


@functools.cache
def jax_worker() -> subprocess.Popen[str]:
    """Starts the one JAX process, which serves every case until this process ends."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tfrecs.testing.jax_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    )
    atexit.register(_end, worker)
    return worker


def _end(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.communicate()


def saved_model(world: World) -> None:
    """The SavedModel answers raw rows, in a process without tfrecs, as Python answers them."""
    model = world.build()
    name = world.spec.candidate_id.name
    vectors = ops.convert_to_numpy(model.candidate(tensors(world.features)))
    index = Exact().index(vectors, world.table[name].to_numpy())
    queries = ops.convert_to_numpy(model.query(tensors(world.features)))
    with tempfile.TemporaryDirectory() as directory:
        made = export(
            *(model, world.transform, index, world.table, directory),
            name="contract",
            k=TOP,
            display=(),
            check=False,  # checked here, against the path that training takes
        )
        answer = _ask(made.paths["stock"], _raw_rows(world))
    expect(not answer["modules"], f"The SavedModel was answered with {answer['modules']} imported.")
    expect_close(*(answer["encode_query"]["embedding"], queries), "Query vectors of the SavedModel")
    expect_close(
        answer["score"]["score"], scores(model, world.features), "Scores of the SavedModel"
    )
    best, ids = index(queries, TOP)
    expect_close(answer["serving_default"]["score"], best, "Best scores of the SavedModel")
    expected = [[getattr(i, "decode", lambda i=i: i)() for i in row] for row in np.asarray(ids)]
    got = answer["serving_default"][name]
    expect(got == expected, f"The SavedModel recommends {got[0]}, and Python {expected[0]}.")


def saved_ranker(world: World) -> None:
    """The SavedModel scores raw rows, in a process without tfrecs, as Python scores them."""
    model: Any = world.build()
    with tempfile.TemporaryDirectory() as directory:
        made = export_ranker(
            *(model, world.transform, world.table, directory), name="contract", check=False
        )
        answer = _ask(made.paths["stock"], _raw_rows(world))
    expect(not answer["modules"], f"The SavedModel was answered with {answer['modules']} imported.")
    expect_close(
        answer["score"]["score"], scores(model, world.features), "Scores of the SavedModel"
    )


def _raw_rows(world: World) -> dict[str, list[Any]]:
    """Returns the raw columns as a client sends them: lists padded with the missing value."""
    rows = {}
    for name in world.table.column_names:
        column = world.table[name]
        values = column.to_pylist()
        if pa.types.is_list(column.type):
            kind = column.type.value_type
            missing: Any = "" if pa.types.is_string(kind) else -1
            missing = float("nan") if pa.types.is_floating(kind) else missing
            width = max(map(len, values))
            values = [value + [missing] * (width - len(value)) for value in values]
        rows[name] = values
    return rows


def _ask(path: Path, rows: dict[str, list[Any]]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", CLIENT, str(SESSION.parent), str(path)],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=False,
    )
    expect(done.returncode == 0, f"The SavedModel does not answer:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
