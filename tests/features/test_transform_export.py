"""Saving, loading and exporting: the same answers, also without TensorFlow's Python."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrecs.features import FeatureTransform
from tfrecs.spec import Categorical, FeatureSpec

SESSION = Path(__file__).parents[2] / "tfrecs" / "serving" / "session.py"


def _export(transform, directory, names):
    """Saves a plain module that holds the transform and raw variables, with one signature."""
    module = tf.Module()
    module.transform = transform
    module.vectors = tf.Variable(np.arange(10, dtype=np.float32)[:, None])

    @tf.function(input_signature=[transform.raw_signature(names)])
    def serve(raw):
        batch = transform(raw, features=names)
        ints = {k: tf.cast(v, tf.int32) if v.dtype == tf.bool else v for k, v in batch.items()}
        return ints | {"vector": tf.gather(module.vectors, batch["user"])}

    tf.saved_model.save(module, directory, signatures={"serving_default": serve})


def test_saved_and_loaded_answers_are_equal(spec, table, tmp_path, to_raw, assert_same, adapted):
    transform = adapted
    transform.save(tmp_path / "features")
    loaded = FeatureTransform.load(tmp_path / "features")
    assert loaded.spec == transform.spec
    assert_same(loaded.encode(table), transform.encode(table))
    assert_same(loaded(to_raw(table, spec)), transform(to_raw(table, spec)))
    for name in ("user", "title", "device", "history", "facts", "facts_keys"):
        assert loaded.vocabulary(name).tolist() == transform.vocabulary(name).tolist()
        np.testing.assert_array_equal(loaded.counts(name), transform.counts(name))
    np.testing.assert_array_equal(loaded.counts("city"), transform.counts("city"))
    loaded.save(tmp_path / "again")
    for file in (tmp_path / "features").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_a_saved_vocabulary_is_a_text_file_of_its_values(spec, tmp_path, adapted):
    adapted.save(tmp_path / "features")
    folder = {path.name for path in (tmp_path / "features").iterdir()}
    texts = {"user.txt", "item.txt", "device.txt", "tags.txt", "title.txt", "actions.txt"}
    texts |= {"sources.txt", "facts.txt", "facts_keys.txt"}
    assert folder == {"spec.json", "numbers.npz", *texts}
    assert (tmp_path / "features" / "item.txt").read_text() == "3\n1\n2\n"
    assert (tmp_path / "features" / "user.txt").read_text() == "b\na\né\\n\n"  # escaped


def test_saving_over_another_version_leaves_loaded_ones_alone(tmp_path):
    spec = FeatureSpec((Categorical("a"),))
    FeatureTransform(spec).adapt(pa.table({"a": ["x"]})).save(tmp_path / "f")
    first = FeatureTransform.load(tmp_path / "f")
    FeatureTransform(spec).adapt(pa.table({"a": ["y", "x", "y"]})).save(tmp_path / "f")
    second = FeatureTransform.load(tmp_path / "f")
    assert first({"a": ["x", "y"]})["a"].numpy().tolist() == [2, 1]
    assert second({"a": ["x", "y"]})["a"].numpy().tolist() == [3, 2]


@pytest.mark.parametrize(
    "values",
    [
        ["a\nb", "a", "b", "a\\nb", "\\", "\\n", "\r", "a\r\nb", " ", "\t", "a\r"],
        ["plain", "\\", "\\n", "a\\b", " x ", "\u2028", "é", "🙂"],
        ["\\"],
        ["\n"],
    ],
)
def test_values_with_line_breaks_and_backslashes_are_looked_up_right(values, tmp_path):
    spec = FeatureSpec((Categorical("a", vocabulary=tuple(values)),))
    table = pa.table({"a": values})
    transform = FeatureTransform(spec).adapt(table)
    transform.save(tmp_path / "f")
    loaded = FeatureTransform.load(tmp_path / "f")
    asked = [*values, "unseen", "", "unseen\n", "unse\\en", "x\r"]
    expected = [*range(2, len(values) + 2), 1, 0, 1, 1, 1]
    for one in (transform, loaded):
        assert one({"a": asked})["a"].numpy().tolist() == expected
        assert one.encode(pa.table({"a": asked}))["a"].tolist() == expected
        assert one.vocabulary("a").tolist() == values


def test_names_that_are_no_file_names_are_saved(tmp_path):
    spec = FeatureSpec((Categorical("a/b"), Categorical("a\\b"), Categorical("é%2F ?")))
    table = pa.table({name: [f"value of {name}"] for name in spec.names})
    FeatureTransform(spec).adapt(table).save(tmp_path / "f")
    loaded = FeatureTransform.load(tmp_path / "f")
    assert [loaded.vocabulary(n).tolist() for n in spec.names] == [
        [f"value of {n}"] for n in spec.names
    ]


def test_a_damaged_folder_is_named(spec, tmp_path, adapted):
    folder = tmp_path / "features"
    with pytest.raises(FileNotFoundError, match=r"a folder that FeatureTransform.save wrote"):
        FeatureTransform.load(folder)
    transform = adapted
    for name, content in {
        "user.txt": b"b\na\n",
        "item.txt": b"3\nx\n",
        "numbers.npz": b"PK",
        "spec.json": b'{"features": [',
    }.items():
        transform.save(folder)
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"must be a whole folder that FeatureTransform.save"):
            FeatureTransform.load(folder)
    transform.save(folder)
    (folder / "user.txt").unlink()
    with pytest.raises(ValueError, match=r"must be a whole folder.*user\.txt"):
        FeatureTransform.load(folder)


def test_a_failed_save_leaves_the_old_one_whole(tmp_path, monkeypatch, adapted):
    transform = adapted
    transform.save(tmp_path / "f")
    before = {path.name: path.read_bytes() for path in (tmp_path / "f").iterdir()}

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        transform.save(tmp_path / "f")
    with pytest.raises(OSError, match="No space left"):
        transform.save(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "f").iterdir()} == before


def test_saving_into_a_folder_of_other_files_is_refused(tmp_path, adapted):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="`directory` must be a new folder, an empty one"):
        adapted.save(tmp_path)
    with pytest.raises(OSError, match=r"thesis\.tex"):
        adapted.save(tmp_path / "thesis.tex" / "f")


def test_saved_model_answers_raw_rows_without_tensorflow_python(
    spec, table, tmp_path, to_raw, adapted
):
    """Asked through TensorFlow's C API, from a copy whose vocabulary files are its own assets."""
    names = ["user", "item", "city", "tags", "history", "age", "price", "title", "where"]
    names += ["prices", "actions", "rank", "photos", "facts"]
    adapted.save(tmp_path / "features")
    transform = FeatureTransform.load(tmp_path / "features")
    expected = transform(to_raw(table, spec), features=names)
    _export(transform, str(tmp_path / "model"), names)
    (tmp_path / "model").rename(tmp_path / "moved")
    del transform  # and with it the files that the tables were read from
    assert {path.name for path in (tmp_path / "moved" / "assets").iterdir()} == {
        *("user.txt", "item.txt", "device.txt", "tags.txt", "title.txt"),
        *("actions.txt", "sources.txt", "facts.txt", "facts_keys.txt"),
    }
    inputs = {
        feature: value.numpy().tolist()
        for feature, value in to_raw(table, spec, ragged=False).items()
        if feature in [*names, "device"]
    }
    texts = json.dumps(inputs, default=bytes.decode)
    guard = f"""
import runpy, sys
class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tfrecs", "keras") or name.startswith("tensorflow."):
            raise ImportError(name)
sys.meta_path.insert(0, NoTensorFlow())
sys.path.insert(0, {str(SESSION.parent)!r})
sys.argv = ["session.py", {str(tmp_path / "moved")!r}, "--inputs", sys.stdin.read()]
runpy.run_path({str(SESSION)!r}, run_name="__main__")
"""
    result = subprocess.run(
        [sys.executable, "-c", guard], input=texts, capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value.numpy().astype(np.float64), rtol=1e-6)
    assert answer["vector"] == [[float(i)] for i in expected["user"].numpy()]
