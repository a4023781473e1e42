"""What a request may cost, known before memory is taken for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecs import checks
from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import RESOURCE_EXHAUSTED
from tfrecs.serving.meta_graph import Signature


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Args:
        request_bytes: Most bytes of a request. Defaults to 32 MiB.
        seconds: How long a request may wait for its answer. Defaults to 10.
        batch_rows: Most rows of a batch of several requests. Defaults to 256.
        waiting: Most requests that wait; more are refused. Defaults to 1,000.
        slots: Batches run at a time, for each model. Defaults to 2.
        rows: Most rows of a request. Defaults to 1,024.
        values: Most values of a request, and of its answer. Defaults to 1,048,576.
        read_seconds: How long a client may take to send a request, or to take its answer in.
            Defaults to 20.
        connections: Most HTTP connections. Defaults to 8,192.
    """

    request_bytes: int = 32 * 2**20
    seconds: float = 10.0
    batch_rows: int = 256
    waiting: int = 1000
    slots: int = 2
    rows: int = 1024
    values: int = 2**20
    read_seconds: float = 20.0
    connections: int = 8192

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.positive(name, value)

    def check_bytes(self, count: int) -> None:
        """Refuses a request by its length, which is known before its body."""
        if count > self.request_bytes:
            raise _too_many("a request", "bytes", self.request_bytes, count)

    def check_values(self, count: int, what: str = "a request") -> None:
        """Refuses a request, or an answer, by the number of its values."""
        if count > self.values:
            raise _too_many(what, "values", self.values, count)

    def check_rows(self, count: int) -> None:
        """Refuses a request by the number of its rows."""
        if count > self.rows:
            raise _too_many("a request", "rows", self.rows, count)

    def check(self, signature: Signature, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Refuses a request by its rows, and by the answer that it asks for.

        An integer without axes, such as `k`, is taken for the number of results of a row.
        """
        batched = [n for n, tensor in signature.inputs.items() if tensor.shape != ()]
        rows = max((len(arrays[name]) for name in batched), default=1)
        self.check_rows(rows)
        self.check_values(sum(array.size for array in arrays.values()))
        results = [int(a) for a in arrays.values() if a.ndim == 0 and a.dtype.kind == "i"]
        lists = sum(t.shape is None or len(t.shape) > 1 for t in signature.outputs.values())
        self.check_values(rows * max([1, *results]) * lists, "an answer")


def _too_many(what: str, unit: str, most: int, count: int) -> SessionError:
    return SessionError(
        f"{what} must have at most {most} {unit}. Received: {count}. Ask for fewer at a time.",
        RESOURCE_EXHAUSTED,
    )
