"""ScaNN: a tree of partitions, quantised scores, exact reordering; TensorFlow ops on the CPU."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.retrieval import tuning
from tfrecs.retrieval.base import Index, check_vectors
from tfrecs.retrieval.exact import nearest
from tfrecs.retrieval.scann_graph import ScannModule, Searcher, scann_config, search_scann
from tfrecs.retrieval.scann_ops import require_scann, scann_ops
from tfrecs.retrieval.tuning import Plan

logger = logging.getLogger("tfrecs")

BRUTE_FORCE_BELOW = 1024  # too few to train a tree and quantisers on
STATE = (
    "scann_config",
    "serialized_partitioner",
    "datapoint_to_token",
    "ah_codebook",
    "hashed_dataset",
    "int8_dataset",
    "int8_multipliers",
    "dp_norms",
    "dataset",
)
STRINGS = ("scann_config", "serialized_partitioner", "ah_codebook")


@keras.saving.register_keras_serializable(package="tfrecs")
class ScaNN(Index):
    """Searches the most promising partitions only, then reorders by exact score.

    `index` partitions the vectors by k-means, quantises them (anisotropic, 4 bits a dimension)
    and then measures recall@k against exact search on a sample of queries, to choose how many
    partitions to search and how many candidates to reorder TOGETHER: the cheapest pair, by
    counted operations, that reaches `recall`. One training thread and a choice that never reads
    a clock make two builds of the same vectors answer alike. TensorFlow backend, Linux on
    x86-64 with AVX2.

    Args:
        k: Number of results when a call does not say, and the k that `recall` is reached at.
            Defaults to 100.
        similarity: "dot", "cosine" or "squared_l2". Defaults to "dot".
        recall: Recall@k against exact search to reach. Defaults to 0.98.
        leaves_to_search: Partitions searched for each query. Defaults to a measured choice.
        reorder: Candidates scored exactly for each query. Defaults to a measured choice.
        seed: Of the sample of queries. Defaults to 0.
        name: Name of the layer.

    Reference: Guo et al., Accelerating Large-Scale Inference with Anisotropic Vector
    Quantization, https://arxiv.org/abs/1908.10396
    """

    def __init__(
        self,
        k: int = 100,
        similarity: str = "dot",
        recall: float = 0.98,
        leaves_to_search: int | None = None,
        reorder: int | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(k=k, similarity=similarity, name=name)
        require_scann()
        if not 0 < recall <= 1:
            raise ValueError(checks.expected("recall", "above 0 and at most 1", recall))
        if (leaves_to_search is None) != (reorder is None):
            raise ValueError(
                checks.expected(
                    "leaves_to_search and reorder",
                    "given together or not at all",
                    (leaves_to_search, reorder),
                )
            )
        self.recall = recall
        self.leaves_to_search = leaves_to_search
        self.reorder = reorder
        self.seed = seed
        self._plan: Plan | None = None
        self._searcher: Searcher | None = None
        self._sample: np.ndarray | None = None

    @property
    def needs_scann(self) -> bool:
        """True: the graph holds ScaNN's operations."""
        return True

    @property
    def plan(self) -> Plan:
        """What was chosen, and the recall that was measured while choosing."""
        self._ids()
        if self._plan is None:
            raise ValueError("ScaNN has no plan yet. Call `index(vectors, ids)` first.")
        return self._plan

    @property
    def vectors(self) -> np.ndarray:
        """The candidates' vectors, `(C, D)` (of unit length for cosine)."""
        vectors: np.ndarray = self._tensors()[STATE.index("dataset")].numpy()
        return vectors

    def index(self, vectors: Any, ids: Any, queries: Any = None) -> Self:
        """Replaces the contents of the index, as `Index.index` does.

        Args:
            vectors: `(C, D)` finite floats, one row a candidate.
            ids: `(C,)` distinct strings or integers.
            queries: `(S, D)` sample of query vectors to reach the recall on. Give real ones
                where queries are spread otherwise than candidates (two towers). Defaults to
                a sample of the candidates, each without itself.
        """
        self._sample = None if queries is None else check_vectors(queries)
        try:
            return super().index(vectors, ids)
        finally:
            self._sample = None

    def export_module(self) -> ScannModule:
        """Returns a `tf.Module` of the nine raw variables that ScaNN is restored from."""
        tensors = self._tensors()
        digest = hashlib.sha256()
        for tensor in tensors:
            digest.update(tf.io.serialize_tensor(tensor).numpy())
        return ScannModule(tensors, digest.hexdigest()[:16], self.plan, self.similarity)

    def _build_state(self, vectors: np.ndarray) -> None:
        count = len(vectors)
        leaves = tuning.num_leaves(count) if count >= BRUTE_FORCE_BELOW else 1
        config = scann_config(vectors, leaves, self.similarity, self.k)
        self._searcher = Searcher(
            partial(scann_ops().scann_create_searcher, scann_config=config, training_threads=1),
            tf.constant(vectors),
        )
        k = min(self.k, count)
        if leaves == 1:
            self._plan = Plan(count, 1, 1, count, k, 1.0)
        elif self.leaves_to_search is not None and self.reorder is not None:
            searched = min(self.leaves_to_search, leaves)
            self._plan = Plan(count, leaves, searched, max(self.reorder, k), k)
        else:
            measure = self._measured_on(vectors, leaves, k, self._sample)
            self._plan = tuning.choose(
                measure, self.recall, num_candidates=count, num_leaves=leaves, k=k
            )
        logger.info("ScaNN index: %s", self._plan)

    def plans(self, queries: Any, recalls: Sequence[float]) -> list[Plan]:
        """Chooses how to search for each of several recalls, as `index` does for one.

        Args:
            queries: `(S, D)` sample of query vectors to reach the recalls on.
            recalls: Recalls@k to reach, with the index's own k.
        """
        count, leaves, k = self.num_candidates, self.plan.num_leaves, self.plan.k
        measure = cache(self._measured_on(self.vectors, leaves, k, check_vectors(queries)))
        size = {"num_candidates": count, "num_leaves": leaves, "k": k}
        return [tuning.choose(measure, recall, **size) for recall in recalls]

    def search_by(self, plan: Plan, queries: Any, k: int) -> tuple[Any, Any]:
        """Returns what `search` does, by another plan of the same partitions."""
        return self._run(plan, queries, k, None)

    def _measured_on(
        self, vectors: np.ndarray, leaves: int, k: int, queries: np.ndarray | None
    ) -> Callable[[int, int], np.ndarray]:
        """Returns what measures (leaves, reorder) on a sample of queries, or of candidates."""
        itself = None
        count = len(vectors)
        random = np.random.default_rng(self.seed)
        if queries is None:
            itself = np.sort(random.choice(count, min(tuning.SAMPLE, count), replace=False))
            queries = vectors[itself]
        elif queries.shape[1] != vectors.shape[1]:
            raise ValueError(
                checks.expected("queries", f"of width {vectors.shape[1]}", queries.shape)
            )
        elif len(queries) > tuning.SAMPLE:
            queries = queries[random.choice(len(queries), tuning.SAMPLE, replace=False)]
        truth = nearest(vectors, queries, k, self.similarity)

        def measure(leaves_to_search: int, reorder: int) -> np.ndarray:
            trial = Plan(count, leaves, leaves_to_search, reorder, k)
            found = self._run(trial, tf.constant(queries), k, None)[1]
            return tuning.per_query_recall(found.numpy(), truth, itself)

        return measure

    def _search(self, queries: Any, k: Any, exclude_positions: Any) -> tuple[Any, Any]:
        return self._run(self.plan, queries, k, exclude_positions)

    def _run(self, plan: Plan, queries: Any, k: Any, exclude_positions: Any) -> tuple[Any, Any]:
        return search_scann(  # type: ignore[no-any-return]
            self._handle, queries, k, exclude_positions, plan=plan, similarity=self.similarity
        )

    @property
    def _handle(self) -> tf.Tensor:
        if self._searcher is None:
            raise ValueError("ScaNN has no candidates yet. Call `index(vectors, ids)` first.")
        return self._searcher.handle

    def _tensors(self) -> list[tf.Tensor]:
        self._ids()
        return list(scann_ops().scann_to_tensors(self._handle))

    def _arrays(self) -> Mapping[str, np.ndarray]:
        arrays = {}
        for name, tensor in zip(STATE, self._tensors(), strict=True):
            if tensor.dtype == tf.string:
                text = tf.io.serialize_tensor(tensor).numpy()
                arrays[name] = np.frombuffer(text, np.uint8)
            else:
                arrays[name] = tensor.numpy()
        return arrays

    def _settings(self) -> dict[str, Any]:
        return asdict(self.plan)

    def _restore_state(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> None:
        self._plan = Plan(**settings)
        tensors = [
            tf.io.parse_tensor(arrays[name].tobytes(), tf.string)
            if name in STRINGS
            else tf.constant(arrays[name])
            for name in STATE
        ]
        *state, dataset = tensors
        self._searcher = Searcher(scann_ops().tensors_to_scann, dataset, *state)
