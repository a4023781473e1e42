"""What clients of TensorFlow Serving use, by the official client."""

import json
import shutil
import urllib.error
import urllib.request

import grpc
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfrecs.serving.inference import CLASSIFY, REGRESS
from tfrecs.serving.server import Server


def write_classifier(path):
    """Signatures to classify and to regress by, as TF 1's builder makes them: the age decides."""
    v1, meta = tf.compat.v1, tf.compat.v1.saved_model.signature_def_utils
    with v1.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], "inputs")
        age = v1.parse_example(examples, {"age": v1.FixedLenFeature([], tf.float32)})["age"]
        scores = tf.stack([age, 100 - age], axis=1)
        classes = tf.tile(tf.constant([["old", "young"]]), [tf.shape(age)[0], 1])
        signatures = {
            "serving_default": meta.classification_signature_def(examples, classes, scores),
            "years": meta.regression_signature_def(examples, 2 * age),
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, versions):
    folder = tmp_path_factory.mktemp("models")
    write_classifier(folder / "ages" / "1")
    shutil.copytree(versions, folder / "toy", dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def running(folder):
    models = {"ages": folder / "ages", "toy": folder / "toy"}
    with Server(models, grpc_port=0, rest_port=0, poll_seconds=0.05) as server:
        yield server


@pytest.fixture(scope="module")
def channel(running):
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def fill(given, *ages, context=None):
    listed = given.example_list if context is None else given.example_list_with_context
    if context is not None:
        listed.context.features.feature["age"].float_list.value.append(context)
    for age in ages:
        example = listed.examples.add()
        if age is not None:
            example.features.feature["age"].float_list.value.append(age)


def post(server, path, body):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/{path}"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, None if body is None else json.dumps(body).encode()),
            timeout=10,
        ) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_classify_gives_classes_and_scores(stub, running):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "ages"
    fill(request.input, 30.0, 70.0)
    answer = stub.Classify(request, timeout=10)
    found = [[(c.label, c.score) for c in row.classes] for row in answer.result.classifications]
    assert found == [[("old", 30), ("young", 70)], [("old", 70), ("young", 30)]]
    assert answer.model_spec.version.value == 1
    body = {"examples": [{"age": 30.0}, {"age": [70.0]}]}
    wanted = [[["old", 30.0], ["young", 70.0]], [["old", 70.0], ["young", 30.0]]]
    assert post(running, "ages:classify", body) == (200, {"results": wanted})


def test_regress_gives_values_and_a_context_is_joined_to_every_example(stub, running):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "ages", "years"
    fill(request.input, None, 4.0, context=3.0)
    values = [r.value for r in stub.Regress(request, timeout=10).result.regressions]
    assert values == [6, 8]
    body = {"signature_name": "years", "context": {"age": 3.0}, "examples": [{}, {"age": 4.0}]}
    assert post(running, "ages:regress", body) == (200, {"results": [6.0, 8.0]})


def test_multi_inference_asks_several_signatures(stub):
    request = inference_pb2.MultiInferenceRequest()
    fill(request.input, 5.0)
    for signature, method in (("", CLASSIFY), ("years", REGRESS)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "ages", signature
    first, second = stub.MultiInference(request, timeout=10).results
    assert [c.score for c in first.classification_result.classifications[0].classes] == [5, 95]
    assert [r.value for r in second.regression_result.regressions] == [10]
    request.tasks[1].model_spec.signature_name = ""
    with pytest.raises(grpc.RpcError, match="Duplicate evaluation"):
        stub.MultiInference(request, timeout=10)
    request.tasks[1].model_spec.name = "toy"
    with pytest.raises(grpc.RpcError, match="must access the same model name"):
        stub.MultiInference(request, timeout=10)


def test_a_signature_to_predict_by_is_not_one_to_classify_by(stub, running):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "toy"
    fill(request.input, 1.0)
    with pytest.raises(grpc.RpcError) as error:
        stub.Classify(request, timeout=10)
    assert error.value.code().name == "INVALID_ARGUMENT"
    assert "Expected classification signature method_name" in error.value.details()
    assert post(running, "toy:regress", {"examples": [{}]})[0] == 400
    assert post(running, "ages:classify", {"examples": []})[0] == 400
    assert post(running, "ages:classify", {"examples": [{"age": [1.0, "a"]}]})[0] == 400


def reload(channel, *models):
    request = model_management_pb2.ReloadConfigRequest()
    for name, path, latest, labels in models:
        model = request.config.model_config_list.config.add()
        model.name, model.base_path, model.model_platform = name, str(path), "tensorflow"
        model.model_version_policy.latest.num_versions = latest
        for label, version in labels.items():
            model.version_labels[label] = version
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    return stub.HandleReloadConfigRequest(request, timeout=30)


def score(server, path):
    status, answer = post(server, path, {"inputs": [""]})
    return answer["outputs"]["score"][0][0] if status == 200 else (status, answer["error"])


def test_reloading_sets_models_versions_and_labels(channel, stub, running, folder):
    ages = ("ages", folder / "ages", 1, {})
    assert score(running, "toy:predict") == 2
    assert score(running, "toy/versions/1:predict")[0] == 404
    reload(channel, ages, ("toy", folder / "toy", 2, {"stable": 1, "canary": 2}))
    assert score(running, "toy/labels/stable:predict") == 1
    assert score(running, "toy/labels/canary:predict") == 2
    assert score(running, "toy/versions/1:predict") == 1
    assert score(running, "toy/labels/other:predict")[0] == 400
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.version_label = "toy", "stable"
    request.inputs["user_id"].CopyFrom(tf.make_tensor_proto([""]))
    assert stub.Predict(request, timeout=10).model_spec.version.value == 1
    states = post(running, "toy/labels/stable", None)[1]["model_version_status"]
    assert [(s["version"], s["state"]) for s in states] == [("1", "AVAILABLE")]
    metadata = post(running, "toy/labels/stable/metadata", None)[1]
    assert metadata["model_spec"]["version"] == "1"
    inputs = metadata["metadata"]["signature_def"]["signature_def"]["recommend"]["inputs"]
    assert inputs["k"]["tensor_shape"] == {"dim": [], "unknown_rank": False}
    # another model comes, one goes
    reload(channel, ages, ("copy", folder / "toy", 1, {}))
    assert score(running, "copy:predict") == 2
    assert score(running, "toy:predict")[0] == 404
    reload(channel, ages, ("toy", folder / "toy", 1, {}))
    assert running.service.ready


@pytest.mark.parametrize(
    "models, code, said",
    [
        ([("toy", "toy", 1, {"new": 9})], "FAILED_PRECONDITION", "names version 9"),
        ([("none", "nowhere", 1, {})], "FAILED_PRECONDITION", "none has no version that loads"),
        ([("toy", "", 1, {})], "INVALID_ARGUMENT", "`name` and `base_path`"),
        ([("toy", "toy", 1, {}), ("toy", "toy", 1, {})], "INVALID_ARGUMENT", "twice"),
    ],
)
def test_a_config_that_cannot_be_served_changes_nothing(
    channel, running, folder, models, code, said
):
    given = [(name, path and folder / path, *rest) for name, path, *rest in models]
    with pytest.raises(grpc.RpcError) as error:
        reload(channel, *given)
    assert error.value.code().name == code
    assert said in error.value.details()
    assert sorted(running.service.models) == ["ages", "toy"]
    assert score(running, "toy:predict") == 2


def test_the_health_service_tells_what_readyz_does(channel, running):
    health = health_pb2_grpc.HealthStub(channel)
    service = "tensorflow.serving.PredictionService"
    for name in ("", service):
        assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5).status == 1
    assert next(health.Watch(health_pb2.HealthCheckRequest(), timeout=5)).status == 1
    with pytest.raises(grpc.RpcError) as error:
        health.Check(health_pb2.HealthCheckRequest(service="other"), timeout=5)
    assert error.value.code().name == "NOT_FOUND"


@pytest.mark.parametrize(
    "path, body, status, said",
    [
        ("", None, 400, "Malformed request"),
        ("toy:explain", {}, 400, "Malformed request"),
        ("toy:predict", None, 400, "Malformed request"),
        ("toy/versions/x", None, 400, "Malformed request"),
        (f"toy/versions/{2**63}", None, 400, "Failed to convert version"),
        ("toy/versions/7", None, 404, "no version 7"),
        ("toy/labels/x:predict", {"inputs": [""]}, 400, "no version label 'x'"),
        ("%74oy:predict", {"inputs": ["", 1]}, 400, "strings"),
    ],
)
def test_what_cannot_be_asked_is_told_as_json_by_tensorflow_servings_status(
    running, path, body, status, said
):
    got, answer = post(running, path, body)
    assert (got, [*answer]) == (status, ["error"])
    assert said in answer["error"]


def test_the_status_of_a_model_by_the_official_client(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name, request.model_spec.version_label = "toy", "nothing"
    with pytest.raises(grpc.RpcError) as error:
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=5)
    assert error.value.code().name == "INVALID_ARGUMENT"
