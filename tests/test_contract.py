"""Every model promises the same: the CASE, or the CASES, of each file in tests/models."""

import importlib.util
from pathlib import Path

import pytest

from tfrecs.testing import check_model


def _cases():
    for path in sorted((Path(__file__).parent / "models").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"case_of_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from getattr(module, "CASES", [getattr(module, "CASE", None)])


CHECKS = [
    pytest.param(check, id=f"{case.name}-{check.name}")
    for case in _cases()
    if case is not None
    for check in check_model(case)
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_model_keeps_its_promise(check):
    if check.exception:
        pytest.skip(check.exception)
    check.run()
