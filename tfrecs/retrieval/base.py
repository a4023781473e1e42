"""The face of every index: query vectors in, the best candidates out."""

import inspect
import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tfrecs import checks
from tfrecs.retrieval import storage
from tfrecs.retrieval.ids import IdMap

SIMILARITIES = ("dot", "cosine", "squared_l2")


class Index(keras.layers.Layer):
    """Finds the `k` candidates whose vectors score highest against a query's vector.

    Scores are higher-is-better: `dot` is `q . x`, `cosine` is `q . x / (|q| |x|)` and
    `squared_l2` is `-|q - x|^2`. A slot with nothing to fill it (fewer than `k` candidates
    left after exclusion, or a query with a NaN or an infinity in it) has score -inf and the
    missing id: "" for string ids, -1 for int64 ids. Equal scores are ordered by position.

    Args:
        k: Number of results when a call does not say. Defaults to 10.
        similarity: "dot", "cosine" or "squared_l2". Defaults to "dot".
        name: Name of the layer.
    """

    def __init__(self, k: int = 10, similarity: str = "dot", name: str | None = None) -> None:
        super().__init__(name=name, trainable=False)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(checks.expected("k", "a positive integer", k))
        checks.one_of("similarity", similarity, SIMILARITIES)
        self.k = k
        self.similarity = similarity
        self._convert_input_args = False  # exclusions may be ragged or strings
        self._id_map: IdMap | None = None
        self._dim = 0

    @property
    def num_candidates(self) -> int:
        """Number of candidates in the index."""
        return len(self.ids)

    @property
    def ids(self) -> np.ndarray:
        """Ids of the candidates, `(C,)`: int64, or str objects; position -> id."""
        return self._ids().values

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        self._ids()
        return self._dim

    @property
    @abstractmethod
    def vectors(self) -> np.ndarray:
        """The candidates' vectors as the index keeps them, `(C, D)` (of unit length for cosine)."""

    @property
    @abstractmethod
    def needs_scann(self) -> bool:
        """Whether a SavedModel with this index needs ScaNN's op library to load."""

    def index(self, vectors: Any, ids: Any) -> Self:
        """Replaces the contents of the index.

        Args:
            vectors: `(C, D)` finite floats, one row a candidate.
            ids: `(C,)` distinct strings or integers.

        Returns:
            The index itself.

        Raises:
            ValueError: if shapes disagree, an id is missing or occurs twice, or a vector has
                a NaN or an infinity.
        """
        array = check_vectors(vectors)
        id_map = IdMap(ids)
        if len(id_map.values) != len(array):
            raise ValueError(
                checks.expected("ids", f"as many as the {len(array)} vectors", len(id_map.values))
            )
        if self.similarity == "cosine":
            norms = np.linalg.norm(array, axis=1, keepdims=True)
            array = array / np.where(norms > 0, norms, 1)
        self._build_state(array)
        self._set(id_map, array.shape[1])
        return self

    def __call__(self, queries: Any, k: Any = None, exclude: Any = None) -> Any:
        """Calls the layer; `queries` may be NumPy, as Keras layers allow."""
        if not keras.utils.is_keras_tensor(queries):
            queries = ops.convert_to_tensor(queries)
        return super().__call__(queries, k=k, exclude=exclude)

    def call(self, queries: Any, k: Any = None, exclude: Any = None) -> tuple[Any, Any]:
        """Returns the best candidates of each query.

        Args:
            queries: `(B, D)` float vectors.
            k: Number of results: an int, or a scalar int32 tensor. Defaults to `self.k`.
            exclude: Ids not to return, one row a query: `(B, E)` padded with "" or -1, ragged,
                or a list of lists. Ids that are not in the catalogue are ignored.

        Returns:
            `scores`, `(B, k)` float32, best first, and `ids`, `(B, k)`.
        """
        excluded = None if exclude is None else self._ids().positions(exclude)
        scores, positions = self.search(queries, k, excluded)
        return scores, self._ids().lookup(positions)

    def search(self, queries: Any, k: Any = None, exclude_positions: Any = None) -> tuple[Any, Any]:
        """Returns the best positions of each query; works inside any graph.

        Args:
            queries: `(B, D)` float vectors.
            k: Number of results: an int, or a scalar int32 tensor. Defaults to `self.k`.
            exclude_positions: `(B, E)` positions not to return, padded with -1.

        Returns:
            `scores`, `(B, k)` float32, best first, and `positions`, `(B, k)` int32, rows of
            the indexed vectors; empty slots have score -inf and position -1.
        """
        k = self._check_k(k)
        shape = tuple(getattr(queries, "shape", np.shape(queries)))
        if len(shape) != 2 or shape[1] not in (None, self.dim):
            raise ValueError(checks.expected("queries", f"of shape (batch, {self.dim})", shape))
        queries = ops.cast(ops.convert_to_tensor(queries), "float32")
        if exclude_positions is not None:
            exclude_positions = ops.cast(ops.convert_to_tensor(exclude_positions), "int32")
            rows = (shape[0], exclude_positions.shape[0])
            if len(exclude_positions.shape) != 2 or (None not in rows and rows[0] != rows[1]):
                raise ValueError(
                    checks.expected(
                        "exclude_positions",
                        f"of shape (batch, anything) with a batch of {shape[0]}",
                        tuple(exclude_positions.shape),
                    )
                )
        return self._search(queries, k, exclude_positions)

    @abstractmethod
    def export_module(self) -> Any:
        """Returns a `tf.Module` with raw `tf.Variable`s only, for a SavedModel.

        Its `__call__(queries, k, exclude_positions)` takes `(B, D)` float32, a scalar int32
        and `(B, E)` int32 (E may be 0), and returns what `search` does.
        """

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; `save` keeps the contents."""
        arguments = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in arguments}

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes the index to a directory, which appears whole or not at all."""
        header = {
            "class": type(self).__name__,
            "config": self.get_config(),
            "dim": self.dim,
            "settings": self._settings(),
        }
        storage.write(directory, header, self.ids, self._arrays())

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """Reads an index that `save` wrote. `tfrecs.retrieval.load` finds the class itself."""
        header = storage.read_header(directory)
        if header["class"] != cls.__name__:
            raise ValueError(
                checks.expected(
                    "directory",
                    f"a saved {cls.__name__}",
                    header["class"],
                    "Use tfrecs.retrieval.load, which finds the class.",
                )
            )
        index: Self = cls.from_config(header["config"])
        ids, arrays = storage.read(directory)
        index._restore_state(arrays, header["settings"])
        index._set(IdMap(ids), header["dim"])
        return index

    def _set(self, id_map: IdMap, dim: int) -> None:
        self._id_map = id_map
        self._dim = dim
        self.built = True

    def _ids(self) -> IdMap:
        if self._id_map is None:
            raise ValueError(
                f"{type(self).__name__} has no candidates yet. Call `index(vectors, ids)` first."
            )
        return self._id_map

    def _check_k(self, k: Any) -> Any:
        """Returns `k` as a python int, or the symbolic tensor that it is."""
        k = self.k if k is None else k
        count = self.num_candidates
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool):
            if not keras.utils.is_keras_tensor(k) and not hasattr(k, "shape"):
                raise ValueError(checks.expected("k", "an integer or a scalar tensor", k))
            try:
                k = int(k)
            except TypeError:  # a tensor inside a graph: its top-k op checks it
                return k
        if not 1 <= k <= count:
            raise ValueError(
                checks.expected("k", f"between 1 and the {count} candidates of the index", k)
            )
        return int(k)

    @abstractmethod
    def _build_state(self, vectors: np.ndarray) -> None:
        """Takes checked float32 vectors, of unit length for cosine."""

    @abstractmethod
    def _search(self, queries: Any, k: Any, exclude_positions: Any) -> tuple[Any, Any]:
        """Searches with checked arguments."""

    @abstractmethod
    def _arrays(self) -> Mapping[str, np.ndarray]:
        """Returns what `save` writes, ids apart."""

    def _settings(self) -> dict[str, Any]:
        """Returns what was chosen while building, for `save`: JSON values."""
        return {}

    @abstractmethod
    def _restore_state(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        """Takes back what `_arrays` and `_settings` gave."""


def check_vectors(vectors: Any) -> np.ndarray:
    """Returns `vectors` as a finite `(C, D)` float32 array, or raises ValueError."""
    array = np.asarray(ops.convert_to_numpy(vectors))
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise ValueError(
            checks.expected(
                "vectors", "numbers of shape (candidates, dim)", (array.shape, str(array.dtype))
            )
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ValueError(
            checks.expected(
                "vectors",
                "finite",
                f"NaN or infinity in {len(bad)} rows, the first is row {bad[0]}",
                "Drop those candidates, or find out why their embedding diverged.",
            )
        )
    return array
