import pyarrow.parquet as pq
import pytest
import yaml

from tests.components import toys
from tfrecs.components import ExampleGen, Pipeline, SchemaGen, StatisticsGen, kubeflow
from tfrecs.components.artifacts import load

pytest.importorskip("kfp")


def test_the_same_definition_compiles_to_valid_ir(tmp_path):
    path = kubeflow.compile(toys.pipeline(times=3), tmp_path / "toys.yaml", image="mine:1")
    (document,) = yaml.safe_load_all(path.read_text())
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


def test_the_file_is_a_yaml_file(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must be a .yaml file"):
        kubeflow.compile(toys.pipeline(), tmp_path / "toys.json")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_was_compiled_runs_by_kfp_local(events, tmp_path):
    pq.write_table(events, tmp_path / "events.parquet")
    gen = ExampleGen(source=str(tmp_path / "events.parquet"))
    statistics = StatisticsGen(examples=gen["examples"])
    schema = SchemaGen(statistics=statistics["statistics"])
    kubeflow.run_local(Pipeline("three_nodes", (gen, statistics, schema)), tmp_path / "root")
    (found,) = (tmp_path / "root").glob("three-nodes-*/schemagen/schema")
    assert "device" in (load(found).path / "schema.pbtxt").read_text()
