"""The checks are checked: each passes something sound and fails something broken in its way."""

import keras
import keras_rs
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from keras import ops

from tfrecs.features import FeatureTransform
from tfrecs.losses import InBatch, ListLoss, Sigmoid, Softmax
from tfrecs.metrics import Precision, Recall
from tfrecs.models import Ranker, Retriever
from tfrecs.retrieval import Exact
from tfrecs.spec import (
    Attributes,
    Categorical,
    Cross,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Timestamp,
    Vector,
)
from tfrecs.testing import (
    ContractError,
    ModelCase,
    check_index,
    check_loss,
    check_metric,
    check_model,
    checkerboard,
    markov_sequences,
    random_table,
)

HISTORY = FeatureSpec(
    (
        Categorical("item_id", "candidate", is_id=True),
        Sequence("history", "query", shared_with="item_id"),
    )
)
IDS = FeatureSpec(
    (Categorical("user_id", "query", is_id=True), Categorical("item_id", "candidate", is_id=True))
)


class Toy(Retriever):
    """Scores candidates against the sum of what the user is and did; `flaw` breaks it."""

    made = 0

    def __init__(self, spec, flaw="", seed=0, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        type(self).made += 1
        self.flaw = flaw
        size, policy = spec.candidate_id.size, self.dtype_policy
        if flaw == "same_seed":
            seed = self.made
        self.items, self.own = (
            keras.layers.Embedding(
                max(size, 40), 16, keras.initializers.RandomNormal(0.3, seed=s), dtype=policy
            )
            for s in (seed, seed + 1)
        )
        self.items.build()
        self.own.build()
        self.drop = keras.layers.Dropout(dropout, seed=seed)
        self.unused = self.add_weight(shape=(1,), trainable=flaw == "gradients")
        object.__setattr__(self, "hidden", tf.Variable(0.0))
        self.number = self.made

    def get_config(self):
        if self.flaw == "config_round_trip":
            return {**super().get_config(), "seed": Toy.made}
        return super().get_config()

    def predict_step(self, *arguments):
        if self.flaw == "predict_pairs":
            return keras.Model.predict_step(self, *arguments)
        return super().predict_step(*arguments)

    def query(self, batch, training=False):
        vectors = self._read(batch) if "history" in batch else self.own(batch["user_id"])
        if self.flaw == "dropout":
            vectors = self.drop(vectors, training=True)
        if self.flaw == "row_order":
            vectors = vectors + ops.cast(ops.arange(ops.shape(vectors)[0])[:, None], vectors.dtype)
        if self.flaw == "batch_independence":
            vectors = vectors - ops.mean(vectors, axis=0)
        if self.flaw == "unknown_batch_size" and vectors.shape[0] is None:
            vectors = 2 * vectors
        if self.flaw == "saved_model" and not tf.executing_eagerly():
            vectors = 2 * vectors
        if self.flaw == "equals_jax" and keras.backend.backend() == "jax":
            vectors = 2 * vectors
        if self.flaw == "save_and_load":
            vectors = self.number * vectors
        if self.flaw == "unknown_ids":
            vectors = vectors * ops.log(ops.cast(batch["user_id"], vectors.dtype))[:, None]
        if self.flaw == "checkerboard":
            vectors = 1 + 0 * vectors
        if self.flaw == "jit":
            shape = vectors.shape
            vectors = tf.py_function(lambda x: x, [vectors], vectors.dtype)
            vectors.set_shape(shape)
        if self.flaw == "resume" and training:
            self.hidden.assign_add(1.0)
            vectors = vectors * self.hidden
        return vectors

    def _read(self, batch):
        mask = ops.cast(batch["history_mask"], self.compute_dtype)
        place = ops.cumsum(mask, axis=1)  # the last item has the greatest
        last = ops.equal(place, ops.max(place, axis=1, keepdims=True))
        last = ops.cast(last, mask.dtype) * mask
        if self.flaw == "extra_padding":
            last = 1 - 0 * mask
        if self.flaw == "predictable_sequences":
            last = 0 * mask
        vectors = ops.sum(self.own(batch["history"]) * last[..., None], axis=1)
        if self.flaw == "random_sequences" and "item_id" in batch and batch["item_id"].ndim == 1:
            vectors = 0 * vectors + self.items(batch["item_id"])  # reads the answer
        return vectors

    def candidate(self, batch, training=False):
        return self.items(batch["item_id"])

    def score(self, query, candidate):
        if len(candidate.shape) == 2:
            return ops.matmul(query, ops.transpose(candidate))
        scores = ops.sum(query[:, None] * candidate, axis=-1)
        return ops.cast(scores, "float32") if self.flaw == "mixed_precision" else scores

    def call(self, batch, training=False):
        scores = self.score(self.query(batch, training), self.candidate(batch))
        return 2 * scores if self.flaw == "call_equals_score" else scores


def case(flaw="", spec=IDS, **kwargs):
    return ModelCase(
        "toy",
        build=lambda spec: Toy(spec, flaw=flaw),
        loss=lambda: InBatch(Softmax()),
        label="item_id",
        spec=spec,
        **kwargs,
    )


def run(checks, name):
    {check.name: check.run for check in checks}[name]()


SEQUENCE_CHECKS = {
    "extra_padding": "Scores with more padding",
    "predictable_sequences": r"hit@1 on predictable sequences is 0\.[01]",
    "random_sequences": r"hit@1 on random sequences is (1|0\.9)",
}
MODEL_CHECKS = {
    "config_round_trip": "get_config",
    "save_and_load": "Loaded scores",
    "dropout": "Scores at a dropout of 0.5",
    "unknown_batch_size": "A graph's scores of 1 rows",
    "batch_independence": "The score of row 0 alone",
    "row_order": "Scores of shuffled rows",
    "unknown_ids": "Scores of rows whose ids are all 0",
    "mixed_precision": "the scores are float32",
    "gradients": "has no gradient",
    "same_seed": "differs by .* before training",
    "resume": "differs by .* after resuming",
    "equals_jax": "Scores on JAX: they differ by",
    "call_equals_score": "of candidate lists against score",
    "predict_pairs": r"predict in batches against pairs at once: shape \(10, 5\)",
    "saved_model": "Query vectors of the SavedModel",
    "checkerboard": r"hit@1 on the checkerboard is 0",
}


@pytest.mark.parametrize("name", [*MODEL_CHECKS, *SEQUENCE_CHECKS])
def test_a_model_that_breaks_a_promise_fails_the_check(name):
    spec = HISTORY if name in SEQUENCE_CHECKS else IDS
    with pytest.raises(ContractError, match=(MODEL_CHECKS | SEQUENCE_CHECKS)[name]):
        run(check_model(case(name, spec)), name)


def test_a_model_that_xla_cannot_compile_fails_the_check():
    with pytest.raises(tf.errors.InvalidArgumentError, match="EagerPyFunc"):
        run(check_model(case("jit")), "jit")


def test_a_model_that_does_not_learn_fails_the_check():
    with pytest.raises(ContractError, match=r"After 100 steps on 32 rows the loss is 3\.\d"):
        run(check_model(case(learning_rate=0.0)), "overfit")


@pytest.mark.parametrize(
    "name",
    [
        "save_and_load",
        "unknown_batch_size",
        "batch_independence",
        "row_order",
        "extra_padding",
        "unknown_ids",
        "mixed_precision",
        "call_equals_score",
        "predict_pairs",
        "predictable_sequences",
        "random_sequences",
        "equals_jax",
        "saved_model",
    ],
)
def test_a_sound_sequence_model_passes(name):
    run(check_model(case(spec=HISTORY)), name)


def test_the_checks_are_those_that_apply():
    by_ids = [check.name for check in check_model(case())]
    by_history = [check.name for check in check_model(case(spec=HISTORY))]
    assert sorted(by_ids) == sorted([*MODEL_CHECKS, "jit", "overfit"])
    assert set(by_history) - set(by_ids) == set(SEQUENCE_CHECKS)
    assert set(by_ids) - set(by_history) == {"checkerboard"}


def test_every_check_says_what_it_checks():
    for check in check_model(case(spec=HISTORY)):
        assert check.run.func.__doc__.strip().endswith("."), check.name


def test_an_exception_carries_its_reason_and_must_name_a_check():
    made = case(exceptions={"jit": "uses a lookup that XLA does not know"})
    reasons = {check.name: check.exception for check in check_model(made)}
    assert reasons.pop("jit") == "uses a lookup that XLA does not know"
    assert set(reasons.values()) == {""}
    with pytest.raises(ValueError, match=r"`exceptions` must be one of .* Did you mean 'jit'"):
        list(check_model(case(exceptions={"jitt": "why"})))


def test_build_must_return_a_model():
    made = ModelCase("x", build=lambda spec: "model", loss=Softmax, label="item_id")
    with pytest.raises(TypeError, match="`build` must be a function that returns a Ranker or a"):
        list(check_model(made))


class EveryKind(Ranker):
    """Reads every kind of feature."""

    def __init__(self, spec, **kwargs):
        super().__init__(**kwargs)
        self.names = [f.name for f in spec.by_role("query", "context", "candidate", "time")]
        self.dense = keras.layers.Dense(1)

    def call(self, batch, training=False):
        columns = []
        for name in self.names:
            values = ops.cast(batch[name], "float32")
            if f"{name}_mask" in batch:
                values = ops.sum(values * ops.cast(batch[f"{name}_mask"], "float32"), axis=1)
            columns.append(values if len(values.shape) == 2 else values[:, None])
        return self.dense(ops.tanh(ops.concatenate(columns, axis=1) * 1e-9))[:, 0]


EVERY_KIND = FeatureSpec(
    (
        Categorical("user_id", "query", is_id=True, dtype="int64"),
        Categorical("country", "query", vocabulary=("nl", "be")),
        Categorical("item_id", "candidate", is_id=True),
        Categorical("last_item", "query", shared_with="item_id"),
        MultiCategorical("tags", "candidate"),
        Sequence("history", "query", shared_with="item_id"),
        Sequence("ratings", "query", dtype="float32"),
        Numeric("age", "query", normalize="quantile", num_bins=3),
        Text("title"),
        Vector("image", dim=3),
        Timestamp("time"),
        Cross("both", features=("country", "last_item"), hash_bins=7),
        Numeric("click", "label"),
    )
)


class OtherInGraphs(EveryKind):
    """Adds 1 in a graph."""

    def call(self, batch, training=False):
        return super().call(batch, training) + (0.0 if tf.executing_eagerly() else 1.0)


def ranker_case(build):
    return ModelCase(
        "every_kind",
        build=build,
        loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        label="click",
        spec=EVERY_KIND,
    )


@pytest.mark.parametrize(
    "name", ["unknown_batch_size", "batch_independence", "extra_padding", "saved_ranker"]
)
def test_rows_are_made_up_for_every_kind_of_feature(name):
    run(check_model(ranker_case(EveryKind)), name)


def test_a_ranker_whose_graph_differs_fails_the_check():
    with pytest.raises(ContractError, match="Scores of the SavedModel: they differ by 1,"):
        run(check_model(ranker_case(OtherInGraphs)), "saved_ranker")


def test_made_up_rows_are_those_of_the_seed():
    first, same, other = (random_table(EVERY_KIND, 9, seed) for seed in (0, 0, 1))
    assert first.equals(same)
    assert not first.equals(other)
    assert first.column_names == [name for name in EVERY_KIND.names if name != "both"]
    assert first["country"].unique().to_pylist() in (["nl", "be"], ["be", "nl"])
    assert set(first["last_item"].to_pylist()) <= set(first["item_id"].to_pylist())
    assert pa.types.is_list(first["tags"].type)


def test_made_up_rows_are_aligned_and_nested_as_the_spec_says():
    spec = FeatureSpec(
        (
            Sequence("prices", dtype="float32", aligned_with="shown"),
            Sequence("shown"),
            Vector("photos", dim=3, max_count=2),
            Attributes("facts", keys=("brand", "size")),
            Numeric("rank", normalize="cdf"),
        )
    )
    table = random_table(spec, 20)
    lengths = [[len(row) for row in table[name].to_pylist()] for name in ("prices", "shown")]
    assert lengths[0] == lengths[1]
    assert {len(row) for row in table["photos"].to_pylist()} == {0, 1, 2}
    assert [key for key, _ in table["facts"][0].as_py()] == ["brand", "size"]
    FeatureTransform(spec).adapt(table).encode(table)  # raises where a column does not fit


def test_the_checkerboard_is_half_full_without_its_diagonal():
    board = checkerboard(6)
    assert board[0].tolist() == [-1, 0, 1, 0, 1, 0]
    assert board[1].tolist() == [0, -1, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="`size` must be an even number"):
        checkerboard(5)


@pytest.mark.parametrize("predictability", [0.0, 0.5, 1.0])
def test_markov_sequences_follow_their_cycle_as_often_as_they_say(predictability):
    cycle = markov_sequences(1, 11, num_items=10, predictability=1.0)[0]
    successor = dict(zip(cycle[:-1].tolist(), cycle[1:].tolist(), strict=True))
    assert len(successor) == len(set(successor.values())) == 10
    rows = markov_sequences(2000, 6, num_items=10, predictability=predictability, seed=1)
    follows = np.vectorize(successor.get)(rows[:, :-1]) == rows[:, 1:]
    expected = predictability + (1 - predictability) / 10
    assert follows.mean() == pytest.approx(expected, abs=0.02)  # 4 standard errors


def test_a_predictability_over_1_is_an_error():
    with pytest.raises(ValueError, match="`predictability` must be from 0 to 1"):
        markov_sequences(1, 2, num_items=3, predictability=1.5)


class BrokenLoss(Sigmoid):
    """A sound loss, but for `flaw`."""

    def __init__(self, flaw="", **kwargs):
        super().__init__(**kwargs)
        self.flaw = flaw

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if self.flaw == "ignored_labels":
            y_true = ops.maximum(y_true, 0)
        if self.flaw == "row_weights":
            sample_weight = None
        if self.flaw == "unknown_labels":
            return keras.losses.Loss.__call__(self, y_true, y_pred, sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, labels, scores):
        if self.flaw == "one_sided_rows":
            return ops.mean(ops.softplus(-labels * scores), axis=-1)
        if self.flaw == "unknown_labels":
            return super().call(ops.clip(ops.round(labels), -1, 1), scores)
        return super().call(labels, scores)

    def lists(self, positive, negative, scores, num_positives, num_negatives):
        if self.flaw == "extreme_scores":
            return ops.log(1 + ops.sum(ops.exp(scores) * ops.cast(negative, scores.dtype), axis=-1))
        loss = super().lists(positive, negative, scores, num_positives, num_negatives)
        return -loss if self.flaw in ("least_at_perfect_ranking", "gradient_sign") else loss

    def get_config(self):
        return super().get_config() | {"flaw": "" if "config" not in self.flaw else self.flaw + "!"}


LOSS_CHECKS = [check.name for check in check_loss(Sigmoid)]


@pytest.mark.parametrize("name", LOSS_CHECKS)
def test_a_loss_that_breaks_a_promise_fails_the_check(name):
    keras.saving.get_custom_objects()["BrokenLoss"] = BrokenLoss
    run(check_loss(lambda **kwargs: BrokenLoss("", **kwargs)), name)
    with pytest.raises(ContractError):
        run(check_loss(lambda **kwargs: BrokenLoss(name, **kwargs)), name)


def test_a_list_loss_must_say_what_it_computes():
    with pytest.raises(NotImplementedError):
        ListLoss()([[1, 0]], [[0.5, 0.1]])
    with pytest.raises(NotImplementedError):
        InBatch(ListLoss())(np.array([1, 2]), np.eye(2))


class BrokenRecall(Recall):
    """A sound metric, but for `flaw`."""

    flaw = ""

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.convert_to_tensor(y_true, "float32")
        y_pred = ops.convert_to_tensor(y_pred, "float32")
        if self.flaw == "ignored_labels":
            y_true = ops.maximum(y_true, 0)
        if self.flaw == "ties":
            y_pred = y_pred + 1e-3 * y_true
        if self.flaw == "row_weights":
            sample_weight = None
        if self.flaw == "not_a_number":
            y_pred, y_true = ops.nan_to_num(y_pred), ops.minimum(y_true, 1)
        if self.flaw == "rows_without_positives":
            return keras_rs.metrics.RecallAtK.update_state(self, y_true, y_pred, sample_weight)
        return super().update_state(y_true, y_pred, sample_weight)

    def reset_state(self):
        if self.flaw != "streaming":
            super().reset_state()

    def get_config(self):
        return super().get_config() | ({"k": 1} if self.flaw == "config_round_trip" else {})


def recall(ranked, k):
    return ranked[:k].sum() / ranked.sum()


@pytest.mark.parametrize("name", [check.name for check in check_metric(Recall, recall)])
def test_a_metric_that_breaks_a_promise_fails_the_check(name):
    build = (
        Precision if name == "equals_oracle" else type("Broken", (BrokenRecall,), {"flaw": name})
    )
    keras.saving.get_custom_objects()["Broken"] = build
    with pytest.raises(ContractError):
        run(check_metric(build, recall), name)


class BrokenIndex(Exact):
    """A sound index, but for `flaw`."""

    flaw = ""

    def index(self, vectors, ids):
        if self.flaw == "rebuild" and self._id_map is not None:
            return self
        if self.flaw == "bad_input":
            try:
                return super().index(vectors, ids)
            except ValueError:
                return self
        return super().index(vectors, ids)

    def call(self, queries, k=None, exclude=None):
        if self.flaw == "k_at_call_time":
            k = min(k, self.num_candidates)
        if self.flaw == "exclusion":
            exclude = None
        scores, ids = super().call(queries, k, exclude)
        if self.flaw == "equals_oracle":
            ids = ids[:, ::-1]
        if self.flaw == "nothing_left":
            scores = ops.nan_to_num(scores)
        return scores, ids

    def _arrays(self):
        arrays = super()._arrays()
        if self.flaw == "save_and_load":
            arrays = {name: -values for name, values in arrays.items()}
        return arrays


@pytest.mark.parametrize("name", [check.name for check in check_index(Exact)])
def test_an_index_that_breaks_a_promise_fails_the_check(name):
    broken = type("Exact", (BrokenIndex,), {"flaw": name})
    with pytest.raises(ContractError):
        run(check_index(broken), name)
    run(check_index(Exact), name)
