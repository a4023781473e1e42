import keras
import numpy as np
import pyarrow as pa
import pytest
from keras import ops

from tests.export.padded import assert_same, marked, serve_together
from tfrecs.export.two_stage import Stage, export_two_stage
from tfrecs.features import FeatureTransform
from tfrecs.models import Ranker, TwoTower
from tfrecs.retrieval import Exact, ScaNN
from tfrecs.serving import Session, SessionError
from tfrecs.spec import Categorical, Cross, FeatureSpec, MultiCategorical, Numeric

USERS, ITEMS = 40, 1500
QUERIES = pa.table(
    {
        "user_id": [f"u{i}" for i in range(USERS)],
        "age": [None if i % 9 == 0 else float(i) for i in range(USERS)],
        "device": ["phone" if i % 2 else "desk" for i in range(USERS)],
    }
)
CANDIDATES = pa.table(
    {
        "item_id": [f"i{i}" for i in range(ITEMS)],
        "title": [f"title {i}" for i in range(ITEMS)],
        "category": [f"c{i % 5}" for i in range(ITEMS)],
        "tags": [[f"t{j}" for j in range(i % 4)] or None for i in range(ITEMS)],
        "price": [None if i == 3 else i % 7 for i in range(ITEMS)],
    }
)
RANKED = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True),
        Numeric("age", "query"),
        Categorical("device", "context"),
        Categorical("item_id", "candidate", is_id=True),
        Categorical("category", "candidate"),
        MultiCategorical("tags", "candidate"),
        Numeric("price", "candidate"),
        Cross("device_category", "context", features=("device", "category"), hash_bins=50),
    )
)


class Wide(Ranker):
    """A weight for each value, a weight for a device with a category, and price times age."""

    NAMES = ("user_id", "item_id", "category", "tags", "device_category")

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        spread = keras.initializers.RandomNormal(stddev=0.5, seed=1)
        self.tables = {
            n: keras.layers.Embedding(spec[n].size, 1, spread, name=n) for n in self.NAMES
        }
        for table in self.tables.values():
            table.build()

    def call(self, batch, training=False):
        score = 0.01 * batch["age"] * batch["price"]
        for name, table in self.tables.items():
            weight = table(batch[name])[..., 0]
            if name == "tags":
                weight = ops.sum(weight * ops.cast(batch["tags_mask"], "float32"), axis=-1)
            score += weight
        return score


@pytest.fixture(scope="module")
def stages():
    towers = FeatureTransform(RANKED.select("user_id", "item_id")).adapt(QUERIES, CANDIDATES)
    retriever = TwoTower(towers.spec, embedding_dim=8)
    ids = CANDIDATES["item_id"].to_numpy()
    retriever.candidate(towers.encode(CANDIDATES, ["item_id"]))  # makes the weights
    retriever.query(towers.encode(QUERIES, ["user_id"]))
    random = np.random.default_rng(0)
    for weight in retriever.weights:
        weight.assign(random.normal(size=weight.shape))
    vectors = np.asarray(retriever.candidate(towers.encode(CANDIDATES, ["item_id"])))
    rows = QUERIES.take(pa.array([i % USERS for i in range(ITEMS)]))
    for name in CANDIDATES.column_names:
        rows = rows.append_column(name, CANDIDATES[name])
    features = FeatureTransform(RANKED).adapt(rows)
    return Stage(retriever, towers), Stage(Wide(features.spec), features), vectors, ids


def exported_with(index, stages, folder):
    retriever, ranker, vectors, ids = stages
    return export_two_stage(
        retriever,
        index.index(vectors, ids),
        ranker,
        CANDIDATES,
        QUERIES,
        folder,
        name="two",
        k=5,
        pool=30,
        filters=("category", "tags", "price", "item_id"),
        diversity=True,
    )


@pytest.fixture(scope="module")
def exported(stages, tmp_path_factory):
    return exported_with(Exact(k=20), stages, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def session(exported):
    return Session(exported.paths["stock"])


def query(*users):
    rows = QUERIES.take(pa.array(list(users))).to_pydict()
    rows["age"] = [float("nan") if age is None else age for age in rows["age"]]
    return rows


def options(rows, **given):
    free = {
        "exclude": [[]] * rows,
        "filter_category": [[]] * rows,
        "filter_tags": [[]] * rows,
        "filter_price": [[]] * rows,
        "filter_item_id": [[]] * rows,
        "diversity": 0.0,
    }
    return free | given


def by_hand(stages, user, pool):
    """Ids and the ranker's scores of the retriever's best `pool`, best first."""
    retriever, ranker, vectors, ids = stages
    towers = retriever.transform.encode(QUERIES.slice(user, 1), ["user_id"])
    found = np.argsort(-(vectors @ np.asarray(retriever.model.query(towers))[0]))[:pool]
    rows = CANDIDATES.take(pa.array(found))
    for name in QUERIES.column_names:
        rows = rows.append_column(name, pa.array([QUERIES[name][user].as_py()] * pool))
    rows = rows.set_column(rows.column_names.index("age"), "age", rows["age"].cast("float32"))
    scores = np.asarray(ranker.model(ranker.transform.encode(rows)))
    order = np.argsort(-scores)
    return ids[found[order]].tolist(), scores[order]


def test_the_saved_model_answers_like_the_models_one_after_the_other(exported, session, stages):
    assert (set(exported.paths), exported.recall) == ({"stock"}, 1.0)
    ids, scores = by_hand(stages, user=1, pool=30)
    answer = session.run("serving_default", query(1))
    assert answer["item_id"] == [ids[:5]]
    np.testing.assert_allclose(answer["score"], [scores[:5]], rtol=1e-5, atol=1e-5)
    assert answer["title"] == [[f"title {i[1:]}" for i in ids[:5]]]


@pytest.mark.slow
def test_scann_is_exported_beside_its_twin_of_stock_operations(stages, tmp_path):
    both = exported_with(ScaNN(k=20, recall=0.95), stages, tmp_path)
    assert set(both.paths) == {"scann", "stock"}
    ids, _ = by_hand(stages, user=1, pool=30)
    scann = Session(both.paths["scann"]).run("serving_default", query(1))
    assert len(set(scann["item_id"][0]) & set(ids[:5])) >= 3


def test_k_may_go_beyond_the_pool_and_exclusions_leave_the_pool_full(session, stages):
    ids, scores = by_hand(stages, user=2, pool=40)
    answer = session.run("recommend", query(2) | options(1, k=40))
    assert answer["item_id"] == [ids]
    np.testing.assert_allclose(answer["score"], [scores], rtol=1e-5, atol=1e-5)
    answer = session.run("recommend", query(2) | options(1, k=39, exclude=[[ids[0], "none"]]))
    assert answer["item_id"] == [ids[1:]]


@pytest.mark.parametrize("name, value", [("category", "c2"), ("tags", "t2"), ("price", 4)])
def test_a_filter_keeps_what_has_one_of_its_values_and_is_each_rows_own(session, name, value):
    wanted = [[value], [-1 if name == "price" else ""]]
    answer = session.run("recommend", query(3, 3) | options(2, k=25, **{f"filter_{name}": wanted}))
    column = CANDIDATES[name].to_pylist()
    for item in answer["item_id"][0]:
        held = column[int(item[1:])]
        assert value in held if isinstance(held, list) else value == held
    free = session.run("recommend", query(3) | options(1, k=25))
    assert answer["item_id"][1] == free["item_id"][0]


def test_a_filter_by_id_is_a_list_of_what_is_allowed(session, stages):
    ranked, _ = by_hand(stages, user=3, pool=ITEMS)
    allowed = [ranked[40], ranked[2], ranked[20]]
    given = options(1, k=4, filter_item_id=[[*allowed, "none"]])
    answer = session.run("recommend", query(3) | given)
    assert answer["item_id"] == [[ranked[2], ranked[20], ranked[40], ""]]


def test_what_no_candidate_has_gives_empty_slots(session):
    given = options(1, k=3, filter_category=[["none"]])
    answer = session.run("recommend", query(3) | given)
    assert answer["item_id"] == [["", "", ""]]
    assert answer["title"] == [["", "", ""]]
    assert answer["score"] == [[-np.inf] * 3]


def test_diversity_lowers_the_likeness_of_a_list(session, stages):
    _, _, vectors, _ = stages

    def likeness(weight):
        answer = session.run("recommend", query(4) | options(1, k=8, diversity=weight))
        rows = vectors[[int(item[1:]) for item in answer["item_id"][0]]]
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        assert len({*answer["item_id"][0]}) == 8
        return (rows @ rows.T)[np.triu_indices(8, 1)].mean(), answer["item_id"][0]

    plain, first = likeness(0.0)
    diverse, second = likeness(0.9)
    assert diverse < plain
    assert first[0] == second[0]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"k": 0}, "`k` must be positive"),
        ({"k": ITEMS + 1}, "`k` must be between 1 and the number of candidates"),
        ({"k": 3, "diversity": 1.5}, "`diversity` must be 0 to 1"),
        ({"k": 3, "exclude": [["a"], ["b"]]}, "`exclude` must have one row for every query"),
    ],
)
def test_a_request_that_cannot_be_answered_is_an_error(session, given, message):
    with pytest.raises(SessionError, match=message):
        session.run("recommend", query(1) | options(1, **given))


def test_the_stages_are_offered_by_themselves_too(session):
    assert set(session.signatures) >= {"retrieve", "encode_query", "score", "rank", "recommend"}
    assert set(session.signatures["recommend"].inputs) == {
        *("user_id", "age", "device", "k", "exclude", "diversity"),
        *("filter_category", "filter_tags", "filter_price", "filter_item_id"),
    }


@pytest.mark.parametrize(
    "given, message",
    [
        ({"filters": ("colour",)}, "`filters` must be columns of the candidates"),
        ({"pool": 0}, "`pool` must be greater than 0"),
        ({"k": ITEMS + 1}, "`k` must be between 1"),
    ],
)
def test_a_wrong_argument_is_an_error(stages, tmp_path, given, message):
    retriever, ranker, vectors, ids = stages
    index = Exact(k=5).index(vectors, ids)
    with pytest.raises(ValueError, match=message):
        export_two_stage(
            retriever, index, ranker, CANDIDATES, QUERIES, tmp_path, name="two", **given
        )
    assert not any(tmp_path.glob("two*/*"))


def test_candidates_without_a_feature_of_the_ranker_are_an_error(stages, tmp_path):
    retriever, ranker, vectors, ids = stages
    index = Exact(k=5).index(vectors, ids)
    table = CANDIDATES.drop_columns(["price"])
    with pytest.raises(ValueError, match="with the column 'price', which the ranker reads"):
        export_two_stage(retriever, index, ranker, table, QUERIES, tmp_path, name="two")


def test_lists_that_begin_with_the_missing_value_survive_the_padding_of_tensorflow_serving(session):
    """`recommend` has scalars, so no server but `tfrecs serve` batches it: of one shape alone."""
    lists = {"exclude": "", "filter_category": "", "filter_tags": "", "filter_item_id": ""}
    few = query(1, 2) | options(2, k=4, exclude=[["i4"], ["i7"]], filter_tags=[["t1"], ["t2"]])
    many = query(3) | options(
        *(1,), k=4, exclude=[["i1", "i2", "i3"]], filter_category=[["c1", "c2"]]
    )
    many |= {"filter_tags": [["t0", "t1"]], "filter_item_id": [[f"i{i}" for i in range(0, 90, 3)]]}
    alone = [session.run("recommend", request) for request in (few, many)]
    requests = [marked(request, filter_price=-1, **lists) for request in (few, many)]
    answers = serve_together(session, "recommend", requests, shared=("k", "diversity"))
    assert_same(answers, alone)
