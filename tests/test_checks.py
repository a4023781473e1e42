"""Error messages: which argument, what was expected, what came, what to do next."""

import pytest

from tfrecs import checks


def test_messages_name_argument_expectation_value_and_remedy():
    assert checks.expected("k", "an integer", 1.5, "Round it.") == (
        "`k` must be an integer. Received: 1.5. Round it."
    )
    assert checks.expected("k", "an integer", "x") == "`k` must be an integer. Received: 'x'."


def test_long_values_are_cut_to_a_readable_length():
    text = checks.received("x" * 1000)
    assert len(text) == 200
    assert text.endswith("...")


@pytest.mark.parametrize("value", [0, -1, 0.0, float("nan"), True])
def test_positive_refuses(value):
    with pytest.raises(ValueError, match=r"`k` must be greater than 0. Received:"):
        checks.positive("k", value)


@pytest.mark.parametrize("value", [1, 0.5])
def test_positive_accepts(value):
    checks.positive("k", value)


def test_one_of_names_the_nearest_choice():
    checks.one_of("role", "label", ["query", "label"])
    with pytest.raises(ValueError, match=r"one of 'query', 'label'.*Did you mean 'query'\?"):
        checks.one_of("role", "qery", ["query", "label"])


def test_did_you_mean_is_silent_when_nothing_is_near():
    assert checks.did_you_mean("zzz", ["query"]) == ""
