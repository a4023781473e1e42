import http.client
import json
import shutil
import socket
import subprocess

import pytest

from tfrecs.serving.codes import code_of, http_status


def request(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    json_body = response.getheader("Content-Type") == "application/json"
    return response.status, json.loads(text) if json_body else text


def predict(server, body, path="/v1/models/toy:predict"):
    return request(server, "POST", path, body)


def test_rows_and_columns_are_answered_in_tensorflow_servings_formats(server):
    rows = {"instances": [{"user_id": "ab"}, {"user_id": ""}]}
    best = {"item_id": ["i0", "i1", "i2"], "score": [3, 2, 1]}  # bias 1 + length 2 - place
    worst = {"item_id": ["i0", "i1", "i2"], "score": [1, 0, -1]}
    assert predict(server, rows) == (200, {"predictions": [best, worst]})
    columns = {"item_id": [best["item_id"]], "score": [best["score"]]}
    assert predict(server, {"inputs": {"user_id": ["ab"]}}) == (200, {"outputs": columns})
    # a signature with one input needs no name
    assert predict(server, {"instances": ["ab", ""]}) == (200, {"predictions": [best, worst]})
    assert predict(server, {"inputs": ["ab"]}) == (200, {"outputs": columns})


def test_a_single_output_stands_for_itself(server):
    body = {"signature_name": "encode_query", "instances": ["a", "b"]}
    assert predict(server, body) == (200, {"predictions": [[1, 1], [1, 1]]})
    body = {"signature_name": "encode_query", "inputs": ["a"]}
    assert predict(server, body) == (200, {"outputs": [[1, 1]]})


def test_bytes_come_as_base64(server):
    status, answer = predict(server, {"inputs": {"user_id": [{"b64": "/w=="}]}})
    assert (status, answer["outputs"]["score"]) == (200, [[2, 1, 0]])


@pytest.mark.parametrize(
    "path, body, status, message",
    [
        (":predict", b"{", 400, "Expecting"),
        (":predict", b"\xff\xfe", 400, "decode"),
        (":predict", b"[" * 50_000, 400, ""),
        (":predict", {"rows": []}, 400, '"instances" or "inputs"'),
        (":predict", [], 400, '"instances" or "inputs"'),
        (":predict", {"instances": []}, 400, "at least one"),
        (":predict", {"instances": [{"user_id": "a"}, {}]}, 400, "the same names"),
        (":predict", {"inputs": {"user": ["a"]}}, 400, "Did you mean 'user_id'"),
        (":predict", {"inputs": {"user_id": [1]}}, 400, "must be string[?]"),
        (":predict", {"inputs": {"user_id": ["a"]}, "signature_name": "x"}, 400, "one of ["),
        (":predict", {"inputs": {"user_id": ["a"]}, "signature_name": 3}, 400, "must be a string"),
        (
            ":predict",
            {"inputs": {"user_id": ["a"], "k": 9}, "signature_name": "recommend"},
            400,
            "`k` must be at most 5",
        ),
        (
            ":predict",
            {"instances": [{"user_id": "a", "k": 9}], "signature_name": "recommend"},
            400,
            'ask by "inputs"',
        ),
        (":predict", {"inputs": 3, "signature_name": "recommend"}, 400, "must be an object"),
        ("/versions/7:predict", {"inputs": ["a"]}, 404, "version 1, not 7"),
        ("x:predict", {"inputs": ["a"]}, 404, "Did you mean 'toy'"),
        (":classify", {"inputs": ["a"]}, 400, '"examples" must be a list'),
        (":predict", b"x" * 100_001, 429, "at most 100000 bytes"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong_and_the_server_lives_on(
    server, path, body, status, message
):
    got, answer = predict(server, body, f"/v1/models/toy{path}")
    assert got == status
    assert message in answer["error"]
    assert predict(server, {"inputs": ["a"]})[0] == 200


@pytest.mark.parametrize(
    "head, status",
    [
        ("POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("DELETE /v1/models/toy HTTP/1.1\r\n\r\n", 400),
        ("POST /v1/models/toy HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_gets_an_error_status(server, head, status):
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert f" {status} ".encode() in connection.recv(4096)


def test_status_metadata_health_and_metrics(server):
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    wanted = {"model_version_status": [available]}
    assert request(server, "GET", "/v1/models/toy") == (200, wanted)
    assert request(server, "GET", "/v1/models/toy/versions/1") == (200, wanted)
    assert request(server, "GET", "/v1/models/toy/versions/2")[0] == 404
    status, answer = request(server, "GET", "/v1/models/toy/metadata")
    assert (status, answer["model_spec"]["version"]) == (200, "1")
    signature = answer["metadata"]["signature_def"]["signature_def"]["recommend"]
    assert signature["inputs"]["k"]["dtype"] == "DT_INT32"
    assert request(server, "GET", "/healthz") == (200, "ok\n")
    assert request(server, "GET", "/readyz") == (200, "ok\n")
    predict(server, {"inputs": ["a"]})
    predict(server, {"inputs": ["a"]}, "/v1/models/other:predict")
    status, text = request(server, "GET", "/monitoring/prometheus/metrics")
    assert 'request_count{model_name="toy",entrypoint="REST",status="OK"} 1' in text
    assert 'request_count{model_name="",entrypoint="REST",status="NOT_FOUND"} 1' in text
    assert 'tfrecs_served{model_name="toy"} 1' in text
    assert request(server, "GET", "/nowhere")[0] == 404
    assert request(server, "GET", "/v1/models/toy:predict")[0] == 400


def test_codes_become_http_statuses():
    assert [http_status(code) for code in (0, 3, 4, 5, 8, 14, 13)] == [
        *(200, 400, 504, 404, 429, 503, 500)
    ]
    assert [code_of(e) for e in (ValueError(), MemoryError(), KeyError())] == [3, 8, 13]


def test_plain_curl_works_unchanged(server):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/toy:predict"
    body = '{"inputs": {"user_id": ["ab"]}}'
    done = subprocess.run(
        ["curl", "-s", "--max-time", "20", "-d", body, url], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["outputs"]["item_id"] == [["i0", "i1", "i2"]]
