import logging

import numpy as np
import pytest

from tfrecs.retrieval import tuning


def surface(leaves, reorder):
    """A made-up recall: 1 - 1 / leaves - 20 / reorder."""
    return np.full(100, max(0.0, 1 - 1 / leaves - 20 / reorder))


def test_the_cheapest_pair_that_reaches_the_recall_is_chosen():
    plan = tuning.choose(surface, 0.9, num_candidates=100_000, num_leaves=1_000, k=100)
    options = [
        (tuning.COST_SCANNED * 100 * leaves + tuning.COST_REORDERED * reorder, leaves, reorder)
        for leaves in tuning.steps(1, 1_000)
        for reorder in tuning.steps(100, 3_200)
        if surface(leaves, reorder)[0] >= 0.9
    ]
    assert (plan.leaves_to_search, plan.reorder) == min(options)[1:]
    assert plan.recall == pytest.approx(1 - 1 / plan.leaves_to_search - 20 / plan.reorder)


def test_the_choice_measures_few_settings():
    tried = []
    tuning.choose(
        lambda *setting: tried.append(setting) or surface(*setting),
        *(0.9,),
        num_candidates=1_000_000,
        num_leaves=2_048,
        k=100,
    )
    assert len(tried) < 70


def test_a_recall_out_of_reach_is_said(caplog):
    with caplog.at_level(logging.WARNING, "tfrecs"):
        plan = tuning.choose(
            lambda *_: np.full(9, 0.5), 0.9, num_candidates=1_000, num_leaves=10, k=10
        )
    assert (plan.leaves_to_search, plan.reorder, plan.recall) == (10, 320, 0.5)
    assert "reaches recall@10 0.5000, less than 0.9000" in caplog.text


def test_reached_takes_two_standard_errors_off():
    # mean 0.75, standard deviation 0.25, standard error 0.25 / sqrt(100): 0.75 - 0.05 = 0.70
    recalls = np.array([0.5, 1.0] * 50)
    assert tuning.reached(recalls, 0.699)
    assert not tuning.reached(recalls, 0.701)


def test_a_query_does_not_count_itself():
    truth = np.array([[0, 1, 2], [3, 1, 4]])
    found = np.array([[0, 1, -1], [3, 9, 8]])
    assert tuning.per_query_recall(found, truth) == pytest.approx([2 / 3, 1 / 3])
    ignored = tuning.per_query_recall(found, truth, np.array([0, 3]))
    assert ignored == pytest.approx([1 / 2, 0])


def test_the_number_of_leaves_is_twice_the_square_root():
    assert tuning.num_leaves(1_000_000) == 2_048
    assert tuning.num_leaves(10_000) == 256  # 200 rounds up to 2^8
    assert tuning.num_leaves(1) == 2
