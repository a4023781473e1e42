"""What Classify, Regress and MultiInference refuse, in TensorFlow Serving's words."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from tensorflow_serving.apis import inference_pb2, model_management_pb2

from tfrecs.serving import inference, rpc
from tfrecs.serving.inference import CLASSIFY, REGRESS

STRING, FLOAT = inference.STRING, 1


def signature(method, inputs=("inputs",), outputs=("outputs",), code=STRING):
    return SimpleNamespace(
        method=method,
        inputs={name: SimpleNamespace(code=code) for name in inputs},
        outputs=dict.fromkeys(outputs),
    )


def answering(**outputs):
    async def predict(name, arrays):
        return outputs

    return predict


EXAMPLES = {"inputs": np.array([b"", b""], object)}


@pytest.mark.parametrize(
    ("given", "name", "message"),
    [
        (signature(REGRESS), "other", "No signature was found with the name: other"),
        (signature(REGRESS, inputs=("age",)), "years", "years must take 'inputs' and give one of"),
        (signature(REGRESS, code=FLOAT), "years", "years must take 'inputs'"),
        (signature(REGRESS, outputs=("age",)), "years", "years must take 'inputs'"),
        (signature(CLASSIFY), "years", "Expected regression signature method_name to be"),
    ],
)
def test_a_signature_that_does_not_fit_is_refused(given, name, message):
    with pytest.raises(ValueError, match=message):
        inference.check_method({"years": given}, name, REGRESS)


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
def test_scores_of_other_shapes_are_no_classes(shape):
    ask = inference.classify("c", EXAMPLES, answering(scores=np.zeros(shape, np.float32)))
    with pytest.raises(ValueError, match=r"\[batch_size num_classes\] of scores but got"):
        asyncio.run(ask)


@pytest.mark.parametrize("values", [np.zeros(3, np.float32), np.zeros((2, 2), np.float32)])
def test_values_of_other_shapes_are_no_regression(values):
    ask = inference.regress("r", EXAMPLES, answering(outputs=values))
    with pytest.raises(ValueError, match=r"\[batch_size\] or \[batch_size, 1\] but got"):
        asyncio.run(ask)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": None}, "Feature: a has an element of unexpected type: None"),
        ({"a": 2**63}, "Feature: a has an element of unexpected type"),
        ({"a": [1, "x"]}, "Unexpected element type in feature: a: 'x'"),
    ],
)
def test_a_value_that_is_no_feature_is_named(value, message):
    with pytest.raises(ValueError, match=message):
        inference.input_of({"examples": [value]})


def test_a_request_names_its_model_and_a_reload_lists_models():
    request = inference_pb2.MultiInferenceRequest()
    request.tasks.add().method_name = CLASSIFY
    servicer = object.__new__(rpc._Prediction)
    with pytest.raises(ValueError, match="Found ModelSpec with an empty model name"):
        asyncio.run(servicer.MultiInference(request, None))
    config = model_management_pb2.ReloadConfigRequest().config
    with pytest.raises(ValueError, match="Only a `model_config_list` can be reloaded"):
        rpc._config(config)
