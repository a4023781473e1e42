"""The image of the pipelines, as far as it can be proved without Docker."""

import configparser
import fnmatch
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "pipelines" / "Dockerfile"
KNOWN = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "CMD", "COMMENT"}


@pytest.fixture(scope="module")
def steps():
    """The instructions of the file, in order."""
    parser = DockerfileParser(path=str(DOCKERFILE))
    return [(step["instruction"], step["value"]) for step in parser.structure]


def copied(steps):
    """Returns what is copied out of the repository, and where to."""
    for instruction, value in steps:
        if instruction == "COPY":
            *sources, target = value.split()
            for source in sources:
                yield source, target


def test_every_step_is_one_and_what_is_copied_is_there(steps):
    assert {instruction for instruction, _ in steps} <= KNOWN
    assert next(i for i, _ in steps if i not in ("COMMENT", "ARG")) == "FROM"
    sources = [source for source, _ in copied(steps)]
    assert {"tfrecs", "setup.cfg", "constraints.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source


def test_what_is_copied_is_sent_to_docker(steps):
    lines = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    for source, _ in copied(steps):
        sent = True
        for rule in rules:  # the last rule that fits decides
            if fnmatch.fnmatch(source, rule.removeprefix("!").removeprefix("**/")):
                sent = rule.startswith("!")
        assert sent, source


def test_what_is_installed_is_what_setup_cfg_offers(steps):
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    (install,) = [value for instruction, value in steps if instruction == "RUN"]
    extras = install.split("[")[1].split("]")[0].split(",")
    assert set(extras) <= set(settings["options.extras_require"])
    assert "pipelines" in extras
    (image,) = [value for instruction, value in steps if instruction == "FROM"]
    supported = settings["metadata"]["classifiers"]
    assert f"Python :: {image.removeprefix('python:').removesuffix('-slim')}" in supported
    assert f"tfrecs-pipelines:{settings['metadata']['version']}" in DOCKERFILE.read_text()


@pytest.mark.slow
def test_the_package_builds_of_what_is_copied_alone(steps, tmp_path):
    for source, target in copied(steps):
        if (ROOT / source).is_dir():
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, tmp_path / "context" / target, ignore=skip)
        else:
            (tmp_path / "context").mkdir(exist_ok=True)
            shutil.copy(ROOT / source, tmp_path / "context" / target)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "context")], check=True)
    (wheel,) = tmp_path.glob("tfrecs-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in (ROOT / "tfrecs").rglob("*"):
        if file.suffix in (".py", ".html", ".typed") and "__pycache__" not in file.parts:
            assert file.relative_to(ROOT).as_posix() in names
    assert any(name.endswith("scripts/tfrecs") for name in names)
