import numpy as np

from tfrecs.models import LogisticRegression
from tfrecs.testing import FEW, click_case

CASE = click_case("logistic_regression", lambda spec: LogisticRegression(spec), spec=FEW)


def test_a_score_is_the_sum_of_the_weights(spec, batch):
    model = LogisticRegression(spec())
    model.bag.embeddings.assign(np.array([[0, 9, 1, 2, 0, 9, 4, 8]]).T)
    model.bias.assign(0.5)
    # users 2 and 3 weigh 1 and 2, items 3 and 2 weigh 8 and 4
    np.testing.assert_allclose(model(batch), [0.5 + 1 + 8, 0.5 + 2 + 4])


def test_it_starts_at_a_score_of_zero(spec, batch):
    np.testing.assert_array_equal(LogisticRegression(spec())(batch), [0, 0])
