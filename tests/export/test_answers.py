import math

import numpy as np
import pytest
import tensorflow as tf

from tfrecs.export.check import ask
from tfrecs.export.requests import Request, _filled, to_example
from tfrecs.serving import Session, SessionError

READ = ("user_id", "country", "age", "history")
ONE = {"user_id": ["u_1"], "country": ["c1"], "age": [1.0], "history": [["i_1", "i_2"]]}


def raw_rows(world, count):
    specs = world.transform.raw_signature(READ)
    return {n: _filled(world.queries[n][:count].to_pylist(), spec) for n, spec in specs.items()}


@pytest.fixture(scope="module", params=["scann", "stock"])
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def session(exported, variant):
    return Session(exported.paths[variant])


def test_a_thousand_raw_rows_are_answered_as_the_model_answers(world, exported, variant):
    rows = raw_rows(world, 1000)
    (answer,) = ask(
        exported.paths[variant], [Request("serving_default", rows).body()]
    )  # a fresh process
    scores, ids = exported.answers[variant]
    assert answer["item_id"] == [[i.decode() for i in row] for row in ids.numpy().tolist()]
    np.testing.assert_allclose(answer["score"], scores, rtol=1e-5, atol=1e-5)
    titles = dict(zip(world.ids, world.candidates["title"].to_pylist(), strict=True))
    assert answer["title"] == [[titles[i] or "" for i in row] for row in answer["item_id"]]


def test_only_what_the_model_reads_is_asked_for(session):
    inputs = session.signatures["serving_default"].describe()["inputs"]
    assert inputs == {
        "user_id": "string[?]",
        "country": "string[?]",
        "age": "float32[?]",
        "history": "string[?, ?]",
    }
    inputs = session.signatures["rank"].describe()["inputs"]
    assert (inputs["tags"], inputs["image"]) == ("string[?, ?, ?]", "float32[?, ?, 3]")
    assert "device" not in inputs
    assert "body" not in inputs


def test_unknown_missing_and_empty_values_are_answered(session):
    odd = {
        "user_id": ["nobody", ""],
        "country": ["", "atlantis"],
        "age": [math.nan, math.inf],
        "history": [[], []],
    }
    answer = session.run("serving_default", odd)
    assert np.shape(answer["item_id"]) == (2, 7)
    assert np.isfinite(answer["score"]).all()


def test_a_row_is_answered_alike_in_any_batch_and_with_any_padding(session):
    alone = session.run("serving_default", ONE)
    padded = {**ONE, "history": [["i_1", "i_2", "", "", ""]]}
    assert session.run("serving_default", padded) == alone
    many = session.run("serving_default", {name: value * 9 for name, value in ONE.items()})
    assert many["item_id"] == alone["item_id"] * 9
    nothing = {"user_id": [], "country": [], "age": [], "history": np.zeros((0, 3), object)}
    assert session.run("serving_default", nothing)["item_id"] == []


def test_excluded_ids_are_left_out_and_the_next_ones_move_up(session):
    options = {"k": 10, "exclude": [[""]]}
    best = session.run("recommend", ONE | options)["item_id"][0]
    exclude = [[best[0], "not in the catalogue", best[3], ""]]
    left = session.run("recommend", ONE | {"k": 8, "exclude": exclude})["item_id"][0]
    assert left == [item for place, item in enumerate(best) if place not in (0, 3)]


def test_display_columns_keep_their_types(session, world):
    answer = session.run("serving_default", ONE)
    row = world.ids.tolist().index(answer["item_id"][0][0])
    shown = world.candidates.slice(row, 1).to_pylist()[0]
    assert answer["stock"][0][0] == shown["stock"]
    assert answer["price"][0][0] == shown["price"]
    assert answer["new"][0][0] is shown["new"]
    outputs = session.signatures["serving_default"].describe()["outputs"]
    assert outputs["stock"] == "int64[?, ?]"


@pytest.mark.parametrize("k", [0, -1, 2001])
def test_a_k_outside_the_catalogue_is_an_error(session, k):
    with pytest.raises(SessionError, match=r"'recommend': .*`k` must be between 1 and"):
        session.run("recommend", ONE | {"k": k, "exclude": [[]]})


def test_the_whole_catalogue_can_be_asked_for(exported):
    session = Session(exported.paths["stock"])
    answer = session.run("recommend", ONE | {"k": 2000, "exclude": [["i_7"]]})
    assert len(set(answer["item_id"][0])) == 2000
    assert "i_7" not in answer["item_id"][0]
    assert (answer["item_id"][0][-1], answer["score"][0][-1]) == ("", -math.inf)
    assert (answer["title"][0][-1], answer["stock"][0][-1]) == ("", -1)


def test_exclusions_of_another_number_of_rows_are_an_error(session):
    with pytest.raises(SessionError, match="`exclude` must have one row for every query"):
        session.run("recommend", ONE | {"k": 2, "exclude": [["i_1"], ["i_2"]]})


def test_examples_are_answered_as_raw_features(session, world):
    rows = raw_rows(world, 20)
    specs = world.transform.raw_signature(READ)
    examples = [to_example(rows, row, specs) for row in range(20)]
    options = {"k": 5, "exclude": [["i_0"]] * 20}
    wanted = session.run("recommend", rows | options)
    assert session.run("recommend_examples", {"examples": examples} | options) == wanted
    empty = tf.train.Example().SerializeToString()  # every feature missing
    assert len(session.run("encode_query_examples", {"examples": [empty]})["embedding"]) == 1
    with pytest.raises(SessionError, match="Could not parse example"):
        session.run("encode_query_examples", {"examples": ["no example"]})


def test_score_is_the_product_of_both_embeddings(session, world):
    tags = world.candidates["tags"][:3].to_pylist()
    candidates = {
        "item_id": ["i_0", "i_1", "new"],
        "tags": [row + [""] * (2 - len(row)) for row in tags],
        "title": world.candidates["title"][:3].to_pylist(),
        "image": world.candidates["image"][:3].to_pylist(),
    }
    queries = {name: value * 3 for name, value in ONE.items()}
    query = np.array(session.run("encode_query", queries)["embedding"])
    candidate = np.array(session.run("encode_candidate", candidates)["embedding"])
    np.testing.assert_allclose(candidate[:2], world.vectors[:2], rtol=1e-5, atol=1e-6)
    score = session.run("score", queries | candidates)["score"]
    np.testing.assert_allclose(score, (query * candidate).sum(1), rtol=1e-5)
    lists = {name: [value] for name, value in candidates.items()}
    ranked = session.run("rank", ONE | lists)
    order = np.argsort(score)[::-1]
    assert ranked["item_id"] == [[candidates["item_id"][i] for i in order]]
    np.testing.assert_allclose(ranked["score"][0], np.array(score)[order], rtol=1e-5)


def test_a_candidate_without_id_ranks_last(session):
    lists = {
        "item_id": [["", "i_1"]],
        "tags": [[[""], [""]]],
        "title": [["", ""]],
        "image": [[[0.0] * 3] * 2],
    }
    ranked = session.run("rank", ONE | lists)
    assert ranked["item_id"] == [["i_1", ""]]
    assert ranked["score"][0][1] == -math.inf


def test_a_moved_copy_answers_alike_in_python_too(exported, moved):
    path, signatures = moved
    wanted = Session(exported.paths["stock"]).run("serving_default", ONE)
    dtypes = {"age": tf.float32}
    inputs = {n: tf.constant(v, dtypes.get(n, tf.string)) for n, v in ONE.items()}
    answer = signatures["serving_default"](**inputs)
    assert [[i.decode() for i in row] for row in answer["item_id"].numpy()] == wanted["item_id"]
    np.testing.assert_allclose(answer["score"], wanted["score"], rtol=1e-6)
    assert Session(path).run("serving_default", ONE) == wanted
