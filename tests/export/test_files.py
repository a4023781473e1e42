import hashlib
import json

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrecs.export.warmup import FILE
from tfrecs.serving import Session
from tfrecs.spec import FeatureSpec

SIGNATURES = {
    "serving_default",
    "serving_default_examples",
    "recommend",
    "encode_query",
    "encode_candidate",
    "score",
    "rank",
    "recommend_examples",
    "encode_query_examples",
    "encode_candidate_examples",
    "score_examples",
}


def card_of(exported, variant):
    return json.loads((exported.paths[variant] / "card.json").read_text())


def test_the_variants_are_laid_out_as_tensorflow_serving_wants_them(exported):
    scann, stock = exported.paths["scann"], exported.paths["stock"]
    assert (scann.name, scann.parent.name) == ("1", "content")
    assert stock == scann.parents[1] / "content_stock" / "1"
    assert [path.name for path in scann.parent.iterdir()] == ["1"]  # nothing temporary is left
    assert b"Scann>" in (scann / "saved_model.pb").read_bytes()
    assert b"Scann>" not in (stock / "saved_model.pb").read_bytes()


@pytest.mark.parametrize("variant", ["scann", "stock"])
def test_every_weight_is_stored_once(exported, world, variant):
    # towers: every table and the projection of images, 4 bytes a number
    towers = 4 * sum(int(tf.size(weight.value)) for weight in world.model.variables)
    vectors = 4 * world.vectors.size
    strings = sum(len(i) for i in world.ids) + sum(
        len((title or "").encode()) for title in world.candidates["title"].to_pylist()
    )
    shown = strings + 2 * 2001 * 2 + 2001 * (8 + 4 + 1)  # lengths of strings; stock, price, new
    (data,) = (exported.paths[variant] / "variables").glob("*.data-*")
    size = data.stat().st_size
    # the checkpoint adds its own graph of objects; ScaNN its quantised copy, a quarter or so
    slack = 60_000 if variant == "stock" else 60_000 + vectors
    assert towers + vectors + shown - 5_000 < size < towers + vectors + shown + slack


def test_only_vocabularies_that_are_read_are_carried(exported):
    assets = {path.name for path in (exported.paths["stock"] / "assets").iterdir()}
    read = {"user_id.txt", "country.txt", "item_id.txt", "tags.txt", "title.txt"}
    assert assets == read | {"candidates.txt"}


def test_the_card_says_what_was_made_of_what(exported):
    card = card_of(exported, "scann")
    assert (card["name"], card["version"], card["variant"]) == ("content", 1, "scann")
    assert "ScaNN" in card["needs"]
    assert "11 requests of up to 258 rows" in card["checked"]
    assert (card["data"], card["metrics"]) == ("made up", {"ndcg@10": 0.5})
    assert card["index"]["built_by"] == "a test"
    assert card["index"]["recall@20"] == exported.recall >= 0.9
    assert card["index"]["plan"]["num_candidates"] == 2000
    assert card["model"]["class"] == "Content"
    assert card["versions"]["tensorflow"] == tf.__version__
    assert set(card["signatures"]) == SIGNATURES
    assert "TensorFlow's own" in card_of(exported, "stock")["needs"]


def test_the_hashes_of_the_card_are_those_of_the_files(exported):
    folder = exported.paths["stock"]
    listed = card_of(exported, "stock")["files"]
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert set(listed) == files - {"card.json", "card.md"}
    for name, said in listed.items():
        content = (folder / name).read_bytes()
        assert said == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_requests_of_the_card_are_answered(exported):
    card, session = card_of(exported, "stock"), Session(exported.paths["stock"])
    assert {body["signature_name"] for body in card["examples"]} == SIGNATURES
    for body in card["examples"]:
        if not body["signature_name"].endswith("_examples"):
            assert session.run(body["signature_name"], body["inputs"])
    assert {name: s.describe() for name, s in session.signatures.items()} == card["signatures"]


def test_the_card_is_readable(exported):
    text = (exported.paths["scann"] / "card.md").read_text()
    assert "# content, version 1" in text
    assert "| `serving_default` | `age` float32[?]," in text
    assert "http://localhost:8501/v1/models/content:predict" in text


def test_the_schema_gives_the_spec_back(exported, world):
    schema = schema_pb2.Schema()
    text_format.Parse((exported.paths["stock"] / "schema.pbtxt").read_text(), schema)
    assert FeatureSpec.from_schema(schema) == world.transform.spec


def test_the_warm_up_requests_are_tensorflow_servings_and_are_answered(moved):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path, signatures = moved
    seen = []
    for record in tf.data.TFRecordDataset([str(path / FILE)]).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "content_stock"
        name = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        spec = signatures[name].structured_input_signature[1]
        assert signatures[name](**{k: tf.constant(v, spec[k].dtype) for k, v in inputs.items()})
        seen.append((name, len(next(v for v in inputs.values() if v.ndim))))
    assert {name for name, _ in seen} == SIGNATURES
    assert {rows for _, rows in seen} == {1, 258}
