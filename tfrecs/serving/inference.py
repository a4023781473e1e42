"""Classify, Regress and MultiInference: tf.Examples to a signature's one input.

What a signature must have, and the messages, are those of TensorFlow Serving's classifier.cc,
regressor.cc and multi_inference.cc.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tfrecs.serving.batching import Arrays
from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import UNIMPLEMENTED
from tfrecs.serving.meta_graph import STRING, Signature

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
_OUTPUTS = {CLASSIFY: ("classes", "scores"), REGRESS: ("outputs",)}
Predict = Callable[[str, Arrays], Awaitable[Arrays]]


def examples_of(given: Any) -> Arrays:
    """Returns the serialized tf.Examples of an Input, each with the context joined to it."""
    if given.WhichOneof("kind") == "example_list_with_context":
        listed, context = given.example_list_with_context.examples, given.example_list_with_context
        before = context.context.SerializeToString()
    else:
        listed, before = given.example_list.examples, b""
    if not listed:
        raise ValueError("Input is empty.")
    examples = np.empty(len(listed), object)
    examples[:] = [before + example.SerializeToString() for example in listed]
    return {"inputs": examples}


def check_method(signatures: Mapping[str, Signature], name: str, method: str) -> None:
    """Refuses a signature that is not one to classify or to regress by.

    Raises:
        ValueError: If there is none of this name, or it is for something else.
        SessionError: UNIMPLEMENTED for another method.
    """
    if method not in _OUTPUTS:
        raise SessionError(f"Unsupported signature method_name: {method}", UNIMPLEMENTED)
    if name not in signatures:
        raise ValueError(f"No signature was found with the name: {name}")
    signature, outputs = signatures[name], _OUTPUTS[method]
    if signature.method != method:
        kind = "classification" if method == CLASSIFY else "regression"
        raise ValueError(
            f"Expected {kind} signature method_name to be {method}. Was: {signature.method}. "
            "What tfrecs exports is asked by Predict."
        )
    whole = [*signature.inputs] == ["inputs"] and signature.inputs["inputs"].code == STRING
    if not whole or not set(outputs) & set(signature.outputs):
        raise ValueError(f"{name} must take 'inputs' and give one of {outputs}.")


async def classify(name: str, examples: Arrays, predict: Predict) -> Any:
    """Returns the classes of each example, with their scores, as a ClassificationResult."""
    outputs = await predict(name, examples)
    result, count = classification_pb2.ClassificationResult(), len(examples["inputs"])
    known = {n: outputs[n] for n in _OUTPUTS[CLASSIFY] if n in outputs}
    for key, array in known.items():
        if array.ndim != 2 or len(array) != count:
            raise ValueError(
                f"Expected Tensor shape: [batch_size num_classes] of {key} but got {array.shape}"
            )
    width = min(array.shape[1] for array in known.values())
    for row in range(count):
        classes = result.classifications.add().classes
        for place in range(width):
            one = classes.add()
            if "classes" in known:
                one.label = known["classes"][row, place].decode(errors="replace")
            if "scores" in known:
                one.score = known["scores"][row, place]
    return result


async def regress(name: str, examples: Arrays, predict: Predict) -> Any:
    """Returns a value for each example, as a RegressionResult."""
    values = (await predict(name, examples))["outputs"]
    count = len(examples["inputs"])
    if values.size != count or values.ndim > 2 or values.dtype != np.float32:
        raise ValueError(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{values.shape}"
        )
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


async def infer(
    tasks: Any, given: Any, signatures: Mapping[str, Signature], predict: Predict
) -> Any:
    """Returns the MultiInferenceResponse of several signatures of one model."""
    names = [task.model_spec.signature_name or "serving_default" for task in tasks]
    for task, name in zip(tasks, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(f"Duplicate evaluation of signature: {name}")
        check_method(signatures, name, task.method_name)
    examples, response = examples_of(given), inference_pb2.MultiInferenceResponse()
    for task, name in zip(tasks, names, strict=True):
        result = response.results.add()
        result.model_spec.CopyFrom(task.model_spec)
        if task.method_name == CLASSIFY:
            result.classification_result.CopyFrom(await classify(name, examples, predict))
        else:
            result.regression_result.CopyFrom(await regress(name, examples, predict))
    return response


def input_of(asked: Mapping[str, Any]) -> Any:
    """Returns the Input of a `:classify` or `:regress` body: "examples", perhaps a "context"."""
    rows = asked.get("examples")
    if not isinstance(rows, list) or not rows:
        raise ValueError('"examples" must be a list of objects, at least one.')
    given = classification_pb2.ClassificationRequest().input
    if "context" in asked:
        given.example_list_with_context.context.CopyFrom(_example(asked["context"]))
        given.example_list_with_context.examples.extend(map(_example, rows))
    else:
        given.example_list.examples.extend(map(_example, rows))
    return given


def _example(row: Any) -> Any:
    if not isinstance(row, dict):
        raise ValueError(f"Example must be JSON object but got {type(row).__name__}.")
    example = example_pb2.Example()
    for name, content in row.items():
        feature = example.features.feature[name]
        for value in content if isinstance(content, list) else [content]:
            values: Any
            if isinstance(value, str | bytes):
                text = value.encode() if isinstance(value, str) else value
                kind, values = "bytes_list", text
            elif isinstance(value, float):
                kind, values = "float_list", value
            elif isinstance(value, int) and -(2**63) <= value < 2**63:
                kind, values = "int64_list", int(value)
            else:
                raise ValueError(f"Feature: {name} has an element of unexpected type: {value!r}")
            if feature.WhichOneof("kind") not in (None, kind):
                raise ValueError(f"Unexpected element type in feature: {name}: {value!r}")
            getattr(feature, kind).value.append(values)
    return example
