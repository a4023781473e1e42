"""The graph of an export: raw features in, ids, scores and display columns out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from tfrecs import checks
from tfrecs.export.catalogue import NAME, SCORE, Catalogue
from tfrecs.export.padding import Raw, read_rows
from tfrecs.features import FeatureTransform
from tfrecs.features.vocabulary import missing_value
from tfrecs.spec import Attributes, Role, batch_keys

EMBEDDING = "embedding"
RESERVED = ("k", "exclude", "examples")  # inputs that are no features
EXAMPLES = {"examples": tf.TensorSpec([None], tf.string)}


def features_read(
    side: Callable[[dict[str, tf.Tensor]], tf.Tensor], transform: FeatureTransform, *roles: Role
) -> tuple[str, ...]:
    """Returns the features of `roles` that one side of a model reads, in the spec's order.

    The side is traced and its graph walked back from the result, so that a signature asks for
    nothing that has no influence.

    Args:
        side: `model.query` or `model.candidate`.
        transform: The adapted features.
        roles: Roles to choose from.

    Raises:
        ValueError: If the side reads none of them, or one whose name no signature can have.
    """
    names = [feature.name for feature in transform.spec.by_role(*roles)]
    raw = transform.raw_signature(names)
    transformed = tf.function(lambda raw: transform(raw, names), autograph=False)
    batch = transformed.get_concrete_function(raw).structured_outputs
    specs = {key: tf.TensorSpec(tensor.shape, tensor.dtype) for key, tensor in batch.items()}
    graph = tf.function(side, autograph=False).get_concrete_function(specs)
    reached: set[str] = set()
    operations = [tensor.op for tensor in graph.outputs]
    while operations:
        operation = operations.pop()
        if operation.name not in reached:
            reached.add(operation.name)
            operations += [tensor.op for tensor in operation.inputs]
            operations += operation.control_inputs
    inputs = zip(sorted(specs), graph.inputs, strict=False)  # captured variables follow
    keys = {key for key, tensor in inputs if tensor.op.name in reached}
    read = tuple(name for name in names if keys & set(batch_keys(transform.spec[name])))
    if not read:
        raise ValueError(checks.expected("model", f"one that reads features of {roles}", names))
    for name in transform.raw_signature(read):
        if not NAME.fullmatch(name) or name in RESERVED:
            expectation = f"a letter, then letters, digits and _, and none of {RESERVED}"
            remedy = "Rename the column: it becomes an input of the SavedModel."
            raise ValueError(checks.expected("feature name", expectation, name, remedy))
    return read


class Signatures:
    """The functions that a SavedModel offers. They close over the model, which is not saved.

    Args:
        model: A Retriever.
        transform: The adapted features.
        catalogue: Ids and display columns.
        k: Number of results of `serving_default`.
    """

    def __init__(
        self, model: Any, transform: FeatureTransform, catalogue: Catalogue, k: int
    ) -> None:
        self.model = model
        self.transform = transform
        self.catalogue = catalogue
        self.k = k
        self.query_names = features_read(model.query, transform, "query", "context")
        self.candidate_names = features_read(model.candidate, transform, "candidate")
        self.id_name = transform.spec.candidate_id.name
        self.id_dtype = tf.as_dtype(transform.spec.candidate_id.dtype)
        # of a model that goes through a session event by event
        weights = model.states if hasattr(model, "advance") else []
        self.states = {f"state_{n}": int(w.shape[-1]) for n, w in enumerate(weights)}
        # functions of their own: traced once, not once a signature
        self.query = self._tower(model.query, self.query_names)
        self.candidate = self._tower(model.candidate, self.candidate_names)

    def _tower(self, side: Callable[[Raw], tf.Tensor], names: Iterable[str]) -> Any:
        """Returns a function from raw features to vectors, float32 `(B, D)`."""
        signature = self.transform.raw_signature(names)
        traced = tf.function(
            lambda raw: tf.cast(side(self.transform(raw, names)), tf.float32),
            input_signature=[signature],
            autograph=False,
        )
        return lambda raw: traced(read_rows(raw, signature, self.transform))

    def trace(self, index: Any) -> dict[str, Any]:
        """Returns the signatures as concrete functions, by name.

        Args:
            index: The `export_module()` to search.
        """
        self.index = index
        self.search = tf.function(self._search, autograph=False)
        query = self.transform.raw_signature(self.query_names)
        candidate = self.transform.raw_signature(self.candidate_names)
        listed = self.transform.raw_signature([self.id_name]) | candidate
        lists = {n: tf.TensorSpec([None, *t.shape], t.dtype) for n, t in listed.items()}
        options = {
            "k": tf.TensorSpec([], tf.int32),
            "exclude": tf.TensorSpec([None, None], self.id_dtype),
        }
        default = (
            from_examples(self.recommend_default, self.transform, self.query_names),
            EXAMPLES,
        )
        functions: dict[str, tuple[Callable[[Raw], Raw], dict[str, tf.TensorSpec]]] = {
            "serving_default": (self.recommend_default, query),
            "serving_default_examples": default,
            "recommend": (self.recommend, query | options),
            "rank": (self.rank, query | lists),
        }
        if self.states:
            states = {name: tf.TensorSpec([None, dim]) for name, dim in self.states.items()}
            event = self.transform.raw_signature([self.id_name])
            functions["advance"] = (self.advance, event | states)
        both = dict.fromkeys([*self.query_names, *self.candidate_names])
        for name, function, names, inputs, more in (
            ("recommend", self.recommend, self.query_names, query, options),
            ("encode_query", self.encode_query, self.query_names, query, {}),
            ("encode_candidate", self.encode_candidate, self.candidate_names, candidate, {}),
            ("score", self.score, both, query | candidate, {}),
        ):
            functions[name] = (function, inputs | more)
            functions[f"{name}_examples"] = (
                from_examples(function, self.transform, names),
                EXAMPLES | more,
            )
        return {name: trace(*function) for name, function in functions.items()}

    def encode_query(self, raw: Raw) -> Raw:
        """Raw query features to vectors `(B, D)`."""
        return {EMBEDDING: self.query(raw)}

    def encode_candidate(self, raw: Raw) -> Raw:
        """Raw candidate features to vectors `(B, D)`."""
        return {EMBEDDING: self.candidate(raw)}

    def recommend_default(self, raw: Raw) -> Raw:
        """Raw query features to the best `self.k` candidates, none excluded."""
        return self._best(self.query(raw))

    def _best(self, vectors: tf.Tensor) -> Raw:
        nothing = tf.zeros([tf.shape(vectors)[0], 0], tf.int32)
        answer: Raw = self.search(vectors, tf.constant(self.k), nothing)
        return answer

    def advance(self, raw: Raw) -> Raw:
        """Ids of items just met `(B,)` and the states before to the next items and the states."""
        ids = self.transform({self.id_name: raw[self.id_name]}, [self.id_name])[self.id_name]
        vectors, states = self.model.advance(ids, [raw[name] for name in self.states])
        return self._best(tf.cast(vectors, tf.float32)) | dict(
            zip(self.states, states, strict=True)
        )

    def recommend(self, raw: Raw) -> Raw:
        """Raw query features, `k` and ids to `exclude` `(B, E)` to the best `k` candidates."""
        vectors, exclude = self.query(raw), raw["exclude"]
        rows = tf.debugging.assert_equal(
            *(tf.shape(exclude)[0], tf.shape(vectors)[0]),
            message="`exclude` must have one row for every query, padded with the missing id.",
        )
        with tf.control_dependencies([rows]):
            positions = self.catalogue.positions(exclude)
        answer: Raw = self.search(vectors, raw["k"], positions)
        return answer

    def _search(self, vectors: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor) -> Raw:
        scores, positions = self.index(vectors, k, exclude)  # (B, k)
        positions = tf.ensure_shape(positions, [None, None])  # ScaNN's op does not say
        return {**self.catalogue.rows(positions), SCORE: tf.ensure_shape(scores, [None, None])}

    def score(self, raw: Raw) -> Raw:
        """Raw query and candidate features, a pair a row, to scores `(B,)`."""
        candidates = self.candidate(raw)[:, tf.newaxis]  # (B, 1, D)
        return {SCORE: tf.cast(self.model.score(self.query(raw), candidates)[:, 0], tf.float32)}

    def rank(self, raw: Raw) -> Raw:
        """Raw query features and lists of candidates `(B, C)` to these, best first.

        Candidates with the missing id come last, with score -inf.
        """
        queries, ids = self.query(raw), raw[self.id_name]
        names = self.transform.raw_signature(self.candidate_names)
        flat = {n: tf.reshape(raw[n], [-1, *tf.unstack(tf.shape(raw[n]))[2:]]) for n in names}
        vectors = self.candidate(flat)  # (B * C, D)
        vectors = tf.reshape(vectors, [*tf.unstack(tf.shape(ids)), vectors.shape[-1]])
        scores = tf.cast(self.model.score(queries, vectors), tf.float32)  # (B, C)
        missing = tf.equal(ids, missing_value(self.id_dtype.name))
        scores, order = tf.math.top_k(tf.where(missing, float("-inf"), scores), tf.shape(scores)[1])
        return {self.id_name: tf.gather(ids, order, batch_dims=1), SCORE: scores}


class Servable(tf.Module):
    """What a SavedModel holds: each variable that its signatures read, once, and lookup tables.

    A Keras object among its attributes would store the weights twice (keras#23553), or load in
    Python and fail in the C++ session: so there is none.

    Args:
        functions: What the SavedModel offers, traced.
        transform: The adapted features.
        names: Features that they read.
        parts: Modules that they use.
    """

    def __init__(
        self,
        functions: Mapping[str, Any],
        transform: FeatureTransform,
        names: Iterable[str],
        *parts: tf.Module,
    ) -> None:
        super().__init__(name="servable")
        used = {id(v): v for function in functions.values() for v in function.variables}
        self.weights = list(used.values())
        self.parts = list(parts)
        spec, learned = transform.spec, transform.learned
        features = [spec[name] for name in transform.raw_signature(names)]
        owners = dict.fromkeys(spec.owner(feature.name).name for feature in features)
        owners |= dict.fromkeys(f.key_feature.name for f in features if isinstance(f, Attributes))
        self.lookups = [learned.lookups[name] for name in owners if name in learned.lookups]


def describe(functions: Mapping[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
    """Returns dtype and shape of every input and output, by signature."""
    return {
        name: {
            "inputs": _describe(function.structured_input_signature[1]),
            "outputs": _describe(function.structured_outputs),
        }
        for name, function in sorted(functions.items())
    }


def from_examples(
    function: Callable[[Raw], Raw], transform: FeatureTransform, names: Iterable[str]
) -> Callable[[Raw], Raw]:
    """Returns `function` with its features read from serialized tf.Examples."""
    return lambda raw: function(raw | transform.parse_example(raw["examples"], names))


def trace(function: Callable[[Raw], Raw], inputs: dict[str, tf.TensorSpec]) -> Any:
    """Returns a concrete function whose inputs are named."""
    named = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs.items()}
    traced = tf.function(lambda **raw: function(raw), autograph=False)
    return traced.get_concrete_function(**named)


def _describe(tensors: dict[str, Any]) -> dict[str, str]:
    described = {}
    for name, tensor in sorted(tensors.items()):
        sizes = ", ".join("?" if size is None else str(size) for size in tensor.shape)
        described[name] = f"{tensor.dtype.name}[{sizes}]"
    return described
