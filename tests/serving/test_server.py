import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfrecs.serving import Session
from tfrecs.serving.server import Server
from tfrecs.serving.service import Limits, Service, find_models
from tfrecs.serving.warming import FILE, warm_up


def ask(port, body, path="/v1/models/toy:predict"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_versions_swap_under_load_without_a_failed_request(server, served, versions):
    model = server.service.models["toy"]
    stop, answers, failures = threading.Event(), [], []

    def load():
        while not stop.is_set():
            try:
                answers.append(ask(server.rest_port, {"inputs": [""]})["outputs"]["score"][0][0])
            except (OSError, urllib.error.URLError) as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 8):
        aside = served / "toy" / f".{version}"
        shutil.copytree(versions / str(1 + version % 2), aside)
        aside.rename(served / "toy" / str(version))
        wait_until(lambda version=version: model.served == version)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(answers) == {1.0, 2.0}


def test_a_thousand_wrong_requests_leave_the_server_alive(server):
    random = np.random.default_rng(0)
    values = [
        *(None, True, 1, -1, 2**70, 1.5, float("nan"), float("inf"), "", "a", "é" * 1000),
        *([], [[]], ["a"], [["a"]], [1], [None], [["a"], []], {}, {"b64": "!"}, {"b64": 3}),
    ]
    names = ["user_id", "k", "user", "", "é"]
    keys = ["inputs", "instances", "signature_name", "other"]
    signatures = ["recommend", "serving_default", "encode_query", "", "x", 3, None]
    statuses, messages = set(), []
    for _ in range(1000):
        body = {}
        for key in random.choice(keys, random.integers(0, 4), replace=False):
            columns = {
                str(n): values[random.integers(len(values))] for n in random.choice(names, 2)
            }
            choices = [columns, [columns], values[random.integers(len(values))]]
            body[str(key)] = choices[random.integers(3)]
        if random.random() < 0.7:
            body["signature_name"] = signatures[random.integers(len(signatures))]
        try:
            ask(server.rest_port, body)
            statuses.add(200)
        except urllib.error.HTTPError as error:
            with error:
                statuses.add(error.code)
                messages.append(json.load(error)["error"])
    assert all(messages)
    assert len(messages) > 500
    assert statuses <= {200, 400}
    assert ask(server.rest_port, {"inputs": [""]})["outputs"]["score"] == [[1, 0, -1]]


def test_a_stopping_server_answers_what_runs_and_refuses_the_rest(served):
    server = Server(find_models(served), grpc_port=0, rest_port=0).start()
    service = server.service
    with service.request("toy", "REST"):
        assert not service.stop(0.01)
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(server.rest_port, {"inputs": [""]})
    assert error.value.code == 503
    error.value.close()
    assert not service.ready
    assert server.stop()
    assert service.models["toy"].served == 0


def test_requests_of_one_moment_share_a_batch(server):
    before = server.service.monitoring.text()
    assert "tfrecs_batch_rows" not in before
    threads = [
        threading.Thread(target=ask, args=(server.rest_port, {"inputs": ["a"]})) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 'tfrecs_batch_rows_sum{model_name="toy"} 16' in server.service.monitoring.text()


def test_the_recorded_requests_warm_a_version_up(versions, tmp_path):
    path = tmp_path / "1"
    shutil.copytree(versions / "1", path)
    assert warm_up(Session(path)) == 0
    (path / FILE).parent.mkdir()
    logs = []
    for k in (2, 9):  # 9 is above the catalogue
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.signature_name = "recommend"
        request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["a"]))
        request.inputs["k"].CopyFrom(tf.make_tensor_proto(k))
        logs.append(log.SerializeToString())
    with tf.io.TFRecordWriter(str(path / FILE)) as writer:
        writer.write(logs[0])
        writer.write(prediction_log_pb2.PredictionLog().SerializeToString())
    assert warm_up(Session(path)) == 1
    with tf.io.TFRecordWriter(str(path / FILE)) as writer:
        writer.write(logs[1])
    service = Service({"toy": tmp_path}, Limits())
    service.models["toy"].poll()
    assert "`k` must be at most 5" in service.models["toy"].states()[0].message


def test_models_are_found_in_a_folder_of_models_or_of_versions(served, tmp_path):
    (served / "notes").mkdir()
    assert find_models(served) == find_models(served / "toy") == {"toy": served / "toy"}
    with pytest.raises(FileNotFoundError, match="is no folder"):
        find_models(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no model"):
        find_models(served / "notes")


def test_a_limit_must_be_positive():
    with pytest.raises(ValueError, match="`seconds` must be greater than 0"):
        Limits(seconds=0)


def test_a_taken_port_is_an_error(server, served):
    with pytest.raises(OSError, match="use"):
        Server(find_models(served), grpc_port=0, rest_port=server.rest_port)
    with pytest.raises(OSError, match="Name another port"):
        Server(find_models(served), grpc_port=server.grpc_port, rest_port=0)


def test_the_page_needs_no_network(server):
    assert "https://" not in server.rest.page


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(served):
    program = "import typer; from tfrecs.cli.serve import serve; typer.run(serve)"
    command = [sys.executable, "-c", program, str(served), "--rest-port", "0", "--grpc-port", "0"]
    environment = os.environ | {"COLUMNS": "200"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = []
        while not lines or "Ctrl-C stops" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        assert "toy: version 1" in lines[0]
        port = lines[1].rsplit(":", 1)[1].strip().strip("/")
        assert ask(port, {"inputs": [""]})["outputs"]["score"] == [[1, 0, -1]]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
