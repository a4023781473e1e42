"""tensorflow-metadata Schema: without loss, and in the Schema's own fields where it has them."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrecs.schema import from_pbtxt, from_schema, to_pbtxt, to_schema
from tfrecs.spec import (
    KINDS,
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
)


@pytest.fixture
def everything():
    """Every kind, with crosses at the start, in the middle and at the end."""
    return FeatureSpec(
        (
            Cross("first", features=("country", "device")),
            Categorical("user_id", "query", is_id=True, min_count=2, max_size=100, size=7),
            Categorical("item_id", "candidate", dtype="int64", is_id=True),
            Categorical("country", "context", hash_bins=50),
            Categorical("device", "context", vocabulary=("phone", 'line\nbreak"', "çé\\")),
            Categorical("copy", "context", shared_with="device"),
            Categorical("page", "context", dtype="int64", vocabulary=(3, 1)),
            Cross("second", "query", features=("page", "device"), hash_bins=9, size=11),
            MultiCategorical("tags", "candidate", max_length=5),
            MultiCategorical("liked", "query", shared_with="tags"),
            Sequence("history", dtype="int64", shared_with="item_id", max_length=20),
            Sequence("older", dtype="int64", shared_with="history", max_length=None),
            Sequence("dwell", dtype="float32", max_length=20, aligned_with="history"),
            MultiCategorical("sources", "candidate", max_length=5, aligned_with="tags"),
            Sequence("words", vocabulary=("x",)),
            Numeric("age", normalize="standard"),
            Numeric("price", "candidate", normalize="quantile", num_bins=4, size=6),
            Numeric("popularity", "candidate", normalize="cdf", num_bins=4),
            Numeric("rating", "label"),
            Text("title", lowercase=False, max_length=3, max_size=None),
            Text("body", "query", vocabulary=("a", "b")),
            Vector("image", dim=8),
            Vector("one", "query", dim=1),
            Vector("images", dim=8, max_count=3),
            Vector("single", dim=1, max_count=1),
            Attributes("facts", max_count=3, max_length=4, keys=("brand", "ü"), vocabulary=("a",)),
            Attributes("more", "query", lowercase=False, min_count=2, max_size=None, num_keys=5),
            *(Timestamp(f"when_{unit}", unit=unit) for unit in ("s", "ms", "us", "ns")),
            Cross("third", features=("user_id", "item_id")),
        )
    )


def test_schema_and_pbtxt_come_back_equal(everything):
    assert {f.kind for f in everything} == set(KINDS)
    assert from_schema(to_schema(everything)) == everything
    assert from_pbtxt(to_pbtxt(everything)) == everything
    assert FeatureSpec.from_schema(everything.to_schema()) == everything


def test_every_feature_alone_comes_back_equal(everything):
    for feature in everything:
        whole = not (getattr(feature, "shared_with", 0) or getattr(feature, "aligned_with", 0))
        if whole and feature.kind != "cross":
            spec = FeatureSpec((feature,))
            assert from_pbtxt(to_pbtxt(spec)) == spec


def test_schema_says_in_its_own_fields_what_it_can(everything):
    schema = to_schema(everything)
    features = {f.name: f for f in schema.feature}
    kinds = schema_pb2.FeatureType
    assert features["user_id"].type == kinds.BYTES
    assert features["item_id"].type == kinds.INT
    assert features["age"].type == kinds.FLOAT
    assert features["age"].value_count.max == 1
    assert features["history"].domain == features["older"].domain == "item_id"
    assert [d.name for d in schema.int_domain] == ["item_id"]
    assert list(next(d for d in schema.string_domain if d.name == "device").value) == [
        "phone",
        'line\nbreak"',
        "çé\\",
    ]
    assert features["history"].sequence_metadata.sequence_truncation_limit == 20
    assert features["title"].HasField("natural_language_domain")
    assert features["image"].shape.dim[0].size == 8
    assert features["image"].float_domain.is_embedding
    pair, several = features["facts"].value_counts, features["images"].value_counts
    assert [(c.min, c.max) for c in pair.value_count] == [(0, 3), (2, 2)]
    assert [(c.min, c.max) for c in several.value_count] == [(0, 3), (8, 8)]
    assert features["images"].float_domain.embedding_dim == 8
    milliseconds = schema_pb2.TimeDomain.IntegerTimeFormat.UNIX_MILLISECONDS
    assert features["when_ms"].time_domain.integer_format == milliseconds
    assert list(features["rating"].not_in_environment) == ["SERVING"]
    assert "first" not in features  # a Cross has no column
    # the tags hold what is left, and nothing twice
    assert list(features["history"].annotation.tag) == []
    assert list(features["dwell"].annotation.tag) == ['tfrecs.aligned_with="history"']
    assert list(features["images"].annotation.tag) == []
    assert list(features["older"].annotation.tag) == ['tfrecs.shared_with="history"']
    assert list(features["user_id"].annotation.tag) == [
        "tfrecs.is_id=true",
        "tfrecs.min_count=2",
        "tfrecs.max_size=100",
        "tfrecs.size=7",
    ]


def test_schema_of_other_origin_is_read_by_its_fields():
    schema = text_format.Parse(
        """
        feature { name: "city" type: BYTES value_count { min: 1 max: 1 } domain: "cities" }
        feature { name: "genres" type: BYTES value_count { min: 1 } }
        feature { name: "clicks" type: INT shape {} }
        feature { name: "zip" type: INT shape {} int_domain { is_categorical: true } }
        feature { name: "vector" type: FLOAT shape { dim { size: 3 } } }
        feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 } }
        string_domain { name: "cities" value: "Bern" }
        """,
        schema_pb2.Schema(),
    )
    assert from_schema(schema).features == (
        Categorical("city", vocabulary=("Bern",)),
        MultiCategorical("genres"),
        Numeric("clicks"),
        Categorical("zip", dtype="int64"),
        Vector("vector", dim=3),
        Numeric("fare"),
    )


def test_what_is_no_schema_is_refused():
    with pytest.raises(ValueError, match="`text` must be a tensorflow-metadata Schema"):
        from_pbtxt("feature { nome: 3 }")
    with pytest.raises(TypeError, match="`schema` must be a tensorflow-metadata Schema"):
        from_schema({"features": []})
    struct = schema_pb2.Schema()
    struct.feature.add(name="deep", type=schema_pb2.FeatureType.STRUCT)
    with pytest.raises(ValueError, match="`feature deep` must be of type BYTES, INT or FLOAT"):
        from_schema(struct)
    deep = schema_pb2.Schema()
    feature = deep.feature.add(name="grid", type=schema_pb2.FeatureType.FLOAT)
    for _ in range(3):
        feature.value_counts.value_count.add(min=2, max=2)
    with pytest.raises(ValueError, match="`feature grid` must be lists of pairs of texts, or of"):
        from_schema(deep)
    tagged = to_schema(FeatureSpec((Numeric("age"),)))
    tagged.feature[0].annotation.tag.append('tfrecs.colour="red"')
    with pytest.raises(ValueError, match="`tag of feature age` must be one of 'name'"):
        from_schema(tagged)
