"""Requests that wait for the same model are run as one batch."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE
from tfrecs.serving.meta_graph import Signature

Arrays = dict[str, np.ndarray[Any, Any]]
Run = Callable[[str, Arrays], Arrays]


@dataclass(eq=False)
class _Waiting:
    """A request that waits for its turn."""

    signature: str
    arrays: Arrays
    key: Hashable
    rows: int
    deadline: float  # time.monotonic()
    answer: Future[Arrays] = field(default_factory=Future)


class Batcher:
    """Runs up to `slots` batches at a time; what arrives meanwhile forms the next ones.

    Nothing waits for a batch to fill: with a slot free a request runs at once. Requests are batched
    when they ask the same signature and their inputs differ in the rows alone: `k` must be equal,
    lists as long. If a batch fails, each of its requests is run by itself, so that none pays for
    another.

    Args:
        run: `(signature, arrays) -> arrays`, `Session.run_arrays`.
        signatures: What the model takes and gives, by name.
        slots: Batches run at a time, each in a thread.
        max_rows: Most rows of a batch of several requests; a request alone may have more.
        max_waiting: Most requests that wait; more are refused with RESOURCE_EXHAUSTED.
        observe: Called with the rows of each batch.
    """

    def __init__(
        self,
        run: Run,
        signatures: Mapping[str, Signature],
        *,
        slots: int = 2,
        max_rows: int = 256,
        max_waiting: int = 1000,
        observe: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run = run
        self._batched = {name: s.batch_axes() for name, s in signatures.items()}
        self._max_rows, self._max_waiting = max_rows, max_waiting
        self._observe = observe
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._closed = False
        # daemons: TensorFlow cannot be interrupted, and must not keep a process that shall end
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{slot}", daemon=True)
            for slot in range(slots)
        ]
        self._started = False

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a slot."""
        return len(self._waiting)

    def submit(self, signature: str, arrays: Arrays, seconds: float) -> Future[Arrays]:
        """Takes a request in; its answer comes alone or with others'.

        Args:
            signature: Its name.
            arrays: What `Session.to_arrays` gave.
            seconds: How long it may wait for its turn.

        Returns:
            A future: the outputs, or a SessionError of DEADLINE_EXCEEDED or by TensorFlow.

        Raises:
            SessionError: RESOURCE_EXHAUSTED if too many wait, UNAVAILABLE after `close`.
        """
        key, rows = self._key(signature, arrays)
        request = _Waiting(signature, arrays, key, rows, time.monotonic() + seconds)
        with self._changed:
            if self._closed:
                raise SessionError("This version is leaving. Ask again.", UNAVAILABLE)
            if len(self._waiting) >= self._max_waiting:
                raise SessionError(
                    f"{self._max_waiting} requests wait already. Try again later.",
                    RESOURCE_EXHAUSTED,
                )
            self._waiting.append(request)
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()
            self._changed.notify()
        return request.answer

    def run(self, signature: str, arrays: Arrays, seconds: float) -> Arrays:
        """Answers a request, and waits for it: see `submit`."""
        answer = self.submit(signature, arrays, seconds)
        try:
            return answer.result(seconds)
        except (TimeoutError, CancelledError) as error:
            answer.cancel()
            raise too_late() from error

    def close(self) -> None:
        """Answers what waits and what runs, and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._started:
            for thread in self._threads:
                thread.join()

    def _key(self, signature: str, arrays: Arrays) -> tuple[Hashable, int]:
        """Returns what requests of one batch have in common (None: run it alone), and the rows."""
        batched = self._batched[signature]
        sizes = {len(arrays[name]) for name in batched}
        if len(sizes) != 1:
            return None, max(sizes, default=1)
        common = tuple(
            (name, array.shape[1:] if name in batched else (array.shape, array.tobytes()))
            for name, array in sorted(arrays.items())
            if name in batched or array.dtype != object
        )
        alone = any(a.dtype == object and n not in batched for n, a in arrays.items())
        return None if alone else (signature, common), sizes.pop()

    def _work(self) -> None:
        while batch := self._next():
            live = [r for r in batch if r.answer.set_running_or_notify_cancel()]
            live = [r for r in live if not _expired(r)]
            if live:
                self._observe(sum(request.rows for request in live))
                self._answer(live)

    def _next(self) -> list[_Waiting]:
        """Waits for a request and takes along what it can; nothing when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            first = self._waiting.popleft()
            batch, rows = [first], first.rows
            for other in [*self._waiting] if first.key is not None else []:
                if other.key == first.key and rows + other.rows <= self._max_rows:
                    self._waiting.remove(other)
                    batch.append(other)
                    rows += other.rows
            return batch

    def _answer(self, batch: list[_Waiting]) -> None:
        if len(batch) > 1 and self._answer_together(batch):
            return
        for request in batch:
            if not _expired(request):
                try:
                    request.answer.set_result(self._run(request.signature, request.arrays))
                except Exception as error:
                    request.answer.set_exception(error)

    def _answer_together(self, batch: list[_Waiting]) -> bool:
        """Returns whether the batch was answered; else its requests are to be run one by one."""
        first = batch[0]
        batched = self._batched[first.signature]
        try:
            arrays = {
                name: np.concatenate([r.arrays[name] for r in batch]) if name in batched else array
                for name, array in first.arrays.items()
            }
            outputs = self._run(first.signature, arrays)
        except Exception:  # whoever is to blame fails alone
            return False
        ends = np.cumsum([request.rows for request in batch])
        if any(len(array) != ends[-1] for array in outputs.values()):
            return False
        for request, end in zip(batch, ends.tolist(), strict=True):
            request.answer.set_result({n: a[end - request.rows : end] for n, a in outputs.items()})
        return True


def _expired(request: _Waiting) -> bool:
    if time.monotonic() < request.deadline:
        return False
    request.answer.set_exception(too_late())
    return True


def too_late() -> SessionError:
    """Returns the error of a request that is not answered in time."""
    return SessionError("The time limit of the request is over.", DEADLINE_EXCEEDED)
