"""Skills as people write them to a fixed set: phrases folded, rare ones dropped, in the graph."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.files import written_aside

# (pattern, what replaces it): RE2, on text of lower case
_FOLDS = (
    (r"[&]", " and "),
    (r"[^\pL\pM\pN+#]+", " "),  # C++ and C# stay
    (r"(\w{2})isations?\b", r"\1ization"),
    (r"(\w{3})yse(d|s|r|rs)?\b", r"\1yze"),
    (r"(\w{3})is(e|ed|ing)\b", r"\1iz\2"),
    (r"(\w{3})our\b", r"\1or"),
    (r"(\w{2})ies\b", r"\1y"),
    (r"(\w(?:ch|sh|ss|x))es\b", r"\1"),
    (r"(\w{2}[^\Wsui])s\b", r"\1"),
)
_LEAST = 6  # letters of a phrase that another spelling is looked for
_TIMES = 4  # as frequent is the spelling that a rarer one is folded into


def fold(phrases: tf.Tensor) -> tf.Tensor:
    """Returns phrases without case, punctuation, plural and British spelling, string as given.

    The result is a key to compare by, not for people.

    Example:

    >>> [key.decode() for key in fold(tf.constant(["Data-Analyses", "unit tests", "C++"])).numpy()]
    ['data analyze', 'unit test', 'c++']
    """
    keys = tf.strings.lower(phrases, encoding="utf-8")
    for pattern, replacement in _FOLDS:
        keys = tf.strings.regex_replace(keys, pattern, replacement)
    return tf.strings.strip(tf.strings.regex_replace(keys, r"\s+", " "))


class Skills(tf.Module):
    """The fixed set of skills of one training, and what is written for each of them.

    Phrases with one `fold` are one skill, named by its most frequent form. A rare phrase is folded
    into one that is much more frequent and differs in one letter or in spaces alone ("javascrpt",
    "data base"). Skills rarer than `min_count` are dropped, then the `max_skills` most frequent
    kept.

    Args:
        names: The skills, the most frequent first.
        keys: For each fold that is known, the place of its skill.

    Example:

    >>> skills = Skills.adapt(["Python", "python", "Unit tests", "unit test", "Rust"], min_count=2)
    >>> skills.names
    ['Python', 'Unit tests']
    >>> [name.decode() for name in skills(tf.constant(["PYTHON", "unit-tests", "Go"])).numpy()]
    ['Python', 'Unit tests', '']
    """

    def __init__(self, names: Sequence[str], keys: dict[str, int]) -> None:
        super().__init__(name="skills")
        # tuples: tf.Module would wrap lists and dicts
        self._names, self._keys = tuple(names), tuple(keys.items())
        self.written = tf.Variable(np.array([*names, ""], object), trainable=False)
        known = tf.lookup.KeyValueTensorInitializer(
            tf.constant(["", *keys], tf.string),
            tf.constant([len(names), *keys.values()], tf.int64),
        )
        self.table = tf.lookup.StaticHashTable(known, len(names))

    @property
    def names(self) -> list[str]:
        """The skills, the most frequent first."""
        return list(self._names)

    @classmethod
    def adapt(
        cls, phrases: Iterable[str], *, min_count: int = 2, max_skills: int = 1000
    ) -> "Skills":
        """Learns the set from all phrases of all users, each as often as it is there.

        Args:
            phrases: The phrases.
            min_count: Skills seen fewer times are dropped. Defaults to 2.
            max_skills: Most skills kept. Defaults to 1,000.
        """
        checks.positive("min_count", min_count)
        checks.positive("max_skills", max_skills)
        forms: dict[str, Counter[str]] = {}
        counted = Counter(phrases)
        if counted:
            folded = fold(tf.constant(list(counted))).numpy()
            for key, (form, count) in zip(folded, counted.items(), strict=True):
                forms.setdefault(key.decode(), Counter())[form] += count
        forms.pop("", None)
        counts = Counter({key: found.total() for key, found in forms.items()})
        aliases = _aliases(counts)
        for key, other in aliases.items():
            counts[other] += counts.pop(key)
        kept = sorted((k for k in counts if counts[k] >= min_count), key=lambda k: (-counts[k], k))
        places = {key: place for place, key in enumerate(kept[:max_skills])}
        names = [max(sorted(forms[key].items()), key=lambda item: item[1])[0] for key in places]
        known = {key: places[other] for key, other in aliases.items() if other in places}
        return cls(names, places | known)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, phrases: tf.Tensor) -> tf.Tensor:
        """Returns the name of each phrase's skill, "" where it is none of them."""
        return tf.gather(self.written, self.table.lookup(fold(phrases)))

    def encode(self, lists: pa.ChunkedArray) -> pa.Array:
        """Returns lists of phrases as lists of skills, each once."""
        flat = pa.concat_arrays([chunk.flatten() for chunk in lists.chunks]).to_pylist()
        known = [name.decode() for name in self(tf.constant(flat, tf.string)).numpy()]
        rows, start = [], 0
        for row in lists.to_pylist():
            stop = start + len(row or ())
            rows.append(list(dict.fromkeys(filter(None, known[start:stop]))))
            start = stop
        return pa.array(rows, pa.list_(pa.string()))

    def save(self, path: str | Path) -> None:
        """Writes the set as JSON."""
        with written_aside(path) as aside:
            aside.write_text(json.dumps({"names": self.names, "keys": dict(self._keys)}, indent=1))

    @classmethod
    def load(cls, path: str | Path) -> "Skills":
        """Reads what `save` wrote."""
        return cls(**json.loads(Path(path).read_text()))


def _aliases(counts: Counter[str]) -> dict[str, str]:
    """Returns for rare keys the frequent one of nearly the same letters."""
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    near: dict[str, str] = {}  # the key without spaces, and without one letter
    aliases: dict[str, str] = {}
    for key in ordered:
        joined = key.replace(" ", "")
        variants = [joined]
        if len(joined) >= _LEAST:
            variants += [joined[:i] + joined[i + 1 :] for i in range(len(joined))]
        found = next((near[v] for v in variants if v in near), None)
        if found is not None and counts[found] >= _TIMES * counts[key]:
            aliases[key] = found
            continue
        for variant in variants:
            near.setdefault(variant, key)
    return aliases
