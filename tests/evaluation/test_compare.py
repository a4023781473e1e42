import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tfrecs.evaluation import Estimate, Results, full_ranking, splits
from tfrecs.evaluation.compare import UNDECIDED, Comparison, compare


@pytest.fixture
def split():
    return splits.given(
        train=pa.table({"user": [10], "item": [1]}),
        test=pa.table({"user": [10, 20, 30], "item": [2, 1, 1]}),
    )


def judged(small, split, lists, **more):
    return full_ranking({"m": small.fixed(lists)}, split, small, ks=(1, 2), **more)


GOOD = {10: [1, 2], 20: [0, 1], 30: [0, 1]}
MIXED = {10: [1, 2], 20: [3, 0], 30: [3, 0]}
BAD = {10: [3, 2], 20: [3, 2], 30: [3, 2]}
M, NAMES = ("m", "m"), ("old", "new")


def test_a_difference_is_that_of_the_same_users(small, split):
    first, second = (judged(small, split, lists) for lists in (MIXED, GOOD))
    found = compare(first, second, M, NAMES)
    assert found.values["recall@1"] == (pytest.approx(1 / 3), 1.0)
    assert found.differences["recall@1"].value == pytest.approx(2 / 3)
    # user 10 is right in both: resamples of user 10 alone differ by nothing
    own = second.resampled["m"][:, 3 * 2] - first.resampled["m"][:, 3 * 2]
    assert np.isfinite(own).all()
    assert "given; all candidates ranked" in found.line
    assert "3 users" in found.line
    assert found.num_resamples == 200


def test_who_is_better_needs_an_interval_without_0(small, split):
    best, worst = judged(small, split, GOOD), judged(small, split, BAD)
    assert compare(worst, best, M, NAMES).verdict("recall@1") == "new"
    assert compare(best, worst, M, NAMES).verdict("recall@1") == "old"
    same = compare(best, best, M, NAMES)
    assert same.verdict("recall@1") == UNDECIDED
    assert same.differences["recall@1"].low == same.differences["recall@1"].high == 0
    assert same.table().columns[:3] == ["", "old", "new"]
    assert same.table().rows[0][-1] == UNDECIDED


def test_the_less_the_better_for_errors(small, split):
    from tfrecs.evaluation import Estimate
    from tfrecs.evaluation.compare import Comparison

    found = Comparison(NAMES, {}, {"rmse": Estimate(-0.1, -0.2, -0.05)}, "", 9)
    assert found.verdict("rmse") == "new"


def test_nan_decides_nothing(small, split):
    nan = dataclasses.replace(judged(small, split, GOOD))
    nan.resampled["m"][:] = np.nan
    assert compare(nan, judged(small, split, BAD), M, NAMES).verdict("recall@1") == UNDECIDED


def test_what_cannot_be_compared_is_refused(small, split):
    first = judged(small, split, GOOD)
    with pytest.raises(ValueError, match="Results of different protocol cannot be compared"):
        compare(first, judged(small, split, GOOD, seen="none"), M, NAMES)
    read = Results.from_json(first.to_json())
    with pytest.raises(ValueError, match="`resamples` must be as many of both"):
        compare(first, read, M, NAMES)
    with pytest.raises(ValueError, match="`recommender` must be one of 'm'"):
        compare(first, first, ("m", "other"), NAMES)


@pytest.mark.parametrize(
    "low, high, verdict",
    [(-0.1, 0.3, "not decided"), (0.0, 0.3, "not decided"), (0.1, 0.3, "b"), (-0.3, -0.1, "a")],
)
def test_an_interval_that_holds_0_decides_nothing(low, high, verdict):
    differences = {"ndcg@10": Estimate((low + high) / 2, low, high)}
    assert Comparison(("a", "b"), {}, differences, "", 200).verdict("ndcg@10") == verdict
