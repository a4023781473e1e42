"""What is known of users: one place for protocols, recommendations and examples."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tfrecs.datasets import Tables
from tfrecs.evaluation import Split, full_ranking
from tfrecs.evaluation.known import known_events, known_pairs, told, with_disliked
from tfrecs.spec import Categorical, FeatureSpec, Numeric

SPEC = FeatureSpec(
    (
        Categorical("user", "query", is_id=True),
        Categorical("item", "candidate", is_id=True),
        Numeric("stars", "label"),
    )
)
ITEMS = list("abcdef")


def pairs(*texts):
    users, items = zip(*texts, strict=True)
    return pa.table({"user": list(users), "item": list(items)})


@pytest.fixture
def tables():
    rows = [("u", "a", 5), ("u", "b", 4), ("u", "c", 5), ("u", "d", -1), ("u", "e", 0)]
    users, items, stars = zip(*[*rows, ("v", "a", 4)], strict=True)
    return Tables(
        "stars",
        pa.table({"user": users, "item": items, "stars": pa.array(stars, pa.float32())}),
        pa.table({"user": ["u", "v"]}),
        pa.table({"item": ITEMS}),
        SPEC,
        positive=pc.field("stars") >= 4,
    )


@pytest.fixture
def split():
    return Split(pairs("ua", "va"), pairs("uc"), "by hand", validation=pairs("ub"))


def known(split, tables, seen):
    found = known_pairs(split, tables, pa.array(["v", "u"]), seen)
    return ["".join(ITEMS[i] for i in np.sort(row.indices)) for row in found]


def test_each_word_adds_its_parts(split, tables):
    split = with_disliked(split, tables)
    assert known(split, tables, "none") == ["", ""]
    assert known(split, tables, "train") == ["a", "ab"]
    assert known(split, tables, "disliked") == ["a", "abd"]
    assert known(split, tables, "all") == ["a", "abcd"]


def test_a_label_of_0_is_no_verdict_and_positives_are_not_disliked(split, tables):
    assert with_disliked(split, tables).disliked.to_pylist() == [{"user": "u", "item": "d"}]


def test_a_text_can_be_a_verdict(split, tables):
    words = pa.array(["", None, "", "dislike", "", ""]).dictionary_encode()
    events = tables.events.drop_columns("stars").append_column("word", words)
    spec = FeatureSpec((*list(SPEC)[:2], Categorical("word", "label")))
    given = SimpleNamespace(events=events, spec=spec, positive=pc.field("word").is_null())
    assert with_disliked(split, given).disliked.to_pylist() == [{"user": "u", "item": "d"}]


def test_without_a_label_nobody_is_said_to_dislike(split, tables):
    bare = Tables("bare", tables.events, tables.queries, tables.candidates, SPEC)
    assert with_disliked(split, bare).disliked is None


def test_the_test_of_three_parts_is_judged_with_validation_known(split, tables):
    class Order:
        """Recommends a, b, c, ... without what is masked."""

        def recommend(self, queries, k, exclude=None):
            left = np.where(exclude.toarray(), -np.inf, -np.arange(6.0))
            places = np.argsort(-left, axis=1, kind="stable")[:, :k]
            return np.take_along_axis(left, places, axis=1), places

    found = full_ranking({"order": Order()}, split, tables, ks=(1,), num_bootstrap=0)
    assert found["order", "recall@1"] == 1  # a and b are known, c comes first
    assert "training and validation pairs masked" in found.protocol


def test_the_line_names_the_parts(split):
    assert told(split, "none") == "nothing masked"
    split = Split(split.train, split.test, "", given=split.train, disliked=split.test)
    assert told(split, "disliked") == "training, given and disliked pairs masked"
    assert known_events(split, "train", ["item"]).num_rows == 4
