import numpy as np

from tfrecs.models import FMDNN
from tfrecs.spec import Categorical, FeatureSpec
from tfrecs.testing import FEW, click_case

CASE = click_case("fm_dnn", lambda spec: FMDNN(spec, embedding_dim=4, hidden=(16,)), spec=FEW)


def spec(size=4):
    return FeatureSpec(
        (Categorical("user", "query", size=size), Categorical("item", "candidate", size=size))
    )


BATCH = {"user": np.array([2, 3], "int32"), "item": np.array([3, 2], "int32")}

# rows w, v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0, 0]] * 2 + [[1, 1, 2], [2, 3, 4]] + [[0, 0, 0]] * 2 + [[3, 1, 0], [4, 0, 2]]


def linear(model):
    """Makes the deep network a sum of its inputs: one linear unit of weights 1."""
    (kernel, bias) = model.mlp.weights
    kernel.assign(np.ones(kernel.shape))
    bias.assign([0.25])
    return model


def test_machine_and_network_have_embeddings_of_their_own():
    model = linear(FMDNN(spec(), embedding_dim=2, hidden=()))
    model.machine.embeddings.assign(TABLE)
    model.deep.embeddings.assign(np.full((8, 2), 10.0))
    # 1 + 4 + (1, 2).(0, 2) + 0.25 + 40;  2 + 3 + (3, 4).(1, 0) + 0.25 + 40
    np.testing.assert_allclose(model(BATCH), [49.25, 48.25])
