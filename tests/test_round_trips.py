"""What is written is read again: every artifact, of any content."""

import csv
import dataclasses
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tfrecs import FeatureTransform, schema
from tfrecs.components import artifacts
from tfrecs.components import examples as io
from tfrecs.components.statistics_gen import read_statistics, statistics_gen
from tfrecs.datasets import Tables, readers
from tfrecs.evaluation import Estimate, Results, Setting, splits
from tfrecs.features import from_arrow, from_tfrecord, write_tfrecord
from tfrecs.models import TwoTower
from tfrecs.recipes.base import TrainingOptions
from tfrecs.retrieval import Exact, Quantized, load
from tfrecs.run import Run
from tfrecs.spec import (
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

EXAMPLES = settings.default.max_examples
# any text that is not missing, line ends, backslashes, quotes and NUL among it
ids = st.text(min_size=1, max_size=6) | st.sampled_from(["\\", "\\n", "\n", "\r\n", "\0", '"', " "])
names = st.text("abcdefg_ä漢", min_size=1, max_size=5)
big = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Makes an empty folder for each example."""
    inside = tmp_path_factory.mktemp("examples")
    return lambda: Path(tempfile.mkdtemp(dir=inside))


# ------------------------------------------------------------------------------- specs


@st.composite
def features(draw, name, role):
    """A feature of any kind."""
    counts = {"min_count": draw(st.integers(1, 3)), "max_size": draw(st.none() | st.integers(1, 9))}
    values = {
        "string": st.lists(ids, min_size=1, max_size=3, unique=True),
        "int64": st.lists(st.integers(0, 2**62), min_size=1, max_size=3, unique=True),
    }
    dtype = draw(st.sampled_from(["string", "int64"]))
    source = draw(
        st.sampled_from([counts, {"hash_bins": 7}, {"vocabulary": tuple(draw(values[dtype]))}])
    )
    source = {**source, "size": draw(st.none() | st.integers(3, 99))}
    length = {"max_length": draw(st.none() | st.integers(1, 9))}
    kind = draw(st.integers(0, 6))
    if kind == 0:
        return Categorical(name, role, dtype, **source)
    if kind == 1:
        return MultiCategorical(name, role, dtype, **length, **source)
    if kind == 2:
        return Sequence(name, role, dtype, **length, **source)
    if kind == 3:
        normalize = draw(st.sampled_from(["none", "standard", "quantile", "log_squared"]))
        return Numeric(name, role, normalize, num_bins=draw(st.integers(2, 20)))
    if kind == 4:
        return Text(name, role, draw(st.integers(1, 99)), draw(st.booleans()), **counts)
    if kind == 5:
        return Vector(name, role, draw(st.integers(1, 9)))
    return Timestamp(name, unit=draw(st.sampled_from(["s", "ms", "us", "ns"])))


@st.composite
def specs(draw):
    found = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    kinds = [draw(features(n, draw(st.sampled_from(["query", "candidate"])))) for n in found]
    parts = [f.name for f in kinds if isinstance(f, Categorical)]
    try:
        if len(parts) > 1:
            kinds.append(Cross("crossed!", features=tuple(parts[:2])))
        return FeatureSpec(tuple(kinds))
    except ValueError as error:  # two features may write one key of a batch
        assert "_mask" in str(error)  # noqa: PT017
        return FeatureSpec((kinds[0],))


@settings(max_examples=EXAMPLES)
@given(specs())
def test_a_spec_is_its_json_its_config_and_its_schema(spec):
    assert FeatureSpec.from_json(spec.to_json()) == spec
    assert FeatureSpec.from_config(json.loads(json.dumps(spec.to_config()))) == spec
    assert schema.from_pbtxt(schema.to_pbtxt(spec)) == spec


# ------------------------------------------------------------------------------- ids


@settings(max_examples=EXAMPLES // 3)
@given(st.lists(ids, min_size=1, max_size=8, unique=True), st.lists(big, min_size=1, unique=True))
@example(["a", "\\", "b\n", "\r", "\u2028", "\x85", "e\u0301", "é"], [0, 2**63 - 1, -(2**63)])
def test_any_ids_are_encoded_and_decoded_also_by_what_was_saved(folder, texts, numbers):
    numbers = [n for n in numbers if n != -1] or [0]  # -1 means missing
    spec = FeatureSpec((Categorical("text"), Categorical("number", dtype="int64")))
    size = max(len(texts), len(numbers))
    table = pa.table(
        {
            "text": (texts * size)[:size],
            "number": pa.array((numbers * size)[:size], pa.int64()),
        }
    )
    made = FeatureTransform(spec).adapt(table)
    where = folder() / "features"
    made.save(where)
    batches = []
    for transform in (made, FeatureTransform.load(where)):
        batches += [
            transform.encode(table),
            {k: v.numpy() for k, v in transform(_raw(table)).items()},
        ]
        for name in ("text", "number"):
            decoded = transform.vocabulary(name)[batches[-2][name] - 2]
            assert decoded.tolist() == table[name].to_pylist()
    for batch in batches[1:]:
        for name in ("text", "number"):
            np.testing.assert_array_equal(batch[name], batches[0][name])


def test_texts_that_end_with_a_nul_stay_apart_in_lists_too():
    transform = FeatureTransform(FeatureSpec((Categorical("text"),))).adapt({"text": ["a", "a\0"]})
    assert sorted(transform.vocabulary("text")) == ["a", "a\0"]
    index = Exact(k=1).index(np.eye(2), ["a", "a\0"])
    assert index(np.eye(2, dtype="float32"))[1].numpy().ravel().tolist() == [b"a", b"a\0"]


def _raw(table):
    texts = np.array([text.encode() for text in table["text"].to_pylist()], object)
    return {"text": texts, "number": table["number"].to_numpy()}


@settings(max_examples=EXAMPLES // 4)
@given(
    st.lists(ids, min_size=2, max_size=7, unique=True)
    | st.lists(big.filter(lambda n: n != -1), min_size=2, max_size=7, unique=True),
    st.sampled_from(["dot", "cosine", "squared_l2"]),
    st.sampled_from([Exact, lambda **k: Quantized(table_dtype="int8", **k), Quantized]),
)
def test_an_index_of_any_ids_answers_as_before(folder, known, similarity, build):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(known), 3)).astype("float32")
    index = build(k=2, similarity=similarity).index(vectors, known)
    where = folder() / "index"
    index.save(where)
    again = load(where)
    assert list(again.ids) == known
    exclude = [[known[0]], [known[1]], []]
    for arguments in ((vectors[:3],), (np.ones((3, 3), np.float32), 1, exclude)):
        before, after = (
            [np.asarray(part).tolist() for part in i(*arguments)] for i in (index, again)
        )
        assert before == after


# ------------------------------------------------------------------------------- results

floats = st.floats(allow_nan=True, allow_infinity=False)
optional = st.none() | st.floats(allow_nan=False, allow_infinity=False)
estimates = st.builds(Estimate, floats, optional, optional, optional)
scores = st.dictionaries(names, st.dictionaries(names, estimates, max_size=3), max_size=3)


@given(scores, scores, st.dictionaries(names, st.integers(0, 9)), st.lists(st.text()))
def test_results_are_their_json(values, differences, left_out, warnings):
    setting = Setting("data", "how it was judged", 3, 4, left_out)
    kinds = dict.fromkeys(values, "model")
    results = Results(setting, values, kinds, None, differences, warnings=warnings)
    again = Results.from_json(results.to_json())
    assert repr(again) == repr(results)  # NaN is not equal to itself


# ------------------------------------------------------------------------------- tables


@st.composite
def tables(draw, values=None):
    """Columns of any kind with missing values."""
    rows = draw(st.integers(1, 6))
    values = values or {
        "text": (pa.string(), ids),
        "number": (pa.int64(), big),
        "float": (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
        "texts": (pa.list_(pa.string()), st.lists(ids, max_size=3)),
        "numbers": (pa.list_(pa.int64()), st.lists(big, max_size=3)),
    }
    columns = {}
    for name, (kind, some) in values.items():
        column = draw(st.lists(st.none() | some, min_size=rows, max_size=rows))
        columns[name] = pa.array(column, kind)
    return pa.table(columns)


@settings(max_examples=EXAMPLES // 3)
@given(tables())
def test_examples_hold_any_table_and_their_statistics_what_is_in_it(folder, table):
    written = artifacts.Examples(str(folder() / "examples"))
    written.path.mkdir()
    io.write_tables(written, {"train": table, "eval": table.slice(0, 1)})
    read = io.read_table(written, "train")
    for name in table.column_names:
        found, expected = read[name].to_pylist(), table[name].to_pylist()
        if name in ("texts", "numbers"):  # a missing list is an empty one in tf.Example
            found, expected = ([v or None for v in side] for side in (found, expected))
        assert found == expected, name
    written.seal()
    again = artifacts.load(written.uri)
    assert (again.digest, again.properties) == (written.digest, written.properties)
    counted = artifacts.ExampleStatistics(str(folder() / "statistics"))
    statistics_gen(again, counted)
    message = read_statistics(counted, "train")
    assert message.num_examples == table.num_rows
    for column in message.features:
        own = [v for v in table[column.path.step[0]].to_pylist() if v is not None]
        if column.path.step[0] in ("number", "float"):
            common = column.num_stats.common_stats
            if own:
                assert column.num_stats.min == pytest.approx(min(own))
                assert column.num_stats.max == pytest.approx(max(own))
                mean = math.fsum(own) / len(own)
                assert column.num_stats.mean == pytest.approx(mean, rel=1e-6, abs=1e-30)
        elif column.path.step[0] == "text":
            common = column.string_stats.common_stats
            assert column.string_stats.unique == len(set(own))
        else:
            continue
        assert common.num_non_missing == len(own)
        assert common.num_missing == table.num_rows - len(own)


@settings(max_examples=EXAMPLES // 3)
@given(tables())
def test_tfrecord_files_give_the_batches_of_the_table(folder, table):
    spec = FeatureSpec(
        (
            Categorical("text"),
            Categorical("number", dtype="int64"),
            Numeric("float"),
            MultiCategorical("texts"),
            Sequence("numbers", dtype="int64"),
        )
    )
    shards = min(2, table.num_rows)
    paths = write_tfrecord(table, folder() / "rows.tfrecord", shards, spec=spec)
    both = (from_tfrecord(paths, spec, 4), from_arrow(table, 4, spec=spec))
    for found, expected in zip(*both, strict=True):
        assert found.keys() == expected.keys()
        for name in found:
            values = [
                x.to_list() if hasattr(x, "to_list") else x.numpy().tolist()
                for x in (found[name], expected[name])
            ]
            assert repr(values[0]) == repr(values[1]), name


letters = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=5).map(
    lambda text: f"x{text}x"  # neither a number nor a time nor NULL
)


@settings(max_examples=EXAMPLES)
@given(
    tables(
        {
            "id": (pa.string(), letters),
            "count": (pa.int64(), st.integers(-(2**62), 2**62)),
            "price": (pa.float64(), st.floats(0.25, 1e6).map(lambda x: x + 0.125)),
        }
    )
)
@pytest.mark.parametrize("extension", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_of_any_table_is_read_as_it_was(folder, extension, table):
    rows = table.drop_null()
    if not rows.num_rows:
        return
    path = folder() / f"rows.{extension}"
    if extension == "parquet":
        pq.write_table(rows, path)
    elif extension == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()), "utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if extension == "csv" else "\t")
            writer.writerow(rows.column_names)
            writer.writerows(row.values() for row in rows.to_pylist())
    expected = rows.to_pylist()
    if extension in ("csv", "tsv"):  # text stays text until its role is known
        expected = [{name: str(value) for name, value in row.items()} for row in expected]
    assert readers.read_file(path).to_pylist() == expected


# ------------------------------------------------------------------------------- runs


@settings(max_examples=EXAMPLES // 8, phases=[Phase.generate])  # a smaller run says no more
@given(
    st.lists(ids, min_size=3, max_size=5, unique=True),
    st.lists(ids, min_size=3, max_size=5, unique=True),
)
def test_a_run_is_what_was_saved(folder, users, items):
    rng = np.random.default_rng(0)
    drawn = [(users[rng.integers(3)], items[rng.integers(3)]) for _ in range(12)]
    events = pa.table({"user": [u for u, _ in drawn], "item": [i for _, i in drawn]})
    spec = FeatureSpec(
        (Categorical("user", "query", is_id=True), Categorical("item", "candidate", is_id=True))
    )
    data = Tables("small", events, pa.table({"user": users}), pa.table({"item": items}), spec)
    split = splits.random(events, fraction=0.25)
    transform = FeatureTransform(spec).adapt(data.queries, data.candidates, events)
    run = Run(
        folder() / "run",
        "small",
        split.protocol,
        TrainingOptions("two_tower", embedding_dim=4, arguments={"log_q": False}),
        TwoTower(transform.spec, 4, log_q=False, seed=3),
        transform,
        data,
        split,
        {"loss": [1.0, 0.5]},
        2.5,
    )
    batch = transform.encode(events)
    scores_before = np.asarray(run.model(batch))
    run.save()
    again = Run.load(run.folder)
    assert again.describe() == run.describe()
    assert again.tables.spec == spec
    for part in ("train", "test"):
        assert getattr(again.split, part).equals(getattr(split, part))
    for part in ("queries", "candidates"):
        assert getattr(again.tables, part).equals(getattr(data, part))
    for name, ids_of in again.transform.encode(events).items():
        np.testing.assert_array_equal(ids_of, batch[name])
    np.testing.assert_array_equal(again.model(batch), scores_before)
    assert dataclasses.asdict(again.options) == dataclasses.asdict(run.options)
