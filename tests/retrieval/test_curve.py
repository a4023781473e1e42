import numpy as np
import pytest

from tfrecs.retrieval import Exact, Quantized, ScaNN, recall_at_k, recall_curve

IDS = np.arange(6_000)


@pytest.fixture(scope="module")
def index(clusters):
    vectors, queries = clusters
    return ScaNN(k=20, recall=0.95).index(vectors, IDS, queries)


def test_each_recall_is_reached_on_queries_that_it_was_not_chosen_on(index, clusters):
    vectors, queries = clusters
    plan = index.plan
    curve = recall_curve(
        index,
        queries,
        recalls=(0.8, 0.99),
        others={"int8": Quantized(k=20).index(vectors, IDS)},
    )
    assert [p.label for p in curve] == ["as built", "wanted 0.8", "wanted 0.99", "exact", "int8"]
    found = {p.label: p for p in curve}
    assert found["wanted 0.8"].recall >= 0.77
    assert found["wanted 0.99"].recall >= 0.97
    assert found["wanted 0.8"].plan.leaves_to_search < found["wanted 0.99"].plan.leaves_to_search
    assert (found["exact"].recall, found["exact"].plan) == (1.0, None)
    assert 0.9 < found["int8"].recall <= 1
    assert all(p.milliseconds > 0 for p in curve)
    assert [p.label for p in curve if p.chosen] == ["as built"]
    assert index.plan is found["as built"].plan is plan
    exact = Exact(k=20).index(vectors, IDS)
    judged = recall_at_k(index, exact, queries[1::2], 20)
    assert found["as built"].recall == pytest.approx(judged)


def test_an_index_without_partitions_has_one_way_to_search(clusters):
    vectors, queries = clusters
    few = ScaNN(k=20).index(vectors[:500], IDS[:500])
    curve = recall_curve(few, queries[:20], recalls=(0.9,))
    assert [(p.label, p.recall) for p in curve] == [
        ("as built", 1.0),
        ("exact", 1.0),
    ]


def test_one_query_cannot_both_choose_and_judge(index, clusters):
    with pytest.raises(ValueError, match="`queries` must be at least two"):
        recall_curve(index, clusters[1][:1])
