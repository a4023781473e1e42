"""Every model promises the same; those of this file have the check `saved_model`."""

import pytest

KIND = "saved_model"


def test_a_model_keeps_its_promise(check):
    if check.exception:
        pytest.skip(check.exception)
    check.run()
