"""The files for TensorFlow Serving were not run: whether they are well formed can be checked."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

FOLDER = Path(__file__).parents[2] / "saved_models"
FILES = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_says_that_it_was_not_run(path):
    assert re.match(r"# Not (run|built) here\.", path.read_text())


@pytest.mark.parametrize(
    "name, folders", [("models.config", ["news_stock"]), ("models.scann.config", ["news"])]
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
