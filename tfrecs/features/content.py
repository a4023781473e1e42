"""Content vectors: word vectors weighed by tf-idf, in the graph and on Arrow columns alike."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.transform import FeatureTransform
from tfrecs.features.word_vectors import read_word_vectors
from tfrecs.files import written_aside
from tfrecs.layers import singular_vectors
from tfrecs.spec import NUM_RESERVED_IDS, FeatureSpec, Text

_LOG = logging.getLogger("tfrecs")
_TEXT = "text"


class ContentVectors(tf.Module):
    """Texts to vectors: `sum over words w of tf(w) idf(w) v(w)`, over the sum of the weights.

    `idf(w) = ln((1 + N) / (1 + df(w))) + 1` over the N texts of `adapt`. Words without a vector
    are left out, and counted in `coverage`. A text without any known word is zeros.

    The vectors v come from a file (GloVe, word2vec). Without one they are learned from the texts
    themselves: the right singular vectors of the tf-idf matrix (latent semantic analysis).

    Args:
        transform: The tokens of the feature "text", adapted.
        table: float32 `(V + 2, D + 1)`: a word's `idf v` and its idf; zeros for words without v.
        coverage: Shares of distinct words and of all words that have a vector.
        normalize: Whether to divide by the sum of the weights.

    Example:

    >>> texts = pa.chunked_array([["red wine", "red cars", "fast cars", "fast red cars"]])
    >>> content = ContentVectors.adapt(texts, dim=2)
    >>> content.encode(texts).shape, content(tf.constant(["a fast wine", ""])).shape
    ((4, 2), TensorShape([2, 2]))
    """

    def __init__(
        self,
        transform: FeatureTransform,
        table: np.ndarray,
        coverage: dict[str, float],
        normalize: bool = True,
    ) -> None:
        super().__init__(name="content_vectors")
        self.transform = transform
        self._coverage = tuple(coverage.items())  # tf.Module would wrap a dict
        self.normalize = normalize
        self.table = tf.Variable(table, trainable=False, name="word_vectors")

    @property
    def coverage(self) -> dict[str, float]:
        """Shares of distinct words ("words") and of all words ("tokens") with a vector."""
        return dict(self._coverage)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.table.shape[1]) - 1

    @classmethod
    def adapt(
        cls,
        texts: pa.ChunkedArray,
        *,
        vectors: str | Path | None = None,
        dim: int = 64,
        max_size: int = 50_000,
        max_length: int = 512,
        normalize: bool = True,
        seed: int = 0,
    ) -> "ContentVectors":
        """Counts words and finds their vectors.

        Args:
            texts: The texts, string, null where there is none.
            vectors: File of word vectors; `None` learns them from `texts`.
            dim: Length of the vectors that are learned. Defaults to 64.
            max_size: Most words kept, the frequent first. Defaults to 50,000.
            max_length: Most words read of a text, the first ones. Defaults to 512.
            normalize: Whether to divide by the sum of the weights. Defaults to `True`.
            seed: Of the vectors that are learned. Defaults to 0.

        Raises:
            ValueError: If there is no word in `texts`, or the file is malformed.
        """
        checks.positive("dim", dim)
        spec = FeatureSpec((Text(_TEXT, max_length=max_length, max_size=max_size),))
        transform = FeatureTransform(spec).adapt(pa.table({_TEXT: texts}))
        words = transform.vocabulary(_TEXT).tolist()
        if not words:
            raise ValueError(
                checks.expected("texts", "texts of one word or more", texts.slice(0, 3))
            )
        counts = _counts(transform, texts)
        frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
        idf = np.log((1 + counts.shape[0]) / (1 + frequency)) + 1
        idf[:NUM_RESERVED_IDS] = 0
        if vectors is None:
            known, rows = np.ones(len(words), bool), _learned(counts, idf, dim, seed)
        else:
            read = read_word_vectors(vectors, words, seed=seed)
            known, rows = read.found, read.table
        idf[NUM_RESERVED_IDS:][~known] = 0
        met = np.asarray(counts.sum(axis=0)).ravel()
        coverage = {
            "words": float(known.mean()),
            "tokens": float(met[NUM_RESERVED_IDS:][known].sum() / max(met[1:].sum(), 1)),
        }
        _LOG.info("Word vectors cover %(words).3f of words, %(tokens).3f of tokens", coverage)
        table = np.concatenate([rows * idf[:, None], idf[:, None]], axis=1)
        return cls(transform, table.astype(np.float32), coverage, normalize)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns vectors `(B, D)` of texts, string `(B,)`, in any graph."""
        ids = self.transform({_TEXT: texts})[_TEXT]  # (B, L), padding is a row of zeros
        sums = tf.reduce_sum(tf.gather(self.table, ids), axis=1)
        return self._divided(sums)

    def encode(self, texts: pa.ChunkedArray) -> np.ndarray:
        """Returns vectors `(B, D)` of an Arrow column: the same, by a sparse product."""
        sums = _counts(self.transform, texts) @ self.table.numpy()
        return np.asarray(self._divided(tf.constant(sums)))

    def _divided(self, sums: tf.Tensor) -> tf.Tensor:
        if not self.normalize:
            return sums[:, :-1]
        return tf.math.divide_no_nan(sums[:, :-1], sums[:, -1:])

    def save(self, folder: str | Path) -> None:
        """Writes words, vectors and coverage into a folder; whole or not at all."""
        with written_aside(folder) as aside:
            self.transform.save(aside / "features")
            np.save(aside / "table.npy", self.table.numpy())
            said = {"coverage": self.coverage, "normalize": self.normalize}
            (aside / "content.json").write_text(json.dumps(said))

    @classmethod
    def load(cls, folder: str | Path) -> "ContentVectors":
        """Reads what `save` wrote."""
        folder = Path(folder)
        said = json.loads((folder / "content.json").read_text())
        transform = FeatureTransform.load(folder / "features")
        return cls(transform, np.load(folder / "table.npy"), **said)


def joined_texts(table: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Returns the texts and lists of texts of some columns, each row as one text.

    Example:

    >>> table = pa.table({"title": ["Red wine", None], "tags": [["food"], ["cars", "fast"]]})
    >>> joined_texts(table, ["title", "tags"]).to_pylist()
    ['Red wine food', 'cars fast']
    """
    parts = []
    for name in columns:
        rows = table[name].to_pylist()
        parts.append([" ".join(row) if isinstance(row, list) else row or "" for row in rows])
    return pa.chunked_array([[" ".join(filter(None, row)) for row in zip(*parts, strict=True)]])


def _counts(transform: FeatureTransform, texts: pa.ChunkedArray) -> scipy.sparse.csr_matrix:
    """Returns how often each text has each id `(B, V + 2)`, padding not counted."""
    ids = transform.encode(pa.table({_TEXT: texts}))[_TEXT]
    rows, places = np.nonzero(ids)
    shape = (len(ids), len(transform.vocabulary(_TEXT)) + NUM_RESERVED_IDS)
    ones = np.ones(len(rows), np.float32)
    return scipy.sparse.csr_matrix((ones, (rows, ids[rows, places])), shape=shape)


def _learned(counts: scipy.sparse.csr_matrix, idf: np.ndarray, dim: int, seed: int) -> np.ndarray:
    """Returns vectors `(V + 2, dim)` of words that stand in the same texts."""
    weights = counts.multiply(idf).tocsr()
    norms = np.sqrt(weights.multiply(weights).sum(axis=1))
    weights = weights.multiply(1 / np.maximum(np.asarray(norms), 1e-12)).tocsr()
    _, _, vectors = singular_vectors(weights, dim, seed)
    rows = np.pad(vectors, ((0, 0), (0, dim - vectors.shape[1])))
    # unit length on average, as trained word vectors are about
    length = float(np.sqrt(np.mean(np.sum(rows**2, axis=1))))
    return np.asarray(rows / max(length, 1e-12))
