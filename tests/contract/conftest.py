"""The CASE, or the CASES, of each file in tests/models: the first is the model's own."""

import importlib.util
from functools import cache
from pathlib import Path

import pytest

from tfrecs.testing import check_model


@cache
def _files():
    """Returns the cases of each file."""
    found = []
    for path in sorted((Path(__file__).parents[1] / "models").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"case_of_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(getattr(module, "CASES", [module.CASE] if hasattr(module, "CASE") else []))
    return found


def cases():
    """Returns every case."""
    return [case for file in _files() for case in file]


@cache
def _cases():
    """Returns the checks of each case, and whether it is a variant of another."""
    return [
        (case.name, list(check_model(case)), number > 0)
        for file in _files()
        for number, case in enumerate(file)
    ]


def pytest_generate_tests(metafunc):
    if "check" not in metafunc.fixturenames:
        return
    checks = []
    for name, found, variant in _cases():
        if metafunc.module.KIND in {check.name for check in found}:
            marks = [pytest.mark.slow] if variant else []
            checks += [pytest.param(c, id=f"{name}-{c.name}", marks=marks) for c in found]
    metafunc.parametrize("check", checks)
