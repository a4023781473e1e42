import numpy as np

from tfrecs.models import OPNN
from tfrecs.testing import FEW, click_case

CASE = click_case("opnn", lambda spec: OPNN(spec, embedding_dim=4, hidden=(16,)), spec=FEW)


# rows v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0]] * 2 + [[1, 2], [3, 4]] + [[0, 0]] * 2 + [[1, 0], [0, 2]]


def test_the_network_reads_fields_and_products(spec, batch, linear):
    model = linear(OPNN(spec(), embedding_dim=2, hidden=()))
    model.bag.embeddings.assign(TABLE)
    # fields sum to (1, 4) and (4, 4): the outer products sum to 5 * 5 and 8 * 8
    # 0.25 + 3 + 2 + 25;  0.25 + 7 + 1 + 64
    np.testing.assert_allclose(model(batch), [30.25, 72.25])
