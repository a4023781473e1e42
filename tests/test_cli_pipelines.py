import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.components import toys
from tfrecs.cli.pipelines import component_app, pipeline_app


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_a_pipeline_is_run_shown_and_run_again(tmp_path):
    options = ("--root", tmp_path, "--processes", 0, "--set", "times=3")
    assert "4 done, 0 cached" in run(pipeline_app, "run", toys.__file__, *options)
    assert "0 done, 4 cached" in run(pipeline_app, "run", toys.__file__, *options)
    shown = run(pipeline_app, "show", tmp_path / "toys")
    assert "cached" in shown
    assert "Other runs" in shown
    lineage = run(pipeline_app, "show", tmp_path / "toys", "--artifact", "Judge.blessing")
    assert '"times": 3' in lineage
    assert lineage.index("Repeat") < lineage.index("Make")
    with pytest.raises(ValueError, match="`node` must be one of"):
        run(pipeline_app, "show", tmp_path / "toys", "--artifact", "Jugde.blessing")
    with pytest.raises(ValueError, match="a folder that `tfrecs pipeline run` has written"):
        run(pipeline_app, "show", tmp_path)


def test_parameters_are_name_and_value(tmp_path):
    with pytest.raises(ValueError, match="of the form name=value"):
        run(pipeline_app, "run", toys.__file__, "--root", tmp_path, "--set", "times")


def test_a_pipeline_is_compiled(tmp_path):
    pytest.importorskip("kfp")
    run(pipeline_app, "compile", toys.__file__, "--output", tmp_path / "toys.yaml")
    assert "pipelineInfo" in (tmp_path / "toys.yaml").read_text()


def test_a_pipeline_is_compiled_for_a_cluster(tmp_path):
    pytest.importorskip("kfp")
    options = ("--image", "here/tfrecs:1", "--volume", "claim:/data", "--strict")
    asked = ("--resources", "Repeat=cpu:4,memory:16G,accelerator:nvidia.com/gpu")
    output = ("--output", tmp_path / "toys.yaml")
    said = run(pipeline_app, "compile", toys.__file__, *output, *options, *asked)
    assert "here/tfrecs:1" in said
    text = (tmp_path / "toys.yaml").read_text()
    for part in ("image: here/tfrecs:1", "mountPath: /data", "resourceMemoryLimit: 16G", "True)"):
        assert part in text
    for option, wrong, why in (
        ("--volume", "/data", "of the form CLAIM:/FOLDER"),
        ("--resources", "Repeat=cpus:4", "Did you mean 'cpu'"),
        ("--resources", "Repeat=cpu", "of the form NODE=cpu:4"),
        ("--resources", "Repeat=cpu:many", "with numbers for cpu"),
    ):
        with pytest.raises(ValueError, match=why):
            run(pipeline_app, "compile", toys.__file__, *output, option, wrong)


def test_pipeline_files_are_listed(tmp_path):
    (tmp_path / "mine.py").write_text('"""What mine does."""\n')
    assert "What mine does." in run(pipeline_app, "list", tmp_path)
    with pytest.raises(ValueError, match="a folder of pipeline files"):
        run(pipeline_app, "list", tmp_path / "none")


def test_one_component_is_run_alone(tmp_path):
    pq.write_table(pa.table({"user_id": ["a", "b"], "n": [1, 2]}), tmp_path / "t.parquet")
    source = ("--set", f"source={tmp_path / 't.parquet'}", "--set", 'splits={"all": 1}')
    run(component_app, "run", "ExampleGen", "--output", tmp_path / "gen", *source)
    given = ("--input", f"examples={tmp_path / 'gen' / 'examples'}")
    run(component_app, "run", "StatisticsGen", "--output", tmp_path / "stats", *given)
    said = json.loads((tmp_path / "stats" / "statistics" / "artifact.json").read_text())
    assert said["type"] == "ExampleStatistics"
    with pytest.raises(ValueError, match=r"`examples` must be given.*--input examples=FOLDER"):
        run(component_app, "run", "StatisticsGen", "--output", tmp_path / "x")
    with pytest.raises(ValueError, match="Did you mean 'StatisticsGen'"):
        run(component_app, "run", "StatisticGen", "--output", tmp_path / "x")


def test_components_are_listed():
    listed = run(component_app, "list")
    for name in ("ExampleGen", "Transform", "Tuner", "Pusher", "BulkInferrer"):
        assert name in listed
