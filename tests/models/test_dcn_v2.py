import numpy as np

from tfrecs.models import DCNv2
from tfrecs.testing import FEW, click_case

CASE = click_case(
    "dcn_v2",
    lambda spec: DCNv2(spec, embedding_dim=4, num_crosses=2, hidden=(16,)),
    spec=FEW,
)


# rows v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0]] * 2 + [[1, 2], [3, 4]] + [[0, 0]] * 2 + [[1, 0], [0, 2]]


def test_a_cross_multiplies_the_fields_with_a_linear_map_of_them(spec, batch, linear):
    model = linear(DCNv2(spec(), embedding_dim=2, num_crosses=1, hidden=()))
    model.bag.embeddings.assign(TABLE)
    kernel, bias = model.crosses[0].weights
    kernel.assign(np.ones((4, 4)))
    bias.assign(np.ones(4))
    # x = (1, 2, 0, 2), W x + b = 6: 5 * 6 + 5 + 0.25;  x = (3, 4, 1, 0), 9: 8 * 9 + 8 + 0.25
    np.testing.assert_allclose(model(batch), [35.25, 80.25])


def test_a_projection_makes_the_crosses_smaller(spec):
    model = DCNv2(spec(), embedding_dim=8, projection_dim=2)
    assert sum(np.size(w) for w in model.crosses[0].weights) == 16 * 2 + 2 * 16 + 16
