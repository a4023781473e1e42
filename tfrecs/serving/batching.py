"""Requests that wait for the same model are run as one batch."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED
from tfrecs.serving.meta_graph import Signature, Tensor

Arrays = dict[str, np.ndarray[Any, Any]]
Run = Callable[[str, Arrays], Arrays]


@dataclass(eq=False)
class _Waiting:
    """A request: it leads a batch, or waits until another has answered it."""

    signature: str
    arrays: Arrays
    key: Hashable
    rows: int
    deadline: float  # time.monotonic()
    leads: bool = False
    ready: threading.Event = field(default_factory=threading.Event)
    outputs: Arrays | None = None
    error: Exception | None = None


class Batcher:
    """Runs up to `slots` batches at a time; what arrives meanwhile forms the next ones.

    Nothing waits for a batch to fill: with a slot free a request runs at once, in the thread that
    brought it. Requests are batched when they ask the same signature and their inputs differ in
    the rows alone: `k` must be equal, lists as long. If a batch fails, each of its requests
    is run by itself, so that none pays for another.

    Args:
        run: `(signature, arrays) -> arrays`, `Session.run_arrays`.
        signatures: What the model takes and gives, by name.
        slots: Batches run at a time.
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
        self._batched = {name: _batch_axes(s) for name, s in signatures.items()}
        self._slots, self._max_rows, self._max_waiting = slots, max_rows, max_waiting
        self._observe = observe
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._running = 0

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a slot."""
        return len(self._waiting)

    def run(self, signature: str, arrays: Arrays, seconds: float) -> Arrays:
        """Answers a request, alone or with others.

        Args:
            signature: Its name.
            arrays: What `Session.to_arrays` gave.
            seconds: How long it may wait; TensorFlow cannot be interrupted, so what runs is ended.

        Raises:
            SessionError: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, or what TensorFlow said.
        """
        key, rows = self._key(signature, arrays)
        request = _Waiting(signature, arrays, key, rows, time.monotonic() + seconds)
        with self._lock:
            request.leads = self._running < self._slots
            self._running += request.leads
            if not request.leads and len(self._waiting) >= self._max_waiting:
                raise SessionError(
                    f"{self._max_waiting} requests wait already. Try again later.",
                    RESOURCE_EXHAUSTED,
                )
            if not request.leads:
                self._waiting.append(request)
        if not request.leads and not request.ready.wait(seconds):
            self._give_up(request)
        if request.leads:
            self._lead(request)
        if request.error is not None:
            raise request.error
        return request.outputs or {}

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

    def _give_up(self, request: _Waiting) -> None:
        with self._lock:
            if request in self._waiting:
                self._waiting.remove(request)
            if not request.leads and not request.ready.is_set():
                request.error = _too_late()

    def _lead(self, request: _Waiting) -> None:
        """Runs the request with those it can take along, then hands its slot to the next."""
        batch, rows = [request], request.rows
        with self._lock:
            for other in [*self._waiting] if request.key is not None else []:
                if other.key == request.key and rows + other.rows <= self._max_rows:
                    self._waiting.remove(other)
                    batch.append(other)
                    rows += other.rows
        try:
            self._observe(rows)
            self._answer([r for r in batch if not _expired(r)])
        finally:
            with self._lock:
                if self._waiting:
                    following = self._waiting.popleft()
                    following.leads = True
                    following.ready.set()
                else:
                    self._running -= 1
            for other in batch[1:]:
                other.ready.set()

    def _answer(self, batch: list[_Waiting]) -> None:
        if len(batch) > 1 and self._answer_together(batch):
            return
        for request in batch:
            if not _expired(request):
                try:
                    request.outputs = self._run(request.signature, request.arrays)
                except Exception as error:
                    request.error = error

    def _answer_together(self, batch: list[_Waiting]) -> bool:
        """Returns whether the batch was answered; else its requests are to be run one by one."""
        first = batch[0]
        batched = self._batched[first.signature]
        arrays = {
            name: np.concatenate([r.arrays[name] for r in batch]) if name in batched else array
            for name, array in first.arrays.items()
        }
        try:
            outputs = self._run(first.signature, arrays)
        except (SessionError, MemoryError):
            return False
        ends = np.cumsum([request.rows for request in batch])
        if any(len(array) != ends[-1] for array in outputs.values()):
            return False
        for request, end in zip(batch, ends.tolist(), strict=True):
            request.outputs = {n: a[end - request.rows : end] for n, a in outputs.items()}
        return True


def _expired(request: _Waiting) -> bool:
    if time.monotonic() < request.deadline:
        return False
    request.error = _too_late()
    return True


def _too_late() -> SessionError:
    return SessionError("The time limit of the request is over.", DEADLINE_EXCEEDED)


def _batch_axes(signature: Signature) -> frozenset[str]:
    """Returns the inputs with a batch axis; none if an output has no such axis."""

    def rows(tensor: Tensor) -> bool:
        return bool(tensor.shape) and tensor.shape is not None and tensor.shape[0] is None

    if not all(rows(tensor) for tensor in signature.outputs.values()):
        return frozenset()
    return frozenset(name for name, tensor in signature.inputs.items() if rows(tensor))
