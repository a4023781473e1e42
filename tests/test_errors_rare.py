"""Messages that need a broken machine, a lost package or a cut request to be seen."""

import asyncio
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from tfrecs import cli, datasets, quickstart
from tfrecs.baselines.base import distinct_ids
from tfrecs.cli.pipelines import component_app
from tfrecs.cli.serve import serve
from tfrecs.components import beam, bulk_inferrer, example_gen, infra_validator, kubeflow
from tfrecs.datasets.criteo import stream_criteo
from tfrecs.datasets.movielens_parts import users_1m
from tfrecs.datasets.readers import find_file
from tfrecs.export import compiled
from tfrecs.export.compiled import CompiledSignatures
from tfrecs.export.two_stage_graph import agreed
from tfrecs.files import written_aside
from tfrecs.retrieval import scann_ops
from tfrecs.retrieval.ids import as_ids
from tfrecs.serving import rest
from tfrecs.serving.limits import Limits
from tfrecs.testing import processes


def test_ids_that_repeat_are_named():
    with pytest.raises(ValueError, match=r"`ids` must be distinct ids, none missing.*'a'"):
        distinct_ids(["a", "a", "b"], "ids")
    with pytest.raises(ValueError, match=r"`ids` must be below 2\*\*63"):
        as_ids("ids", np.array([2**63], np.uint64))


def test_a_component_by_itself_needs_its_inputs(tmp_path):
    arguments = ["run", "StatisticsGen", "--output", str(tmp_path / "out")]
    error = CliRunner().invoke(component_app, arguments).exception
    assert "`examples` must be given" in str(error)
    assert "Add --input examples=FOLDER." in str(error)


@pytest.mark.parametrize(
    "package, ask",
    [
        ("apache_beam", lambda: beam.drive([], print, "out", "aside")),
        ("kfp", lambda: kubeflow.compile(None, "out.yaml")),
    ],
)
def test_a_package_that_is_not_there_is_named_with_its_extra(package, ask, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"needs .*: pip install 'tfrecs\[pipelines\]'"):
        ask()


def test_components_refuse_by_their_reason(tmp_path):
    refused = SimpleNamespace(properties={"blessed": 0, "reasons": ["too slow"]})
    with pytest.raises(ValueError, match="The model is not blessed: too slow"):
        bulk_inferrer.bulk_inferrer(None, None, blessing=refused)
    with pytest.raises(ValueError, match=r"b.csv holds other types than the first file"):
        example_gen._as(pa.table({"a": ["x"]}), pa.schema([("a", pa.int64())]), "b.csv")
    (tmp_path / "card.json").write_text('{"examples": []}')
    with pytest.raises(ValueError, match="its card holds no request to ask"):
        infra_validator._asked(tmp_path)


def test_files_of_data_sets_are_named_with_the_line(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("1\t2\n")
    with pytest.raises(ValueError, match=r"train.txt is malformed, from line 1 on"):
        list(stream_criteo(path))
    with pytest.raises(ValueError, match=r"the occupation must be a code from 0 to 20.*99"):
        users_1m(path, b"1::F::1::99::12345\n")
    with pytest.raises(FileNotFoundError, match=r"holds no u.data of MovieLens, nor does ml-1 in"):
        find_file(tmp_path, ["ml-1"], "u.data", "MovieLens")


def test_rows_of_own_tables_count_from_0(tmp_path):
    events = tmp_path / "e.csv"
    events.write_text("user,item,time\nu,i,3\nu,j,4\n")
    items = tmp_path / "i.csv"
    items.write_text("item,year\ni,1\ni,2\n")
    with pytest.raises(ValueError, match=r"`candidates` is .*i.csv; rows count from 0"):
        datasets.read_tables(events, items)


def test_what_xla_and_two_models_cannot_take_is_named(monkeypatch):
    text, number = tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)
    with pytest.raises(ValueError, match=r"`age` must be int64\(None,\) in both models"):
        agreed({"age": number}, {"age": text})
    monkeypatch.setattr(compiled, "features_read", lambda *arguments: [])
    monkeypatch.setattr(CompiledSignatures, "encode", lambda self, raw: {"age": tf.constant("3")})
    model = transform = index = MagicMock()
    transform.raw_signature.return_value = {}
    with pytest.raises(ValueError, match="`age` must be made of numbers after the transform"):
        CompiledSignatures(model, transform, index, None, 5)


def test_signatures_that_fail_are_listed(monkeypatch, tmp_path):
    failed = SimpleNamespace(path=tmp_path, failed=["score", "rank"])
    monkeypatch.setattr("tfrecs.export.proof.prove", lambda folder: failed)
    with pytest.raises(RuntimeError, match=r"Signatures of .* failed: score, rank"):
        cli.prove(tmp_path)


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "there").write_text("a file")
    with (
        pytest.raises(OSError, match="a file and a folder do not replace each other"),
        written_aside(tmp_path / "there") as aside,
    ):
        aside.mkdir()


def test_a_folder_that_is_no_model_does_not_answer(tmp_path):
    with pytest.raises(RuntimeError, match="none does not answer: "):
        quickstart.ask(tmp_path / "none", {})


def test_a_scann_without_a_folder_is_told(monkeypatch):
    monkeypatch.setattr(scann_ops, "require_scann", lambda: None)
    monkeypatch.setattr(scann_ops.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="The scann package has no folder"):
        scann_ops.op_library()


def test_a_request_that_is_cut_is_told():
    app = rest.Rest(SimpleNamespace(limits=Limits()))
    messages = [
        {"type": "http.request", "body": b"{}", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    scope = {"headers": [(b"content-length", b"5")]}
    with pytest.raises(ValueError, match="The request ends after 2 of 5 bytes"):
        asyncio.run(app._body(scope, receive))


def test_a_server_that_stops_while_requests_run_says_so(monkeypatch, tmp_path):
    class Busy:
        rest_port, grpc_port = 1, 2
        service = SimpleNamespace(models={})

        def __init__(self, *arguments, **options):
            pass

        def start(self):
            return self

        def run(self, timeout):
            return False

    monkeypatch.setattr("tfrecs.serving.server.Server", Busy)
    monkeypatch.setattr("tfrecs.serving.service.find_models", lambda folder: [])
    with pytest.raises(SystemExit):
        cli.main(["serve", str(tmp_path)])
    with pytest.raises(RuntimeError, match="Requests still ran when the server stopped"):
        serve(tmp_path)


def test_a_jax_process_without_pipes_is_told(monkeypatch):
    worker = SimpleNamespace(stdin=None, stdout=None)
    monkeypatch.setattr(processes, "jax_worker", lambda: worker)

    class Model:
        def save(self, path):
            pass

    with pytest.raises(RuntimeError, match="The JAX process has no pipes"):
        processes.equals_jax(SimpleNamespace(build=Model, features={}))
