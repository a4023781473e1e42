import numpy as np

from tfrecs.models import IPNN
from tfrecs.testing import FEW, click_case

CASE = click_case("ipnn", lambda spec: IPNN(spec, embedding_dim=4, hidden=(16,)), spec=FEW)


# rows v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0]] * 2 + [[1, 2], [3, 4]] + [[0, 0]] * 2 + [[1, 0], [0, 2]]


def test_the_network_reads_fields_and_products(spec, batch, linear):
    model = linear(IPNN(spec(), embedding_dim=2, hidden=()))
    model.bag.embeddings.assign(TABLE)
    # 0.25 + (1 + 2) + (0 + 2) + 4;  0.25 + (3 + 4) + (1 + 0) + 3
    np.testing.assert_allclose(model(batch), [9.25, 11.25])
