"""What adapting learned: the sized spec, the vocabularies, the numbers; saved and loaded whole."""

import shutil
import tempfile
import weakref
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from tfrecs import checks
from tfrecs.features.vocabulary import HashBins, Lookup, Vocabulary, write_values
from tfrecs.files import written_aside
from tfrecs.spec import Feature, FeatureSpec

_SPEC, _NUMBERS = "spec.json", "numbers.npz"


@dataclass
class Learned:
    """What adapting learned.

    Args:
        spec: The features, `size` filled in.
        lookups: Values to ids, by the name of the feature that owns the vocabulary.
        counts: int64 `(size,)` frequencies by id, by the same names.
        moments: Mean and 1 / standard deviation of "standard" features.
        boundaries: float32 inner boundaries of binned features.
        rare: By the same names as `lookups`, a table of `value` and `count`: what was seen less
            often than `min_count`, and may enter a growing vocabulary later.
    """

    spec: FeatureSpec
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tfrecs-")))
    lookups: dict[str, Lookup] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    moments: dict[str, tuple[float, float]] = field(default_factory=dict)
    boundaries: dict[str, np.ndarray] = field(default_factory=dict)
    rare: dict[str, pa.Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def lookup(self, feature: Feature) -> Lookup:
        """Returns the lookup of a feature, its own or the one it shares."""
        return self.lookups[self.spec.owner(feature.name).name]

    def add_vocabulary(self, feature: Feature, values: pa.Array) -> Vocabulary:
        """Writes the values of a feature into a file of their own and looks up in it."""
        path = self.folder / file_name(feature)
        escaped = write_values(values, path)
        vocabulary = Vocabulary(path, id_dtype(feature), escaped)
        self.lookups[feature.name] = vocabulary
        return vocabulary

    def save(self, directory: Path) -> None:
        """Writes everything aside and renames it to `directory`."""
        if directory.exists() and any(directory.iterdir()) and not (directory / _SPEC).exists():
            expectation = "a new folder, an empty one or a saved FeatureTransform"
            raise ValueError(checks.expected("directory", expectation, str(directory)))
        with written_aside(directory) as new:
            new.mkdir()
            for lookup in self.lookups.values():
                if isinstance(lookup, Vocabulary):
                    shutil.copy(lookup.path, new / lookup.path.name)
            for name, table in self.rare.items():
                if len(table):
                    pq.write_table(table, new / _rare_file(name))
            np.savez(new / _NUMBERS, **self._numbers())
            (new / _SPEC).write_text(self.spec.to_json(), encoding="utf-8")

    def _numbers(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {}
        for name, lookup in self.lookups.items():
            if isinstance(lookup, Vocabulary):
                numbers[f"escaped/{name}"] = lookup.escaped
        for group in ("counts", "moments", "boundaries"):
            numbers |= {f"{group}/{name}": value for name, value in getattr(self, group).items()}
        return numbers

    @classmethod
    def load(cls, directory: Path) -> "Learned":
        """Reads what `save` wrote; the files are copied, so that `directory` may change later."""
        if not (directory / _SPEC).exists():
            expectation = f"a folder that FeatureTransform.save wrote, with a {_SPEC}"
            raise FileNotFoundError(checks.expected("directory", expectation, str(directory)))
        try:
            reading = _SPEC
            spec = FeatureSpec.from_json((directory / _SPEC).read_text(encoding="utf-8"))
            reading = _NUMBERS
            # NumPy leaves a damaged file open that it has opened itself
            with (directory / _NUMBERS).open("rb") as file, np.load(file) as arrays:
                numbers = dict(arrays)
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise _damaged(directory, f"{reading}: {error}") from error
        learned = cls(spec)
        for key, value in numbers.items():
            group, name = key.split("/", 1)
            if group == "moments":
                learned.moments[name] = tuple(value.tolist())
            elif group == "escaped":
                learned._load_vocabulary(directory, name, bool(value))
            else:
                getattr(learned, group)[name] = value
        learned.add_hashing()
        learned._load_rare(directory)
        return learned

    def _load_rare(self, directory: Path) -> None:
        for name in self.lookups:
            path = directory / _rare_file(name)
            if path.is_file():
                try:
                    self.rare[name] = pq.read_table(path)
                except (ValueError, OSError) as error:
                    raise _damaged(directory, f"{path.name}: {error}") from error

    def _load_vocabulary(self, directory: Path, name: str, escaped: bool) -> None:
        feature = self.spec[name]
        path = self.folder / file_name(feature)
        try:
            shutil.copy(directory / path.name, path)
            vocabulary = Vocabulary(path, id_dtype(feature), escaped)
        except (ValueError, OSError, tf.errors.OpError) as error:
            told = f"{path.name}: {getattr(error, 'message', error)}"
            raise _damaged(directory, told) from error
        if vocabulary.size != getattr(feature, "size", None):
            raise _damaged(directory, f"{path.name} has {len(vocabulary.values)} values.")
        self.lookups[name] = vocabulary

    def add_hashing(self) -> None:
        """Adds the lookups that need no file."""
        for feature in self.spec:
            bins = getattr(feature, "hash_bins", None)
            if bins is not None and feature.kind != "cross":
                self.lookups[feature.name] = HashBins(bins, id_dtype(feature))


def _damaged(directory: Path, why: object) -> ValueError:
    expectation = "a whole folder that FeatureTransform.save wrote"
    return ValueError(checks.expected("directory", expectation, str(directory), str(why)))


def id_dtype(feature: Feature) -> str:
    """Returns the dtype of the values that a feature looks up."""
    return "string" if feature.kind == "text" else getattr(feature, "dtype", "string")


def _rare_file(name: str) -> str:
    """Returns the name of the file of a feature's rare values."""
    return quote(name, safe=" ") + ".rare.parquet"


def file_name(feature: Feature) -> str:
    """Returns the name of a feature's vocabulary file."""
    return quote(feature.name, safe=" ") + ".txt"
