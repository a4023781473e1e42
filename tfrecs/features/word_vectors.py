"""Word vectors from text files (GloVe, word2vec, entity embeddings), read line by line."""

import gzip
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecs import checks
from tfrecs.spec import NUM_RESERVED_IDS

_LOG = logging.getLogger("tfrecs")
_LONGEST = 1 << 20  # bytes of a line


@dataclass(frozen=True)
class WordVectors:
    """The vectors of a vocabulary, in the order of its ids.

    Args:
        table: float32 `(2 + V, D)`: zeros for padding and unknown, then a row for each word.
        found: bool `(V,)`, whether the file has the word.
    """

    table: np.ndarray
    found: np.ndarray

    @property
    def coverage(self) -> float:
        """The share of the vocabulary that the file has."""
        return float(self.found.mean()) if len(self.found) else 0.0


def read_word_vectors(
    path: str | Path, vocabulary: Sequence[str], *, lowercase: bool = False, seed: int = 0
) -> WordVectors:
    """Reads the vectors of the words of a vocabulary.

    A line is a word and its D numbers, by spaces or tabs; a first line of two integers, as
    word2vec writes it, is passed over. The file is read as a stream and only lines of wanted words
    are parsed, so that memory is that of the result. Words that the file lacks get normal random
    numbers of the mean and standard deviation, component by component, of those that it has. The
    first line of a word counts.

    Args:
        path: The file; with the ending .gz compressed.
        vocabulary: V words; word `i` has id `i + 2`, as in a `FeatureTransform`.
        lowercase: Whether to compare without case. Defaults to `False`.
        seed: Of the random numbers. Defaults to 0.

    Raises:
        ValueError: No vocabulary, a line of too few numbers, or of a wanted word with what is no
            finite number (the message names the line), or none of the words is there.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "vectors.txt"
    >>> _ = path.write_text("the 0.1 0.2\\ncat 0.3 0.4\\n")
    >>> vectors = read_word_vectors(path, ["cat", "the"])
    >>> vectors.table.tolist(), vectors.coverage
    ([[0.0, 0.0], [0.0, 0.0], [0.30000001192092896, 0.4000000059604645], [0.10..., 0.20...]], 1.0)

    Reference:
        Pennington et al. 2014 (GloVe), https://nlp.stanford.edu/projects/glove/
    """
    path = Path(path)
    if not len(vocabulary):
        raise ValueError(checks.expected("vocabulary", "of one word or more", 0))
    places: dict[str, list[int]] = {}
    for place, word in enumerate(vocabulary):
        places.setdefault(word.lower() if lowercase else word, []).append(place)
    found = np.zeros(len(vocabulary), bool)
    table: np.ndarray | None = None
    for number, word, numbers, dim in _lines(path):
        word = word.lower() if lowercase else word
        rows = places.pop(word, None)
        if rows is None:
            continue
        if table is None:
            table = np.zeros((NUM_RESERVED_IDS + len(vocabulary), dim), np.float32)
        table[np.array(rows) + NUM_RESERVED_IDS] = _parsed(path, number, word, numbers)
        found[rows] = True
        if not places:
            break
    if table is None:
        some = ", ".join(vocabulary[:5])
        raise ValueError(f"{path} has none of the {len(vocabulary):,} words wanted ({some}, ...).")
    known = table[NUM_RESERVED_IDS:][found]
    absent = NUM_RESERVED_IDS + np.flatnonzero(~found)
    normal = np.random.default_rng(seed).standard_normal((len(absent), table.shape[1]))
    table[absent] = known.mean(axis=0) + known.std(axis=0) * normal
    _LOG.info("%s: %d of %d words found", path, found.sum(), len(found))
    return WordVectors(table, found)


def _lines(path: Path) -> Iterator[tuple[int, str, bytes, int]]:
    """Yields the number of each line, its word, the text of its numbers and how many they are."""
    dim: int | None = None
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), 1):
            if len(line) == _LONGEST:
                raise ValueError(
                    f"{path} must have a word and its numbers a line. Received: line {number} of "
                    f"more than {_LONGEST >> 20} MB."
                )
            line = line.strip(b" \t\r\n").replace(b"\t", b" ")
            if not line:
                continue
            word, _, numbers = line.partition(b" ")
            count = numbers.count(b" ") + 1 if numbers else 0
            if dim is None:
                if number == 1 and count == 1 and word.isdigit() and numbers.isdigit():
                    continue  # word2vec's header
                dim = count
            if count < dim or not count:
                expectation = f"{dim} numbers" if dim else "numbers"
                raise ValueError(
                    f"{path} must have a word and {expectation} a line. Received: {count} in line "
                    f"{number}, {checks.received(line[:60].decode(errors='replace'))}."
                )
            if count == dim:  # more: a word with a space in it, as GloVe 840B has some
                yield number, word.decode(errors="replace"), numbers, dim


def _parsed(path: Path, number: int, word: str, numbers: bytes) -> np.ndarray:
    try:
        vector = np.array(numbers.split(b" "), np.float32)
    except ValueError:
        vector = np.array([np.nan], np.float32)
    if not np.isfinite(vector).all():
        raise ValueError(
            f"{path} must hold finite numbers. Received: those of {word!r} in line {number}."
        )
    return vector
