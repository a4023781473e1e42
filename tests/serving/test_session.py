import json
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfrecs.serving import Session, SessionError, c_api
from tfrecs.serving import session as module

SCRIPT = Path(module.__file__)


@pytest.fixture(scope="module")
def session(saved_model):
    return Session(saved_model)


def run_script(*arguments, script=SCRIPT):
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_signatures_say_what_they_take_and_give(session):
    assert session.signatures["serving_default"].describe() == {
        "inputs": {"k": "int32[]", "text": "string[?]"},
        "outputs": {
            "names": "string[2]",
            "text": "string[?]",
            "twice": "int32[]",
            "weight": "float32[2]",
        },
    }


def test_strings_and_variables_come_back_as_they_are(session):
    texts = ["", "short", "é\N{SNOWMAN}", "nul\0inside", "x" * 10_000_000]
    answer = session.run("serving_default", {"text": texts, "k": 3})
    assert answer["text"] == texts
    assert answer["twice"] == 6
    assert answer["weight"] == [1.5, -2.0]
    assert answer["names"] == ["a" * 100_000, "é"]
    assert session.run("serving_default", {"text": [b"\xff"], "k": 1})["text"] == [
        "\N{REPLACEMENT CHARACTER}"
    ]


def test_every_dtype_goes_in_and_out(session):
    inputs = {
        "f": [[0.5, math.inf], [1, 2]],
        "i": [2**31 - 2],
        "j": [-(2**63)],
        "b": [True, False],
        "d": [[[1.0]]],
    }
    assert session.run("types", inputs) == {
        "f": [[1.5, math.inf], [2.0, 3.0]],
        "i": [2**31 - 1],
        "j": [-(2**63) + 1],
        "b": [False, True],
        "d": [[[0.5]]],
    }


def test_an_empty_batch_is_answered(session):
    assert session.run("serving_default", {"text": [], "k": 1})["text"] == []


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("serving_defalt", {}, r"`signature` must be one of .*Did you mean 'serving_default'"),
        ("serving_default", {"text": ["a"]}, r"'serving_default' also needs the inputs \['k'\]"),
        ("serving_default", {"txt": ["a"], "k": 1}, r"Received: 'txt'. Did you mean 'text'"),
        (
            "serving_default",
            {"text": [1], "k": 1},
            r"'serving_default': input 'text' must be string",
        ),
        ("serving_default", {"text": ["a"], "k": [1]}, r"input 'k' must be int32\[\]"),
    ],
)
def test_bad_input_names_signature_and_input(session, signature, inputs, message):
    with pytest.raises(ValueError, match=message):
        session.run(signature, inputs)


def test_an_error_of_the_graph_names_the_signature_and_the_session_lives_on(session):
    with pytest.raises(SessionError, match=r"'serving_default': .*`k` must be positive.*\[0\]"):
        session.run("serving_default", {"text": ["a"], "k": 0})
    assert session.run("serving_default", {"text": ["a"], "k": 1})["text"] == ["a"]


def test_threads_get_their_own_answers_and_errors(session):
    def ask(k):
        try:
            return session.run("serving_default", {"text": [str(k)], "k": k})["twice"]
        except SessionError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(-20, 100)))
    assert answers == [3] * 21 + [2 * k for k in range(1, 100)]


def test_two_thousand_calls_keep_memory_flat(session):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    inputs = {"text": ["long enough to be on the heap " * 100] * 10, "k": 1}
    for _ in range(200):
        session.run("serving_default", inputs)
    before = resident()
    for _ in range(2000):
        session.run("serving_default", inputs)
    # every call moves 30 kB in and 130 kB out: a leak would be 60 MB at the least
    assert resident() - before < 8e6


def test_a_closed_session_answers_no_more(saved_model):
    session = Session(saved_model)
    session.close()
    with pytest.raises(ValueError, match="`signature` must be one of"):
        session.run("serving_default", {})


def test_the_greatest_version_of_a_folder_is_taken(saved_model, tmp_path):
    for version in ("2", "10", ".11.tmp-1"):
        shutil.copytree(saved_model, tmp_path / version)
    assert Session(tmp_path).path == tmp_path / "10"


def test_a_folder_without_a_saved_model_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither saved_model\.pb nor numbered versions"):
        Session(tmp_path)


def test_a_truncated_saved_model_is_an_error(saved_model, tmp_path):
    shutil.copytree(saved_model, tmp_path / "1")
    whole = (saved_model / "saved_model.pb").read_bytes()
    (tmp_path / "1/saved_model.pb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SessionError, match=f"{tmp_path}/1 does not load"):
        Session(tmp_path)


def test_a_missing_op_library_is_an_error(saved_model):
    with pytest.raises(SessionError, match=r"nowhere\.so does not load"):
        Session(saved_model, op_libraries=["nowhere.so"])


def test_a_graph_with_scann_asks_for_scann(saved_model, tmp_path, monkeypatch):
    shutil.copytree(saved_model, tmp_path / "1")
    with open(tmp_path / "1/saved_model.pb", "ab") as file:
        file.write(b"Scann>")
    monkeypatch.setattr(c_api.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SessionError, match=r"scann is not installed\. Run `pip install scann`"):
        Session(tmp_path)


def test_the_script_imports_neither_tfrecs_nor_tensorflow(saved_model, tmp_path):
    for file in ("session.py", "c_api.py", "meta_graph.py"):  # these files alone, anywhere
        shutil.copy(SCRIPT.parent / file, tmp_path)
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from session import Session
print(Session({str(saved_model)!r}).run("serving_default", {{"text": ["a"], "k": 4}})["twice"])
print({{"tensorflow", "tfrecs", "keras", "scann"}} & {{name.split(".")[0] for name in sys.modules}})
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "8\nset()\n"), done.stderr


def test_the_command_prints_json(saved_model, tmp_path):
    done = run_script(saved_model.parent, "--inputs", '{"text": ["é"]}', "--k", 2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == ["é"]


def test_the_command_lists_the_signatures(saved_model, capsys):
    assert module.main([str(saved_model)]) == 0
    assert sorted(json.loads(capsys.readouterr().out)) == ["serving_default", "types"]


def test_the_command_reads_files_of_inputs_and_of_rest_bodies(saved_model, tmp_path, capsys):
    file = tmp_path / "inputs.json"
    file.write_text('{"text": ["a"], "k": 3}')
    assert module.main([str(saved_model), "--inputs-file", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["twice"] == 6
    inputs = {"text": [{"b64": "YWI="}], "k": 1}
    file.write_text(json.dumps([{"signature_name": "serving_default", "inputs": inputs}]))
    assert module.main([str(saved_model), "--requests", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["text"] == ["ab"]


def test_a_request_without_inputs_is_an_error(saved_model, tmp_path, capsys):
    file = tmp_path / "requests.json"
    file.write_text('[{"signature_name": "types"}]')
    assert module.main([str(saved_model), "--requests", str(file)]) == 2
    assert "requests.json must hold [{" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--inputs", '{"text": ["a"]'], "error: Expecting"),
        (["--inputs", '["a"]'], "error: The inputs must be a JSON object"),
        (["--inputs", '{"text": ["a"], "k": 0}'], "`k` must be positive"),
        (["--inputs-file", "nowhere.json"], "No such file or directory: 'nowhere.json'"),
        (["--signature", "x", "--inputs", "{}"], "`signature` must be one of"),
    ],
)
def test_a_failing_command_says_why_and_exits_with_2(saved_model, capsys, arguments, message):
    assert module.main([str(saved_model), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_the_library_is_found_by_the_name_of_its_platform(tmp_path, monkeypatch):
    monkeypatch.setattr(c_api, "package", lambda name: tmp_path)
    with pytest.raises(
        SessionError, match=r"neither libtensorflow_cc\.so\.2 \(Linux\) nor .*macOS"
    ):
        c_api.shared_library("cc")
    (tmp_path / "libtensorflow_cc.2.dylib").touch()
    assert c_api.shared_library("cc").name == "libtensorflow_cc.2.dylib"
    (tmp_path / "libtensorflow_cc.so.2").touch()
    assert c_api.shared_library("cc").name == "libtensorflow_cc.so.2"
