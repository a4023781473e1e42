import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrecs import retrieval
from tfrecs.retrieval import Exact, ScaNN, build, recall_at_k, scann_ops

COUNT = 6_000
IDS = np.array([f"item {place}" for place in range(COUNT)], object)


@pytest.fixture(scope="module")
def pair(clusters):
    vectors, queries = clusters
    exact = Exact(k=20).index(vectors, IDS)
    return ScaNN(k=20, recall=0.95).index(vectors, IDS, queries), exact


@pytest.mark.parametrize("similarity", ["dot", "cosine", "squared_l2"])
def test_the_wanted_recall_is_reached_without_searching_all(clusters, similarity):
    vectors, queries = clusters
    exact = Exact(k=20, similarity=similarity).index(vectors, IDS)
    index = ScaNN(k=20, similarity=similarity, recall=0.95).index(vectors, IDS)
    assert recall_at_k(index, exact, queries, 20) >= 0.94  # queries that were not its sample
    assert index.plan.leaves_to_search < index.plan.num_leaves / 2
    scores, positions = index.search(queries, 5)
    expected, best = exact.search(queries, 5)
    same = positions.numpy() == best.numpy()
    assert same.mean() > 0.9
    np.testing.assert_allclose(scores.numpy()[same], expected.numpy()[same], atol=1e-4)


def test_two_builds_answer_alike_and_another_catalogue_may_follow(clusters, pair):
    vectors, queries = clusters
    again = ScaNN(k=20, recall=0.95).index(vectors, IDS, queries)
    assert again.plan == pair[0].plan
    np.testing.assert_array_equal(again.search(queries)[1], pair[0].search(queries)[1])
    again.index(vectors[:2_000], np.arange(2_000))
    assert again.num_candidates == 2_000
    exact = Exact().index(vectors[:2_000], np.arange(2_000))
    assert recall_at_k(again, exact, queries, 20) > 0.9
    assert recall_at_k(pair[0], pair[1], queries, 20) > 0.94  # the other index is untouched


@pytest.mark.parametrize("batch", [0, 1, 31, 32, 200])
def test_batches_are_searched_alike(clusters, pair, batch):
    queries = clusters[1]
    whole = pair[0].search(queries, 7)[1].numpy()
    np.testing.assert_array_equal(pair[0].search(queries[:batch], 7)[1], whole[:batch])


@pytest.mark.parametrize("excluded", [1, 30])
def test_excluded_items_make_room_for_others(clusters, pair, excluded):
    queries = clusters[1]
    index, exact = pair
    best = exact.search(queries, excluded)[1].numpy()
    _, ids = index(queries, k=20, exclude=IDS[best])
    expected = exact(queries, k=20, exclude=IDS[best])[1].numpy()
    recalls = []
    for row, (found, wanted) in enumerate(zip(ids.numpy(), expected, strict=True)):
        assert not {i.decode() for i in found} & set(IDS[best[row]])
        assert b"" not in found
        recalls.append(len(set(found) & set(wanted)) / 20)
    assert np.mean(recalls) > 0.9


@pytest.mark.parametrize("k", [1, 3_000, COUNT])
def test_k_results_come_however_many_are_wanted(clusters, pair, k):
    queries = clusters[1][:3]
    scores, positions = pair[0].search(queries, k)
    assert np.isfinite(scores).all()
    assert all(len(set(row)) == k for row in positions.numpy())
    if k == COUNT:
        np.testing.assert_allclose(scores, pair[1].search(queries, k)[0], atol=1e-4)


def test_what_is_left_when_nearly_all_is_excluded(clusters, pair):
    queries = clusters[1][:2]
    exclude = np.tile(np.arange(3, COUNT, dtype="int32"), (2, 1))
    scores, ids = pair[0].search(queries, 5, exclude)
    assert ids.numpy()[:, 3:].tolist() == [[-1, -1], [-1, -1]]
    assert sorted(ids.numpy()[0, :3].tolist()) == [0, 1, 2]
    assert np.isneginf(scores.numpy()[:, 3:]).all()


def test_queries_that_are_not_finite_find_nothing(clusters, pair):
    queries = clusters[1][:2].copy()
    queries[0, 3] = np.nan
    scores, ids = pair[0](queries, k=2)
    assert ids.numpy()[0].tolist() == [b"", b""]
    assert np.isneginf(scores.numpy()[0]).all()
    assert np.isfinite(scores.numpy()[1]).all()


@pytest.mark.parametrize("count", [1, 30, 1_500])
def test_small_catalogues(clusters, brute_force, count):
    vectors, queries = clusters
    index = ScaNN(k=1).index(vectors[:count], IDS[:count])
    expected = brute_force(vectors[:count], queries, 1)
    assert (index.search(queries)[1].numpy() == expected[1]).mean() > 0.9


def test_a_saved_index_answers_alike(tmp_path, clusters, pair):
    queries = clusters[1]
    index = pair[0]
    index.save(tmp_path / "index")
    loaded = retrieval.load(tmp_path / "index")
    assert loaded.plan == index.plan
    np.testing.assert_array_equal(loaded(queries)[0], index(queries)[0])
    np.testing.assert_array_equal(loaded(queries)[1], index(queries)[1])


def test_exported_modules_answer_alike_side_by_side(tmp_path, clusters, pair):
    vectors, queries = clusters
    other = ScaNN(k=20).index(vectors[:900], IDS[:900])
    served = []
    for place, index in enumerate((pair[0], other)):
        module = index.export_module()
        assert len(module.variables) == 9
        signature = [tf.TensorSpec((None, 16)), tf.TensorSpec((), tf.int32)]
        module.serve = tf.function(
            module.__call__, input_signature=[*signature, tf.TensorSpec((None, None), tf.int32)]
        )
        tf.saved_model.save(module, str(tmp_path / str(place)))
        served.append((index, tf.saved_model.load(str(tmp_path / str(place)))))
    for index, loaded in served:
        serve = loaded.serve
        for batch, excluded in ((0, 0), (1, 0), (200, 0), (200, 10)):
            exclude = np.tile(np.arange(excluded, dtype="int32"), (batch, 1))
            found = serve(queries[:batch], 6, exclude)
            expected = index.search(queries[:batch], 6, exclude)
            np.testing.assert_array_equal(found[1], expected[1])
        with pytest.raises(tf.errors.InvalidArgumentError, match="`k` must be between 1"):
            serve(queries, COUNT + 1, np.empty((200, 0), "int32"))


def test_the_call_runs_in_a_graph(clusters, pair):
    queries = clusters[1]
    graph = tf.function(lambda q, k: pair[0](q, k=k), reduce_retracing=True)
    for k in (tf.constant(3), tf.constant(5)):
        np.testing.assert_array_equal(graph(queries, k)[1], pair[0](queries, k=int(k))[1])


def test_given_settings_are_taken(clusters):
    vectors, queries = clusters
    index = ScaNN(k=5, leaves_to_search=2, reorder=10).index(vectors, IDS, queries)
    assert (index.plan.leaves_to_search, index.plan.reorder, index.plan.recall) == (2, 10, None)


def test_a_sample_of_another_width(clusters):
    with pytest.raises(ValueError, match="`queries` must be of width 16"):
        ScaNN(k=5).index(clusters[0], IDS, np.ones((4, 3)))


def test_build_is_exact_for_few_and_scann_for_many(clusters):
    vectors, _ = clusters
    assert isinstance(build(vectors[:4_999], IDS[:4_999]), Exact)
    assert isinstance(build(vectors, IDS, k=5, recall=0.8), ScaNN)
    assert isinstance(build(vectors, IDS, recall=1.0), Exact)
    assert build(vectors[:3], IDS[:3], k=10).k == 3


def test_where_scann_cannot_run_build_says_so_and_is_exact(clusters, monkeypatch, caplog):
    monkeypatch.setattr(sys, "platform", "darwin")
    with caplog.at_level(logging.WARNING, "tfrecs"):
        assert isinstance(build(clusters[0], IDS), Exact)
    assert "no build for darwin" in caplog.text
    assert "exact index of 6000 candidates" in caplog.text
    with pytest.raises(ImportError, match=r"no build for darwin.*use tfrecs.retrieval.Exact"):
        ScaNN()


def test_scann_not_installed(monkeypatch):
    monkeypatch.setattr(scann_ops.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"ScaNN is not installed\. Run `pip install scann"):
        ScaNN()
    with pytest.raises(ImportError, match="ScaNN is not installed"):
        retrieval.op_library()


def test_scann_that_does_not_load(monkeypatch):
    def fail(name):
        raise ImportError("undefined symbol")

    monkeypatch.setattr(scann_ops.importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"does not load with TensorFlow.*undefined symbol"):
        scann_ops.scann_ops()


def test_the_op_library_is_there():
    assert retrieval.op_library().endswith("scann_ops/cc/_scann_ops.so")
    assert Path(retrieval.op_library()).read_bytes()[:4] == b"\x7fELF"
