import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_importing_the_package_registers_every_model_for_loading():
    script = (
        "import keras, tfrecs; "
        "names = keras.saving.get_custom_objects(); "
        "print('tfrecs>TwoTower' in names, 'tfrecs>MatrixFactorization' in names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]


def test_importing_the_package_does_not_import_what_few_need():
    heavy = {"scann", "tensorflow_datasets", "jinja2", "typer", "optuna"}
    heavy |= {"scipy.linalg", "scipy.sparse.linalg", "apache_beam", "kfp"}
    assert python(f"import sys, tfrecs; print(sorted({heavy} & set(sys.modules)))") == "[]"


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
    import tfrecs

    assert f"version = {tfrecs.__version__}" in (ROOT / "setup.cfg").read_text()


def test_every_pinned_dependency_has_an_upper_bound_and_a_reason():
    lines = (ROOT / "setup.cfg").read_text().split("install_requires =")[1].split("[options.p")[0]
    requirements = [line.strip() for line in lines.splitlines() if line.strip()]
    assert requirements[0].startswith("#")
    for line in requirements:
        assert line.startswith("#") or re.search(r"<|==", line), line
