"""Ids of an index's candidates: between positions and what the user calls them."""

from typing import Any

import keras
import numpy as np

from tfrecs import checks

MISSING_STRING = ""
MISSING_INTEGER = -1


class IdMap:
    """Maps positions to ids and back, eagerly or (TensorFlow backend) in a graph.

    Args:
        ids: `(C,)` distinct strings, bytes (UTF-8) or integers; "" and -1 mean "missing" and
            are refused.

    Example:

    >>> ids = IdMap(["a", "b", "c"])
    >>> ids.positions([["c", "a"], ["unknown"]])
    array([[ 2,  0],
           [-1, -1]], dtype=int32)
    """

    def __init__(self, ids: Any) -> None:
        self.values = as_ids("ids", ids)
        if self.values.ndim != 1:
            raise ValueError(checks.expected("ids", "of one dimension", self.values.shape))
        self.missing = MISSING_INTEGER if self.values.dtype == np.int64 else MISSING_STRING
        self._positions = {value: place for place, value in enumerate(self.values.tolist())}
        if self.missing in self._positions:
            place = self._positions[self.missing]
            raise ValueError(
                checks.expected(
                    "ids",
                    f"without {self.missing!r}, which means a missing id",
                    f"{self.missing!r} at position {place}",
                    "Drop the row or give it an id.",
                )
            )
        if len(self._positions) < len(self.values):
            raise ValueError(self._duplicate_message())
        self._graph: Any = None

    def lookup(self, positions: Any) -> Any:
        """Returns the ids at `positions`; -1 gives the missing id.

        A tensor on the TensorFlow backend, else a NumPy array (JAX has no strings, and cuts
        int64 to int32).
        """
        if keras.backend.backend() == "tensorflow":
            return self._graph_ids().lookup(positions)
        padded = np.append(self.values, np.array([self.missing], self.values.dtype))
        return padded[np.asarray(positions)]

    def positions(self, ids: Any) -> Any:
        """Returns the positions of `ids`, `(B, E)` int32; unknown and missing ids give -1."""
        if hasattr(ids, "to_tensor"):  # ragged
            ids = ids.to_tensor(default_value=self.missing)
        if hasattr(ids, "graph") and not hasattr(ids, "numpy"):  # symbolic
            return self._graph_ids().positions(ids)
        rows = ids.numpy() if hasattr(ids, "numpy") else ids
        try:
            array = as_ids("exclude", pad(rows, self.missing), empty=self.values.dtype)
        except ValueError:  # strings among integers
            array = np.empty(0)
        if array.ndim != 2 or array.dtype != self.values.dtype:
            kind = "integers" if self.values.dtype == np.int64 else "strings"
            raise ValueError(checks.expected("exclude", f"rows of {kind}, (batch, any)", rows))
        found = [self._positions.get(value, -1) for value in array.ravel().tolist()]
        return np.array(found, np.int32).reshape(array.shape)

    def _graph_ids(self) -> Any:
        if self._graph is None:
            from tfrecs.retrieval.graph import GraphIds

            self._graph = GraphIds(self.values, self.missing)
        return self._graph

    def _duplicate_message(self) -> str:
        for place, value in enumerate(self.values.tolist()):
            if self._positions[value] != place:
                where = f"{value!r} at positions {place} and {self._positions[value]}"
                break
        return checks.expected("ids", "distinct", where, "Keep one row for each candidate.")


def as_ids(argument: str, ids: Any, empty: Any = None) -> np.ndarray:
    """Returns ids as int64 or as an object array of str.

    Args:
        argument: Name for the error message.
        ids: Anything NumPy takes.
        empty: dtype of the result when there are no ids. Defaults to refusing that.
    """
    if isinstance(ids, (list, tuple)) and any(isinstance(v, (str, bytes)) for v in ids):
        array = np.array(ids, object)  # NumPy's own strings end before a NUL
    else:
        array = np.asarray(ids.numpy() if hasattr(ids, "numpy") else ids)
    if array.size == 0 and empty is not None:
        return array.astype(empty)
    if array.size == 0:
        raise ValueError(checks.expected(argument, "at least one id", ids))
    if array.dtype.kind in "iu":
        if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
            raise ValueError(checks.expected(argument, "below 2**63", array.max()))
        return array.astype(np.int64)
    flat = array.ravel().tolist()
    if array.dtype.kind not in "USO" or not all(isinstance(v, (str, bytes)) for v in flat):
        raise ValueError(checks.expected(argument, "strings or integers", ids))
    out = np.empty(len(flat), object)
    out[:] = [v.decode() if isinstance(v, bytes) else v for v in flat]
    return out.reshape(array.shape)


def pad(rows: Any, missing: str | int) -> Any:
    """Pads a list of lists with `missing` to the longest; anything else comes back as it is."""
    if not isinstance(rows, (list, tuple)) or not all(
        isinstance(row, (list, tuple, np.ndarray)) for row in rows
    ):
        return rows
    longest = max((len(row) for row in rows), default=0)
    return np.array(
        [[*row, *[missing] * (longest - len(row))] for row in rows],
        object if isinstance(missing, str) else None,
    ).reshape(len(rows), longest)
