import itertools
from pathlib import Path

import pytest

from tests.mutations.suite import PAGE, ROOT, Mutation, judge, read, told

EVERY = list(itertools.chain.from_iterable(read().values()))


@pytest.fixture
def tree(tmp_path):
    """A library of one line, with a test of it."""
    (tmp_path / "adding.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_adding.py").write_text(
        "from adding import add\n\ndef test_add():\n    assert add(2, 2) == 4\n"
    )
    return tmp_path


def mutation(new, test="test_adding.py"):
    return Mutation("toy", "It adds wrongly.", "adding.py", "a + b", new, (test,))


@pytest.mark.parametrize("mutation", EVERY, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_source_and_compiles(mutation):
    patch = mutation.patch()
    changed = [line for line in patch.splitlines()[2:] if line[0] in "+-"]
    assert [line[0] for line in changed] == ["-", "+"]
    compile(mutation.applied((ROOT / mutation.file).read_text("utf-8")), mutation.file, "exec")
    for test in mutation.tests:
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text("utf-8"), test


def test_names_are_unique_and_there_are_forty_or_more():
    assert len({mutation.name for mutation in EVERY}) == len(EVERY) >= 40


def test_the_page_lists_every_mutation_and_the_test_that_caught_it():
    text = PAGE.read_text("utf-8")
    for mutation in EVERY:
        row = f"| {mutation.name} | {mutation.what} | `{mutation.file}` | `"  # then the test
        assert row in text, f"python tests/mutations/suite.py {mutation.name} --write"
    assert set(told()) == {mutation.name for mutation in EVERY}
    assert f"{len(EVERY)} of {len(EVERY)} are caught" in text


@pytest.mark.parametrize(
    "new, test, verdict, by",
    [
        ("a - b", "test_adding.py", "caught", "test_adding.py::test_add"),
        ("b + a", "test_adding.py", "survived", ""),
        ("a +", "test_adding.py", "broken", ""),
        ("a - b", "test_nothing.py", "broken", ""),
    ],
)
def test_a_verdict_is_what_the_tests_say(tree, new, test, verdict, by):
    before = (tree / "adding.py").read_text()
    outcome = judge(mutation(new, test), tree, 60)
    assert (outcome.verdict.partition(":")[0], outcome.by) == (verdict, by)
    assert (tree / "adding.py").read_text() == before


def test_an_endless_test_runs_into_the_time_limit(tree):
    with (tree / "test_adding.py").open("a") as file:
        file.write("\ndef test_endless():\n    while add(1, 1) == 0:\n        pass\n")
    (tree / "test_adding.py").write_text(
        (tree / "test_adding.py").read_text().replace("assert add(2, 2) == 4", "pass")
    )
    assert judge(mutation("a - b"), tree, 3).verdict == "time limit"


def test_a_source_that_has_moved_is_refused(tree):
    (tree / "adding.py").write_text("def add(a, b):\n    return sum((a, b))\n")
    with pytest.raises(ValueError, match=r"'toy' must replace text that stands once in adding\.py"):
        judge(mutation("a - b"), tree, 60)


def test_a_patch_can_be_applied_by_git(tree):
    assert mutation("a - b").patch(tree) == (
        "--- a/adding.py\n+++ b/adding.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n"
        "-    return a + b\n+    return a - b\n"
    )


def test_the_suite_is_a_target_of_make():
    makefile = (Path(ROOT) / "Makefile").read_text()
    assert "tests/mutations/suite.py" in makefile
    assert "make mutations" in makefile
