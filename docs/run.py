"""Runs the examples of the documents: every block of Python and of the shell.

    python docs/run.py [PAGE ...]      all pages, README.md included, without names

A page is one process, and one folder with nothing in it but the pipelines; its Python blocks share
their variables. As many pages run at a time as there are cores. What stands before a block:

    <!-- not run: WHY -->       it is not run
    <!-- needs: PROGRAM -->     it is run where there is that program
    <!-- until: URL -->         it runs in the background; the page goes on when the URL answers
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(?:<!-- (?P<how>not run|needs|until): (?P<what>[^>]*?) -->\n)?"
    r"```(?P<language>python|bash)\n(?P<code>.*?)```",
    re.DOTALL,
)
SECONDS_TO_START = 120


def pages() -> Iterator[Path]:
    """Yields README.md and the pages of docs that have an example."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if BLOCK.search(path.read_text()):
            yield path


def start(code: str, url: str) -> subprocess.Popen[bytes]:
    """Starts a shell block in the background; returns when `url` answers."""
    running = subprocess.Popen(["bash", "-euo", "pipefail", "-c", code], start_new_session=True)
    for _ in range(SECONDS_TO_START):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            if running.poll() is not None:
                break
            time.sleep(1)
        else:
            return running
    running.terminate()
    sys.exit(f"{url} did not answer. The block was:\n{code}")


def run(path: Path) -> None:
    """Runs the blocks of one page, in this process and folder."""
    variables: dict[str, object] = {"__name__": "__main__"}
    background: list[subprocess.Popen[bytes]] = []
    try:
        for block in BLOCK.finditer(path.read_text()):
            code, how, what = block["code"], block["how"], block["what"]
            line = path.read_text()[: block.start("code")].count("\n") + 1
            place = f"{path.relative_to(ROOT)}:{line}"
            if how == "not run":
                print(f"{place} not run: {what}", flush=True)
                continue
            if how == "needs" and shutil.which(what) is None:
                print(f"{place} not run: there is no {what} here", flush=True)
                continue
            print(place, flush=True)
            if how == "until":
                background.append(start(code, what))
            elif block["language"] == "python":
                exec(compile("\n" * (line - 1) + code, str(path), "exec"), variables)
            else:
                subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
    finally:
        for running in background:
            os.killpg(running.pid, 15)


def run_page(path: Path) -> bool:
    """Runs a page in a process of its own, prints what it said, and returns whether it ran."""
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": commands, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pipelines").symlink_to(ROOT / "pipelines")
        (Path(folder) / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        environment["CURL_HOME"] = folder
        done = subprocess.run(
            [sys.executable, str(ROOT / "docs/run.py"), "--here", str(path)],
            check=False,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    seconds = time.monotonic() - started
    print(f"{done.stdout}{path.relative_to(ROOT)}: {seconds:.0f} s\n", flush=True)
    return done.returncode == 0


def main() -> None:
    """Runs one page, or each page in a process of its own."""
    names = sys.argv[1:]
    if names[:1] == ["--here"]:
        run(Path(names[1]))
        return
    paths = [Path(name).resolve() for name in names] or list(pages())
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ran = list(threads.map(run_page, paths))
    failed = [
        str(path.relative_to(ROOT)) for path, well in zip(paths, ran, strict=True) if not well
    ]
    if failed:
        sys.exit(f"Examples failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
