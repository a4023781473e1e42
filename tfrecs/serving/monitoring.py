"""Counts and latencies in Prometheus' text format, under TensorFlow Serving's names."""

import bisect
import threading
from collections import defaultdict
from collections.abc import Callable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNT = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"
# microseconds, as TensorFlow Serving counts; 100 us to 13 s, each bound 1.8 times the one before
_BOUNDS = [round(100 * 1.8**power) for power in range(21)]
_ROWS = [2**power for power in range(11)]

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Counts values up to each bound; `observe` is for one thread at a time."""

    def __init__(self, bounds: list[int]) -> None:
        self.bounds, self.total = bounds, 0.0
        self.counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> list[str]:
        """Returns the histogram as Prometheus reads it: counts up to each bound."""
        lines, count = [], 0
        for bound, here in zip([*self.bounds, "+Inf"], self.counts, strict=True):
            count += here
            lines.append(f"{name}_bucket{_braces((*labels, ('le', str(bound))))} {count}")
        lines.append(f"{name}_sum{_braces(labels)} {self.total:.17g}")
        return [*lines, f"{name}_count{_braces(labels)} {count}"]


class Monitoring:
    """What has been served.

    Example:

    >>> monitoring = Monitoring()
    >>> monitoring.request("news", "REST", "OK", 0.002)
    >>> print(monitoring.text().splitlines()[1])
    :tensorflow:serving:request_count{model_name="news",entrypoint="REST",status="OK"} 1
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[Labels, int] = defaultdict(int)
        self._seconds: dict[Labels, Histogram] = defaultdict(lambda: Histogram(_BOUNDS))
        self._rows: dict[Labels, Histogram] = defaultdict(lambda: Histogram(_ROWS))
        self._gauges: dict[tuple[str, Labels], Callable[[], float]] = {}

    def request(self, model: str, entrypoint: str, status: str, seconds: float) -> None:
        """Counts a request that was answered; REST or GRPC is its entrypoint."""
        labels = (("model_name", model), ("entrypoint", entrypoint))
        with self._lock:
            self._requests[(*labels, ("status", status))] += 1
            self._seconds[labels].observe(seconds * 1e6)

    def batch(self, model: str, rows: int) -> None:
        """Counts a batch that was run."""
        with self._lock:
            self._rows[(("model_name", model),)].observe(rows)

    def gauge(self, name: str, read: Callable[[], float], **labels: str) -> None:
        """Adds a value that is read when it is asked for."""
        self._gauges[name, tuple(labels.items())] = read

    def text(self) -> str:
        """Returns everything as Prometheus scrapes it."""
        with self._lock:
            lines = [f"# TYPE {COUNT} counter"] if self._requests else []
            lines += [f"{COUNT}{_braces(labels)} {n}" for labels, n in self._requests.items()]
            for name, kept in ((LATENCY, self._seconds), ("tfrecs_batch_rows", self._rows)):
                lines += [f"# TYPE {name} histogram"] if kept else []
                for labels, histogram in kept.items():
                    lines += histogram.lines(name, labels)
        for name in dict.fromkeys(name for name, _ in self._gauges):
            lines.append(f"# TYPE {name} gauge")
            lines += [
                f"{name}{_braces(labels)} {read():.17g}"
                for (other, labels), read in self._gauges.items()
                if other == name
            ]
        return "\n".join(lines) + "\n"


def _braces(labels: Labels) -> str:
    escaped = [
        (k, v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for k, v in labels
    ]
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}" if labels else ""
