import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.export import gates, publish
from tfrecs.export.requests import sample_rows
from tfrecs.features import FeatureTransform
from tfrecs.models import MatrixFactorization
from tfrecs.retrieval import Exact
from tfrecs.serving import Session
from tfrecs.spec import Categorical, FeatureSpec


@pytest.fixture(scope="module")
def small():
    """Integer ids, three users, four items."""
    queries = pa.table({"user": [10, 20, 30]})
    candidates = pa.table(
        {"item": pa.array([7, 8, 9, 11], pa.int32()), "title": ["a", "b", "c", "d"]}
    )
    spec = FeatureSpec(
        (
            Categorical("user", "query", dtype="int64", is_id=True),
            Categorical("item", "candidate", dtype="int64", is_id=True),
        )
    )
    transform = FeatureTransform(spec).adapt(queries, candidates)
    model = MatrixFactorization(transform.spec, 8, mean=3.5)
    vectors = np.asarray(model.candidate(transform.encode(candidates, ["item"])))
    return {
        "model": model,
        "transform": transform,
        "index": Exact().index(vectors, [7, 8, 9, 11]),
        "candidates": candidates,
        "name": "small",
        "k": 3,
    }


@pytest.fixture
def export_small(small, tmp_path):
    return lambda directory=tmp_path, **changes: publish.export(
        directory=directory, **(small | {"check": False} | changes)
    )


def visible(directory):
    """Files that a server or a pattern would find."""
    return [p for p in Path(directory).rglob("*") if p.is_file() and "/." not in str(p)]


def test_an_exact_index_gives_the_stock_variant_alone_and_says_so(export_small, caplog):
    with caplog.at_level(logging.INFO, "tfrecs"):
        exported = export_small(check=True)
    assert list(exported.paths) == ["stock"]
    assert exported.recall == 1.0
    assert "Exact needs no ScaNN: only the stock variant is written" in caplog.text
    session = Session(exported.paths["stock"])
    answer = session.run("recommend", {"user": [10, 999], "k": 4, "exclude": [[8], [-1]]})
    assert sorted(answer["item"][0]) == [-1, 7, 9, 11]
    assert sorted(answer["item"][1]) == [7, 8, 9, 11]
    assert answer["title"][0][3] == ""


def test_versions_count_up_over_both_variants(export_small, tmp_path):
    (tmp_path / "small_stock" / "7").mkdir(parents=True)
    for other in ("notes", "\N{SUPERSCRIPT TWO}", "9" * 30):
        (tmp_path / "small_stock" / other).mkdir()
    (tmp_path / "small" / "9").mkdir(parents=True)  # left by a ScaNN index of earlier
    assert export_small().version == 10
    assert export_small(version=3).paths["stock"].name == "3"


def test_a_version_that_is_there_is_left_alone(export_small, tmp_path):
    (tmp_path / "small_stock" / "2").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"`version` must be new.*2, which is in .*take the next"):
        export_small(version=2)
    assert visible(tmp_path) == []


@pytest.mark.parametrize("version", [0, -1, True, "2"])
def test_a_version_is_a_positive_integer(export_small, version):
    with pytest.raises(ValueError, match="`version` must be a positive integer"):
        export_small(version=version)


@pytest.mark.parametrize("name", ["", "3", "a/b", "../up", ".hidden", "with space"])
def test_a_name_names_a_folder(export_small, name):
    with pytest.raises(ValueError, match="`name` must be letters, digits"):
        export_small(name=name)


@pytest.mark.parametrize("k", [0, 5, True])
def test_k_is_within_the_catalogue(export_small, k):
    with pytest.raises(ValueError, match="`k` must be between 1 and the 4 candidates"):
        export_small(k=k)


@pytest.mark.parametrize("argument", ["model", "transform", "index"])
def test_an_argument_of_another_type_is_named(export_small, argument):
    with pytest.raises(TypeError, match=f"`{argument}` must be a "):
        export_small(**{argument: "something"})


def test_another_backend_is_told_what_to_do(export_small, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"Received: 'jax'.*KERAS_BACKEND=tensorflow"):
        export_small()


@pytest.mark.parametrize(
    "table, message",
    [
        (
            {"item": [7, 8, 9, 9, 11]},
            "`candidates` must be one row a candidate. Received: 'item 9 twice'",
        ),
        ({"item": [7, 8]}, "every id of the index. Received: 'none of id 9 and 1 more'"),
        ({"id": [7]}, "`candidates` must be a table with the column 'item'"),
    ],
)
def test_candidates_hold_every_id_once(export_small, table, message):
    with pytest.raises(ValueError, match=message):
        export_small(candidates=pa.table(table), display=())


@pytest.mark.parametrize(
    "columns, display, message",
    [
        ({}, ("titel",), r"`display` must be columns of .*Did you mean 'title'"),
        ({}, ("item",), "`display` must be columns whose names"),
        ({"a b": ["x"] * 4}, ("a b",), "`display` must be columns whose names"),
        ({"score": [1.0] * 4}, ("score",), "`display` must be columns whose names"),
        (
            {"tags": [[1]] * 4},
            ("tags",),
            "`display` must be columns of strings, lists of strings, numbers or booleans",
        ),
    ],
)
def test_display_columns_can_be_shown(export_small, small, columns, display, message):
    table = small["candidates"]
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    with pytest.raises(ValueError, match=message):
        export_small(candidates=table, display=display)


@pytest.mark.parametrize("name", ["k", "user id", "exclude"])
def test_a_feature_that_no_signature_can_take_is_named(export_small, small, name):
    queries = pa.table({name: [1, 2]})
    spec = FeatureSpec(
        (
            Categorical(name, "query", dtype="int64", is_id=True),
            small["transform"].spec["item"],
        )
    )
    transform = FeatureTransform(spec).adapt(queries, small["candidates"])
    with pytest.raises(ValueError, match=rf"`feature name` must be .*Received: '{name}'.*Rename"):
        export_small(transform=transform, model=MatrixFactorization(transform.spec, 8))


def test_queries_without_a_column_are_named(export_small):
    with pytest.raises(ValueError, match="`queries` must be a table with the column 'user'"):
        export_small(queries=pa.table({"usr": [1]}))


def test_a_model_that_reads_nothing_is_an_error(export_small, small):
    class Constant(MatrixFactorization):
        def query(self, batch, training=False):
            return tf.ones([3, 10])

    model = Constant(small["transform"].spec, 8)
    with pytest.raises(ValueError, match="`model` must be one that reads features of"):
        export_small(model=model)


def test_an_index_of_other_vectors_is_refused(export_small, small):
    random = np.random.default_rng(0)
    ids = [7, 8, 9, 11]
    with pytest.raises(
        ValueError, match=r"recall@2 of `index` .* below min_recall=0.9.*Rebuild it"
    ):
        export_small(index=Exact(k=2).index(random.normal(size=(4, 10)), ids))
    with pytest.raises(ValueError, match="`index` must be of the model's 10 dimensions"):
        export_small(index=Exact().index(random.normal(size=(4, 3)), ids))
    vectors = small["index"].vectors
    message = (
        r"`index` must be of a similarity .* with similarity='squared_l2'.*Build it with another"
    )
    with pytest.raises(ValueError, match=message):
        export_small(index=Exact(similarity="squared_l2").index(vectors, ids))


def test_an_export_that_answers_otherwise_is_not_published(export_small, monkeypatch, tmp_path):
    true_answer = gates.Exact.__call__
    calls = []

    def shifted(self, *args, **kwargs):
        calls.append(1)
        scores, ids = true_answer(self, *args, **kwargs)
        return scores + 0.1, ids

    monkeypatch.setattr(gates.Exact, "__call__", shifted)
    message = r"does not answer as the model does: signature 'serving_default', output 'score' at"
    with pytest.raises(RuntimeError, match=message):
        export_small(check=True)
    assert calls
    assert visible(tmp_path) == []


def test_an_export_that_does_not_load_is_not_published(export_small, monkeypatch, tmp_path):
    save = tf.saved_model.save

    def truncated(module, path, **kwargs):
        save(module, path, **kwargs)
        os.truncate(Path(path) / "variables/variables.data-00000-of-00001", 10)

    monkeypatch.setattr(tf.saved_model, "save", truncated)
    with pytest.raises(
        RuntimeError, match=r"does not answer in a process of its own \(exit code 2\): error: "
    ):
        export_small(check=True)
    assert visible(tmp_path) == []


@pytest.mark.parametrize(
    "failure, caught",
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError),
        (tf.errors.ResourceExhaustedError(None, None, "No space left on device"), OSError),
    ],
)
def test_an_interrupted_export_leaves_nothing(export_small, monkeypatch, tmp_path, failure, caught):
    def fail(*_):
        raise failure

    monkeypatch.setattr(publish, "write_warmup", fail)  # the SavedModel itself is written
    with pytest.raises(caught) as raised:
        export_small()
    if caught is OSError:
        assert f"The export to {tmp_path} failed and nothing was published" in str(raised.value)
        assert "No space left on device" in str(raised.value)
    assert list((tmp_path / "small_stock").iterdir()) == []


def test_a_file_in_place_of_the_directory_is_an_error(export_small, tmp_path):
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(OSError, match=r"The export to .*models failed and nothing was published"):
        export_small(tmp_path / "models")


@pytest.mark.slow
def test_a_killed_export_leaves_nothing_that_a_server_would_take(small, tmp_path, caplog):
    queries = "pa.table({'user': [10, 20, 30]})"
    program = f"""
import os, signal
import pyarrow as pa
from tfrecs.export import publish
from tfrecs.features import FeatureTransform
from tfrecs.models import MatrixFactorization
from tfrecs.retrieval import Exact
from tfrecs.spec import Categorical, FeatureSpec
spec = FeatureSpec((
    Categorical("user", "query", dtype="int64", is_id=True),
    Categorical("item", "candidate", dtype="int64", is_id=True),
))
candidates = pa.table({{"item": [7, 8]}})
transform = FeatureTransform(spec).adapt({queries}, candidates)
model = MatrixFactorization(transform.spec, 2)
index = Exact().index(model.candidate(transform.encode(candidates, ["item"])), [7, 8])
publish.write_warmup = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
more = dict(name="small", k=1, display=())
publish.export(model, transform, index, candidates, {str(tmp_path)!r}, **more)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    (left,) = (tmp_path / "small_stock").iterdir()
    assert (left / "saved_model.pb").exists()  # it died half-way
    assert left.name.startswith(".")  # TensorFlow Serving takes whole numbers only
    with pytest.raises(FileNotFoundError, match="neither saved_model"):
        Session(tmp_path / "small_stock")
    with caplog.at_level(logging.WARNING, "tfrecs"):
        exported = publish.export(directory=tmp_path, **(small | {"check": False}))
    assert exported.version == 1
    assert "was left by an export that was killed. Delete it." in caplog.text


def test_samples_are_made_of_the_vocabularies_without_queries(world):
    names = SimpleNamespace(
        transform=world.transform,
        query_names=("user_id", "age", "history"),
        candidate_names=("image",),
        id_name="item_id",
    )
    queries, candidates = sample_rows(names, None, world.candidates)
    assert queries["user_id"][:2] == world.transform.vocabulary("user_id")[:2].tolist()
    assert queries["history"][:2] == [[v] for v in world.transform.vocabulary("item_id")[:2]]
    assert len(queries["age"]) == len(queries["user_id"]) == 256 + 2
    unknown, missing = (queries["user_id"][row] for row in (-2, -1))
    assert unknown not in world.transform.vocabulary("user_id")
    assert missing == ""
    assert candidates["image"][-2:-1] == [[0.5, 0.5, 0.5]]
    assert candidates["item_id"][0] == "i_0"
