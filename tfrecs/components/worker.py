"""What runs in a worker process: one component, its outputs written aside and renamed as one."""

import concurrent.futures as futures
import contextlib
import hashlib
import importlib
import importlib.util
import json
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfrecs.components import artifacts
from tfrecs.components.artifacts import Artifact
from tfrecs.files import written_aside

EXECUTION = "execution.json"


@dataclass(frozen=True)
class Task:
    """One execution, in what can be sent to another process.

    Args:
        execution: Key, node, component, code and parameters, for the lineage.
        module: Module of the function.
        file: Its file, for a module that cannot be imported by name.
        function: Its name.
        inputs: Input artifacts by name; those left out are missing.
        outputs: Names of the types of the outputs.
        folder: Where the outputs go, each in a folder of its name.
        log: File that takes what the component prints; "" for none.
    """

    execution: dict[str, Any]
    module: str
    file: str
    function: str
    inputs: dict[str, Artifact]
    outputs: dict[str, str]
    folder: str
    log: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


def execute(task: Task) -> dict[str, Artifact]:
    """Runs a component and returns its outputs, sealed; if it raises, nothing is left."""
    with _logged(task.log), written_aside(task.folder) as aside:
        aside.mkdir()
        outputs = {
            name: artifacts.TYPES[kind](str(aside / name)) for name, kind in task.outputs.items()
        }
        started, start = time.time(), time.perf_counter()  # clocks of the wall are set
        _function(task)(**task.inputs, **outputs, **task.parameters)
        for output in outputs.values():
            output.seal()
        said = {
            **task.execution,
            "started": started,
            "seconds": time.perf_counter() - start,
            "inputs": {name: given.uri for name, given in task.inputs.items()},
            "outputs": artifacts.manifest(aside),
        }
        said["check"] = _check(said)
        (aside / EXECUTION).write_text(json.dumps(said, indent=2, ensure_ascii=False))
        artifacts.sync(aside)
    return read(task.folder, list(task.outputs))


def read(folder: str | Path, outputs: list[str]) -> dict[str, Artifact]:
    """Returns the outputs that an execution left."""
    return {name: artifacts.load(Path(folder) / name) for name in outputs}


def execution(folder: str | Path) -> dict[str, Any]:
    """Returns what an execution left of itself.

    Raises:
        ValueError: It is damaged; the message names the file.
        FileNotFoundError: It is not there.
    """
    file = Path(folder) / EXECUTION
    try:
        said: dict[str, Any] = json.loads(file.read_text())
        whole = said.pop("check") == _check(said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not whole:
        raise ValueError(f"{file} is damaged: it is not what its execution wrote")
    return said


def damage(folder: str | Path) -> str:
    """Returns which file of an execution is not as it was written, or "".

    Every file is read and hashed: what is taken out of the cache is what was put in.
    """
    folder = Path(folder)
    try:
        written = execution(folder)["outputs"]
        found = artifacts.manifest(folder)
    except (OSError, ValueError) as error:
        return str(error)
    found.pop(EXECUTION, None)
    for name in sorted({*written, *found}):
        if written.get(name) != found.get(name):
            how = "added later" if name not in written else "damaged"
            return f"{folder / name} is {how if name in found else 'gone'}"
    return ""


def _check(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _function(task: Task) -> Callable[..., None]:
    try:
        module = importlib.import_module(task.module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(task.module, task.file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[task.module] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    function: Callable[..., None] = getattr(module, task.function)
    return function


@contextlib.contextmanager
def _logged(file: str) -> Iterator[None]:
    """Sends the library's log to a file, as long as the block lasts."""
    if not file:
        yield
        return
    handler = logging.FileHandler(file, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("tfrecs")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    except BaseException:
        logger.exception("Failed.")
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def end_with(parent: int) -> None:
    """Ends this process when its parent is gone, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def pool(processes: int) -> Iterator[Callable[[Task], futures.Future[Any]]]:
    """Gives what submits tasks: to processes, or with 0 runs them at once."""
    if processes == 0:

        def here(task: Task) -> futures.Future[Any]:
            future: futures.Future[Any] = futures.Future()
            try:
                future.set_result(execute(task))
            except Exception as error:
                future.set_exception(error)
            return future

        yield here
        return
    processes_of = futures.ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),  # TensorFlow does not survive a fork
        end_with,
        (os.getpid(),),
    )
    try:
        yield lambda task: processes_of.submit(execute, task)
    finally:
        processes_of.shutdown(wait=True, cancel_futures=True)
