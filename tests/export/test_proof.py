from dataclasses import replace

import pytest
import tensorflow as tf

from tfrecs.export.proof import prove


def test_every_signature_of_an_export_is_asked(exported):
    proof = prove(exported.paths["scann"].parent)
    assert proof.path == exported.paths["scann"]
    assert proof.failed == {}
    assert set(proof.answers) == set(proof.signatures) == set(proof.requests)
    assert proof.answers["serving_default"]["item_id"] == [1, 7]  # the card's first row, k = 7
    assert proof.scann_ops == ["Scann>ScannSearchBatched", "Scann>TensorsToScann"]
    assert proof.sizes["saved_model.pb"] > 10_000
    text = str(proof)
    assert "needs" not in text
    assert "ScaNN's library: Scann>ScannSearchBatched" in text
    assert "serving_default: answers" in text
    assert '"signature_name": "recommend"' in text


def test_the_stock_variant_needs_no_library(exported):
    proof = prove(exported.paths["stock"])
    assert (proof.scann_ops, proof.failed) == ([], {})
    assert "stock alone" in str(proof)


@pytest.fixture
def foreign(tmp_path):
    """A SavedModel that tfrecs did not write: one signature answers, one fails."""

    class Foreign(tf.Module):
        def good(self, x, k):
            return {"y": x * tf.cast(k, tf.float32)}

        def bad(self, x):
            tf.debugging.Assert(tf.shape(x)[0] > 3, ["too few rows"])
            return {"y": x}

    module, spec = Foreign(), tf.TensorSpec
    good = tf.function(module.good, autograph=False).get_concrete_function(
        x=spec([None, 2], tf.float32, "x"), k=spec([], tf.int32, "k")
    )
    bad = tf.function(module.bad, autograph=False).get_concrete_function(
        x=spec([None], tf.string, "x")
    )
    path = tmp_path / "foreign" / "3"
    tf.saved_model.save(module, str(path), signatures={"serving_default": good, "bad": bad})
    return path


def test_a_foreign_saved_model_is_asked_with_a_row_of_empty_values(foreign):
    proof = prove(foreign.parent)
    assert proof.requests["serving_default"]["inputs"] == {"x": [[0.0, 0.0]], "k": 1}
    assert proof.answers == {"serving_default": {"y": [1, 2]}}
    assert "too few rows" in proof.failed["bad"]
    assert "bad: FAILED" in str(proof)


def test_what_is_no_saved_model_is_an_error(foreign, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither saved_model\.pb nor numbered versions"):
        prove(tmp_path)
    (foreign / "saved_model.pb").write_bytes(b"half")
    with pytest.raises(RuntimeError, match="does not answer in a process of its own"):
        prove(foreign)


def test_a_long_request_is_told_shortened(foreign):
    proof = replace(prove(foreign), requests={"serving_default": {"x": [0.0] * 1_000}})
    lines = [line for line in str(proof).splitlines() if line.startswith("  request:")]
    assert [line.endswith("... (5,007 characters)") for line in lines] == [True]
    assert len(lines[0]) < 700
