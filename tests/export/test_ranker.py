import keras
import numpy as np
import pyarrow as pa
import pytest
from keras import ops

from tfrecs.export import export_ranker
from tfrecs.features import FeatureTransform
from tfrecs.models import Ranker
from tfrecs.serving import Session
from tfrecs.spec import Categorical, Cross, FeatureSpec, MultiCategorical, Numeric

ROWS = pa.table(
    {
        "user_id": [f"u{i % 7}" for i in range(50)],
        "item_id": [f"i{i % 11}" for i in range(50)],
        "tags": [[f"t{j}" for j in range(i % 3)] for i in range(50)],
        "age": [None if i % 9 == 0 else float(i - 2) for i in range(50)],  # -1 is a number
        "unread": ["x"] * 50,
    }
)
SPEC = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Categorical("item_id", "candidate", is_id=True),
        MultiCategorical("tags", "candidate"),
        Numeric("age", "query"),
        Categorical("unread", "context"),
        Cross("user_item", "context", features=("user_id", "item_id"), hash_bins=50),
    )
)


class Wide(Ranker):
    """A weight for each value, one for each of a user with an item, one for the age."""

    NAMES = ("user_id", "item_id", "tags", "user_item")

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        spread = keras.initializers.RandomNormal(stddev=0.5, seed=1)
        self.names = [name for name in self.NAMES if name in spec]
        self.tables = {
            n: keras.layers.Embedding(spec[n].size, 1, spread, name=n) for n in self.names
        }
        for table in self.tables.values():
            table.build()

    def call(self, batch, training=False):
        score = 0.1 * batch["age"]
        for name in self.names:
            weight = self.tables[name](batch[name])[..., 0]
            if name == "tags":
                weight = ops.sum(weight * ops.cast(batch["tags_mask"], "float32"), axis=-1)
            score += weight
        return score


@pytest.fixture(scope="module")
def transform():
    return FeatureTransform(SPEC).adapt(ROWS)


@pytest.fixture(scope="module")
def model(transform):
    return Wide(transform.spec)


@pytest.fixture(scope="module")
def exported(model, transform, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    return export_ranker(model, transform, ROWS, folder, name="wide", probability=True)


def test_raw_rows_get_the_models_scores_and_their_probabilities(exported, model, transform):
    path = exported.paths["stock"]
    assert path.parts[-2:] == ("wide", "1")
    rows = ROWS.slice(1, 8).drop_columns(["unread"]).to_pydict()
    longest = max(map(len, rows["tags"]))
    rows["tags"] = [tags + [""] * (longest - len(tags)) for tags in rows["tags"]]
    answer = Session(path).run("score", rows)
    wanted = np.asarray(model(transform.encode(ROWS.slice(1, 8))))
    np.testing.assert_allclose(answer["score"], wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answer["probability"], 1 / (1 + np.exp(-wanted)), rtol=1e-5)


def test_only_what_the_model_reads_is_asked_for(exported):
    session = Session(exported.paths["stock"])
    assert set(session.signatures) >= {"serving_default", "score", "score_examples", "rank"}
    inputs = session.signatures["score"].describe()["inputs"]
    assert set(inputs) == {"user_id", "item_id", "tags", "age"}


def test_rank_orders_a_list_of_candidates_for_each_query(exported, model, transform):
    lists = {"item_id": [["i1", "i2", ""]], "tags": [[["t0", "t1"], ["", ""], ["", ""]]]}
    query = {"user_id": ["u3"], "age": [20.0]}
    answer = Session(exported.paths["stock"]).run("rank", query | lists)
    pairs = pa.table(
        {
            "user_id": ["u3", "u3"],
            "age": [20.0, 20.0],
            "item_id": ["i1", "i2"],
            "tags": [["t0", "t1"], []],
            "unread": ["x", "x"],
        }
    )
    scores = np.asarray(model(transform.encode(pairs)))
    best = np.argsort(-scores)
    assert answer["item_id"][0] == [["i1", "i2"][i] for i in best] + [""]
    np.testing.assert_allclose(answer["score"][0][:2], scores[best], rtol=1e-5, atol=1e-5)
    assert answer["score"][0][2] == -np.inf


def test_a_spec_without_a_candidate_id_has_no_rank(tmp_path):
    spec = FeatureSpec((Categorical("user_id", "context"), Numeric("age", "context")))
    transform = FeatureTransform(spec).adapt(ROWS)
    done = export_ranker(Wide(transform.spec), transform, ROWS, tmp_path, name="anonymous")
    session = Session(done.paths["stock"])
    assert "rank" not in session.signatures
    assert set(session.run("score", {"user_id": ["u1"], "age": [3.0]})) == {"score"}


def test_each_export_is_a_new_version(model, transform, tmp_path):
    for version in (1, 2):
        done = export_ranker(model, transform, ROWS, tmp_path, name="w", check=False)
        assert done.version == version
    with pytest.raises(ValueError, match=r"`version` must be new\. .*2, which is in"):
        export_ranker(model, transform, ROWS, tmp_path, name="w", version=2)


def test_rows_without_a_feature_of_the_model_are_an_error(model, transform, tmp_path):
    with pytest.raises(ValueError, match="`rows` must be a table with the column 'age'"):
        export_ranker(model, transform, ROWS.drop_columns(["age"]), tmp_path, name="w")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_ranker_is_an_error(transform, tmp_path):
    with pytest.raises(TypeError, match="`model` must be a Ranker"):
        export_ranker("wide", transform, ROWS, tmp_path, name="w")
