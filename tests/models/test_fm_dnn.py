import numpy as np

from tfrecs.models import FMDNN
from tfrecs.testing import FEW, click_case

CASE = click_case("fm_dnn", lambda spec: FMDNN(spec, embedding_dim=4, hidden=(16,)), spec=FEW)


# rows w, v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0, 0]] * 2 + [[1, 1, 2], [2, 3, 4]] + [[0, 0, 0]] * 2 + [[3, 1, 0], [4, 0, 2]]


def test_machine_and_network_have_embeddings_of_their_own(spec, batch, linear):
    model = linear(FMDNN(spec(), embedding_dim=2, hidden=()))
    model.machine.embeddings.assign(TABLE)
    model.deep.embeddings.assign(np.full((8, 2), 10.0))
    # 1 + 4 + (1, 2).(0, 2) + 0.25 + 40;  2 + 3 + (3, 4).(1, 0) + 0.25 + 40
    np.testing.assert_allclose(model(batch), [49.25, 48.25])
