import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs_and_is_twelve_lines_or_so():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    statements = [
        line for line in code.splitlines() if line and not line.startswith(("import", "from"))
    ]
    assert len(statements) <= 14
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    titles = done.stdout.strip().splitlines()[-1]
    assert len(re.findall(r"'[^']+'|\"[^\"]+\"", titles)) == 5


def test_the_model_table_is_the_models_first_docstring_lines():
    from tfrecs import models

    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", README, re.MULTILINE))
    zoo = {
        name: getattr(models, name).__doc__.strip().splitlines()[0]
        for name in dir(models)
        if name[0].isupper() and name not in ("RecModel", "Ranker", "Retriever")
    }
    assert rows == zoo


def test_the_folder_map_is_true():
    (block,) = re.findall(r"## Folders\n+```\n(.*?)```", README, re.DOTALL)
    named = re.findall(r"^(\s*)([\w./-]+)(?:  |\n|$)", block, re.MULTILINE)
    inside = [name for indent, name in named if indent]
    outside = [name for indent, name in named if not indent]
    for name in inside:
        assert (ROOT / "tfrecs" / name).exists(), name
    for name in outside:
        assert (ROOT / name).exists(), name
    real = {p.name for p in (ROOT / "tfrecs").iterdir() if p.suffix == ".py" or p.is_dir()}
    real -= {"__init__.py", "__pycache__"}
    assert {name.rstrip("/") for name in inside} >= real


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make ([a-z-]+)", README)) - {"and"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_tables_are_those_of_the_result_files():
    done = subprocess.run(
        [sys.executable, "benchmarks/tables.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
