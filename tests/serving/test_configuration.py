"""The files for TensorFlow Serving were not run: whether they are well formed can be checked."""

import re
from inspect import getsource
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfrecs import show

FOLDER = Path(__file__).parents[2] / "saved_models"
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_says_that_it_was_not_run(path):
    assert re.match(r"# Not (run|built) here\.", path.read_text())


@pytest.mark.parametrize(
    "name, folders",
    [("models.config", ["quickstart_stock"]), ("models.scann.config", ["quickstart"])],
)
def test_the_models_have_a_version_policy(name, folders):
    text = (FOLDER / name).read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = config.model_config_list.config
    assert [model.base_path for model in models] == [f"/models/{folder}" for folder in folders]
    assert all(model.model_version_policy.latest.num_versions for model in models)
    # the labels that are commented out are well formed too
    labelled = re.sub(r"# (version_labels)", r"\1", text)
    config = text_format.Parse(labelled, model_server_config_pb2.ModelServerConfig())
    if name == "models.config":
        assert dict(config.model_config_list.config[0].version_labels) == {"stable": 1, "canary": 2}


@pytest.mark.parametrize("path", FOLDER.glob("*.yml"), ids=lambda path: path.name)
def test_the_files_that_are_named_are_there(path):
    assert all(yaml.safe_load_all(path.read_text()))
    for named in re.findall(r"/models/([\w.]+\.config)|dockerfile: ([\w.]+)", path.read_text()):
        assert (FOLDER / "".join(named)).is_file()


def test_no_configuration_lets_the_server_pad_lists():
    for path in FILES:
        assert not re.search(r"^\s*pad_variable_length_inputs:\s*true", path.read_text(), re.M), (
            path
        )
    assert "pad_variable_length_inputs: false" in (FOLDER / "batching.config").read_text()


KEYS = {"image", "build", "command", "ports", "volumes", "environment", "deploy"}


@pytest.mark.parametrize("path", FOLDER.glob("compose*.yml"), ids=lambda path: path.name)
def test_a_compose_file_has_what_compose_knows_and_the_files_that_it_names(path):
    document = yaml.safe_load(path.read_text())
    assert set(document) == {"services"}
    for name, service in document["services"].items():
        assert set(service) <= KEYS, name
        assert ("image" in service) != ("build" in service), name
        for port in service.get("ports", []):
            assert re.fullmatch(r"\d+:\d+", port)
        mounts = {}
        for volume in service.get("volumes", []):
            source, target, mode = volume.split(":")
            assert (FOLDER / source).exists(), volume
            assert mode == "ro"
            mounts[target] = FOLDER / source
        for argument in service.get("command", []):
            assert re.fullmatch(r"--\w+(=.+)?", argument)
            if inside := re.search(r"=(/models)/(.+)", argument):
                assert (mounts[inside[1]] / inside[2]).is_file(), argument
        build = service.get("build")
        assert build is None or (FOLDER / build["context"] / build["dockerfile"]).is_file()


def test_the_served_folders_are_those_that_the_quickstart_writes():
    written = re.search(r"export_run\(run, indexed, saved_models, \"(\w+)\"", getsource(show))
    name, text = written[1], "".join(path.read_text() for path in FILES)
    assert set(re.findall(r'base_path: "/models/(\w+)"', text)) == {name, f"{name}_stock"}
    assert set(re.findall(r'name: "(\w+)"', text)) == {name}
    assert set(re.findall(r"saved_models/(\w+)$", text, re.M)) == {name, f"{name}_stock"}


def test_the_dockerfile_copies_only_what_it_builds():
    text = (FOLDER / "Dockerfile.scann").read_text()
    stages = re.findall(r"^FROM \S+ AS (\w+)", text, re.M)
    for source in re.findall(r"^COPY (\S+)", text, re.M):
        assert source.removeprefix("--from=") in stages
