import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfrecs
from tfrecs.spec import KINDS

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "tfrecs").rglob("*.py"))


def python(script):
    """Returns what a script prints in a fresh process."""
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_rules_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "first", ["keras, tfrecs", "tfrecs, keras", "tfrecs.layers, keras", "tfrecs.evaluation, keras"]
)
def test_keras_loads_a_model_in_whatever_order_the_two_are_imported(first, tmp_path):
    path = tmp_path / "model.keras"
    spec = tfrecs.FeatureSpec(
        (
            tfrecs.Categorical("user", "query", is_id=True, size=4),
            tfrecs.Categorical("item", "candidate", is_id=True, size=5),
        )
    )
    model = tfrecs.models.TwoTower(spec, embedding_dim=2)
    model({"user": np.array([2, 3]), "item": np.array([2, 4])})
    model.save(path)
    script = f"import {first}; print(type(keras.models.load_model({str(path)!r})).__name__)"
    assert python(script) == "TwoTower"


PARTS = sorted({path.relative_to(ROOT / "tfrecs").parts[0].removesuffix(".py") for path in SOURCES})


@pytest.mark.slow
@pytest.mark.parametrize("part", [part for part in PARTS if not part.startswith("__")])
def test_any_part_can_be_imported_first(part):
    names = "import keras; print('tfrecs>TwoTower' in keras.saving.get_custom_objects())"
    assert python(f"import tfrecs.{part}; {names}") == "True"


def test_every_kind_of_feature_is_a_name_of_the_package():
    assert {kind.__name__ for kind in KINDS.values()} <= set(dir(tfrecs))


def test_importing_the_package_imports_nothing_that_is_not_used():
    heavy = {"tensorflow", "keras", "numpy", "scipy", "pyarrow", "tfrecs.datasets"}
    assert python(f"import sys, tfrecs; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_every_name_of_the_package_can_be_used_without_an_import_of_its_own():
    names = [name for name in dir(tfrecs) if not name.startswith("_")]
    assert {"Tables", "FeatureSpec", "models", "datasets", "evaluation", "recipes"} <= set(names)
    for name in names:
        assert getattr(tfrecs, name) is not None
    with pytest.raises(AttributeError, match="module 'tfrecs' has no attribute 'modles'"):
        tfrecs.modles  # noqa: B018


@pytest.mark.parametrize("command", ["--help", "-h", "--version", "train --help", "datasets"])
def test_commands_that_only_tell_do_not_wait_for_tensorflow(command):
    script = (
        "import sys; from tfrecs.cli import main\n"
        f"try: main({command.split()!r})\n"
        "finally: print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert python(script).splitlines()[-1] == "False"


def test_importing_the_package_does_not_import_what_few_need():
    heavy = {"scann", "tensorflow_datasets", "jinja2", "typer", "optuna"}
    heavy |= {"scipy.linalg", "scipy.sparse.linalg", "apache_beam", "kfp"}
    assert python(f"import sys, keras, tfrecs; print(sorted({heavy} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_and_no_function_is_too_long(path):
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            docstring = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno - docstring <= 60, node.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_neither_asserts_nor_prints(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert not any(isinstance(node, ast.Assert) for node in nodes)
    if path.name != "session.py":  # a script whose output is its answer
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls)


def test_the_version_is_that_of_the_package():
    assert f"version = {tfrecs.__version__}" in (ROOT / "setup.cfg").read_text()


def test_every_pinned_dependency_has_an_upper_bound_and_a_reason():
    lines = (ROOT / "setup.cfg").read_text().split("install_requires =")[1].split("[options.p")[0]
    requirements = [line.strip() for line in lines.splitlines() if line.strip()]
    assert requirements[0].startswith("#")
    for line in requirements:
        assert line.startswith("#") or re.search(r"<|==", line), line


def test_the_local_runner_comes_without_a_word_where_there_is_no_fcntl():
    script = "import sys; sys.modules['fcntl'] = None; import tfrecs.components.local"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
