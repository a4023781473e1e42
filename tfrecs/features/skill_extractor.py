"""Skills out of free text: a tagger that learned from a list where skills stand in a sentence."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfrecs import checks
from tfrecs.features.skills import fold
from tfrecs.files import written_aside

OUTSIDE, BEGIN, INSIDE = 0, 1, 2
_BYTES = 1 << 16  # read of a text
_SHAPES = 4  # small letters, a capital, digits, anything else
_UNKNOWN = 1


@dataclass(frozen=True)
class TaggerOptions:
    """Size and training of a `SkillExtractor`.

    Args:
        dim: Width of token vectors and convolutions. Defaults to 48.
        window: Tokens to each side that a convolution reads; there are two. Defaults to 2.
        max_tokens: Tokens read of a text, the first ones. Defaults to 1,024.
        unknown_rate: Share of the tokens of known skills that are hidden in training. Defaults to
            0.5.
        epochs: Passes over the texts. Defaults to 12.
        batch_size: Texts of a step. Defaults to 64.
        learning_rate: Of Adam. Defaults to 3e-3.
        seed: Of weights, order and what is hidden. Defaults to 0.
    """

    dim: int = 48
    window: int = 2
    max_tokens: int = 1024
    unknown_rate: float = 0.5
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.unknown_rate < 1:
            expectation = "from 0 to below 1"
            raise ValueError(checks.expected("unknown_rate", expectation, self.unknown_rate))
        for name in ("dim", "window", "max_tokens", "epochs", "batch_size", "learning_rate"):
            checks.positive(name, getattr(self, name))


def tokens_of(texts: tf.Tensor, max_tokens: int = 1024) -> tf.RaggedTensor:
    """Splits texts into words and marks: "C++, Go." -> C++ , Go . (case stays).

    Of a text the first 64 KiB are read, and `max_tokens` tokens of it.

    Args:
        texts: string `(B,)`.
        max_tokens: Most tokens of a text.

    Returns:
        string, ragged `(B, None)`.
    """
    texts = tf.strings.substr(texts, 0, _BYTES)
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    spaced = tf.strings.regex_replace(texts, r"([^\pL\pM\pN\s+#'’-])", r" \1 ")
    return tf.strings.split(spaced)[:, :max_tokens]


class SkillExtractor(tf.Module):
    """Finds phrases that stand where skills stand, also such as training never saw.

    Each token is the vector of its word and of its shape; two convolutions see the words about it;
    a softmax says whether a skill begins, goes on or neither. It learns from sentences in which the
    phrases of a list are found, with a share of their words hidden, so that what stands about a
    phrase decides. It is stock TensorFlow: in tf.data, and inside a SavedModel.

    Args:
        words: The vocabulary; word `i` has id `i + 2`.
        options: Its size.

    Example:

    >>> cvs = [f"I am skilled in {skill} and like my dog." for skill in ["Go", "Rust", "SQL"] * 20]
    >>> extractor = SkillExtractor.train(cvs, ["Go", "Rust", "SQL"], TaggerOptions(epochs=8))
    >>> extractor.extract(["I am skilled in weaving and like my dog."])
    [['weaving']]
    """

    def __init__(self, words: Sequence[str], options: TaggerOptions | None = None) -> None:
        super().__init__(name="skill_extractor")
        self.options = options or TaggerOptions()
        self.words = tuple(words)
        ids = tf.range(len(self.words), dtype=tf.int64) + 2
        known = tf.lookup.KeyValueTensorInitializer(
            tf.constant(["", *self.words], tf.string), tf.pad(ids, [[1, 0]])
        )
        self.table = tf.lookup.StaticHashTable(known, _UNKNOWN)
        self.tagger = _tagger(len(self.words) + 2, self.options)

    @classmethod
    def train(
        cls, texts: Iterable[str], skills: Iterable[str], options: TaggerOptions | None = None
    ) -> "SkillExtractor":
        """Trains on texts, labelled by a list of skills.

        Args:
            texts: CVs, in English.
            skills: The phrases to label. What is to be found without having been seen must be in
                no sentence of `texts` (see `drop_sentences`): unlabelled it would count as none.
            options: Size and training.

        Raises:
            ValueError: If no phrase of `skills` is in `texts`.
        """
        options = options or TaggerOptions()
        tokens = tokens_of(tf.constant([*texts], tf.string), options.max_tokens)
        labels = label_tokens(tokens, skills)
        if not (labels.flat_values == BEGIN).numpy().any():
            raise ValueError(checks.expected("skills", "phrases that are in `texts`", list(skills)))
        lowered = tf.strings.lower(tokens.flat_values, encoding="utf-8").numpy()
        words, counts = np.unique(lowered, return_counts=True)
        extractor = cls([w.decode() for w, n in zip(words, counts, strict=True) if n > 1], options)
        extractor._fit(tokens, labels)
        return extractor

    def _fit(self, tokens: tf.RaggedTensor, labels: tf.RaggedTensor) -> None:
        options = self.options
        inputs = self.encode(tokens)
        wanted = tf.pad(labels.to_tensor(OUTSIDE), [[0, 0], [0, 1]])
        weights = tf.cast(inputs[0] > 0, tf.float32)

        def hidden(ids: Any, shapes: Any, wanted: Any, weights: Any) -> Any:
            drawn = tf.random.uniform(tf.shape(ids), seed=options.seed) < options.unknown_rate
            # a few words about them too: an unknown word alone must not be a skill
            other = tf.random.uniform(tf.shape(ids), seed=options.seed + 1) < 0.1
            hide = tf.where(wanted > 0, drawn, other) & (ids > 0)
            return (tf.where(hide, tf.cast(_UNKNOWN, ids.dtype), ids), shapes), wanted, weights

        data = tf.data.Dataset.from_tensor_slices((*inputs, wanted, weights))
        data = data.shuffle(len(wanted), seed=options.seed).batch(options.batch_size).map(hidden)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.tagger.compile(keras.optimizers.Adam(options.learning_rate), loss)
        self.tagger.fit(data, epochs=options.epochs, verbose=0, shuffle=False)

    def encode(self, tokens: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns word ids and shapes `(B, L + 1)` of tokens, padded with 0."""
        flat = tokens.flat_values
        ids = self.table.lookup(tf.strings.lower(flat, encoding="utf-8"))
        tests = (r"\p{Ll}[^\p{Lu}]*", r"\p{Lu}.*", r".*\pN.*")
        matches = [tf.cast(tf.strings.regex_full_match(flat, test), tf.int64) for test in tests]
        shape = tf.reduce_max([match * place for place, match in enumerate(matches, 1)], axis=0)
        shape = tf.where(shape == 0, tf.constant(_SHAPES, tf.int64), shape)
        rows = (tokens.with_flat_values(values).to_tensor(0) for values in (ids, shape))
        ids, shape = (tf.pad(x, [[0, 0], [0, 1]]) for x in rows)  # one token at least
        return ids, shape

    @tf.autograph.experimental.do_not_convert
    def __call__(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Returns the phrases found in texts, string `(B,)`, as ragged strings `(B, None)`."""
        return self.phrases(tokens_of(texts, self.options.max_tokens))

    @tf.autograph.experimental.do_not_convert
    def phrases(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Returns the phrases found among tokens, string ragged `(B, None)`, likewise."""
        ids, shapes = self.encode(tokens)
        found = tf.argmax(self.tagger([ids, shapes]), axis=-1, output_type=tf.int32)  # (B, L)
        found = tf.where(ids > 0, found, OUTSIDE)
        before = tf.pad(found, [[0, 0], [1, 0]])[:, :-1]
        begins = (found == BEGIN) | ((found == INSIDE) & (before == OUTSIDE))
        marks = tf.cast(begins, tf.int32), tf.cast(found > OUTSIDE, tf.int32)
        lengths = tokens.row_lengths()
        begin, inside = (tf.RaggedTensor.from_tensor(mark, lengths).flat_values for mark in marks)
        number = tf.cumsum(begin) - 1  # of the phrase that a token is in
        count = tf.reduce_sum(begin)
        chosen = inside > 0
        phrases = tf.strings.unsorted_segment_join(
            tf.boolean_mask(tokens.flat_values, chosen),
            tf.boolean_mask(number, chosen),
            count,
            separator=" ",
        )
        per_text = tf.math.segment_sum(begin, tokens.value_rowids())
        rows = tf.cast(tokens.nrows(), tf.int32)
        per_text = tf.pad(per_text, [[0, rows - tf.size(per_text)]])
        return tf.RaggedTensor.from_row_lengths(phrases, per_text, validate=False)

    def extract(self, texts: Iterable[str | None]) -> list[list[str]]:
        """Returns the phrases of each text, in its order; none for an empty one."""
        found: list[list[str]] = []
        texts = [text or "" for text in texts]
        for start in range(0, len(texts), 256):
            rows = self(tf.constant(texts[start : start + 256], tf.string)).to_list()
            found += [[phrase.decode() for phrase in row] for row in rows]
        return found

    def save(self, folder: str | Path) -> None:
        """Writes vocabulary, options and weights into a folder; whole or not at all."""
        with written_aside(folder) as aside:
            aside.mkdir()
            said = {"words": self.words, "options": asdict(self.options)}
            (aside / "extractor.json").write_text(json.dumps(said))
            self.tagger.save_weights(aside / "tagger.weights.h5")

    @classmethod
    def load(cls, folder: str | Path) -> "SkillExtractor":
        """Reads what `save` wrote."""
        said = json.loads((Path(folder) / "extractor.json").read_text())
        extractor = cls(said["words"], TaggerOptions(**said["options"]))
        extractor.tagger.load_weights(Path(folder) / "tagger.weights.h5")
        return extractor


def drop_sentences(texts: Iterable[str], phrases: Iterable[str]) -> list[str]:
    """Returns texts without the sentences that hold any of the phrases, by `fold`.

    Example:

    >>> drop_sentences(["Trained in Go. Likes dogs!"], ["go"])
    ['Likes dogs!']
    """
    parts = [re.split(r"(?<=[.!?])\s+", text) for text in texts]
    tokens = tokens_of(tf.constant([s for part in parts for s in part], tf.string))
    held = tf.reduce_any(label_tokens(tokens, phrases) > OUTSIDE, axis=1).numpy().tolist()
    kept = iter(held)
    return [" ".join(s for s in part if not next(kept)) for part in parts]


def label_tokens(tokens: tf.RaggedTensor, skills: Iterable[str]) -> tf.RaggedTensor:
    """Labels the tokens of the phrases of a list: 1 begins, 2 goes on, 0 neither.

    Phrases are compared by their `fold`, the longest first.

    Args:
        tokens: string, ragged `(B, None)`.
        skills: The phrases.

    Returns:
        int32, ragged as `tokens`.

    Example:

    >>> tokens = tokens_of(tf.constant(["Knows Unit-Testing, Go"]))
    >>> label_tokens(tokens, ["go", "unit testing"]).to_list()
    [[0, 1, 0, 1]]
    """
    known = {key.decode() for key in fold(tf.constant([*skills] or [""], tf.string)).numpy()} - {""}
    longest = max((len(key.split()) for key in known), default=0)
    keys = [key.decode() for key in fold(tokens.flat_values).numpy()]
    labels = np.zeros(len(keys), np.int32)
    for start, stop in zip(tokens.row_starts().numpy(), tokens.row_limits().numpy(), strict=True):
        place = int(start)
        while place < stop:
            ends = range(min(place + longest, int(stop)), place, -1)
            end = next((e for e in ends if _phrase(keys[place:e]) in known), place)
            labels[place:end] = INSIDE
            labels[place : place + (end > place)] = BEGIN
            place = max(end, place + 1)
    return tokens.with_flat_values(tf.constant(labels))


def _phrase(keys: list[str]) -> str:
    return " ".join(keys) if all(keys) else ""  # a mark folds to nothing


def _tagger(num_words: int, options: TaggerOptions) -> keras.Model:
    ids, shapes = keras.Input((None,), dtype="int64"), keras.Input((None,), dtype="int64")
    seeds = [keras.initializers.GlorotUniform(options.seed + n) for n in range(5)]
    x = keras.layers.Embedding(num_words, options.dim, embeddings_initializer=seeds[0])(ids)
    x += keras.layers.Embedding(_SHAPES + 1, options.dim, embeddings_initializer=seeds[1])(shapes)
    known = ops.cast(ids > 0, x.dtype)[..., None]
    for number in (2, 3):
        width = 2 * options.window + 1
        x *= known  # padding is as the end of the text
        x = keras.layers.Conv1D(
            options.dim, width, padding="same", activation="relu", kernel_initializer=seeds[number]
        )(x)
    logits = keras.layers.Dense(3, kernel_initializer=seeds[4])(x)
    return keras.Model([ids, shapes], logits)
