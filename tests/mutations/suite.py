"""Faults put into the library one at a time: each must fail the tests that are named for it.

    python tests/mutations/suite.py [--jobs N] [--timeout SECONDS] [--write] [NAME ...]

A mutation is a patch of one line, in one of the .toml files beside this one: the file, a piece of
text that stands in it just once, what replaces it, and the test files that must notice. It is
applied to a copy of the tree, never in place. First the named tests must pass without a mutation.
One that survives, that breaks the tests in place of failing them, or that runs into the time limit
is an error. `--write` writes docs/mutations.md.
"""

import argparse
import compileall
import difflib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mutations.md"
FILES = ("learning", "judging", "serving")
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", "build", "dist", "runs", ".*_cache"
)
_BASELINE_SECONDS = 1200  # of all named tests, in one process a copy
_FAILED, _PASSED = 1, 0  # exit codes of pytest; the others are errors of the suite


@dataclass(frozen=True)
class Mutation:
    """One fault.

    Args:
        name: Short and unique.
        what: What goes wrong, for the reader.
        file: Path from the root of the tree.
        old: Text that stands once in the file, on one line.
        new: What replaces it.
        tests: Test files, or tests as pytest names them, one of which must fail.
    """

    name: str
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Returns the mutated text of the file.

        Raises:
            ValueError: `old` does not stand there just once.
        """
        count = text.count(self.old)
        if count != 1 or "\n" in self.old + self.new or self.old == self.new:
            raise ValueError(
                f"Mutation {self.name!r} must replace text that stands once in {self.file}, on one "
                f"line. Received: {self.old!r}, {count} times. The source has moved: write the "
                "mutation anew, or delete it with what it was about."
            )
        return text.replace(self.old, self.new)

    def patch(self, root: Path = ROOT) -> str:
        """Returns the mutation as a unified diff."""
        text = (root / self.file).read_text(encoding="utf-8")
        lines = (text.splitlines(True), self.applied(text).splitlines(True))
        return "".join(difflib.unified_diff(*lines, f"a/{self.file}", f"b/{self.file}", n=1))


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a mutation: "caught", or why it was not; by which test; seconds."""

    verdict: str
    by: str
    seconds: float


def read() -> dict[str, list[Mutation]]:
    """Returns the mutations of each file."""
    found = {}
    for name in FILES:
        tables = tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))
        found[name] = [
            Mutation(key, **{**fields, "tests": tuple(fields["tests"])})
            for key, fields in tables.items()
        ]
    return found


def judge(mutation: Mutation, copy: Path, timeout: float) -> Outcome:
    """Applies a mutation to a copy of the tree, runs its tests and takes it back."""
    path = copy / mutation.file
    stat, text = path.stat(), path.read_text(encoding="utf-8")
    start = time.perf_counter()
    try:
        path.write_text(mutation.applied(text), encoding="utf-8")
        # a time of its own, so that no bytecode of the unmutated file is taken for it
        os.utime(path, (stat.st_atime, stat.st_mtime + 3600))
        code, output = run_tests(mutation.tests, copy, timeout, "-x")
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, (stat.st_atime, stat.st_mtime))
    seconds = time.perf_counter() - start
    # an error is that of a fixture in which the library refuses: one of collection has another code
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
    if code is None:
        return Outcome("time limit", "", seconds)
    if code == _PASSED:
        return Outcome("survived", "", seconds)
    if code != _FAILED or failed is None:
        return Outcome(f"broken: {output.strip().splitlines()[-1:]}", "", seconds)
    return Outcome("caught", failed[1], seconds)


def run_tests(
    tests: tuple[str, ...], copy: Path, timeout: float, *options: str
) -> tuple[int | None, str]:
    """Runs pytest in a copy and returns its exit code, `None` past the time limit, and output."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", *options, *tests]
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a second a run: no test needs one
    }
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""
    return process.returncode, output


@contextmanager
def copies(number: int) -> Iterator[list[Path]]:
    """Yields copies of the tree, compiled, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="tfrecs-mutations-") as folder:
        made = [Path(folder) / str(place) for place in range(number)]
        for path in made:
            shutil.copytree(ROOT, path, ignore=_LEFT_OUT, symlinks=True)
            compileall.compile_dir(path / "tfrecs", quiet=1)
            where = "import importlib.util as i; print(i.find_spec('tfrecs').origin)"
            found = subprocess.run(
                [sys.executable, "-c", where],
                cwd=path,
                env={**os.environ, "PYTHONPATH": str(path)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            if Path(found.stdout.strip()) != path / "tfrecs" / "__init__.py":
                raise RuntimeError(f"Tests would read {found.stdout.strip()}, not the copy {path}.")
        yield made


def check_unmutated(tests: list[str], made: list[Path]) -> float:
    """Runs the tests of all mutations without one, and returns the seconds that it took.

    Raises:
        SystemExit: One fails: then it could not tell a mutation.
    """
    start = time.perf_counter()
    parts = [tuple(tests[place :: len(made)]) for place in range(len(made))]
    with ThreadPoolExecutor(len(made)) as pool:
        jobs = [
            pool.submit(run_tests, part, copy, _BASELINE_SECONDS)
            for part, copy in zip(parts, made, strict=True)
            if part
        ]
        for job in jobs:
            code, output = job.result()
            if code != _PASSED:
                raise SystemExit(f"The tests fail without any mutation:\n{output[-4000:]}")
    return time.perf_counter() - start


def judge_all(mutations: list[Mutation], made: list[Path], timeout: float) -> dict[str, Outcome]:
    """Judges mutations, as many at a time as there are copies, and prints a line for each."""
    free: queue.Queue[Path] = queue.Queue()
    for copy in made:
        free.put(copy)

    def one(mutation: Mutation) -> Outcome:
        copy = free.get()
        try:
            return judge(mutation, copy, timeout)
        finally:
            free.put(copy)

    outcomes: dict[str, Outcome] = {}
    start = time.perf_counter()
    with ThreadPoolExecutor(len(made)) as pool:
        jobs = {pool.submit(one, mutation): mutation for mutation in mutations}
        try:
            for number, job in enumerate(as_completed(jobs), 1):
                mutation, outcome = jobs[job], job.result()
                outcomes[mutation.name] = outcome
                left = (time.perf_counter() - start) / number * (len(jobs) - number) / 60
                print(
                    f"[{number}/{len(jobs)}] {mutation.name:24} {outcome.verdict:10} "
                    f"{outcome.seconds:5.1f} s  {outcome.by or ', '.join(mutation.tests)}"
                    f"  (about {left:.1f} min left)",
                    flush=True,
                )
        except BaseException:  # Ctrl-C: those that run come to their end
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def told() -> dict[str, str]:
    """Returns by which test each mutation of docs/mutations.md was caught, as the page says."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    rows = re.findall(r"^\| ([a-z0-9-]+) \| .* \| (.+) \|$", text, re.MULTILINE)
    return {name: by for name, by in rows if name not in ("fault", "---")}


def page(outcomes: dict[str, Outcome]) -> str:
    """Returns docs/mutations.md: what was not judged now stays as the page says."""
    caught = told()
    for name, outcome in outcomes.items():
        by = f"`{outcome.by.removeprefix('tests/')}`" if outcome.by else outcome.verdict
        caught[name] = by.replace("|", "\\|")
    every = [mutation for part in read().values() for mutation in part]
    number = sum(caught.get(mutation.name, "").startswith("`") for mutation in every)
    lines = [
        "# Mutations\n",
        "A test that cannot fail proves nothing. `make mutations` puts one fault after the other",
        "into a copy of the library and runs the tests that must notice it; a fault that survives",
        "is an error, and names a missing test. The faults are patches of one line in",
        "`tests/mutations/`; a test of the default tier checks that each still fits the source.",
        "`python tests/mutations/suite.py --write` writes this page, with names just their rows.",
        "",
        f"{number} of {len(every)} are caught ({time.strftime('%Y-%m-%d')}).",
    ]
    for name, mutations in read().items():
        lines += ["", f"## {name.capitalize()}", ""]
        lines += ["| fault | what goes wrong | file | caught by |", "| --- | --- | --- | --- |"]
        for m in mutations:
            by = caught.get(m.name, "not tried")
            lines.append(f"| {m.name} | {m.what} | `{m.file}` | {by} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="mutations to judge; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds for a mutation")
    parser.add_argument("--write", action="store_true", help="write docs/mutations.md")
    options = parser.parse_args()
    every = {mutation.name: mutation for part in read().values() for mutation in part}
    unknown = sorted(set(options.names) - set(every))
    if unknown:
        parser.error(f"unknown mutations {unknown}; known are {sorted(every)}")
    chosen = [every[name] for name in options.names] or list(every.values())
    for mutation in chosen:
        mutation.patch()  # raises where the source has moved
    tests = sorted({test for mutation in chosen for test in mutation.tests})
    start = time.perf_counter()
    with copies(options.jobs) as made:
        print(f"{len(chosen)} mutations; first their tests without any ...", flush=True)
        print(f"they pass, {check_unmutated(tests, made):.0f} s", flush=True)
        outcomes = judge_all(chosen, made, options.timeout)
    seconds = time.perf_counter() - start
    missed = [name for name, outcome in outcomes.items() if outcome.verdict != "caught"]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught in {seconds / 60:.1f} minutes")
    for name in missed:
        print(f"\n{name}: {outcomes[name].verdict}. {every[name].what}\n{every[name].patch()}")
    if options.write:
        PAGE.write_text(page(outcomes), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
