"""Runs a pipeline on this machine: processes, a cache by content, resume, one folder a run.

    <root>/artifacts/<Component>/<key>/<output>/   what was made; a folder appears whole or not
    <root>/runs/<time>/                            run.json, run.html, a log a node, its artifacts
    <root>/lineage.sqlite                          who made what of what

The key of an execution hashes its component, code, parameters, the digests of its inputs and the
files it reads. A key whose folder is there is not run again: so a run that was killed resumes at
the node that it had not finished, and a changed parameter reruns just what depends on it. What is
there is hashed before it is taken: what is damaged is named and made again, and so is an effect
outside the pipeline that no longer stands.
"""

import concurrent.futures as futures
import hashlib
import inspect
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfrecs import checks
from tfrecs.components import artifacts, storage, worker
from tfrecs.components.artifacts import Artifact
from tfrecs.components.component import Channel, LatestBlessed, Node
from tfrecs.components.pipeline import Pipeline
from tfrecs.components.run_page import write_run_page
from tfrecs.components.store import Store
from tfrecs.files import check_local, written_aside

logger = logging.getLogger("tfrecs")
NOT_PUSHED = "not pushed"
Report = Callable[[str, str, float, str], None]  # node, state, seconds, message


@dataclass
class Run:
    """What became of a run.

    Args:
        folder: Its folder.
        states: "cached", "done", "not pushed" or "failed" by node; nodes that were not reached are
            missing.
        outputs: Artifacts by node and name.
        errors: Messages of the nodes that failed.
        notes: What else is to be known of a node: why it was made again, or not pushed.
    """

    folder: Path
    states: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def withheld(self) -> dict[str, str]:
        """Why a model was not pushed, by node."""
        return {n: self.notes[n] for n, state in self.states.items() if state == NOT_PUSHED}


class PipelineError(RuntimeError):
    """A node failed; the message says which, why, and where its log is."""


def run(
    pipeline: Pipeline,
    root: str | Path,
    *,
    processes: int = 2,
    report: Report = lambda node, state, seconds, message: None,
) -> Run:
    """Runs the nodes whose results are not there yet.

    Args:
        pipeline: The pipeline.
        root: Folder of its runs and artifacts.
        processes: Worker processes, so many nodes run at a time; 0 runs all in this process.
        report: Called when a node is "running", "cached", "done", "not pushed" or "failed".

    Raises:
        PipelineError: A node failed; what did not depend on it has been finished.
        RuntimeError: Another run of the same root is under way.
        OSError: The root cannot be written.
    """
    check_local("root", root)
    root = Path(root)
    with _locked(root):
        for left in (root / "artifacts").glob("*/.*"):  # of runs that were killed
            shutil.rmtree(left, ignore_errors=True)
        return _Running(pipeline, root, report).run(processes)


class _Running:
    """A run under way."""

    def __init__(self, pipeline: Pipeline, root: Path, report: Report) -> None:
        self.pipeline = pipeline
        self.root = root.absolute()
        self.report = report
        self.store = Store(root)
        self.result = Run(_new_folder(self.root / "runs"))
        self.started: dict[str, float] = {}
        self.keys: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.began = time.time()

    def run(self, processes: int) -> Run:
        name = self.result.folder.name
        self.store.start_run(name, self.pipeline.name)
        state = "failed"
        try:
            with worker.pool(processes) as submit:
                self._loop(submit)
            passed = NOT_PUSHED if self.result.withheld else "done"
            state = "failed" if self.result.errors else passed
        except KeyboardInterrupt:
            state = "stopped"
            raise
        finally:
            self.store.end_run(name, state)
            self._save(state)
        if self.result.errors:
            node, message = next(iter(self.result.errors.items()))
            log = self.result.folder / f"{node}.log"
            told = f"\nLog: {log}" if log.is_file() else ""
            raise PipelineError(f"{node} failed: {message}{told}")
        return self.result

    def _loop(self, submit: Callable[[worker.Task], futures.Future[Any]]) -> None:
        waiting = list(self.pipeline.nodes)
        running: dict[futures.Future[Any], tuple[Node, worker.Task]] = {}
        while True:
            for node in self.pipeline.nodes:  # parents come first
                ready = all(parent in self.result.outputs for parent in node.parents)
                if not ready or node not in waiting:
                    continue
                waiting.remove(node)
                self.started[node.id] = time.perf_counter()
                try:
                    task = self._task(node)
                    cached = self._cached(node, task)
                except (OSError, ValueError, ImportError) as failed:  # a source, an effect
                    self._fail(node, "", failed)
                    continue
                if cached is not None:
                    self._finish(node, task, "cached", cached)
                else:
                    self.report(node.id, "running", 0.0, self.result.notes.get(node.id, ""))
                    running[submit(task)] = node, task
            if not running:
                return
            done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for future in done:
                node, task = running.pop(future)
                error = future.exception()
                if error is None:
                    self._finish(node, task, "done", future.result())
                else:
                    self._fail(node, task.execution["key"], error)

    def _cached(self, node: Node, task: worker.Task) -> dict[str, Artifact] | None:
        """Returns the outputs that are there, if they are whole and what they did stands."""
        if not Path(task.folder).exists():
            return None
        why = worker.damage(task.folder)
        if not why:
            outputs = worker.read(task.folder, [*task.outputs])
            why = "" if node.component.stands is None else node.component.stands(outputs)
            if not why:
                return outputs
        self._tell(node, f"{why}: made again")
        return None

    def _tell(self, node: Node, note: str) -> None:
        known = self.result.notes.get(node.id)
        self.result.notes[node.id] = f"{known}; {note}" if known else note
        logger.warning("%s: %s", node.id, note)

    def _task(self, node: Node) -> worker.Task:
        """Resolves inputs and takes the key of an execution."""
        component = node.component
        given = {name: self._resolve(node, channel) for name, channel in node.inputs.items()}
        inputs = {name: made for name, made in given.items() if made is not None}
        read = component.files(node.parameters) if component.files is not None else []
        files = {str(f): storage.fingerprint(f) for f in read}
        said = {
            "component": component.name,
            "code": component.code,
            "parameters": node.parameters,
            "inputs": {name: made.identity for name, made in inputs.items()},
            "files": files,
        }
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        execution = {"key": key, "node": node.id, **said}
        return worker.Task(
            execution=execution,
            module=component.executor.__module__,
            file=inspect.getsourcefile(component.executor) or "",
            function=component.executor.__name__,
            inputs=inputs,
            outputs={name: kind.__name__ for name, kind in component.outputs.items()},
            folder=str(self.root / "artifacts" / component.name / key[:16]),
            log=str(self.result.folder / f"{node.id}.log"),
            parameters=node.parameters,
        )

    def _resolve(self, node: Node, given: Channel | LatestBlessed) -> Artifact | None:
        if isinstance(given, Channel):
            return self.result.outputs[given.node][given.name]
        other = given.other_than
        mine = None if other is None else self.result.outputs[other.node][other.name].digest
        for model in self.store.blessed(given.before_span, mine):
            damage = worker.damage(model.path.parent)
            if not damage:
                return model
            self._tell(node, f"the blessed model {model.uri} is passed over: {damage}")
        return None

    def _finish(
        self, node: Node, task: worker.Task, state: str, outputs: dict[str, Artifact]
    ) -> None:
        self.store.add_execution(worker.execution(task.folder), task.inputs, outputs)
        self.result.outputs[node.id] = outputs
        for name, made in outputs.items():
            link = self.result.folder / node.id / name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(os.path.relpath(made.uri, link.parent))
            if isinstance(made, artifacts.PushedModel) and not made.properties["pushed"]:
                state = NOT_PUSHED
                self._tell(node, "; ".join(made.properties["reasons"]))
        self._note(node, task.execution["key"], state, self.result.notes.get(node.id, ""))

    def _fail(self, node: Node, key: str, error: BaseException) -> None:
        message = checks.told(error) if isinstance(error, Exception) else str(error)
        self.result.errors[node.id] = message
        self._note(node, key, "failed", message)

    def _note(self, node: Node, key: str, state: str, message: str) -> None:
        seconds = time.perf_counter() - self.started[node.id]
        self.result.states[node.id] = state
        self.keys[node.id], self.seconds[node.id] = key, seconds
        self.store.add_step(self.result.folder.name, node.id, key, state, seconds, message)
        self.report(node.id, state, seconds, message)

    def _save(self, state: str) -> None:
        notes = self.result.notes
        said = {
            "pipeline": self.pipeline.name,
            "state": state,
            "nodes": self.result.states,
            "errors": self.result.errors,
            "notes": self.result.notes,
            "started": self.began,
            "finished": time.time(),
            "steps": [
                [n, self.keys[n], s, self.seconds[n], self.result.errors.get(n) or notes.get(n, "")]
                for n, s in self.result.states.items()
            ],
            "artifacts": {
                node: {name: made.uri for name, made in outputs.items()}
                for node, outputs in self.result.outputs.items()
            },
        }
        with written_aside(self.result.folder / "run.json") as aside:
            aside.write_text(json.dumps(said, indent=2, ensure_ascii=False))
        write_run_page(self.result.folder, self.store, said)


def _new_folder(runs: Path) -> Path:
    """Makes a folder named by the time."""
    name = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise RuntimeError(checks.expected("root", "without a thousand runs this second", str(runs)))


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Lets one run at a time into a root; the lock goes with the process."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(root / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise RuntimeError(f"Another run of {root} is under way. Wait for its end.") from error
    with lock:  # the proxy that `acquire` returns lets go of it
        yield
