import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tfrecs import retrieval
from tfrecs.components import artifacts as a
from tfrecs.components import examples as io
from tfrecs.components import storage
from tfrecs.components.bulk_inferrer import bulk_inferrer, infer
from tfrecs.components.dataset_example_gen import dataset_example_gen
from tfrecs.components.evaluator import evaluator
from tfrecs.components.index_builder import index_builder
from tfrecs.components.infra_validator import infra_validator
from tfrecs.components.pusher import Pusher, pusher
from tfrecs.components.schema_gen import schema_gen
from tfrecs.components.statistics_gen import statistics_gen
from tfrecs.components.trainer import trainer
from tfrecs.components.transform import transform
from tfrecs.components.tuner import tuner
from tfrecs.quickstart import ask
from tfrecs.run import Run

POSITIVE = {"column": "clicked", "at_least": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Artifacts by name: a small world from its events to a trained two-tower model."""
    root = tmp_path_factory.mktemp("made")
    names = {
        "examples": a.Examples,
        "queries": a.Examples,
        "candidates": a.Examples,
        "schema": a.Schema,
        "graph": a.TransformGraph,
        "model": a.Model,
        "index": a.RetrievalIndex,
    }
    made = {name: kind(str(root / name)) for name, kind in names.items()}
    sides = {name: made[name] for name in ("queries", "candidates")}
    dataset_example_gen(made["examples"], **sides, num_events=2_000, protocol="random")
    counted = {}
    for name in ("examples", *sides):
        counted[name] = a.ExampleStatistics(str(root / f"{name}-statistics"))
        statistics_gen(made[name], counted[name])
    statistics = counted.pop("examples")
    schema_gen(statistics, made["schema"], **counted)
    data = {"examples": made["examples"], "schema": made["schema"], **sides}
    transform(transform_graph=made["graph"], positive=POSITIVE, **data)
    options = {"epochs": 2, "embedding_dim": 8}
    trainer(
        transform_graph=made["graph"],
        trained=made["model"],
        options=options,
        positive=POSITIVE,
        **data,
    )
    index_builder(made["model"], made["index"], name="small")
    for artifact in made.values():
        artifact.seal()
    return made


def given(made):
    data = {name: made[name] for name in ("examples", "schema", "queries", "candidates")}
    return {**data, "positive": POSITIVE}


def test_a_schema_that_nobody_edited_trains_a_model(made):
    run = Run.load(made["model"].path)
    assert run.options.epochs == 2
    assert run.tables.queries.num_rows > 10
    assert made["model"].properties["loss"] == pytest.approx(run.history["loss"][-1])
    assert set(run.split.train["clicked"].to_pylist()) == {1}


def test_training_again_gives_the_same_model(made, tmp_path):
    again = a.Model(str(tmp_path / "again"))
    trainer(
        transform_graph=made["graph"],
        trained=again,
        options={"epochs": 2, "embedding_dim": 8},
        **given(made),
    )
    again.seal()
    assert again.digest == made["model"].digest


def test_data_that_are_not_blessed_are_refused(made, tmp_path):
    found = ["price (train): nulls"]
    anomalies = a.ExampleAnomalies("x", {"blessed": 0, "anomalies": found})
    for refuse, output in (
        (transform, {"transform_graph": a.TransformGraph(str(tmp_path / "t"))}),
        (trainer, {"transform_graph": made["graph"], "trained": a.Model(str(tmp_path / "m"))}),
    ):
        with pytest.raises(ValueError, match=r"1 anomalies: price \(train\): nulls"):
            refuse(anomalies=anomalies, **output, **given(made))


def judge(made, tmp_path, **parameters):
    blessing = a.ModelBlessing(str(tmp_path / "blessing"))
    evaluation = a.ModelEvaluation(str(tmp_path / "evaluation"))
    evaluator(made["model"], evaluation, blessing, **parameters)
    return evaluation, blessing


def test_the_evaluator_judges_slices_baselines_and_the_last_blessed_model(made, tmp_path):
    evaluation, blessing = judge(
        made,
        tmp_path,
        baseline_model=made["model"],
        slices=["device"],
        above_baseline=-1.0,
        thresholds={"recall@10": 0.0},
    )
    assert blessing.properties == {"blessed": 1, "reasons": []}
    found = json.loads((evaluation.path / "metrics.json").read_text())
    overall = found["overall"]
    assert overall["last blessed"] == overall["two_tower"]
    assert {"popularity", "item-kNN"} <= set(overall)
    slices = [name for name in found if name.startswith("device = ")]
    assert len(slices) >= 2
    assert "popularity" in (evaluation.path / "slices.html").read_text()
    assert (evaluation.path / "report.html").is_file()


def test_the_evaluator_says_why_it_does_not_bless(made, tmp_path):
    _, blessing = judge(made, tmp_path, thresholds={"ndcg@10": 0.99}, above_baseline=9.0)
    first, second = blessing.properties["reasons"]
    assert first.startswith("overall: ndcg@10 is 0.")
    assert first.endswith("at least 0.99 wanted")
    assert "wanted: " in second
    with pytest.raises(ValueError, match="`metric` must be one of"):
        judge(made, tmp_path / "x", thresholds={"ndgc@10": 0.1})


def infra(made, tmp_path, index=None):
    blessing = a.InfraBlessing(str(tmp_path / "infra"))
    infra_validator(index or made["index"], blessing)
    return blessing


def test_an_export_is_pushed_once_and_answers(made, tmp_path):
    assert infra(made, tmp_path).properties == {"blessed": 1, "reasons": []}
    served = tmp_path / "served"
    for number in range(2):
        pushed = a.PushedModel(str(tmp_path / f"pushed-{number}"))
        pusher(made["index"], pushed, destination=str(served))
    assert pushed.properties["paths"] == {"stock": str(served / "small_stock" / "1")}
    assert [path.name for path in (served / "small_stock").iterdir()] == ["1"]
    user = Run.load(made["model"].path).tables.queries["user_id"][0].as_py()
    answer = ask(served / "small_stock" / "1", {"user_id": [user]})
    assert len(answer["item_id"][0]) == 10


def test_another_export_is_the_next_version(made, tmp_path):
    served = tmp_path / "served"
    pusher(made["index"], a.PushedModel(str(tmp_path / "p1")), destination=str(served))
    other = a.RetrievalIndex(str(tmp_path / "other"))
    run = Run.load(made["model"].path)
    extra = pa.table({"item_id": ["brand_new"], "title": ["Brand new"]})
    io_candidates = a.Examples(str(tmp_path / "candidates"))
    io_candidates.path.mkdir()
    io.write_tables(io_candidates, {"all": extra})
    index_builder(made["model"], other, candidates=io_candidates, name="small")
    assert other.properties["candidates"] == run.tables.candidates.num_rows + 1
    pushed = a.PushedModel(str(tmp_path / "p2"))
    pusher(other, pushed, destination=str(served))
    assert sorted(path.name for path in (served / "small_stock").iterdir()) == ["1", "2"]
    answer = ask(served / "small_stock" / "2", {"item_id": ["brand_new"]}, "encode_candidate")
    assert len(answer["embedding"][0]) == 8
    saved = retrieval.load(other.path / "index")
    assert "brand_new" in np.asarray(saved.ids)


def test_what_is_not_blessed_is_not_pushed(made, tmp_path):
    blessing = a.ModelBlessing("x", {"blessed": 0, "reasons": ["too low"]})
    pushed = a.PushedModel(str(tmp_path / "pushed"))
    pusher(made["index"], pushed, blessing, destination=str(tmp_path / "served"))
    assert pushed.properties == {"pushed": 0, "reasons": ["too low"], "paths": {}}
    assert not (tmp_path / "served").exists()


def test_a_broken_export_is_not_blessed(made, tmp_path):
    broken = replace(made["index"], uri=str(tmp_path / "broken"))
    shutil.copytree(made["index"].uri, broken.uri)
    (variables,) = broken.path.rglob("variables.data*")
    variables.write_bytes(b"")
    blessing = infra(made, tmp_path, broken)
    assert blessing.properties["blessed"] == 0
    assert blessing.properties["reasons"][0].startswith("stock: ")


@pytest.mark.parametrize("runner", ["local", "beam"])
def test_a_file_of_users_gives_a_table_of_recommendations(runner, made, tmp_path):
    if runner == "beam":
        pytest.importorskip("apache_beam")
    users = Run.load(made["model"].path).tables.queries.select(["user_id"]).slice(0, 7)
    pq.write_table(users, tmp_path / "users.parquet")
    result = a.InferenceResult(str(tmp_path / "result"))
    bulk_inferrer(
        made["index"],
        result,
        source=str(tmp_path / "users.parquet"),
        k=3,
        similar_items=runner == "local",
        runner=runner,
        beam_options=["--direct_num_workers=1", "--direct_running_mode=in_memory"],
    )
    table = pq.read_table(next(result.path.glob("recommendations-*")))
    assert table.num_rows == 21
    assert table["user_id"].to_pylist()[::3] == users["user_id"].to_pylist()
    assert table["rank"].to_pylist()[:3] == [1, 2, 3]
    scores = table["score"].to_numpy().reshape(7, 3)
    assert (np.diff(scores) <= 0).all()
    if runner == "local":
        similar = pq.read_table(result.path / "similar_items.parquet").to_pydict()
        assert all(x != y for x, y in zip(similar["item"], similar["neighbour"], strict=True))
        count = Run.load(made["model"].path).tables.candidates.num_rows
        assert len(similar["item"]) == 3 * count


def test_bulk_inference_of_examples_and_its_errors(made, tmp_path):
    result = a.InferenceResult(str(tmp_path / "result"))
    bulk_inferrer(made["index"], result, made["queries"], k=2)
    assert result.properties["rows"] == 2 * made["queries"].properties["num_examples"]["all"]
    with pytest.raises(ValueError, match="given, or else `source`"):
        bulk_inferrer(made["index"], result)
    blessing = a.ModelBlessing("x", {"blessed": 0, "reasons": ["too low"]})
    with pytest.raises(ValueError, match="not blessed: too low"):
        bulk_inferrer(made["index"], result, made["queries"], blessing)


def test_the_tuner_searches_and_the_trainer_takes_the_best(made, tmp_path):
    pytest.importorskip("optuna")
    best = a.HyperParameters(str(tmp_path / "best"))
    options = {"epochs": 1}
    space = {"embedding_dim": [2, 4], "temperature": {"low": 0.1, "high": 0.5}}
    tuner(hyperparameters=best, space=space, options=options, max_trials=2, **given(made))
    trials = json.loads((best.path / "trials.json").read_text())
    assert all(trial["options"]["embedding_dim"] in (2, 4) for trial in trials)
    assert all(0.1 <= trial["options"]["arguments"]["temperature"] <= 0.5 for trial in trials)
    assert best.properties["value"] == max(trial["value"] for trial in trials)
    trained = a.Model(str(tmp_path / "model"))
    trainer(
        transform_graph=made["graph"],
        trained=trained,
        hyperparameters=best,
        options=options,
        **given(made),
    )
    chosen = Run.load(trained.path).options
    assert chosen.embedding_dim == best.properties["options"]["embedding_dim"]
    assert chosen.arguments == best.properties["options"]["arguments"]
    with pytest.raises(ValueError, match=r"`space\['epochs'\]` must be a list of values, or a"):
        tuner(hyperparameters=best, space={"epochs": []}, **given(made))


def test_a_new_day_trains_the_last_model_further(made, tmp_path):
    run = Run.load(made["model"].path)
    day = run.split.train.slice(0, 40)
    new = day.set_column(
        day.column_names.index("item_id"), "item_id", pa.array(["fresh"] * day.num_rows)
    )
    examples = a.Examples(str(tmp_path / "day"), {"span": 2})
    examples.path.mkdir()
    io.write_tables(examples, {"train": pa.concat_tables([day, new]), "eval": day})
    data = {**given(made), "examples": examples}
    graph, trained = a.TransformGraph(str(tmp_path / "g")), a.Model(str(tmp_path / "m"))
    transform(transform_graph=graph, base_model=made["model"], **data)
    trainer(
        transform_graph=graph,
        trained=trained,
        base_model=made["model"],
        options={"epochs": 1, "embedding_dim": 8},
        **data,
    )
    grown = Run.load(trained.path)
    old = run.transform.vocabulary("item_id").tolist()
    assert grown.transform.vocabulary("item_id").tolist() == [*old, "fresh"]
    steps = int(run.model.optimizer.iterations)
    assert int(grown.model.optimizer.iterations) == steps + 1
    assert trained.properties["warm_started_from"] == made["model"].digest
    assert trained.properties["span"] == 2


def test_bulk_inference_takes_vectors_and_pairs_apart(tmp_path):
    class Sums(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, 2], tf.float32, "photos"),
                tf.TensorSpec([None, None, 2], tf.string, "facts"),
            ]
        )
        def serve(self, photos, facts):
            known = tf.where(tf.math.is_nan(photos), 0.0, photos)
            keys = tf.strings.reduce_join(facts[:, :, 0], axis=1)
            return {"second": tf.reduce_sum(known[:, :, 1], axis=1), "keys": keys}

    module = Sums()
    path = str(tmp_path / "model")
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})
    users = pa.table(
        {
            "photos": pa.array([[[1, 2], [3, 4]], None], pa.list_(pa.list_(pa.float32()))),
            "facts": [[{"key": "a", "value": "x"}], [{"key": "b", "value": "y"}] * 2],
        }
    )
    answers = infer(tf.saved_model.load(path), io.normalised(users), k=1)
    assert answers["second"].to_pylist() == [6.0, 0.0]
    assert answers["keys"].to_pylist() == [b"a", b"bb"]


def pushed_to(made, tmp_path, destination, name="pushed"):
    pushed = a.PushedModel(str(tmp_path / name))
    pusher(made["index"], pushed, destination=destination)
    return pushed


def test_what_was_pushed_is_verified_not_believed(made, tmp_path):
    served = tmp_path / "served"
    pushed = pushed_to(made, tmp_path, str(served))
    assert Pusher.stands({"pushed": pushed}) == ""
    version = served / "small_stock" / "1"
    (variables,) = version.rglob("variables.data*")
    whole = variables.read_bytes()
    variables.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "has another content" in Pusher.stands({"pushed": pushed})
    again = pushed_to(made, tmp_path, str(served), "again")  # beside the damaged one
    assert again.properties["paths"] == {"stock": str(served / "small_stock" / "2")}
    variables.write_bytes(whole)
    assert "version 2 came after it" in Pusher.stands({"pushed": pushed})
    assert Pusher.stands({"pushed": again}) == ""
    shutil.rmtree(served)
    assert "is not there" in Pusher.stands({"pushed": again})


def test_folders_that_are_no_versions_are_left_alone(made, tmp_path):
    served = tmp_path / "served" / "small_stock"
    for name in ("²", "old", "7"):
        (served / name).mkdir(parents=True)
        (served / name / "notes.txt").write_text("mine")
    pushed = pushed_to(made, tmp_path, str(served.parent))
    assert pushed.properties["paths"] == {"stock": str(served / "8")}
    assert (served / "7" / "notes.txt").read_text() == "mine"


def test_a_bucket_is_pushed_to_once_and_an_upload_broken_off_is_finished(made, bucket, tmp_path):
    pushed = pushed_to(made, tmp_path, bucket("models"))
    assert pushed.properties["paths"] == {"stock": bucket("models/small_stock/1")}
    files = storage.within(bucket("models/small_stock/1"))
    source = made["index"].path / made["index"].properties["variants"]["stock"]
    assert {n: s for n, s in files.items() if n != "pushed.json"} == {
        n: size for n, (size, _) in a.manifest(source).items()
    }
    assert Pusher.stands({"pushed": pushed}) == ""
    assert pushed_to(made, tmp_path, bucket("models"), "again").properties == pushed.properties
    system, path = storage.opened(bucket("models/small_stock/1/saved_model.pb"))
    system.delete_file(path)  # killed before the last file was written
    assert "saved_model.pb is not there" in Pusher.stands({"pushed": pushed})
    third = pushed_to(made, tmp_path, bucket("models"), "third")
    assert third.properties["paths"] == pushed.properties["paths"]
    assert Pusher.stands({"pushed": third}) == ""
    assert not (tmp_path / "s3:").exists()
