import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHORT = "02_your_tables"  # the command line too, in seconds
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize(
    "name",
    [name if name == SHORT else pytest.param(name, marks=pytest.mark.slow) for name in NOTEBOOKS],
)
def test_a_notebook_runs(name, tmp_path):
    shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path)
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout", "600", "-q"]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, f"{name}.ipynb"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": programs, "JUPYTER_PLATFORM_DIRS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_first_cell_installs_from_a_place_that_the_reader_names():
    firsts = set()
    for name in NOTEBOOKS:
        cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
        firsts.add("".join(next(c for c in cells if c["cell_type"] == "code")["source"]))
    assert len(firsts) == 1
    # a name on the package index would be whoever's took it
    assert "%pip install -q {source}" in firsts.pop()


def test_they_are_numbered_without_a_gap():
    assert [int(name[:2]) for name in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))
