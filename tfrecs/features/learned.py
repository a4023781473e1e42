"""What adapting learned: the sized spec, the vocabularies, the numbers; saved and loaded whole."""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from tfrecs import checks
from tfrecs.features.vocabulary import HashBins, Lookup, Vocabulary, write_values
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
        boundaries: float32 inner boundaries of "quantile" features.
    """

    spec: FeatureSpec
    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    lookups: dict[str, Lookup] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    moments: dict[str, tuple[float, float]] = field(default_factory=dict)
    boundaries: dict[str, np.ndarray] = field(default_factory=dict)

    def lookup(self, feature: Feature) -> Lookup:
        """Returns the lookup of a feature, its own or the one it shares."""
        return self.lookups[self.spec.owner(feature.name).name]

    def add_vocabulary(self, feature: Feature, values: pa.Array) -> Vocabulary:
        """Writes the values of a feature into a file of their own and looks up in it."""
        path = Path(self.folder.name) / file_name(feature)
        escaped = write_values(values, path)
        vocabulary = Vocabulary(path, id_dtype(feature), escaped)
        self.lookups[feature.name] = vocabulary
        return vocabulary

    def save(self, directory: Path) -> None:
        """Writes everything into a new folder beside `directory`, then renames it."""
        directory.parent.mkdir(parents=True, exist_ok=True)
        if directory.exists() and any(directory.iterdir()) and not (directory / _SPEC).exists():
            expectation = "a new folder, an empty one or a saved FeatureTransform"
            raise ValueError(checks.expected("directory", expectation, str(directory)))
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".saving-") as folder:
            new = Path(folder) / "new"
            new.mkdir()
            for lookup in self.lookups.values():
                if isinstance(lookup, Vocabulary):
                    shutil.copy(lookup.path, new / lookup.path.name)
            np.savez(new / _NUMBERS, **self._numbers())
            (new / _SPEC).write_text(self.spec.to_json(), encoding="utf-8")
            if directory.exists():
                os.replace(directory, Path(folder) / "old")
            os.replace(new, directory)

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
            spec = FeatureSpec.from_json((directory / _SPEC).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            message = checks.expected(_SPEC, "a whole JSON file", str(directory / _SPEC))
            raise ValueError(f"{message} {error}") from error
        learned = cls(spec)
        with np.load(directory / _NUMBERS) as numbers:
            for key in numbers.files:
                group, name = key.split("/", 1)
                if group == "moments":
                    learned.moments[name] = tuple(numbers[key].tolist())
                elif group == "escaped":
                    learned._load_vocabulary(directory, name, bool(numbers[key]))
                else:
                    getattr(learned, group)[name] = numbers[key]
        learned.add_hashing()
        return learned

    def _load_vocabulary(self, directory: Path, name: str, escaped: bool) -> None:
        feature = self.spec[name]
        path = Path(self.folder.name) / file_name(feature)
        shutil.copy(directory / path.name, path)
        self.lookups[name] = Vocabulary(path, id_dtype(feature), escaped)

    def add_hashing(self) -> None:
        """Adds the lookups that need no file."""
        for feature in self.spec:
            bins = getattr(feature, "hash_bins", None)
            if bins is not None and feature.kind != "cross":
                self.lookups[feature.name] = HashBins(bins, id_dtype(feature))


def id_dtype(feature: Feature) -> str:
    """Returns the dtype of the values that a feature looks up."""
    return "string" if feature.kind == "text" else getattr(feature, "dtype", "string")


def file_name(feature: Feature) -> str:
    """Returns the name of a feature's vocabulary file."""
    return quote(feature.name, safe=" ") + ".txt"
