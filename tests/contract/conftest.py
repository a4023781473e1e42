"""The CASE, or the CASES, of each file in tests/models: the first is the model's own."""

import importlib.util
from pathlib import Path

import pytest

from tfrecs.testing import check_model


def _cases():
    for path in sorted((Path(__file__).parents[1] / "models").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"case_of_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        cases = getattr(module, "CASES", [module.CASE] if hasattr(module, "CASE") else [])
        yield from ((case, number > 0) for number, case in enumerate(cases))


def pytest_generate_tests(metafunc):
    if "check" not in metafunc.fixturenames:
        return
    checks = []
    for case, variant in _cases():
        found = list(check_model(case))
        if metafunc.module.KIND in {check.name for check in found}:
            marks = [pytest.mark.slow] if variant else []
            checks += [pytest.param(c, id=f"{case.name}-{c.name}", marks=marks) for c in found]
    metafunc.parametrize("check", checks)
