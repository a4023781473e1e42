import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfrecs.serving import SessionError
from tfrecs.serving.limits import Limits
from tfrecs.serving.meta_graph import Signature, Tensor
from tfrecs.serving.protos import read_tensor, read_tensors, signature_map, to_proto


@pytest.mark.parametrize(
    "value",
    [
        np.array([[1.5, -np.inf]], np.float32),
        np.array([1.0]),
        np.array(3, np.int32),
        np.array([-(2**63)]),
        np.array([True, False]),
        np.array([b"a", b"\xff"], object),
        np.zeros((0, 3), np.float32),
    ],
)
def test_arrays_survive_the_wire_as_tensorflow_writes_and_reads_them(value):
    np.testing.assert_array_equal(tf.make_ndarray(to_proto(value)), value)
    written = tf.make_tensor_proto(value, shape=value.shape)
    np.testing.assert_array_equal(read_tensor("x", written, Limits()), value)
    assert read_tensor("x", to_proto(value), Limits()).shape == value.shape


def test_one_value_fills_the_shape():
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[2.0])
    proto.tensor_shape.dim.add(size=3)
    assert read_tensor("x", proto, Limits()).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "fields, shape, message",
    [
        ({"dtype": 1, "float_val": [1, 2]}, [3], "'x' holds 2 values for the shape [3]"),
        ({"dtype": 1, "tensor_content": b"abc"}, [1], "'x' holds 3 bytes, no multiple of a value"),
        ({"dtype": 1, "float_val": [1]}, [1] * 33, "'x' declares the shape"),
        ({"dtype": 1, "float_val": [1]}, [-1], "'x' declares the shape [-1]"),
        ({"dtype": 21}, [1], "'x' is of DataType 21, which cannot be fed"),
    ],
)
def test_what_is_no_tensor_is_refused(fields, shape, message):
    proto = tensor_pb2.TensorProto(**fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_tensor("x", proto, Limits())


def test_signatures_become_tensor_infos():
    signature = Signature({"k": Tensor("k:0", 3, ())}, {"x": Tensor("x:1", 1, (None, 2))})
    proto = signature_map({"s": signature}).signature_def["s"]
    assert proto.method_name == "tensorflow/serving/predict"
    assert proto.inputs["k"].dtype == 3
    assert [dim.size for dim in proto.outputs["x"].tensor_shape.dim] == [-1, 2]
    unknown = signature_map({"s": Signature({"x": Tensor("x:0", 1, None)}, {})})
    assert unknown.signature_def["s"].inputs["x"].tensor_shape.unknown_rank


@pytest.mark.parametrize("shape, said", [([131_072], "rows"), ([8, 2**20], "values")])
def test_a_shape_without_its_values_is_refused_before_memory_is_taken(shape, said):
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[1])
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(SessionError, match=f"at most .* {said}") as error:
        read_tensor("x", proto, Limits(rows=1024, values=2**20))
    assert error.value.code == 8


def test_a_tensor_of_another_dtype_than_the_signatures_is_refused():
    signature = Signature({"k": Tensor("k:0", 3, ())}, {})
    assert read_tensors({"k": to_proto(np.array(3, np.int32))}, signature)["k"] == 3
    with pytest.raises(ValueError, match=r"'k' must be int32\[\]. Received: int64"):
        read_tensors({"k": to_proto(np.array(3, np.int64))}, signature)


def test_a_scalar_has_a_shape_without_axes():
    signature = Signature({"k": Tensor("k:0", 3, ())}, {})
    assert signature_map({"s": signature}).signature_def["s"].inputs["k"].HasField("tensor_shape")
