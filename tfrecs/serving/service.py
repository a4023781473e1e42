"""What the server does, apart from how it is asked: models by name, and requests to them."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tfrecs import checks
from tfrecs.serving.batching import Arrays, Batcher
from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import NAMES, NOT_FOUND, UNAVAILABLE, code_of
from tfrecs.serving.monitoring import Monitoring
from tfrecs.serving.session import Session
from tfrecs.serving.versions import Loaded, Versions
from tfrecs.serving.warming import warm_up

UNNAMED = ""  # a request that names no model served here must not grow the metrics


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Args:
        request_bytes: Most bytes of a request. Defaults to 32 MiB.
        seconds: How long a request may wait for its turn. Defaults to 10.
        batch_rows: Most rows of a batch of several requests. Defaults to 256.
        waiting: Most requests that wait; more are refused. Defaults to 1,000.
        slots: Batches run at a time, for each model. Defaults to 2.
    """

    request_bytes: int = 32 * 2**20
    seconds: float = 10.0
    batch_rows: int = 256
    waiting: int = 1000
    slots: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.positive(name, value)


def find_models(directory: Path) -> dict[str, Path]:
    """Returns the folders of versions by model: `directory` itself, or the folders in it.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory} is no folder. Make one with `tfrecs export`.")

    def versioned(path: Path) -> bool:
        return any(p.name.isdigit() and p.is_dir() for p in path.iterdir())

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


class Service:
    """Models, and requests to them: limits, counts, and waiting for the last ones at the end.

    Args:
        models: Folder of versions, by model.
        limits: What a request may cost.
    """

    def __init__(self, models: Mapping[str, Path], limits: Limits) -> None:
        self.limits = limits
        self.monitoring = Monitoring()
        self.models = {
            name: Versions(name, path, self._loader(name)) for name, path in models.items()
        }
        self._quiet = threading.Condition()
        self._running = 0
        self.stopping = False
        for name, model in self.models.items():
            for gauge in ("served", "waiting"):
                read = partial(getattr, model, gauge)
                self.monitoring.gauge(f"tfrecs_{gauge}", read, model_name=name)
        self.monitoring.gauge("tfrecs_running", lambda: self._running)
        self.monitoring.gauge("process_resident_memory_bytes", resident_bytes)

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

    def model(self, name: str) -> Versions:
        """Returns a model, or raises NOT_FOUND."""
        if name not in self.models:
            remedy = checks.did_you_mean(name, self.models)
            raise SessionError(
                checks.expected("model", f"one of {sorted(self.models)}", name, remedy), NOT_FOUND
            )
        return self.models[name]

    @property
    def ready(self) -> bool:
        """Whether every model has a version that answers."""
        return not self.stopping and all(m.served for m in self.models.values())

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
        except Exception as error:
            status = NAMES.get(code_of(error), "UNKNOWN")
            raise
        finally:
            seconds = time.perf_counter() - start
            known = name if name in self.models else UNNAMED
            self.monitoring.request(known, entrypoint, status, seconds)
            with self._quiet:
                self._running -= 1
                self._quiet.notify_all()

    def predict(
        self,
        loaded: Loaded,
        signature: str,
        inputs: Mapping[str, Any],
        seconds: float | None = None,
    ) -> Arrays:
        """Asks a version; `seconds` is the client's own limit, where it has one."""
        arrays = loaded.session.to_arrays(signature, inputs)
        limit = self.limits.seconds
        outputs: Arrays = loaded.runner.run(signature, arrays, min(limit, seconds or limit))
        return outputs

    def stop(self, seconds: float) -> bool:
        """Refuses new requests and waits for those that run; returns whether all were answered."""
        self.stopping = True
        with self._quiet:
            return self._quiet.wait_for(lambda: not self._running, seconds)


def resident_bytes() -> float:
    """Returns the memory of this process, 0 where the system does not say."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096.0 if status.exists() else 0.0
