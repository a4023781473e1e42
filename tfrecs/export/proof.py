"""`prove`: whether any SavedModel runs in the C++ session, and what it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from tfrecs.export.check import ask, run_session
from tfrecs.export.folders import NUMBER

_SHOWN = 600  # characters of a request
_SAMPLE = {"string": "", "float32": 0.0, "float64": 0.0, "int32": 1, "int64": 1, "bool": False}


@dataclass(frozen=True)
class Proof:
    """What was found out about a SavedModel.

    Args:
        path: Its directory.
        signatures: Dtype and shape of inputs and outputs, by signature.
        requests: The REST body that was sent to each signature, by signature.
        answers: What came, by signature: the shape of each output.
        failed: What TensorFlow said instead, by signature.
        sizes: Bytes by file.
        scann_ops: Operations that need ScaNN's library.
        operations: Number of operations, functions included.
    """

    path: Path
    signatures: dict[str, dict[str, dict[str, str]]]
    requests: dict[str, dict[str, Any]]
    answers: dict[str, dict[str, list[int]]]
    failed: dict[str, str]
    sizes: dict[str, int]
    scann_ops: list[str]
    operations: int

    def __str__(self) -> str:
        total = sum(self.sizes.values())
        need = f"ScaNN's library: {', '.join(self.scann_ops)}" if self.scann_ops else "stock alone"
        lines = [f"{self.path}: {total:,} bytes, {self.operations} operations, {need}"]
        lines += [f"  {size:>14,}  {file}" for file, size in self.sizes.items()]
        for name, sides in sorted(self.signatures.items()):
            state = f"FAILED: {self.failed[name]}" if name in self.failed else "answers"
            lines.append(f"{name}: {state}")
            lines += [f"  {side}: {_joined(tensors)}" for side, tensors in sides.items()]
            if name in self.requests:
                lines.append(f"  request: {_shortened(self.requests[name])}")
        return "\n".join(lines)


def _shortened(request: dict[str, Any]) -> str:
    text = json.dumps(request, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... ({len(text):,} characters)"


def prove(directory: str | Path) -> Proof:
    """Loads a SavedModel through TensorFlow's C API in a fresh process, and asks each signature.

    The requests are those of its card, where tfrecs wrote it; else a row of empty values.

    Args:
        directory: A SavedModel, or the folder of its numbered versions (the greatest).

    Returns:
        What was found; `str(proof)` is for people.

    Raises:
        FileNotFoundError: If there is no SavedModel.
        RuntimeError: If it does not load.
    """
    path = Path(directory)
    if not (path / "saved_model.pb").is_file():
        files = path.glob("*/saved_model.pb")
        numbers = [file.parent for file in files if NUMBER.fullmatch(file.parent.name)]
        if not numbers:
            raise FileNotFoundError(f"{path} holds neither saved_model.pb nor numbered versions.")
        path = max(numbers, key=lambda number: int(number.name))
    signatures = run_session(path)
    requests = {name: _sample(name, sides["inputs"]) for name, sides in signatures.items()}
    card = path / "card.json"
    if card.is_file():
        known = json.loads(card.read_text("utf-8"))["examples"]
        requests |= {body["signature_name"]: body for body in reversed(known)}
    answers, failed = _asked(path, requests)
    operations = _operations(path)
    return Proof(
        path,
        signatures,
        requests,
        answers,
        failed,
        {
            str(file.relative_to(path)): file.stat().st_size
            for file in sorted(path.rglob("*"))
            if file.is_file()
        },
        sorted({name for name in operations if name.startswith("Scann>")}),
        len(operations),
    )


def _asked(path: Path, requests: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns shapes of answers, and what was said instead; one process where all goes well."""
    try:
        found = dict(zip(requests, ask(path, [*requests.values()]), strict=True))
        return {name: _shapes(answer) for name, answer in found.items()}, {}
    except RuntimeError as error:
        if len(requests) == 1:
            return {}, {next(iter(requests)): str(error).rsplit("error: ", 1)[-1]}
    answers: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name, body in requests.items():
        answered, failure = _asked(path, {name: body})
        answers |= answered
        failed |= failure
    return answers, failed


def _sample(name: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Returns a request of one row of empty values: 1 for a scalar, lists of one."""
    values = {}
    for key, described in inputs.items():
        dtype, _, sizes = described.partition("[")
        value: Any = _SAMPLE.get(dtype, 0)
        if dtype == "string" and name.endswith("_examples"):
            value = {"b64": ""}
        for size in reversed([size for size in sizes.rstrip("]").split(", ") if size]):
            value = [value] * (1 if size == "?" else int(size))
        values[key] = value
    return {"signature_name": name, "inputs": values}


def _operations(path: Path) -> list[str]:
    """Returns the kind of every operation in the graph and its functions."""
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    nodes = [node.op for graph in graphs for node in graph.node]
    functions = [function for graph in graphs for function in graph.library.function]
    return nodes + [node.op for function in functions for node in function.node_def]


def _shapes(answer: Mapping[str, Any]) -> dict[str, list[int]]:
    return {name: _shape(value) for name, value in answer.items()}


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _joined(tensors: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {described}" for name, described in tensors.items())
