"""What is wrong, hostile or broken costs itself alone: the server and its other answers go on."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tfrecs.serving.limits import Limits
from tfrecs.serving.server import Server
from tfrecs.serving.service import Service, find_models
from tfrecs.serving.versions import Policy, Versions

PREDICT = "POST /v1/models/toy:predict HTTP/1.1\r\nHost: a\r\n"
BODY = '{"inputs": {"user_id": ["ab"]}}'


def raw(server, *parts, wait=0.0):
    """Sends parts over one connection; returns all that comes back until it is closed."""
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part.encode() if isinstance(part, str) else part)
            time.sleep(wait)
        said = b""
        try:
            while chunk := connection.recv(2**16):
                said += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return said.decode()


def ask(server, body=BODY, path="/v1/models/toy:predict"):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    connection.request("POST", path, body)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(BODY)}",
        f"Content-Length: {len(BODY)}\r\nContent-Length: 3",
        f"Content-Length: {len(BODY)}\r\nContent-Length: {len(BODY)}",
        f"Content-Length: {'9' * 40}",
        "Content-Length: -1",
        "Content-Length: +31",
        "Content-Length: 0x1f",
        "Content-Length: 3 1",
        "Transfer-Encoding: gzip, identity",
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_400_and_closed(server, head):
    smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    said = raw(server, f"{PREDICT}{head}\r\n\r\n{BODY}{smuggled}")
    assert said.startswith("HTTP/1.1 400")
    assert said.count("HTTP/1.1") == 1  # what follows is no request
    assert "ok\n" not in said
    assert ask(server)[0] == 200


def test_the_body_of_a_get_is_no_request(server):
    body = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
    get = f"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    last = "GET /v1/models/toy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    said = raw(server, get + last)
    assert said.count("HTTP/1.1 200") == 2
    assert "model_version_status" in said


def test_chunks_are_read_and_limited(server):
    chunks = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
    head = f"{PREDICT}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert raw(server, head + chunks).startswith("HTTP/1.1 200")
    assert raw(server, f"{PREDICT}Transfer-Encoding: chunked\r\n\r\nzz\r\n").startswith(
        "HTTP/1.1 4"
    )
    many = "ff\r\n" + "x" * 255 + "\r\n"
    assert raw(server, head + many * 500).startswith("HTTP/1.1 429")


def test_a_head_without_an_end_is_refused(server):
    said = raw(server, "GET /healthz HTTP/1.1\r\n", *["X: " + "a" * 30_000 + "\r\n"] * 4, wait=0.05)
    assert said.startswith("HTTP/1.1 431")


def test_head_is_get_without_its_body(server):
    said = raw(server, "HEAD /v1/models/toy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = said.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert "content-length: 0" not in head.lower()
    assert body == ""


def test_slow_clients_lose_their_connection_and_no_other_waits(served):
    limits = Limits(read_seconds=0.5)
    with Server(find_models(served), grpc_port=0, rest_port=0, limits=limits) as server:
        address = ("127.0.0.1", server.rest_port)
        idle = [socket.create_connection(address, timeout=10) for _ in range(50)]
        head = socket.create_connection(address, timeout=10)
        body = socket.create_connection(address, timeout=10)
        body.sendall(f"{PREDICT}Content-Length: 31\r\n\r\n".encode())
        start, ends, sent = time.monotonic(), {}, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 10**4
        while len(ends) < 2 and time.monotonic() < start + 8:
            byte, sent = sent[:1], sent[1:]
            for name, connection in (("head", head), ("body", body)):
                if name in ends:
                    continue
                try:
                    connection.sendall(byte if name == "head" else b" ")  # one keeps nothing open
                    connection.settimeout(0.05)
                    said = connection.recv(4096)
                    ends.setdefault(name, said)
                except TimeoutError:
                    continue
                except OSError:
                    ends.setdefault(name, b"")
            assert ask(server)[0] == 200
        assert ends["head"] == b""
        assert ends["body"] == b"" or b" 504 " in ends["body"]
        assert all(connection.recv(1) == b"" for connection in idle)
        for connection in (head, body, *idle):
            connection.close()


def test_connections_beyond_the_limit_are_refused(served):
    limits = Limits(connections=3)
    with Server(find_models(served), grpc_port=0, rest_port=0, limits=limits) as server:
        held = [socket.create_connection(("127.0.0.1", server.rest_port)) for _ in range(3)]
        wait_until(lambda: len(server._http.server_state.connections) == 3)
        assert raw(server).startswith("HTTP/1.1 503")
        held.pop().close()
        wait_until(lambda: len(server._http.server_state.connections) < 3)
        assert ask(server)[0] == 200
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    "limits, body, said",
    [
        ({"rows": 4}, {"inputs": {"user_id": ["a"] * 5}}, "4 rows"),
        ({"rows": 4}, {"instances": ["a"] * 5}, "4 rows"),
        ({"values": 100}, {"inputs": {"user_id": ["a"] * 200}}, "100 values"),
        (
            {"values": 100},
            {"signature_name": "recommend", "inputs": {"user_id": ["a"] * 20, "k": 5}},
            "an answer must have at most 100 values. Received: 200",
        ),
        (
            {"values": 100},
            {"signature_name": "recommend", "inputs": {"user_id": ["a"], "k": 2**31 - 1}},
            "an answer must have at most 100 values",
        ),
    ],
)
def test_rows_and_answers_are_limited_before_they_are_made(served, limits, body, said):
    limits = Limits(**limits)
    with Server(find_models(served), grpc_port=0, rest_port=0, limits=limits) as server:
        server.service.models["toy"]._loaded[1].session.run_arrays = None  # nothing is run
        status, answer = ask(server, json.dumps(body))
        assert status == 429
        assert said in answer["error"]


@pytest.fixture
def two(versions, tmp_path):
    """Folders of two models, both in version 1."""
    for name in ("toy", "other"):
        shutil.copytree(versions / "1", tmp_path / "models" / name / "1")
    return tmp_path / "models"


def spoil_warmup(folder):
    (folder / "assets.extra").mkdir(exist_ok=True)
    (folder / "assets.extra" / "tf_serving_warmup_requests").write_bytes(os.urandom(500))


def cut_graph(folder):
    whole = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(whole[: len(whole) // 2])


def spoil_variables(folder):
    for path in (folder / "variables").glob("*.data*"):
        path.write_bytes(os.urandom(20))


@pytest.mark.parametrize("spoil", [spoil_warmup, cut_graph, spoil_variables])
def test_a_bad_version_costs_no_other_model_and_is_told(two, versions, spoil):
    with Server(find_models(two), grpc_port=0, rest_port=0, poll_seconds=0.02) as server:
        toy, other = (server.service.models[name] for name in ("toy", "other"))
        shutil.copytree(versions / "2", two / "toy" / ".2")
        spoil(two / "toy" / ".2")
        (two / "toy" / ".2").rename(two / "toy" / "2")
        (two / "toy" / "\N{SUPERSCRIPT TWO}").mkdir()
        (two / "toy" / ("9" * 5000)[:200]).mkdir()
        wait_until(lambda: any(state.version == 2 and state.code for state in toy.states()))
        assert toy.states(2)[0].message
        assert (toy.served, ask(server)[0]) == (1, 200)
        shutil.copytree(versions / "2", two / "other" / ".2")
        (two / "other" / ".2").rename(two / "other" / "2")
        wait_until(lambda: other.served == 2)
        shutil.copytree(versions / "2", two / "toy" / ".3")
        (two / "toy" / ".3").rename(two / "toy" / "3")
        wait_until(lambda: toy.served == 3)
        assert server.service.ready


def test_a_watcher_that_died_is_told_by_readyz(server):
    model = server.service.models["toy"]
    assert server.service.ready
    model.stop_watching()
    wait_until(lambda: not model.watched)
    said = raw(server, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert said.startswith("HTTP/1.1 503")
    assert "The folder of toy is not watched." in said


def test_a_model_that_takes_long_to_load_delays_no_other(two, versions, monkeypatch):
    gate = threading.Event()
    with Server(find_models(two), grpc_port=0, rest_port=0, poll_seconds=0.02) as server:
        toy, other = (server.service.models[name] for name in ("toy", "other"))
        load = toy._load
        monkeypatch.setattr(toy, "_load", lambda session: gate.wait(10) and load(session))
        for model in ("toy", "other"):
            shutil.copytree(versions / "2", two / model / ".2")
            (two / model / ".2").rename(two / model / "2")
        wait_until(lambda: other.served == 2)
        assert toy.served == 1
        gate.set()
        wait_until(lambda: toy.served == 2)


def test_several_versions_are_served_by_policy_and_label(versions, tmp_path):
    shutil.copytree(versions, tmp_path, dirs_exist_ok=True)
    service = Service({}, Limits(), 60)
    model = Versions("toy", tmp_path, service._loader("toy"), Policy(latest=2))
    model.poll()
    assert model.serves == {1, 2}
    model.labels = {"stable": 1}
    with model.use(label="stable") as loaded:
        assert loaded.version == 1
    with model.use() as loaded:
        assert loaded.version == 2
    model.policy = Policy(specific=frozenset({1}))
    model.poll()
    assert model.serves == {1}
    model.close()


@pytest.mark.slow
def test_sigterm_ends_the_server_in_time_though_a_request_runs_for_ever(versions, tmp_path):
    """TensorFlow cannot be interrupted: the process must not wait for it."""
    program = (
        "import sys, threading, time; from pathlib import Path\n"
        "import tensorflow\n"
        "from tfrecs.serving.server import Server; from tfrecs.serving.service import find_models\n"
        "server = Server(find_models(Path(sys.argv[1])), grpc_port=0, rest_port=0).start()\n"
        "for loaded in server.service.models['toy']._loaded.values():\n"
        "    loaded.runner._run = lambda *asked: time.sleep(60)\n"
        "print(server.rest_port, flush=True); sys.exit(0 if server.run(2) else 3)"
    )
    shutil.copytree(versions / "1", tmp_path / "toy" / "1")
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(f"{PREDICT}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
        time.sleep(1)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 3
        assert time.monotonic() - start < 10
        connection.close()
