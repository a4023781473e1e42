import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from keras import ops

from tests.export.padded import assert_same, marked, serve_together
from tfrecs.export import export, export_ranker
from tfrecs.export.compiled import export_compiled
from tfrecs.export.padding import unmarked
from tfrecs.export.requests import to_example
from tfrecs.features import FeatureTransform
from tfrecs.models import Ranker, SASRec
from tfrecs.retrieval import Exact
from tfrecs.serving import Session
from tfrecs.spec import Categorical, FeatureSpec, MultiCategorical, Sequence

ITEMS = [f"i{number}" for number in range(40)]
SHORT = {"history": [["i3", "i8"]]}
LONG = {"history": [["i1", "i2", "i3", "i4", "i5"]]}


class Places(Ranker):
    """Weights of the item and its tags, and those of the history, each times its place."""

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        spread = keras.initializers.RandomNormal(stddev=0.5, seed=1)
        self.items = keras.layers.Embedding(spec["item_id"].size, 1, spread)
        self.tags = keras.layers.Embedding(spec["tags"].size, 1, spread)
        self.items.build()
        self.tags.build()

    def call(self, batch, training=False):
        score = self.items(batch["item_id"])[..., 0]
        tags = self.tags(batch["tags"])[..., 0] * ops.cast(batch["tags_mask"], "float32")
        places = ops.arange(1, ops.shape(batch["history"])[1] + 1, dtype="float32")
        known = ops.cast(batch["history_mask"], "float32")
        return (
            score
            + ops.sum(tags, -1)
            + score * ops.sum(self.items(batch["history"])[..., 0] * places * known, -1)
        )


def person(history):
    return {"user_id": ["u_1"], "country": ["c1"], "age": [1.0], "history": [history]}


@pytest.fixture(scope="module")
def stock(exported):
    return Session(exported.paths["stock"])


def test_without_the_mark_padding_changes_a_short_history(stock):
    """Nothing in the graph can tell the copies of the first value from values of the client."""
    short, long = person(["i_1", "i_2"]), person(["i_7", "i_8", "i_9", "i_10"])
    padded = serve_together(stock, "serving_default", [short, long])[0]
    assert padded["score"] != stock.run("serving_default", short)["score"]


@pytest.mark.parametrize("signature", ["serving_default", "encode_query"])
def test_a_history_that_begins_with_the_missing_value_is_answered_as_alone(stock, signature):
    histories = (["i_1", "i_2"], ["i_7", "i_8", "i_9", "i_10"], [])
    alone = [stock.run(signature, person(history)) for history in histories]
    requests = [marked(person(history), history="") for history in histories]
    assert_same(serve_together(stock, signature, requests), alone)


def test_excluded_ids_that_begin_with_the_missing_one_are_not_padded_to_other_rows(stock):
    rows = {n: v * 2 for n, v in person(["i_1"]).items()} | {"k": 5}
    best = stock.run("recommend", rows | {"exclude": [[""], [""]]})["item_id"][0]
    two = rows | {"exclude": [[best[0]], [best[1]]]}
    wide = rows | {"exclude": [[best[2], best[3], best[4]]] * 2}
    alone = [stock.run("recommend", request) for request in (two, wide)]
    requests = [marked(r, exclude="", history="") for r in (two, wide)]
    assert_same(serve_together(stock, "recommend", requests, shared=("k",)), alone)
    unmarked_ = serve_together(stock, "recommend", [two, wide], shared=("k",))[0]
    assert unmarked_["item_id"] != alone[0]["item_id"]  # the first row's id went to the second


def candidates(ids, tags):
    return {
        "item_id": [ids],
        "tags": [tags],
        "title": [[f"red {i}" for i in ids]],
        "image": [[[0.1 * len(i)] * 3 for i in ids]],
    }


def test_tags_and_lists_of_candidates_are_answered_as_alone(stock):
    items = {"item_id": ["i_3"], "tags": [["t0"]], "title": ["red"], "image": [[0.1, 0.2, 0.3]]}
    more = items | {"tags": [["t1", "t2", "t0"]]}
    alone = [stock.run("encode_candidate", request) for request in (items, more)]
    requests = [marked(request, tags="") for request in (items, more)]
    assert_same(serve_together(stock, "encode_candidate", requests), alone)
    two = person(["i_1"]) | candidates(["i_3", "i_4"], [["t0", ""], ["t1", "t2"]])
    four = person(["i_1", "i_2"]) | candidates(["i_5", "i_6", "i_7", "i_8"], [["t1"]] * 4)
    alone = [stock.run("rank", request) for request in (two, four)]
    # a missing candidate comes first: it and what is padded with it come last, with score -inf
    requests = []
    for request in (two, four):
        width = len(request["tags"][0][0])
        first = candidates([""], [[""] * width])
        lists = {n: [[*first[n][0], *request[n][0]]] for n in first}
        requests.append(marked(request, history="") | lists)
    answers = serve_together(stock, "rank", requests)
    for answer, wanted in zip(answers, alone, strict=True):
        count = len(wanted["item_id"][0])
        assert_same([answer], [wanted], count)
        assert set(answer["item_id"][0][count:]) == {""}
        assert set(answer["score"][0][count:]) == {-np.inf}


@pytest.mark.parametrize("name", ["serving_default_examples", "encode_query_examples"])
def test_examples_have_no_lists_to_pad(stock, world, name):
    specs = world.transform.raw_signature(("user_id", "country", "age", "history"))
    histories = (["i_1", "i_2"], ["i_7", "i_8", "i_9", "i_10"])
    requests = [{"examples": [to_example(person(history), 0, specs)]} for history in histories]
    plain = name.removesuffix("_examples")
    alone = [stock.run(plain, person(history)) for history in histories]
    assert_same(serve_together(stock, name, requests), alone)


@pytest.mark.slow
def test_a_compiled_model_is_answered_as_alone(world, tmp_path):
    index = Exact(k=5).index(world.vectors, world.ids)
    done = export_compiled(
        *(world.model, world.transform, index, world.candidates, world.queries, tmp_path),
        name="fast",
        k=5,
        check=False,
    )
    session = Session(done.paths["stock"])
    histories = (["i_1", "i_2"], ["i_7", "i_8", "i_9"])
    alone = [session.run("serving_default", person(history)) for history in histories]
    requests = [marked(person(history), history="") for history in histories]
    assert_same(serve_together(session, "serving_default", requests), alone)


def test_a_model_that_knows_places_is_answered_as_alone(tmp_path):
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True),
            Sequence("history", "query", shared_with="item_id", max_length=5),
        )
    )
    items = pa.table({"item_id": ITEMS})
    transform = FeatureTransform(spec).adapt(items, pa.table({"history": [ITEMS[:5]]}))
    model = SASRec(transform.spec, embedding_dim=8)
    vectors = model.candidate(transform.encode(items, ["item_id"]))
    index = Exact(k=9).index(vectors, np.array(ITEMS))
    queries = pa.table({"history": [[None, "i3"], ["i8", None, "i1"]]})  # checked as in Python
    made = export(model, transform, index, items, tmp_path, name="s", queries=queries, display=())
    session = Session(made.paths["stock"])
    alone = [session.run("serving_default", request) for request in (SHORT, LONG)]
    requests = [marked(request, history="") for request in (SHORT, LONG)]
    assert_same(serve_together(session, "serving_default", requests), alone)
    wrong = serve_together(session, "serving_default", [SHORT, LONG])[0]
    assert wrong["score"] != alone[0]["score"]


def test_a_ranker_is_answered_as_alone(tmp_path):
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True),
            MultiCategorical("tags", "candidate"),
            Sequence("history", "query", shared_with="item_id", max_length=5),
        )
    )
    rows = pa.table(
        {
            "item_id": ITEMS,
            "tags": [["a", "b"][: i % 3] for i in range(40)],
            "history": [[None, *ITEMS[i : i + i % 4]] for i in range(40)],
        }
    )
    transform = FeatureTransform(spec).adapt(rows)
    done = export_ranker(Places(transform.spec), transform, rows, tmp_path, name="din")
    session = Session(done.paths["stock"])
    requests = [
        {"item_id": ["i1"], "tags": [["a"]]} | SHORT,
        {"item_id": ["i2"], "tags": [["a", "b", "c"]]} | LONG,
    ]
    alone = [session.run("score", request) for request in requests]
    padded = [marked(request, history="", tags="") for request in requests]
    assert_same(serve_together(session, "score", padded), alone)
    lists = [
        {"item_id": [["i1", "i2"]], "tags": [[["a"], ["b"]]]} | SHORT,
        {"item_id": [["i3", "i4", "i5"]], "tags": [[["a", "b"]] * 3]} | LONG,
    ]
    alone = [session.run("rank", request) for request in lists]
    padded = [
        marked(r, history="", item_id="") | {"tags": [[[""] * len(r["tags"][0][0]), *r["tags"][0]]]}
        for r in lists
    ]
    for answer, wanted in zip(serve_together(session, "rank", padded), alone, strict=True):
        assert_same([answer], [wanted], len(wanted["item_id"][0]))


def test_the_mark_is_left_out_where_all_sequences_of_a_row_have_it():
    spec = FeatureSpec(
        (
            Categorical("item_id", "candidate", is_id=True),
            Sequence("history", "query", shared_with="item_id"),
            Sequence("seconds", "query", dtype="float32"),
        )
    )
    table = pa.table({"item_id": ["a"], "history": [["a"]], "seconds": [[1.0]]})
    transform = FeatureTransform(spec).adapt(table)
    nan = float("nan")
    raw = {
        "history": tf.constant([["", "a", "b"], ["", "a", "b"], ["a", "", "b"]]),
        "seconds": tf.constant([[nan, 1.0, 2.0], [3.0, 1.0, 2.0], [nan, 1.0, 2.0]]),
        "item_id": tf.constant(["", "", ""]),
    }
    got = unmarked(raw, transform)
    assert got["history"].numpy().tolist() == [
        [b"a", b"b", b""],
        [b"", b"a", b"b"],
        [b"a", b"", b"b"],
    ]
    np.testing.assert_array_equal(got["seconds"], [[1, 2, nan], [3, 1, 2], [nan, 1, 2]])
    assert got["item_id"] is raw["item_id"]
    empty = {"history": tf.zeros([2, 0], tf.string), "seconds": tf.zeros([2, 0])}
    assert unmarked(empty, transform)["history"].shape == (2, 0)
