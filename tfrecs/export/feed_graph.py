"""The graph of the iki feed: raw profile and histories, candidates, ranker, reasons."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrecs import checks
from tfrecs.export.catalogue import SCORE
from tfrecs.export.padding import Raw, read_rows
from tfrecs.export.servable import EMBEDDING, trace
from tfrecs.features import ContentVectors, FeatureTransform
from tfrecs.features.skill_extractor import SkillExtractor
from tfrecs.features.skills import Skills
from tfrecs.features.vocabulary import missing_value
from tfrecs.models.iki import DISLIKED, LIKED, TAGS, VIEWED
from tfrecs.retrieval.tag_candidates import SOURCES, TagCandidates

TAG, CV, N, SKILLS, TEXT = "tag", "cv", "n", "skills", "text"
SOURCE, NEAREST = "source", "nearest_liked"


class FeedSignatures:
    """The functions that the SavedModel of a feed offers. They close over the model.

    Args:
        model: An `IkiRanker`.
        transform: Its features.
        candidates: The sources of candidates.
        n: Number of results of `serving_default`. Defaults to 10.
        extractor: Reads skills out of the input "cv"; `None` for no such input.
        skills: The set that skills, given and found, are normalised to; `None` leaves them.
        content: Vectors of texts, for the signature "content"; `None` for no such signature.
    """

    def __init__(
        self,
        model: Any,
        transform: FeatureTransform,
        candidates: TagCandidates,
        *,
        n: int = 10,
        extractor: SkillExtractor | None = None,
        skills: Skills | None = None,
        content: ContentVectors | None = None,
    ) -> None:
        checks.positive("n", n)
        self.model, self.transform, self.candidates = model, transform, candidates
        self.n, self.extractor, self.skills, self.content = n, extractor, skills, content
        spec = transform.spec
        if (extractor or skills) and SKILLS not in spec:
            remedy = "Add MultiCategorical('skills') to the users."
            raise ValueError(checks.expected("transform", "one with skills", spec.names, remedy))
        self.names = (*(feature.name for feature in model.sets), LIKED, DISLIKED, VIEWED)
        self.item = spec.candidate_id.name
        self.inputs = transform.raw_signature(self.names)
        self.inputs[TAG] = tf.TensorSpec(
            [None], tf.as_dtype(getattr(spec[TAGS], "dtype", "string"))
        )
        if extractor is not None:
            self.inputs[CV] = tf.TensorSpec([None], tf.string)
        self.tags = transform.learned.lookup(spec[TAGS])
        missing = missing_value(spec.candidate_id.dtype)
        known = transform.vocabulary(self.item)
        self.ids = tf.Variable(np.array([missing, missing, *known], known.dtype), trainable=False)
        chosen = ([n for bit, n in enumerate(SOURCES) if x >> bit & 1] for x in range(1 << 5))
        self.sources = tf.Variable([", ".join(names) for names in chosen], trainable=False)

    def trace(self) -> dict[str, Any]:
        """Returns the signatures as concrete functions, by name."""
        functions = {
            "serving_default": trace(lambda raw: self.feed({**raw, N: self.n}), self.inputs),
            "feed": trace(self.feed, self.inputs | {N: tf.TensorSpec([], tf.int32)}),
        }
        if self.content is not None:
            texts = {TEXT: tf.TensorSpec([None], tf.string)}
            content = self.content
            functions["content"] = trace(lambda raw: {EMBEDDING: content(raw[TEXT])}, texts)
        return functions

    @tf.autograph.experimental.do_not_convert
    def feed(self, raw: Raw) -> Raw:
        """Raw users, each with a tag, to the best `n` items of the tag: ids, scores, reasons."""
        raw = read_rows(raw, self.inputs, self.transform) | {N: raw[N]}
        if SKILLS in self.inputs:
            raw[SKILLS] = self._skills(raw)
        batch = self.transform(raw, self.names)
        rows = {**batch, TAG: self.tags(raw[TAG])}
        spec = {
            self.item: tf.TensorSpec([None], self.ids.dtype),
            SCORE: tf.TensorSpec([None], tf.float32),
            SOURCE: tf.TensorSpec([None], tf.string),
            NEAREST: tf.TensorSpec([None], self.ids.dtype),
        }
        found: Raw = tf.map_fn(lambda row: self._one(row, raw[N]), rows, fn_output_signature=spec)
        return found

    def _skills(self, raw: Raw) -> tf.Tensor:
        """Returns given skills and those in the CV, normalised `(B, S)`."""
        given = raw[SKILLS]
        if self.extractor is not None:
            found = self.extractor(raw[CV]).to_tensor("")
            given = tf.concat([given, found], axis=1)
        return given if self.skills is None else self.skills(given)

    def _one(self, row: Raw, n: tf.Tensor) -> Raw:
        """One user and tag; missing ids and -inf where there are fewer than `n`."""
        liked = tf.boolean_mask(row[LIKED], row[LIKED] > 1)
        lists = (row[LIKED], row[DISLIKED], row[VIEWED])
        ids, bits = self.candidates(row[TAG], *lists)
        batch = {name: value[tf.newaxis] for name, value in row.items() if name != TAG}
        batch[self.item] = ids[tf.newaxis]
        scores = tf.cast(self.model.for_tag(batch, row[TAG])[0], tf.float32)  # (M,)
        count = tf.minimum(n, tf.size(ids))
        scores, order = tf.math.top_k(scores, count)
        best, bits = tf.gather(ids, order), tf.gather(bits, order)
        rest = [[0, n - count]]
        return {
            self.item: tf.gather(self.ids, tf.pad(best, rest)),
            SCORE: tf.pad(scores, rest, constant_values=float("-inf")),
            SOURCE: tf.gather(self.sources, tf.pad(bits, rest)),
            NEAREST: tf.gather(self.ids, tf.pad(self._nearest(best, liked), rest)),
        }

    def _nearest(self, items: tf.Tensor, liked: tf.Tensor) -> tf.Tensor:
        """Returns the liked item whose content is most like each item's, 0 without any."""
        rows, others = (
            tf.math.l2_normalize(tf.gather(self.candidates.content, ids), axis=1)
            for ids in (items, liked)
        )
        places = tf.cond(
            tf.size(liked) > 0,
            lambda: tf.argmax(tf.matmul(rows, others, transpose_b=True), 1, tf.int32),
            lambda: tf.zeros([tf.size(items)], tf.int32),
        )
        return tf.gather(tf.concat([liked, [0]], axis=0), places)
