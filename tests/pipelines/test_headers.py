"""The commands in the headers of the pipelines that are shipped name what is there."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from tfrecs.components.pipeline import load

ROOT = Path(__file__).resolve().parents[2]


def commands():
    """Yields the words of each command that a header prints."""
    for file in sorted((ROOT / "pipelines").glob("*.py")):
        text = re.sub(r"\\\n\s*", "", ast.get_docstring(ast.parse(file.read_text())))
        found = re.findall(r"^ {4}(tfrecs pipeline run [^#\n]*)", text, re.MULTILINE)
        assert found, f"{file.name} prints no command"
        for command in found:
            yield pytest.param(file, shlex.split(command), id=command.removeprefix("tfrecs "))


@pytest.mark.parametrize(("file", "words"), commands())
def test_a_printed_command_builds_its_pipeline(file, words):
    assert ROOT / words[3] == file
    options = words[4:]
    assert options[::2] == ["--set"] * (len(options) // 2)
    given = dict(word.split("=", 1) for word in options[1::2])
    built = load(file, **given)
    assert len(built.nodes) >= 2
    for name, value in given.items():
        assert str(built.source.arguments[name]) == value


@pytest.mark.parametrize("file", sorted((ROOT / "pipelines").glob("*.py")), ids=lambda f: f.stem)
def test_every_parameter_reaches_a_node(file):
    """A parameter that changes nothing would be silently of no use."""
    before = load(file)
    for name, value in before.source.arguments.items():
        if isinstance(value, bool | None) or name in ("span", "first_span"):
            continue  # change which nodes there are
        other = f"{value}x" if isinstance(value, str) else value + 1
        try:
            after = load(file, **{name: other})
        except ValueError:  # a name that is looked up
            continue
        changed = [node.parameters for node in after.nodes] != [n.parameters for n in before.nodes]
        assert changed, name
