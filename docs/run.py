"""Runs the examples of the documents: every block of Python and of the shell.

    python docs/run.py [PAGE ...]      all pages, README.md included, without names

A page is one process and one empty folder; its Python blocks share their variables. A block after
`<!-- not run: WHY -->` is not run; one after `<!-- until: URL -->` runs in the background from when
the URL answers to the end of the page.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"(?:<!-- (?P<how>not run|until): (?P<what>[^>]*?) -->\n)?"
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


def main() -> None:
    """Runs one page, or each page in a process of its own."""
    names = sys.argv[1:]
    if names[:1] == ["--here"]:
        run(Path(names[1]))
        return
    failed = []
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": commands, "PYTHONPATH": str(ROOT)}
    for path in [Path(name).resolve() for name in names] or pages():
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(ROOT / "docs/run.py"), "--here", str(path)]
            done = subprocess.run(command, check=False, cwd=folder, env=environment)
        if done.returncode:
            failed.append(str(path.relative_to(ROOT)))
        print(f"{path.relative_to(ROOT)}: {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        sys.exit(f"Examples failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
