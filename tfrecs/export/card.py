"""The card of an export: what it is, what it was made of, how good it is and how to ask it."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("tfrecs", "tensorflow", "keras", "keras-rs", "scann", "numpy", "pyarrow")
NEEDS = {
    "scann": "ScaNN's op library: a TensorFlow Serving built with ScaNN, or scann 1.4.2 beside "
    "TensorFlow 2.20. Other servers refuse to load it: Op type not registered 'Scann>...'.",
    "stock": "TensorFlow's own operations alone: any TensorFlow Serving, Triton or Vertex AI.",
}


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that made an export."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def files(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns size in bytes and SHA-256 of every file, by its path in the folder."""
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Writes card.json, and the same for people as card.md, the files of `folder` added."""
    card = {**card, "files": files(folder)}
    text = json.dumps(card, indent=2, ensure_ascii=False, default=str)
    (folder / "card.json").write_text(text + "\n", encoding="utf-8")
    (folder / "card.md").write_text(_markdown(card), encoding="utf-8")


def _markdown(card: Mapping[str, Any]) -> str:
    name, serving = card["name"], card["examples"][0]
    lines = [
        f"# {name}, version {card['version']}",
        "",
        f"Variant `{card['variant']}`. Needs {card['needs']}",
        "",
        f"Made {card['created']}. {card['checked']}",
        "",
    ]
    known = ("data", "protocol", "metrics", "model", "parameters", "index", "versions")
    own = ("name", "version", "variant", "needs", "created", "checked")
    shown = (*known, "signatures", "examples", "files")
    for section in (*known, *(key for key in card if key not in (*own, *shown))):
        if section in card:
            lines += [f"## {section.capitalize()}", "", *_block(card[section]), ""]
    lines += ["## Signatures", "", "| signature | inputs | outputs |", "| --- | --- | --- |"]
    for signature, sides in card["signatures"].items():
        cells = [", ".join(f"`{n}` {t}" for n, t in side.items()) for side in sides.values()]
        lines.append(f"| `{signature}` | {cells[0]} | {cells[1]} |")
    body = json.dumps(serving, ensure_ascii=False).replace("'", "'\\''")
    lines += ["", "By TensorFlow Serving's REST interface:", "", "```", f"curl -d '{body}' \\"]
    lines += [f"    http://localhost:8501/v1/models/{name}:predict", "```", ""]
    lines += ["## Files", "", "| file | bytes | SHA-256 |", "| --- | ---: | --- |"]
    lines += [f"| {file} | {f['bytes']:,} | `{f['sha256']}` |" for file, f in card["files"].items()]
    return "\n".join(lines) + "\n"


def _block(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if key != "config"}  # in card.json
    if isinstance(value, Mapping) and not any(isinstance(v, dict | list) for v in value.values()):
        return ["| | |", "| --- | --- |", *(f"| {key} | {item} |" for key, item in value.items())]
    if isinstance(value, str):
        return [value]
    return ["```json", json.dumps(value, indent=2, ensure_ascii=False, default=str), "```"]
