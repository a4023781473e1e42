"""What the server does, apart from how it is asked: models by name, and requests to them."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from tfrecs import checks
from tfrecs.serving.batching import Arrays, Batcher, too_late
from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NAMES,
    NOT_FOUND,
    UNAVAILABLE,
    code_of,
)
from tfrecs.serving.limits import Limits as Limits
from tfrecs.serving.monitoring import Monitoring
from tfrecs.serving.session import Session, version_number
from tfrecs.serving.versions import Loaded, Policy, Versions
from tfrecs.serving.warming import warm_up

UNNAMED = ""  # a request that names no model served here must not grow the metrics
_LARGE = 2**16  # bytes or values that are worth a thread of their own
T = TypeVar("T")


def find_models(directory: Path) -> dict[str, Path]:
    """Returns the folders of versions by model: `directory` itself, or the folders in it.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory} is no folder. Make one with `tfrecs export`.")

    def versioned(path: Path) -> bool:
        return any(version_number(p.name) is not None and p.is_dir() for p in path.iterdir())

    directory = directory.resolve()
    if versioned(directory):
        return {directory.name: directory}
    folders = (p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = {path.name: path for path in sorted(folders) if versioned(path)}
    if not found:
        raise FileNotFoundError(
            f"{directory} holds no model: <name>/<version>/saved_model.pb. "
            "Make one with `tfrecs export`."
        )
    return found


async def aside(size: int, function: Callable[[], T]) -> T:
    """Runs a function of large values in a thread, so that other requests go on."""
    return function() if size < _LARGE else await asyncio.to_thread(function)


class Service:
    """Models, and requests to them: limits, counts, and waiting for the last ones at the end.

    Args:
        models: Folder of versions, by model.
        limits: What a request may cost.
        poll_seconds: How often `watch` looks for new versions. Defaults to 2.
    """

    def __init__(
        self, models: Mapping[str, Path], limits: Limits, poll_seconds: float = 2.0
    ) -> None:
        self.limits = limits
        self.monitoring = Monitoring()
        self._poll_seconds = poll_seconds
        self._reloading = threading.Lock()
        self._quiet = threading.Condition()
        self._running = 0
        self.stopping = False
        self.models: dict[str, Versions] = {n: self._versions(n, p) for n, p in models.items()}
        self.monitoring.gauge("tfrecs_running", lambda: self._running)
        self.monitoring.gauge("process_resident_memory_bytes", resident_bytes)

    def _versions(self, name: str, path: Path, policy: Policy | None = None) -> Versions:
        model = Versions(name, path, self._loader(name), policy)
        for gauge in ("served", "waiting"):
            self.monitoring.gauge(
                f"tfrecs_{gauge}", partial(getattr, model, gauge), model_name=name
            )
        return model

    def _loader(self, name: str) -> Callable[[Session], Batcher]:
        def load(session: Session) -> Batcher:
            warm_up(session)
            return Batcher(
                session.run_arrays,
                session.signatures,
                slots=self.limits.slots,
                max_rows=self.limits.batch_rows,
                max_waiting=self.limits.waiting,
                observe=lambda rows: self.monitoring.batch(name, rows),
            )

        return load

    def watch(self) -> None:
        """Loads the models, and follows their folders from now on."""
        for model in self.models.values():
            model.look()
            model.watch(self._poll_seconds)

    def model(self, name: str) -> Versions:
        """Returns a model, or raises NOT_FOUND."""
        if not name:
            raise SessionError("The request names no model.", INVALID_ARGUMENT)
        if name not in self.models:
            remedy = checks.did_you_mean(name, self.models)
            raise SessionError(
                checks.expected("model", f"one of {sorted(self.models)}", name, remedy), NOT_FOUND
            )
        return self.models[name]

    def reload(
        self, models: Mapping[str, tuple[Path, Policy]], labels: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Serves these models in place of the present ones; all of them, or nothing changes.

        Args:
            models: Folder of versions and which are served, by model.
            labels: Versions by label, by model.

        Raises:
            SessionError: FAILED_PRECONDITION if a new model does not load, or a label names a
                version that is not served.
        """
        with self._reloading:
            chosen, fresh = {}, []
            for name, (path, policy) in models.items():
                known = self.models.get(name)
                if known is not None and known.directory == path:
                    chosen[name] = known
                    continue
                chosen[name] = Versions(name, path, self._loader(name), policy)
                fresh.append(name)
            before = {name: model.policy for name, model in chosen.items()}
            try:
                for name, model in chosen.items():
                    model.policy = models[name][1]
                    model.poll()
                    _check_labels(model, labels.get(name, {}))
            except Exception:
                for name in fresh:
                    chosen[name].close()
                for name, policy in before.items():
                    chosen[name].policy = policy
                raise
            leaving = [m for name, m in self.models.items() if chosen.get(name) is not m]
            for name in fresh:
                chosen[name] = self._adopted(chosen[name])
            for name, model in chosen.items():
                model.labels = dict(labels.get(name, {}))
            self.models = chosen
            for model in leaving:
                model.close()

    def _adopted(self, model: Versions) -> Versions:
        for gauge in ("served", "waiting"):
            read = partial(getattr, model, gauge)
            self.monitoring.gauge(f"tfrecs_{gauge}", read, model_name=model.name)
        model.watch(self._poll_seconds)
        return model

    @property
    def troubles(self) -> list[str]:
        """Why the server is not ready; empty if every model answers and is watched."""
        if self.stopping:
            return ["The server stops."]
        models = self.models.values()
        silent = [f"{m.name} has no version that answers." for m in models if not m.served]
        return silent + [f"The folder of {m.name} is not watched." for m in models if not m.watched]

    @property
    def ready(self) -> bool:
        """Whether every model has a version that answers, and its folder is watched."""
        return not self.troubles

    @contextmanager
    def request(self, name: str, entrypoint: str) -> Iterator[None]:
        """Counts what happens inside as a request; refuses it when the server stops."""
        start, status = time.perf_counter(), "OK"
        with self._quiet:
            self._running += 1
        try:
            if self.stopping:
                raise SessionError("The server stops.", UNAVAILABLE)
            yield
        except BaseException as error:
            status = NAMES.get(code_of(error), "UNKNOWN")
            raise
        finally:
            seconds = time.perf_counter() - start
            known = name if name in self.models else UNNAMED
            self.monitoring.request(known, entrypoint, status, seconds)
            with self._quiet:
                self._running -= 1
                self._quiet.notify_all()

    async def predict(
        self, loaded: Loaded, signature: str, arrays: Arrays, seconds: float | None = None
    ) -> Arrays:
        """Asks a version; `seconds` is the client's own limit, where it has one."""
        self.limits.check(loaded.signatures[signature], arrays)
        limit = min(self.limits.seconds, seconds or self.limits.seconds)
        answer = loaded.runner.submit(signature, arrays, limit)
        try:
            async with asyncio.timeout(limit):
                outputs: Arrays = await asyncio.wrap_future(answer)
        except TimeoutError as error:  # what TensorFlow runs already is ended, for nobody
            raise too_late() from error
        self.limits.check_values(sum(array.size for array in outputs.values()), "an answer")
        return outputs

    def stop(self, seconds: float) -> bool:
        """Refuses new requests and waits for those that run; returns whether all were answered."""
        self.stopping = True
        with self._quiet:
            return self._quiet.wait_for(lambda: not self._running, seconds)


def _check_labels(model: Versions, labels: Mapping[str, int]) -> None:
    if not model.served:
        said = "; ".join(state.message for state in model.seen()) or f"nothing in {model.directory}"
        raise SessionError(f"{model.name} has no version that loads: {said}", FAILED_PRECONDITION)
    for label, version in labels.items():
        if version not in model.serves:
            raise SessionError(
                f"The label {label!r} of {model.name} names version {version}, which is not "
                f"served: {sorted(model.serves)} are.",
                FAILED_PRECONDITION,
            )


def resident_bytes() -> float:
    """Returns the memory of this process, 0 where the system does not say."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096.0 if status.exists() else 0.0
