from collections import Counter

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


@pytest.fixture
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def asked(inputs, model="toy", signature="", **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in spec.items():
        if name == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, name, value)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def test_the_official_client_gets_what_rest_gets(stub):
    response = stub.Predict(asked({"user_id": ["ab", ""]}), timeout=5)
    assert (response.model_spec.name, response.model_spec.version.value) == ("toy", 1)
    assert response.model_spec.signature_name == "serving_default"
    answer = {name: tf.make_ndarray(proto).tolist() for name, proto in response.outputs.items()}
    # bias 1 + length 2 - place
    assert answer == {"item_id": [[b"i0", b"i1", b"i2"]] * 2, "score": [[3, 2, 1], [1, 0, -1]]}


def test_k_is_an_input_and_outputs_may_be_filtered(stub):
    request = asked({"user_id": [b"\xff"], "k": 5}, signature="recommend", version=1)
    request.output_filter.append("score")
    response = stub.Predict(request)
    assert [*response.outputs] == ["score"]
    assert tf.make_ndarray(response.outputs["score"]).tolist() == [[2, 1, 0, -1, -2]]


@pytest.mark.parametrize(
    "request_, code, message",
    [
        (asked({"user_id": ["a"]}, model="other"), "NOT_FOUND", "one of ['toy']"),
        (asked({"user_id": ["a"]}, version=2), "NOT_FOUND", "version 1, not 2"),
        (
            asked({"user_id": ["a"]}, version_label="new"),
            "INVALID_ARGUMENT",
            "no version label 'new'",
        ),
        (asked({"user_id": ["a"]}, signature="x"), "INVALID_ARGUMENT", "must be one of"),
        (asked({}), "INVALID_ARGUMENT", "also needs the inputs ['user_id']"),
        (asked({"user_id": [1.0]}), "INVALID_ARGUMENT", "must be string"),
        (asked({"user_id": "a"}), "INVALID_ARGUMENT", "shape []"),
        (
            asked({"user_id": ["a"], "k": 9}, signature="recommend"),
            "INVALID_ARGUMENT",
            "`k` must be at most 5",
        ),
        (asked({"user_id": ["x" * 200_000]}), "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_a_bad_request_gets_its_code_and_the_server_lives_on(stub, request_, code, message):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request_, timeout=5)
    assert error.value.code().name == code
    assert message in error.value.details()
    assert stub.Predict(asked({"user_id": ["a"]}))


def test_an_unknown_output_is_an_error(stub):
    request = asked({"user_id": ["a"]})
    request.output_filter.append("price")
    with pytest.raises(grpc.RpcError, match="`output_filter` must be of"):
        stub.Predict(request)


def test_metadata_holds_the_signatures(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "toy"
    response = stub.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    assert sorted(signatures.signature_def) == ["encode_query", "recommend", "serving_default"]
    assert response.model_spec.version.value == 1
    request.metadata_field[0] = "other"
    with pytest.raises(grpc.RpcError, match="`metadata_field` must be"):
        stub.GetModelMetadata(request)


def test_status_names_the_versions(channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "toy"
    [status] = models.GetModelStatus(request).model_version_status
    assert (status.version, status.state) == (1, 30)  # AVAILABLE
    request.model_spec.version.value = 3
    with pytest.raises(grpc.RpcError, match="no version 3"):
        models.GetModelStatus(request)


def test_a_thousand_spoiled_messages_leave_the_server_alive(channel, stub):
    random = np.random.default_rng(0)
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")  # of bytes
    whole = asked({"user_id": ["ab", "c"], "k": 3}, signature="recommend").SerializeToString()
    codes, unread = Counter(), set()
    for _ in range(1000):
        spoiled = bytearray(whole)
        for place in random.integers(len(whole), size=random.integers(1, 8)):
            spoiled[place] = random.integers(256)
        try:
            predict(bytes(spoiled[: random.integers(len(whole) // 2, len(whole) + 1)]), timeout=10)
            codes["OK"] += 1
        except grpc.RpcError as error:
            codes[error.code().name] += 1
            if error.code().name == "INTERNAL":
                unread.add(error.details())
    assert set(codes) <= {"OK", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert codes["OK"] < 500
    # INTERNAL is what gRPC says of bytes that are no message
    assert unread == {"This is no PredictRequest."}
    assert stub.Predict(asked({"user_id": ["a"]}))
