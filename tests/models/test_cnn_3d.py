import numpy as np
import pytest

from tfrecs.losses import InBatch, Softmax
from tfrecs.models import CNN3D
from tfrecs.models.cnn_3d import ALPHABET
from tfrecs.spec import Categorical, FeatureSpec, Sequence
from tfrecs.testing import ModelCase


def spec(size=None):
    return FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True, size=size),
            Sequence("history", "query", shared_with="item_id", size=size),
        )
    )


CASE = ModelCase(
    "cnn_3d",
    build=lambda spec: CNN3D(spec, 16, filters=(8, 8), num_characters=4, max_length=4),
    loss=lambda: InBatch(Softmax()),
    label="item_id",
    learning_rate=0.01,
    spec=spec(),
)


def history(*rows):
    ids = np.array(rows)
    return {"history": ids, "history_mask": ids > 0}


def test_one_filter_by_hand():
    # two events of one text of two characters; the filter looks at the letter a alone
    model = CNN3D(spec(4), 1, filters=(1,), num_characters=2, max_length=2)
    model.describe(
        [
            [
                "",
            ],
            [
                "",
            ],
            ["ab"],
            ["aa"],
        ]
    )
    kernel = np.zeros((3, 3, 3, len(ALPHABET), 1), "float32")
    # at an event and a character, the weights of: the event before, same place; same event, same
    # place; same event, next character
    kernel[0, 1, 1, 0], kernel[1, 1, 1, 0], kernel[1, 1, 2, 0] = 4.0, 1.0, 2.0
    model.convolutions[0].kernel.assign(kernel)
    model.dense.kernel.assign([[1.0], [10.0]])
    # event 2 is "ab": places give 1 and 0, pooled 1; then "aa": 4 + 1 + 2 and 0 + 1, pooled 7
    np.testing.assert_allclose(model.query(history([2, 3])), [[1 + 70, 1]])
    # alone, "aa" stands at the last place: 1 + 2 and 1, pooled 3
    np.testing.assert_allclose(model.query(history([3, 0])), [[30, 1]])


def test_items_of_the_same_texts_are_the_same_in_a_history():
    model = CNN3D(spec(6), 8, num_texts=2, num_characters=8)
    texts = [["", ""]] * 2 + [
        ["red shoe", "shoes"],
        ["Red Shoe", "shoes"],
        ["hat", "hats"],
        ["", ""],
    ]
    model.describe(texts)
    found = np.asarray(model.query(history([2], [3], [4])))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_the_last_events_are_read():
    model = CNN3D(spec(12), 8, max_length=2)
    found = np.asarray(model.query(history([9, 8, 2, 3], [2, 3, 0, 0], [3, 2, 0, 0])))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert (found[1] != found[2]).any()


def test_texts_are_for_every_id():
    with pytest.raises(ValueError, match="`texts` must be 1 texts for each of 5 ids"):
        CNN3D(spec(5)).describe([["a"]])


@pytest.mark.parametrize("argument", ["num_texts", "num_characters", "max_length"])
def test_a_wrong_argument_is_named(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be greater than 0"):
        CNN3D(spec(5), **{argument: 0})
