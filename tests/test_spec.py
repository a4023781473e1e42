"""FeatureSpec: what it refuses, what it finds, JSON without loss."""

import dataclasses
import json

import pytest

from tfrecs.spec import (
    KINDS,
    ROLES,
    Attributes,
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Timestamp,
    Vector,
    batch_keys,
)


@pytest.fixture
def everything():
    """Every kind, every role, every field away from its default somewhere."""
    return FeatureSpec(
        (
            Categorical("user_id", "query", is_id=True, min_count=2, max_size=100, size=7),
            Categorical("item_id", "candidate", dtype="int64", is_id=True),
            Categorical("country", "context", hash_bins=50),
            Categorical("device", "context", vocabulary=("phone", "desk\ntop")),
            Categorical("page", "context", dtype="int64", vocabulary=(3, 1)),
            Categorical("session", "group"),
            MultiCategorical("tags", "candidate", max_length=5),
            MultiCategorical("liked_tags", "query", shared_with="tags"),
            Sequence("history", dtype="int64", shared_with="item_id", max_length=20),
            Sequence("older", dtype="int64", shared_with="history", max_length=None),
            Sequence("dwell", dtype="float32", max_length=20, aligned_with="history"),
            Cross("where", features=("country", "device"), hash_bins=9),
            Numeric("age", normalize="standard"),
            Numeric("price", "candidate", normalize="quantile", num_bins=4),
            Numeric("popularity", "candidate", normalize="cdf", num_bins=4),
            Numeric("rating", "label"),
            Numeric("importance", "weight"),
            Text("title", lowercase=False, max_length=3, vocabulary=("a", "b")),
            Vector("image", dim=8),
            Vector("images", dim=8, max_count=3),
            Attributes("facts", max_count=3, max_length=4, keys=("brand",), vocabulary=("a",)),
            Attributes("more", lowercase=False, min_count=2, max_size=9, size=7, num_keys=5),
            Timestamp("when", unit="ms"),
        )
    )


def test_json_and_config_come_back_equal(everything):
    assert FeatureSpec.from_json(everything.to_json()) == everything
    assert FeatureSpec.from_config(json.loads(json.dumps(everything.to_config()))) == everything
    assert {f.kind for f in everything} == set(KINDS)
    assert {f.role for f in everything} == set(ROLES)


def test_spec_finds_features_by_name_and_role(everything):
    assert everything.query_id.name == "user_id"
    assert everything.candidate_id.name == "item_id"
    assert [f.name for f in everything.by_role("label", "weight")] == ["rating", "importance"]
    assert everything.select("price", "age").names == ("age", "price")
    assert everything.replace(Numeric("age"))["age"] == Numeric("age")
    assert "age" in everything
    assert "nothing" not in everything
    assert len(everything) == 23
    assert everything.owner("older").name == "item_id"
    assert everything.owner("age").name == "age"
    assert batch_keys(everything["title"]) == ("title", "title_mask")
    assert batch_keys(everything["age"]) == ("age",)
    assert batch_keys(everything["popularity"]) == ("popularity", "popularity_missing")
    assert batch_keys(everything["image"]) == ("image",)
    assert batch_keys(everything["images"]) == ("images", "images_mask")
    assert batch_keys(everything["facts"]) == ("facts", "facts_mask", "facts_keys")
    assert everything.leader("dwell").name == everything.leader("history").name == "history"


def test_unknown_name_and_role_name_the_nearest(everything):
    with pytest.raises(KeyError, match="Did you mean 'country'"):
        everything["contry"]
    with pytest.raises(ValueError, match=r"`role` must be one of 'query'.*Did you mean 'label'"):
        everything.by_role("labl")


@pytest.mark.parametrize("role", ["query", "candidate"])
def test_spec_without_one_id_says_what_to_add(role):
    with pytest.raises(ValueError, match=rf"Categorical\('{role}_id', '{role}', is_id=True\)"):
        getattr(FeatureSpec((Numeric("age"),)), f"{role}_id")


@pytest.mark.parametrize(
    "kind, fields, message",
    [
        (Numeric, {"name": ""}, "`name` must be a text"),
        (Numeric, {"role": "user"}, "`role` of feature `f` must be one of 'query'"),
        (Numeric, {"normalize": "min_max"}, "`normalize` of feature `f` must be one of 'none'"),
        (Numeric, {"num_bins": 1}, "`num_bins` of feature `f` must be an integer of at least 2"),
        (Numeric, {"size": 1}, "`size` of feature `f` must be an integer of at least 2"),
        (Categorical, {"dtype": "int32"}, "must be one of 'string', 'int64'.*mean 'int64'"),
        (Categorical, {"dtype": "float32"}, "`dtype` of feature `f` must be one of 'string'"),
        (Categorical, {"min_count": 0}, "`min_count` of feature `f` must be .* at least 1"),
        (Categorical, {"max_size": -1}, "`max_size` of feature `f` must be .* at least 1"),
        (Categorical, {"hash_bins": 0}, "`hash_bins` of feature `f` must be .* at least 1"),
        (Categorical, {"hash_bins": True}, "`hash_bins` of feature `f` must be an integer"),
        (Categorical, {"is_id": True, "role": "group"}, "must be 'query' or 'candidate'"),
        (Categorical, {"vocabulary": ()}, "`vocabulary` of feature `f` must be one value"),
        (Categorical, {"vocabulary": ("a", "b", "a")}, "without duplicates. Received: 'a'"),
        (Categorical, {"vocabulary": ("a", "")}, "str values other than ''"),
        (Categorical, {"vocabulary": (1,)}, "str values other than ''.*Received: 1"),
        (Categorical, {"vocabulary": (-1,), "dtype": "int64"}, "int values other than -1"),
        (Categorical, {"vocabulary": ("a",), "hash_bins": 3}, "left out together with hash_bins"),
        (Categorical, {"shared_with": "g", "hash_bins": 3}, "left out together with hash_bins"),
        (Categorical, {"shared_with": "g", "min_count": 3}, "left out together with shared_with"),
        (Categorical, {"hash_bins": 2, "max_size": 3}, "`max_size` .* together with hash_bins"),
        (Sequence, {"dtype": "float32", "hash_bins": 3}, "must be None with dtype='float32'"),
        (Sequence, {"max_length": 0}, "`max_length` of feature `f` must be .* at least 1"),
        (MultiCategorical, {"max_length": 2.0}, "`max_length` of feature `f` must be an integer"),
        (Text, {"max_length": None}, "`max_length` of feature `f` must be an integer"),
        (Text, {"vocabulary": ("a", "a")}, "without duplicates"),
        (Vector, {}, "`dim` of feature `f` must be an integer of at least 1"),
        (Vector, {"dim": 2, "max_count": 0}, "`max_count` of feature `f` must be .* at least 1"),
        (Attributes, {"max_count": 0}, "`max_count` of feature `f` must be .* at least 1"),
        (Attributes, {"max_length": None}, "`max_length` of feature `f` must be an integer"),
        (Attributes, {"keys": ("a", "a")}, "`keys` of feature `f` must be without duplicates"),
        (Attributes, {"keys": ("",)}, "`keys` of feature `f` must be of str values other than ''"),
        (Attributes, {"num_keys": 1}, "`num_keys` of feature `f` must be .* at least 2"),
        (Timestamp, {"unit": "m"}, "`unit` of feature `f` must be one of 's', 'ms'"),
        (Cross, {"features": ("a",)}, "two or more different names"),
        (Cross, {"features": ("a", "a")}, "two or more different names"),
        (Cross, {"features": ("a", "b"), "hash_bins": -4}, "`hash_bins` .* at least 1"),
    ],
)
def test_features_refuse_nonsense(kind, fields, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"name": "f", **fields})


@pytest.mark.parametrize(
    "features, message",
    [
        ((Numeric("a"), Text("a")), "of different names.*'a'"),
        ((Sequence("a"), Numeric("a_mask")), "Both write the key 'a_mask'"),
        ((Sequence("h", shared_with="item"),), "a feature of the same spec. Received: 'item'"),
        (
            (Categorical("a", shared_with="b"), Categorical("b", shared_with="a")),
            "free of cycles. Received: 'a -> b -> a'",
        ),
        ((Categorical("a", shared_with="a"),), "free of cycles"),
        ((Sequence("h", shared_with="n"), Numeric("n")), "a feature with ids of dtype 'string'"),
        (
            (Sequence("h", shared_with="i"), Categorical("i", dtype="int64")),
            "a feature with ids of dtype 'string'",
        ),
        (
            (Cross("c", features=("device", "b")), Categorical("devise"), Categorical("b")),
            "names of Categorical features.*'device'.*Did you mean 'devise'",
        ),
        (
            (Numeric("a", normalize="cdf"), Numeric("a_missing")),
            "Both write the key 'a_missing'",
        ),
        ((Attributes("a"), Numeric("a_keys")), "Both write the key 'a_keys'"),
        (
            (Sequence("s", aligned_with="h"), Sequence("his")),
            "`aligned_with` of feature `s` must be a feature of the same spec. Received: 'h'",
        ),
        (
            (Sequence("s", aligned_with="h"), Sequence("h", max_length=9)),
            "must be a Sequence of max_length=50 that is not aligned_with another",
        ),
        (
            (Sequence("s", aligned_with="h"), MultiCategorical("h", max_length=50)),
            "must be a Sequence of max_length=50",
        ),
        (
            (Sequence("s", aligned_with="h"), Sequence("h", aligned_with="i"), Sequence("i")),
            "not aligned_with another itself",
        ),
        ((Sequence("s", aligned_with="s"),), "not aligned_with another itself"),
        ((Cross("c", features=("a", "n")), Categorical("a"), Numeric("n")), "'n' is Numeric"),
    ],
)
def test_specs_refuse_nonsense(features, message):
    with pytest.raises(ValueError, match=message):
        FeatureSpec(features)


def test_spec_refuses_what_is_no_feature():
    with pytest.raises(TypeError, match="`features` must be features such as"):
        FeatureSpec(("user_id",))


def test_selecting_a_sharer_without_its_owner_says_what_to_select(everything):
    with pytest.raises(ValueError, match="or select 'item_id' too"):
        everything.select("history")
    assert everything.select("history", "item_id").names == ("item_id", "history")


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"kind": "categoric", "name": "a"}, "`kind` must be one of.*Did you mean 'categorical'"),
        ({"name": "a"}, "`kind` must be one of"),
        ({"kind": "numeric", "name": "a", "normalise": "none"}, "Did you mean 'normalize'"),
    ],
)
def test_config_of_another_shape_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        FeatureSpec.from_config({"features": [entry]})


def test_vocabularies_given_as_lists_are_hashable_and_equal():
    feature = Categorical("a", vocabulary=["x", "y"])
    assert feature == Categorical("a", vocabulary=("x", "y"))
    assert hash(feature) == hash(dataclasses.replace(feature))


def test_a_spec_shows_a_line_a_feature_and_what_is_set_of_it():
    spec = FeatureSpec(
        (Categorical("user", is_id=True, size=9), Numeric("age", "context", normalize="standard"))
    )
    assert repr(spec).splitlines() == [
        "FeatureSpec of 2 features",
        "  user  query     Categorical(is_id=True, size=9)",
        "  age   context   Numeric(normalize='standard')",
    ]
