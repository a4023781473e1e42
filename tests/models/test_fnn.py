import numpy as np
import pytest

from tfrecs.models import FNN, FactorizationMachine
from tfrecs.testing import FEW, click_case

CASE = click_case("fnn", lambda spec: FNN(spec, embedding_dim=4, hidden=(16,)), spec=FEW)


# rows w, v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0, 0]] * 2 + [[1, 1, 2], [2, 3, 4]] + [[0, 0, 0]] * 2 + [[3, 1, 0], [4, 0, 2]]


def test_the_network_reads_bias_weights_and_vectors(spec, batch, linear):
    model = linear(FNN(spec(), embedding_dim=2, hidden=()))
    model.bag.embeddings.assign(TABLE)
    model.bias.assign(0.5)
    # 0.25 + 0.5 + (1 + 1 + 2) + (4 + 0 + 2);  0.25 + 0.5 + (2 + 3 + 4) + (3 + 1 + 0)
    np.testing.assert_allclose(model(batch), [10.75, 13.75])


def test_it_starts_from_a_factorization_machine(spec):
    machine = FactorizationMachine(spec(), embedding_dim=2, seed=7)
    machine.bag.embeddings.assign(TABLE)
    machine.bias.assign(0.5)
    model = FNN(spec(), embedding_dim=2)
    model.start_from(machine)
    np.testing.assert_array_equal(model.bag.embeddings, TABLE)
    assert float(model.bias) == 0.5


def test_a_machine_of_another_width_is_refused(spec):
    machine = FactorizationMachine(spec(), embedding_dim=3)
    with pytest.raises(ValueError, match=r"`machine` must be of tables.*same spec, embedding_dim"):
        FNN(spec(), embedding_dim=2).start_from(machine)
