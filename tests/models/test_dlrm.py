import numpy as np

from tfrecs.models import DLRM
from tfrecs.spec import FeatureSpec, Numeric
from tfrecs.testing import click_case

CASE = click_case("dlrm", lambda spec: DLRM(spec, embedding_dim=4, bottom=(8,), hidden=(16,)))


# rows v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0]] * 2 + [[1, 2], [3, 4]] + [[0, 0]] * 2 + [[1, 0], [0, 2]]


def test_the_top_reads_the_numbers_vector_and_the_dot_products(spec, batch):
    features = FeatureSpec((*spec(), Numeric("age")))
    model = DLRM(features, embedding_dim=2, bottom=(), hidden=())
    model.bag.embeddings.assign(TABLE)
    kernel, bias = model.bottom.weights
    kernel.assign([[1, 2]])
    bias.assign([0, 0])
    kernel, bias = model.top.weights
    kernel.assign(np.ones((2 + 3, 1)))
    bias.assign([0.25])
    scores = model({**batch, "age": np.array([1.0, 2.0], "float32")})
    # d = (1, 2): 3 + d.(1, 2) + d.(0, 2) + (1, 2).(0, 2) = 3 + 5 + 4 + 4
    # d = (2, 4): 6 + d.(3, 4) + d.(1, 0) + (3, 4).(1, 0) = 6 + 22 + 2 + 3
    np.testing.assert_allclose(scores, [16.25, 33.25])


def test_without_numbers_there_is_no_bottom(spec):
    model = DLRM(spec(), embedding_dim=2, hidden=())
    assert [w.path for w in model.weights] == ["bag/embeddings", "dense_0/kernel", "dense_0/bias"]
