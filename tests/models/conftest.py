"""What the tests of click models share: two features of a few ids, and a network made linear."""

import numpy as np
import pytest

from tfrecs.spec import Categorical, FeatureSpec


@pytest.fixture
def spec():
    """Returns the spec of a user and an item, of `size` ids each."""

    def build(size=4):
        return FeatureSpec(
            (Categorical("user", "query", size=size), Categorical("item", "candidate", size=size))
        )

    return build


@pytest.fixture
def batch():
    return {"user": np.array([2, 3], "int32"), "item": np.array([3, 2], "int32")}


@pytest.fixture
def linear():
    """Makes a model's deep network a sum of its inputs: one linear unit of weights 1."""

    def change(model):
        kernel, bias = model.mlp.weights
        kernel.assign(np.ones(kernel.shape))
        bias.assign([0.25])
        return model

    return change
