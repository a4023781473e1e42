"""Faults of versions and of the machine: benchmarks/serving_faults.py."""

import http.client
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from serving_clients import Serve
from serving_faults import MODEL, PRELUDE, World

SWAPS = 20
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


def bad_version(spoil: Callable[[Path], Any]) -> Callable[[World], None]:
    """A version that does not load: told in the status, and the one before is served."""

    def fault(world: World) -> None:
        version = world.publish(spoil)
        state, said = world.state(version)
        assert state == "END", state
        assert said, "the status does not say why"
        good = world.publish()
        assert world.state(good)[0] == "AVAILABLE"
        shutil.rmtree(world.models / MODEL / str(version))

    return fault


def overwrite(pattern: str, data: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.write_bytes(data)

    return spoil


def cut(folder: Path) -> None:
    data = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(data[: len(data) // 2])


def odd_names(world: World) -> None:
    for name in (
        "\N{SUPERSCRIPT TWO}",
        "9" * 200,
        "-3",
        "1.5",
        "0x10",
        "\N{ARABIC-INDIC DIGIT TWO}",
    ):
        (world.models / MODEL / name).mkdir()
    (world.models / MODEL / "77").symlink_to("nowhere")
    good = world.publish()
    assert world.state(good)[0] == "AVAILABLE"


def dated(seconds: float) -> Callable[[World], None]:
    """A version whose files are from another time."""

    def spoil(folder: Path) -> None:
        for path in folder.rglob("*"):
            os.utime(path, (seconds, seconds))

    def fault(world: World) -> None:
        assert world.state(world.publish(spoil))[0] == "AVAILABLE"

    return fault


def swaps(world: World) -> None:
    for _ in range(SWAPS):
        version = world.publish()
        assert world.state(version)[0] == "AVAILABLE"
        for path in (world.models / MODEL).iterdir():
            if path.name.isdecimal() and path.name.isascii() and int(path.name) < version:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def moved_away(world: World) -> None:
    aside = world.models / f".{MODEL}"
    (world.models / MODEL).rename(aside)
    time.sleep(1)
    aside.rename(world.models / MODEL)
    assert world.state(world.publish())[0] == "AVAILABLE"


def rolled_back(world: World) -> None:
    first, second = world.publish(), world.publish()
    assert world.state(second)[0] == "AVAILABLE"
    shutil.rmtree(world.models / MODEL / str(second))
    assert world.state(first)[0] == "AVAILABLE"


def two_servers(world: World) -> None:
    program = (
        "import sys; from pathlib import Path; from tfrecs.serving.server import Server\n"
        f"Server({{'{MODEL}': Path(sys.argv[1])}}, rest_port={world.rest}, grpc_port=0)"
    )
    command = [sys.executable, "-c", program, str(world.models / MODEL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode
    assert "Name another port" in done.stderr, done.stderr[-300:]


def another(world: World, end: Callable[[Serve], Any]) -> None:
    """A server of its own that is asked without a pause, and ended."""
    with Serve(world.models, PRELUDE) as server:
        answered, stop = [], threading.Event()

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
            while not stop.is_set():
                connection.request(
                    "POST", f"/v1/models/{MODEL}:predict", b'{"inputs": {"user_id": [1]}}'
                )
                response = connection.getresponse()
                answered.append((response.status, response.read()))

        def gone() -> None:
            with suppress(OSError, http.client.HTTPException):
                ask()

        threads = [threading.Thread(target=gone) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        start = time.monotonic()
        end(server)
        code_ = server.process.wait(30)
        stop.set()
        for thread in threads:
            thread.join()
        statuses = {status for status, _ in answered}
        assert answered
        assert statuses <= {200, 503}, statuses  # 503 says that the server stops
        if end is terminate:
            assert code_ == 0, code_
            assert time.monotonic() - start < 10


def terminate(server: Serve) -> None:
    server.process.send_signal(signal.SIGTERM)


def kill(server: Serve) -> None:
    server.process.kill()


EXPORT = (
    "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
    "from serving_faults import export_model; export_model(Path(sys.argv[1]))"
)


def export_process(world: World, **options: Any) -> Any:
    command = [sys.executable, "-c", EXPORT, str(world.models), str(Path(__file__).parent)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, **quiet, **options)


def numbers(world: World) -> set[str]:
    return {path.name for path in (world.models / MODEL).iterdir()}


def full_disk(world: World) -> None:
    """An export that may write 50 kB a file: it fails, and publishes nothing."""
    before = numbers(world)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    assert export_process(world, preexec_fn=limit).wait(120) != 0
    assert numbers(world) == before


def killed_export(world: World) -> None:
    """An export that is killed while it writes: nothing half is published or served."""
    before, process = numbers(world), export_process(world)
    until = time.monotonic() + 120
    writing = lambda: any(p.name.startswith(".") for p in (world.models / MODEL).iterdir())  # noqa: E731
    while process.poll() is None and not writing() and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert {name for name in numbers(world) if not name.startswith(".")} == {
        name for name in before if not name.startswith(".")
    }


FAULTS: dict[str, Callable[[World], Any]] = {
    "a version with random warm-up bytes": bad_version(
        lambda folder: (folder / WARMUP).write_bytes(os.urandom(500))
    ),
    "a version whose graph is cut": bad_version(cut),
    "a version of random bytes": bad_version(overwrite("saved_model.pb", os.urandom(5000))),
    "a version whose variables are random": bad_version(
        overwrite("variables/*data*", os.urandom(100))
    ),
    "a version without variables": bad_version(lambda f: shutil.rmtree(f / "variables")),
    "an empty version": bad_version(
        lambda f: [shutil.rmtree(p) if p.is_dir() else p.unlink() for p in f.iterdir()]
    ),
    "folders of odd names, a dead link": odd_names,
    "a version from 1970": dated(0),
    "a version from 2100": dated(4.1e9),
    "the folder moved away and back": moved_away,
    "a roll-back": rolled_back,
    "20 swaps": swaps,
    "a second server on the port": two_servers,
    "SIGTERM under load": lambda world: another(world, terminate),
    "kill -9 under load, and a restart": lambda world: (
        another(world, kill) or another(world, terminate)
    ),
    "an export on a full disk": full_disk,
    "an export killed while it writes": killed_export,
}
