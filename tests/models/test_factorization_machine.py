import keras
import numpy as np

from tfrecs.models import FactorizationMachine
from tfrecs.testing import FEW, click_case

CASE = click_case(
    "factorization_machine",
    lambda spec: FactorizationMachine(spec, embedding_dim=4),
    spec=FEW,
)


# rows w, v of users 0 to 3, then of items 0 to 3
TABLE = [[0, 0, 0]] * 2 + [[1, 1, 2], [2, 3, 4]] + [[0, 0, 0]] * 2 + [[3, 1, 0], [4, 0, 2]]


def test_a_score_is_the_weights_and_the_inner_product(spec, batch):
    model = FactorizationMachine(spec(), embedding_dim=2)
    model.bag.embeddings.assign(TABLE)
    model.bias.assign(0.5)
    # 0.5 + 1 + 4 + (1, 2).(0, 2) = 9.5;  0.5 + 2 + 3 + (3, 4).(1, 0) = 8.5
    np.testing.assert_allclose(model(batch), [9.5, 8.5])


def test_fit_finds_a_taste_that_no_weight_tells(spec):
    # a click where user and item are both even or both odd: no id alone says anything
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(2, 22, 4000).astype("int32") for name in ("user", "item")}
    clicks = ((rows["user"] + rows["item"]) % 2 == 0).astype("float32")
    model = FactorizationMachine(spec(22), embedding_dim=4)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.optimizer.learning_rate = 0.05
    model.fit(rows, clicks, batch_size=200, epochs=10, verbose=0)
    found = model.predict(rows, batch_size=4000, verbose=0) > 0
    assert (found == clicks).mean() > 0.99
