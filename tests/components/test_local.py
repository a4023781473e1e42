import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.components import toys
from tfrecs.components import LatestBlessed, Pipeline, local
from tfrecs.components.artifacts import digest
from tfrecs.components.store import Store

HERE = Path(__file__).parent


def run(root, processes=0, **parameters):
    return local.run(toys.pipeline(**parameters), root, processes=processes)


def text(result, node="Repeat", name="model"):
    return (result.outputs[node][name].path / "text").read_text()


def test_nodes_run_after_those_that_they_wait_for(tmp_path):
    result = run(tmp_path)
    assert result.states == dict.fromkeys(("Make", "Repeat", "Other", "Judge"), "done")
    assert text(result) == "abab"
    assert text(result, "Other") == "ab" * 5
    assert text(result, "Judge", "blessing") == "abab beside None"


def test_a_second_run_is_all_cached(tmp_path):
    first = run(tmp_path)
    second = run(tmp_path)
    assert set(second.states.values()) == {"cached"}
    assert second.folder != first.folder
    assert second.outputs["Judge"]["blessing"].uri == first.outputs["Judge"]["blessing"].uri


def test_a_changed_parameter_reruns_only_what_depends_on_it(tmp_path):
    run(tmp_path)
    result = run(tmp_path, times=3)
    assert result.states == {
        "Make": "cached",
        "Repeat": "done",
        "Other": "cached",
        "Judge": "done",
    }
    assert text(result, "Judge", "blessing") == "ababab beside abab"


def test_a_node_whose_inputs_came_out_the_same_is_not_run_again(tmp_path):
    (tmp_path / "source").write_text("b")
    run(tmp_path / "root", text="a", source=str(tmp_path / "source"))
    (tmp_path / "source").write_text("")
    result = run(tmp_path / "root", text="ab", source=str(tmp_path / "source"))
    assert result.states["Make"] == "done"  # another parameter and another file: the same text
    assert result.states["Repeat"] == "cached"


def test_a_node_whose_inputs_were_blessed_since_is_run_again(tmp_path):
    def push(least):
        pipeline = toys.pushing(str(tmp_path / "pushed"), least)
        return local.run(pipeline, tmp_path / "root", processes=0).states["Push"]

    # the files of the blessing are the same: the property alone tells them apart
    assert [push(99), push(1), push(1), push(99)] == ["not pushed", "done", "cached", "not pushed"]


def test_a_changed_source_file_reruns(tmp_path):
    (tmp_path / "source").write_text("x")
    run(tmp_path / "root", source=str(tmp_path / "source"))
    assert run(tmp_path / "root", source=str(tmp_path / "source")).states["Make"] == "cached"
    (tmp_path / "source").write_text("y")
    assert run(tmp_path / "root", source=str(tmp_path / "source")).states["Make"] == "done"


def test_a_failure_names_the_node_and_its_log_and_lets_others_finish(tmp_path):
    with pytest.raises(local.PipelineError, match=r"Judge failed: `text` must be quiet"):
        run(tmp_path, text="!")
    (folder,) = (tmp_path / "runs").iterdir()
    said = json.loads((folder / "run.json").read_text())
    assert said["state"] == "failed"
    assert said["nodes"] == {
        "Make": "done",
        "Repeat": "done",
        "Other": "done",
        "Judge": "failed",
    }
    assert "must be quiet" in (folder / "Judge.log").read_text()
    assert not list((tmp_path / "artifacts" / "Judge").glob("*"))
    with pytest.raises(local.PipelineError):
        run(tmp_path, text="!")
    states = Store(tmp_path).steps(sorted(os.listdir(tmp_path / "runs"))[-1])
    assert [step["state"] for step in states] == ["cached", "cached", "cached", "failed"]


def test_a_run_folder_links_to_its_artifacts(tmp_path):
    result = run(tmp_path)
    assert (result.folder / "Repeat" / "model" / "text").read_text() == "abab"


def test_the_page_of_a_run_links_what_was_made_of_what(tmp_path):
    result = run(tmp_path, times=3)
    page = (result.folder / "run.html").read_text()
    assert '<li>model from <a href="#Repeat">Repeat</a>' in page
    assert "&#34;times&#34;: 3" in page
    link, _ = re.findall(r'href="([^"]*notes.html)"', page)
    assert (result.folder / link).read_text() == "x"
    with pytest.raises(local.PipelineError):
        run(tmp_path, text="!")
    last = sorted((tmp_path / "runs").iterdir())[-1]
    assert "`text` must be quiet" in (last / "run.html").read_text()


def test_one_run_at_a_time(tmp_path):
    with (
        local._locked(tmp_path),
        pytest.raises(RuntimeError, match=r"Another run of .* is under way"),
    ):
        run(tmp_path)


def test_the_store_tells_what_made_an_artifact(tmp_path):
    result = run(tmp_path)
    store = Store(tmp_path)
    lineage = store.lineage(result.outputs["Judge"]["blessing"].uri)
    assert [execution["component"] for execution in lineage] == ["Judge", "Repeat", "Make"]
    assert lineage[1]["parameters"]["times"] == 2
    inputs = store.links(lineage[1]["key"], "in")
    assert inputs["examples"]["digest"] == digest(inputs["examples"]["uri"])
    assert [entry["state"] for entry in store.runs()] == ["done"]


def test_the_last_blessed_model_of_an_earlier_span_is_what_is_asked_for(tmp_path):
    def day(span, least):
        made = toys.Make(text="x" * span)
        model = toys.Repeat(
            examples=made["examples"], base=LatestBlessed(before_span=span), span=span, times=1
        )
        judged = toys.Judge(model=model["model"], least=least)
        return local.run(Pipeline("days", (made, model, judged)), tmp_path, processes=0)

    assert text(day(1, least=1)) == "x"
    assert text(day(2, least=99)) == "x+xx"  # not blessed
    assert text(day(3, least=1)) == "x+xxx"
    assert set(day(3, least=1).states.values()) == {"cached"}
    assert text(day(4, least=1)) == "x+xxx+xxxx"


def start(root, seconds):
    script = (
        f"import sys; sys.path.insert(0, {str(HERE.parents[1])!r})\n"
        "from tests.components import toys\n"
        "from tfrecs.components import local\n"
        "if __name__ == '__main__':\n"
        f"    local.run(toys.pipeline(seconds={seconds}), {str(root)!r}, processes=0,\n"
        "        report=lambda node, state, seconds, message: print(node, state, flush=True))\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_killed_run_leaves_no_half_artifact_and_resumes(tmp_path):
    with start(tmp_path, seconds=60) as process:
        for line in process.stdout:
            if line.split() in (["Repeat", "running"], ["Other", "running"]):
                break
        while not list((tmp_path / "artifacts").glob("*/.*/model/first")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert list((tmp_path / "artifacts").glob("*/.*"))  # what it was writing
    whole = list((tmp_path / "artifacts").glob("*/[!.]*"))
    assert [folder.parent.name for folder in whole] == ["Make"]
    # the parameter `seconds` counts, so the same ones are run, without the wait
    toys_run = local.run(toys.pipeline(seconds=0.01), tmp_path, processes=0)
    assert toys_run.states["Make"] == "cached"
    assert not list((tmp_path / "artifacts").glob("*/.*"))
    assert Store(tmp_path).runs()[-1]["state"] == "killed"


@pytest.mark.slow
def test_processes_give_what_one_process_gives(tmp_path):
    parallel = run(tmp_path / "two", processes=2)
    alone = run(tmp_path / "one")
    for node, outputs in alone.outputs.items():
        for name, artifact in outputs.items():
            assert parallel.outputs[node][name].digest == artifact.digest
    assert set(run(tmp_path / "two", processes=2).states.values()) == {"cached"}
