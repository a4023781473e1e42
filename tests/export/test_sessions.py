import numpy as np
import pyarrow as pa
import pytest

from tfrecs.export import export
from tfrecs.features import FeatureTransform
from tfrecs.models import GRU4Rec
from tfrecs.retrieval import Exact
from tfrecs.serving import Session
from tfrecs.spec import Categorical, FeatureSpec, Sequence

ITEMS = [f"i_{number}" for number in range(40)]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The export, answering through TensorFlow's C API."""
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True),
            Sequence("history", "query", shared_with="item_id", max_length=5),
        )
    )
    items = pa.table({"item_id": ITEMS})
    transform = FeatureTransform(spec).adapt(items, pa.table({"history": [ITEMS[:5]]}))
    model = GRU4Rec(transform.spec, (6, 4))
    vectors = model.candidate(transform.encode(items, ["item_id"]))
    index = Exact(k=9).index(vectors, np.array(ITEMS))
    folder = tmp_path_factory.mktemp("models")
    queries = pa.table({"history": [["i_3"], ["i_8", "i_1"]]})
    made = export(model, transform, index, items, folder, name="gru", queries=queries, display=())
    return Session(made.paths["stock"])


def test_states_that_come_back_carry_a_session_on(session):
    items, said = ["i_4", "i_17", "i_2"], {}
    states = {"state_0": [[0.0] * 6], "state_1": [[0.0] * 4]}
    for item in items:
        said = session.run("advance", {"item_id": [item]} | states)
        states = {name: said[name] for name in states}
    whole = session.run("serving_default", {"history": [items]})
    assert said["item_id"] == whole["item_id"]
    np.testing.assert_allclose(said["score"], whole["score"], atol=1e-6)


def test_an_unknown_item_is_answered_and_other_rows_are_not_disturbed(session):
    states = {"state_0": [[0.5] * 6] * 2, "state_1": [[0.5] * 4] * 2}
    both = session.run("advance", {"item_id": ["i_4", "never seen"]} | states)
    first = {name: value[:1] for name, value in states.items()}
    alone = session.run("advance", {"item_id": ["i_4"]} | first)
    assert both["item_id"][0] == alone["item_id"][0]
    assert np.isfinite(both["score"]).all()
