import numpy as np

from tfrecs.models import PNNStar
from tfrecs.testing import FEW, click_case

CASE = click_case("pnn_star", lambda spec: PNNStar(spec, embedding_dim=4, hidden=(16,)), spec=FEW)


# rows v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0]] * 2 + [[1, 2], [3, 4]] + [[0, 0]] * 2 + [[1, 0], [0, 2]]


def test_the_network_reads_fields_and_products(spec, batch, linear):
    model = linear(PNNStar(spec(), embedding_dim=2, hidden=()))
    model.bag.embeddings.assign(TABLE)
    # both products: 0.25 + 3 + 2 + 4 + 25;  0.25 + 7 + 1 + 3 + 64
    np.testing.assert_allclose(model(batch), [34.25, 75.25])
