import re

import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from tfrecs.serving.meta_graph import (
    STRING,
    Signature,
    Tensor,
    from_base64,
    read_signatures,
    to_array,
)


def meta_graph(shape, dtype):
    proto = meta_graph_pb2.MetaGraphDef()
    proto.meta_info_def.tags.append("serve")
    info = proto.signature_def["recommend"].inputs["user_id"]
    info.name, info.dtype = "user:0", dtype
    if shape is None:
        info.tensor_shape.unknown_rank = True
    else:
        for size in shape:
            info.tensor_shape.dim.add(size=size)
    proto.signature_def["recommend"].outputs["score"].name = "out:3"
    proto.signature_def["__saved_model_init_op"].outputs["init"].name = "init"
    return proto.SerializeToString()


@pytest.mark.parametrize(
    "sizes, shape, text",
    [
        ([], (), "int64[]"),
        ([-1], (None,), "int64[?]"),
        ([-1, 300], (None, 300), "int64[?, 300]"),
        ([0, 2], (0, 2), "int64[0, 2]"),
        (None, None, "int64"),
    ],
)
def test_a_signature_is_read_from_the_wire(sizes, shape, text):
    signatures = read_signatures(meta_graph(sizes, dtype=9))
    assert list(signatures) == ["recommend"]  # TensorFlow's own is left out
    tensor = signatures["recommend"].inputs["user_id"]
    assert tensor == Tensor("user:0", 9, shape)
    assert str(tensor) == text
    assert signatures["recommend"].outputs["score"].tensor == "out:3"


def test_a_signature_describes_itself_in_words():
    signature = Signature({"k": Tensor("k:0", 3, ())}, {"x": Tensor("x:0", 99, (None,))})
    assert signature.describe() == {
        "inputs": {"k": "int32[]"},
        "outputs": {"x": "TF_DataType 99[?]"},
    }


@pytest.mark.parametrize(
    "value, code, shape, dtype",
    [
        ([1, 2], 1, (None,), np.float32),
        ([1, 2], 9, (None,), np.int64),
        (3, 3, (), np.int32),
        ([[True]], 10, (None, 1), np.bool_),
        ([b"a", b"b"], STRING, (None,), object),
        (np.ones((2, 2))[:, ::-1], 1, None, np.float32),
        ([], 9, (None,), np.int64),
        ([[]], STRING, (None, None), object),
    ],
)
def test_values_that_fit_are_taken(value, code, shape, dtype):
    array = to_array("x", value, Tensor("x:0", code, shape))
    assert array.dtype == dtype
    assert array.tolist() == np.asarray(value, object).tolist()


def test_strings_become_bytes():
    assert to_array("x", ["é", b"\xff"], Tensor("x:0", STRING, (None,))).tolist() == [
        b"\xc3\xa9",
        b"\xff",
    ]


@pytest.mark.parametrize(
    "value, code, shape, message",
    [
        (["a"], 9, (None,), "x must be int64[?]. Received: <U1 values."),
        (np.zeros(0), 9, (None,), "x must be int64[?]. Received: float64 values."),
        (np.zeros(0, int), STRING, (None,), "x must be string[?]. Received: int64 values."),
        ([1.5], 3, (None,), "x must be int32[?]. Received: float64 values."),
        ([True], 3, (None,), "x must be int32[?]. Received: bool values."),
        ([1, True], 3, (None,), "x must be int32[?]. Received: bool values."),
        ([[1.5], [True]], 1, (None, None), "x must be float32[?, ?]. Received: bool values."),
        ([2**24 + 1], 1, (None,), "x must be float32[?]. Received: integers out of its range."),
        ([1e300], 1, (None,), "x must be float32[?]. Received: numbers out of its range."),
        ([2**31], 3, (None,), "x must be int32[?]. Received: integers out of its range."),
        ([2**64], 9, (None,), "x must be int64[?]. Received: object values."),
        ([1], STRING, (None,), "x must be string[?]: strings, as many in every row."),
        ([None], STRING, (None,), "x must be string[?]: strings, as many in every row."),
        ([None], 1, (None,), "x must be float32[?]. Received: object values."),
        ([["a"], ["b", "c"]], STRING, (None, None), "strings, as many in every row."),
        ([[1], [2, 3]], 9, (None, None), "x is ragged. Give every row the same length."),
        ([1], 9, (None, None), "x must be int64[?, ?]. Received: shape [1]."),
        ([[1, 2]], 9, (None, 3), "x must be int64[?, 3]. Received: shape [1, 2]."),
        ("a", STRING, (None,), "x must be string[?]. Received: shape []."),
        (["\ud800"], STRING, (None,), "x holds a string that is no Unicode text"),
        ([1], 21, (None,), "x is of TF_DataType 21[?], which this session cannot feed."),
    ],
)
def test_values_that_do_not_fit_are_refused(value, code, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        to_array("x", value, Tensor("x:0", code, shape))


def test_only_the_one_standard_base64_text_of_some_bytes_is_decoded():
    assert from_base64("+//+") == b"\xfb\xff\xfe"
    assert from_base64("") == b""
    for text in (
        "-__-",
        "YzE",
        "Y*z*E*=",
        "YQ==YQ==",
        " YQ==",
        "YQ==\n",
        "YR==",
        "\N{SNOWMAN}",
        3,
        None,
    ):
        with pytest.raises(ValueError, match=r'"b64" must be'):
            from_base64(text)
