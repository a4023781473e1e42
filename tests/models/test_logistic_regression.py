import numpy as np

from tfrecs.models import LogisticRegression
from tfrecs.spec import Categorical, FeatureSpec
from tfrecs.testing import FEW, click_case

CASE = click_case("logistic_regression", lambda spec: LogisticRegression(spec), spec=FEW)


def spec(size=4):
    return FeatureSpec(
        (Categorical("user", "query", size=size), Categorical("item", "candidate", size=size))
    )


BATCH = {"user": np.array([2, 3], "int32"), "item": np.array([3, 2], "int32")}


def test_a_score_is_the_sum_of_the_weights():
    model = LogisticRegression(spec())
    model.bag.embeddings.assign(np.array([[0, 9, 1, 2, 0, 9, 4, 8]]).T)
    model.bias.assign(0.5)
    # users 2 and 3 weigh 1 and 2, items 3 and 2 weigh 8 and 4
    np.testing.assert_allclose(model(BATCH), [0.5 + 1 + 8, 0.5 + 2 + 4])


def test_it_starts_at_a_score_of_zero():
    np.testing.assert_array_equal(LogisticRegression(spec())(BATCH), [0, 0])
