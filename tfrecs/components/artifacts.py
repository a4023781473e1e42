"""Artifacts: what components hand to each other, by TFX's names; a folder with properties."""

import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError

from tfrecs import checks

FILE = "artifact.json"
# files that differ from one writing to the next though they say the same
_VOLATILE = ("fingerprint.pb", "card.json", "card.md", "metadata.json", "report.html", FILE)


@dataclass
class Artifact:
    """A folder that a component wrote, and what is known of it.

    Args:
        uri: The folder.
        properties: Plain values, for people and for other components.
        digest: Hash of its files; "" while it is being written.
    """

    uri: str
    properties: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def path(self) -> Path:
        """The folder as a path."""
        return Path(self.uri)

    @property
    def identity(self) -> str:
        """What a component that reads it acts on: its files, whether it is blessed, its span."""
        decisive = {n: self.properties[n] for n in ("blessed", "span") if n in self.properties}
        return f"{self.digest} {json.dumps(decisive, sort_keys=True)}" if decisive else self.digest

    def seal(self) -> None:
        """Takes the digest of the files and writes properties and digest beside them.

        Raises:
            FileNotFoundError: If the component wrote nothing.
        """
        if not self.path.is_dir():
            expectation = "a folder that its component has written"
            raise FileNotFoundError(checks.expected(type(self).__name__, expectation, self.uri))
        self.digest = digest(self.path)
        said = {"type": type(self).__name__, "digest": self.digest, "properties": self.properties}
        (self.path / FILE).write_text(json.dumps(said, indent=2, ensure_ascii=False))


class Examples(Artifact):
    """TFRecord shards of tf.Example: `Split-<name>/data_tfrecord-*.gz`, and columns.json."""


class ExampleStatistics(Artifact):
    """`Split-<name>/FeatureStats.pb`, a DatasetFeatureStatisticsList, and a report."""


class Schema(Artifact):
    """schema.pbtxt of tensorflow-metadata, from which a FeatureSpec is read."""


class ExampleAnomalies(Artifact):
    """`Split-<name>/SchemaDiff.pb`, Anomalies; the property `blessed`, and a report."""


class TransformGraph(Artifact):
    """A saved FeatureTransform."""


class Model(Artifact):
    """A run: a trained model with its features and tables, see `tfrecs.run`."""


class HyperParameters(Artifact):
    """best.json and trials.json of a Tuner."""


class ModelEvaluation(Artifact):
    """metrics.json by slice, and a report."""


class ModelBlessing(Artifact):
    """The property `blessed`, and blessing.json with the reasons."""


class RetrievalIndex(Artifact):
    """A saved index, and SavedModels in `serving/<name>/<version>/`."""


class InfraBlessing(Artifact):
    """The property `blessed`: whether an export answered in a fresh process."""


class PushedModel(Artifact):
    """pushed.json: where a SavedModel was pushed, or why not."""


class InferenceResult(Artifact):
    """Parquet files of recommendations."""


TYPES: dict[str, type[Artifact]] = {cls.__name__: cls for cls in Artifact.__subclasses__()}


def load(folder: str | Path) -> Artifact:
    """Reads a sealed artifact.

    Raises:
        ValueError: If the folder holds none, or one that is damaged.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        expectation = f"a folder with {FILE}, as components leave it"
        raise ValueError(checks.expected("artifact", expectation, str(folder)))
    with damaged(file):
        said = json.loads(file.read_text())
        return TYPES[said["type"]](str(folder), dict(said["properties"]), str(said["digest"]))


@contextmanager
def damaged(file: Path) -> Iterator[Path]:
    """Gives a file to be read, and names it where what it holds is not what was written."""
    try:
        yield file
    except (ValueError, KeyError, IndexError, TypeError, DecodeError, ParseError) as error:
        raise ValueError(f"{file} is damaged: {error}. Let its component write it anew.") from error


def manifest(folder: str | Path) -> dict[str, list[Any]]:
    """Returns size and SHA-256 of each file of a folder, by its path there; hidden ones are left.

    Unlike `digest` every byte counts: it tells whether files are as they were written.
    """
    folder = Path(folder)
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            with path.open("rb") as file:
                hashed = hashlib.file_digest(file, "sha256").hexdigest()
            found[name.as_posix()] = [path.stat().st_size, hashed]
    return found


def digest(path: str | Path) -> str:
    """Returns the SHA-256 of a file, or of a folder's names and contents, in 64 hex digits.

    Times of writing do not count: archives go by their members' names and checksums, and what
    TensorFlow and Keras stamp with time or chance is left out.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("one")
    >>> first = digest(folder)
    >>> _ = (folder / "a.txt").write_text("two")
    >>> digest(folder) == first
    False
    """
    path = Path(path)
    if path.is_file():
        return _file_digest(path)
    whole = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name not in _VOLATILE):
        whole.update(f"{file.relative_to(path).as_posix()}\0{_file_digest(file)}\n".encode())
    return whole.hexdigest()


def _file_digest(path: Path) -> str:
    if path.name == "run.json":
        said = {k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    if path.name == "saved_model.pb":
        return _graph_digest(path)
    if path.name.startswith("variables."):
        return _variables_digest(path.parent) if path.suffix == ".index" else ""
    if path.suffix in (".keras", ".npz") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [
                f"{info.filename}:{info.CRC}:{info.file_size}"
                for info in sorted(archive.infolist(), key=lambda info: info.filename)
                if info.filename not in _VOLATILE
            ]
        return hashlib.sha256("\n".join(members).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _graph_digest(path: Path) -> str:
    """Hashes the signatures and how often each operation is there: names count up in a process."""
    from tensorflow.core.protobuf import saved_model_pb2

    (graph,) = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    operations = sorted(Counter(node.op for node in nodes if "Call" not in node.op).items())
    text = json.dumps([sorted(graph.signature_def), operations])
    return hashlib.sha256(text.encode()).hexdigest()


def _variables_digest(folder: Path) -> str:
    """Hashes the tensors of a SavedModel, in no order: which is first changes from time to time."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / "variables"))
    tensors = []
    for name in reader.get_variable_to_shape_map():
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH":
            tensor = reader.get_tensor(name)
            texts = tensor.dtype == object
            content = b"\0".join(tensor.ravel().tolist()) if texts else tensor.tobytes()
            about = f"{tensor.dtype}:{tensor.shape}:".encode()
            tensors.append(hashlib.sha256(about + content).hexdigest())
    return hashlib.sha256("\n".join(sorted(tensors)).encode()).hexdigest()


def sync(folder: Path) -> None:
    """Puts the files of a folder on the disk, so that a rename after it finds them whole."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
