import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.components import toys
from tfrecs.components import (
    ExampleGen,
    LatestBlessed,
    Pipeline,
    Resources,
    SchemaGen,
    StatisticsGen,
    artifacts,
    kubeflow,
    pipeline,
    pod,
)
from tfrecs.components.kubeflow import Cluster

pytest.importorskip("kfp")
PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"

MINE = '''
"""A user's file with a component of its own, which uses a module beside it."""
from helping import shout
from tests.components import toys
from tfrecs.components import Component, Output, Pipeline, Resources
from tfrecs.components.artifacts import Examples


def call(examples: Examples, louder: Output[Examples], *, times: int = 1) -> None:
    """Makes a text louder."""
    louder.path.mkdir()
    (louder.path / "text").write_text(shout((examples.path / "text").read_text(), times))


Call = Component(call)


def pipeline(text: str = "ab", times: int = 2, note: str | None = None, more: bool = False):
    made = toys.Make(text=text + (note or ""))
    called = Call(examples=made["examples"], times=times, resources=Resources(cpu=2, memory="4Gi"))
    nodes = [made, called]
    if more:
        nodes.append(Call(id="Again", examples=called["louder"], times=times))
    return Pipeline("my_own", nodes)
'''


@pytest.fixture
def mine(tmp_path):
    """A user's pipeline file, apart from the repository."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_pipeline.py").write_text(MINE)
    (folder / "helping.py").write_text(
        "import saying\n\ndef shout(t, n):\n    return t + saying.MARK * n\n"
    )
    (folder / "saying.py").write_text('MARK = "!"\n')
    (folder / "other.py").write_text("1 / 0\n")
    yield folder / "my_pipeline.py"
    sys.path[:] = [path for path in sys.path if not path.startswith(str(tmp_path))]
    for name in ("my_pipeline", "helping", "saying"):
        sys.modules.pop(name, None)


def ir(path):
    """Returns the pipeline, and the platform's part or None, of a compiled file."""
    documents = [*yaml.safe_load_all(Path(path).read_text())]
    return documents[0], documents[1] if len(documents) > 1 else None


def test_a_pipeline_made_in_python_compiles_to_valid_ir(tmp_path):
    path = kubeflow.compile(toys.pipeline(times=3), tmp_path / "toys.yaml", Cluster("mine:1"))
    document, _ = ir(path)
    assert document["pipelineInfo"]["name"] == "toys"
    tasks = document["root"]["dag"]["tasks"]
    assert set(tasks) == {"make", "repeat", "other", "judge"}
    assert tasks["judge"]["dependentTasks"] == ["repeat"]
    given = tasks["repeat"]["inputs"]["parameters"]["parameters"]["runtimeValue"]["constant"]
    assert '"times": 3' in given
    images = {
        executor["container"]["image"]
        for executor in document["deploymentSpec"]["executors"].values()
    }
    assert images == {"mine:1"}

    from kfp import components

    assert components.load_component_from_file(str(path)).pipeline_spec is not None


def test_parameters_of_a_file_are_inputs_with_types_and_defaults(mine, tmp_path):
    document, _ = ir(kubeflow.compile(pipeline.load(mine, text="x"), tmp_path / "m.yaml"))
    inputs = document["root"]["inputDefinitions"]["parameters"]
    assert {name: (i["parameterType"], i.get("defaultValue")) for name, i in inputs.items()} == {
        "text": ("STRING", "x"),
        "times": ("NUMBER_INTEGER", 2.0),
        "note": ("STRING", None),
        "more": ("BOOLEAN", False),
    }
    tasks = document["root"]["dag"]["tasks"]
    assert set(tasks) == {"parameters", "make", "call"}
    for name, given in tasks["parameters"]["inputs"]["parameters"].items():
        assert name == "files" or given == {"componentInputParameter": name}
    for node in ("Make", "Call"):
        given = tasks[node.lower()]["inputs"]["parameters"]["parameters"]
        assert given["taskOutputParameter"] == {
            "outputParameterKey": node,
            "producerTask": "parameters",
        }


def test_the_users_files_travel_where_they_are_needed(mine, tmp_path):
    document, _ = ir(kubeflow.compile(pipeline.load(mine), tmp_path / "m.yaml"))
    tasks = document["root"]["dag"]["tasks"]

    def files(task):
        return tasks[task]["inputs"]["parameters"]["files"]["runtimeValue"]["constant"]

    assert files("make") == ""  # of the image
    assert files("call") == files("parameters")
    folder = pod.unpack(files("call"))
    assert {p.name for p in folder.iterdir()} == {"my_pipeline.py", "helping.py", "saying.py"}
    (mine.parent / "saying.py").write_text(
        "MARK = 1\n" + "".join(f"# {hash(str(n))}\n" for n in range(40_000))
    )
    with pytest.raises(ValueError, match=r"at most 256 KB.*Build what it imports into the image"):
        kubeflow.compile(pipeline.load(mine), tmp_path / "m.yaml")


def test_resources_are_asked_for_task_by_task(mine, tmp_path):
    gpu = Resources(cpu=8, memory="32G", accelerator="nvidia.com/gpu", accelerators=2)
    cluster = Cluster(resources={"Make": gpu})
    document, _ = ir(kubeflow.compile(pipeline.load(mine), tmp_path / "m.yaml", cluster))
    asked = {
        name.removeprefix("exec-"): executor["container"].get("resources", {})
        for name, executor in document["deploymentSpec"]["executors"].items()
    }
    assert asked["parameters"] == {}
    assert asked["call"]["resourceCpuRequest"] == asked["call"]["resourceCpuLimit"] == "2"
    assert asked["call"]["resourceMemoryRequest"] == asked["call"]["resourceMemoryLimit"] == "4Gi"
    assert "accelerator" not in asked["call"]
    accelerator = asked["make"]["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "2")
    with pytest.raises(ValueError, match="Did you mean 'Call'"):
        kubeflow.compile(pipeline.load(mine), tmp_path / "m.yaml", Cluster(resources={"Cal": gpu}))
    for wrong in ({"cpu": 0}, {"memory": "16 gigabytes"}, {"accelerators": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
            Resources(**wrong)


def test_tasks_that_touch_what_is_outside_are_not_cached(tmp_path):
    loaded = pipeline.load(PIPELINES / "quickstart.py", saved_models="gs://bucket/models")
    document, _ = ir(kubeflow.compile(loaded, tmp_path / "q.yaml"))
    tasks = document["root"]["dag"]["tasks"]
    uncached = {name for name, task in tasks.items() if not task["cachingOptions"]}
    assert uncached == {"parameters", "datasetexamplegen", "pusher"}
    assert tasks["trainer"]["cachingOptions"] == {"enableCache": True}


def test_places_are_those_that_all_pods_see(tmp_path):
    quickstart = PIPELINES / "quickstart.py"
    for given in ("saved_models", "/models", "/data/../models", "file:///models"):
        with pytest.raises(ValueError, match=r"`Pusher\(destination\)` must be a URI.*--volume"):
            kubeflow.compile(
                pipeline.load(quickstart, saved_models=given),
                tmp_path / "q.yaml",
                Cluster(volumes={"claim": "/data"}),
            )
    with pytest.raises(ValueError, match=r"must be a path, or a URI of .*Write gs://"):
        kubeflow.compile(pipeline.load(quickstart, saved_models="gcs://b"), tmp_path / "q.yaml")
    with pytest.raises(ValueError, match=r"`volumes\['claim'\]` must be an absolute folder"):
        Cluster(volumes={"claim": "data"})
    loaded = pipeline.load(quickstart, saved_models="/data/models")
    path = kubeflow.compile(loaded, tmp_path / "q.yaml", Cluster(volumes={"claim": "/data"}))
    document, platform = ir(path)
    mounted = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(mounted) == set(document["deploymentSpec"]["executors"])
    (mount,) = mounted["exec-pusher"]["pvcMount"]
    assert (mount["constant"], mount["mountPath"]) == ("claim", "/data")


@pytest.mark.parametrize("file", sorted(PIPELINES.glob("*.py")), ids=lambda file: file.stem)
def test_every_pipeline_that_is_shipped_compiles(file, tmp_path):
    at = {
        name: f"gs://bucket/{name}"
        for name in ("saved_models", "data_dir", "data", "users", "items", "train", "dev")
    }
    at["events"] = "gs://bucket/day-{SPAN}/events.parquet"
    known = pipeline.load(file).source.arguments
    loaded = pipeline.load(file, **{name: value for name, value in at.items() if name in known})
    if "data_dir" in known:  # read by this machine's own means
        loaded = pipeline.load(file, saved_models="/data/models", data_dir="/data/ml-1m")
    document, _ = ir(kubeflow.compile(loaded, tmp_path / "p.yaml", Cluster(volumes={"c": "/data"})))
    assert set(document["root"]["inputDefinitions"]["parameters"]) == set(known)


def test_what_cannot_be_there_is_told(tmp_path, caplog):
    kubeflow.compile(toys.pipeline(), tmp_path / "toys.yaml")
    assert "Left out on Kubeflow: the last blessed model, Judge(baseline)" in caplog.text
    with pytest.raises(ValueError, match=r"`path` must be a .yaml file"):
        kubeflow.compile(toys.pipeline(), tmp_path / "toys.json")
    assert isinstance(toys.pipeline()["Judge"].inputs["baseline"], LatestBlessed)


class Given:
    """What KFP hands to a task for an artifact."""

    def __init__(self, path):
        self.path, self.metadata = str(path), {}


def configured(mine, tmp_path, **arguments):
    loaded = pipeline.load(mine)
    outputs = {node.id: str(tmp_path / "parameters" / node.id) for node in loaded.nodes}
    given = {"text": "ab", "times": 2, "note": None, "more": False, **arguments}
    files = pod.packed(mine)
    pod.configure(files, mine.name, given, outputs, pod.wiring(loaded), None)
    return files, {name: Path(path).read_text() for name, path in outputs.items()}


def test_the_first_task_works_out_what_each_node_is_given(mine, tmp_path):
    _, found = configured(mine, tmp_path, times=3, note="c")
    assert json.loads(found["Make"])["text"] == "abc"
    assert json.loads(found["Call"]) == {"times": 3}
    with pytest.raises(ValueError, match=r"same nodes as were compiled: Call, Make.*Compile it"):
        configured(mine, tmp_path, more=True)


def test_a_task_runs_the_users_own_component(mine, tmp_path):
    files, found = configured(mine, tmp_path, times=3)
    examples = artifacts.Examples(str(tmp_path / "examples"))
    toys.make(examples, text="ab")
    examples.seal()
    louder = Given(tmp_path / "out" / "louder")
    pod.execute(
        "my_pipeline",
        "call",
        {"examples": Given(examples.path)},
        {"louder": louder},
        {"louder": "Examples"},
        found["Call"],
        files,
        False,
    )
    assert (Path(louder.path) / "text").read_text() == "ab!!!"
    assert louder.metadata["digest"] == artifacts.load(louder.path).digest


def test_a_strict_task_fails_where_nothing_is_pushed(tmp_path):
    blessing = artifacts.ModelBlessing(str(tmp_path / "blessing"), {"blessed": 0})
    blessing.path.mkdir()
    blessing.seal()
    for strict in (False, True):
        task = (
            toys.__name__,
            "push",
            {"blessing": Given(blessing.path)},
            {"pushed": Given(tmp_path / f"pushed-{strict}")},
            {"pushed": "PushedModel"},
            json.dumps({"destination": str(tmp_path / "there")}),
            "",
        )
        if strict:
            with pytest.raises(RuntimeError, match="Not pushed: the text is too short"):
                pod.execute(*task, strict)
        else:
            pod.execute(*task, strict)
            assert task[3]["pushed"].metadata["pushed"] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_was_compiled_runs_by_kfp_local(events, tmp_path):
    pq.write_table(events, tmp_path / "events.parquet")
    gen = ExampleGen(source=str(tmp_path / "events.parquet"))
    statistics = StatisticsGen(examples=gen["examples"])
    schema = SchemaGen(statistics=statistics["statistics"])
    kubeflow.run_local(Pipeline("three_nodes", (gen, statistics, schema)), tmp_path / "root")
    (found,) = (tmp_path / "root").glob("three-nodes-*/schemagen/schema")
    assert "device" in (artifacts.load(found).path / "schema.pbtxt").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_users_file_runs_by_kfp_local_with_other_parameters(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PIPELINES.parent))
    kubeflow.run_local(pipeline.load(mine), tmp_path / "root", times=4, note="c")
    (found,) = (tmp_path / "root").glob("my-own-*/call/louder")
    assert (found / "text").read_text() == "abc!!!!"
