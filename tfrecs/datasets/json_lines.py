"""JSON lines as Arrow: what is text there stays text; errors name the line."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.json

from tfrecs.datasets.texts import check_text


def read_json(path: Path, data: bytes) -> pa.Table:
    """Reads JSON lines; what is text there stays text, though it looks like a time."""
    check_text(path, data)
    options = pa.json.ReadOptions(block_size=max(1 << 20, len(data) // 16))
    try:
        table = pa.json.read_json(io.BytesIO(data), options)
        texts = pa.schema([(field.name, _as_text(field.type)) for field in table.schema])
        if texts.types == table.schema.types:
            return table
        parse = pa.json.ParseOptions(explicit_schema=texts)
        return pa.json.read_json(io.BytesIO(data), options, parse)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is malformed: {_json_fault(data) or error}.") from error


def _as_text(kind: pa.DataType) -> pa.DataType:
    """Returns the type with text in place of the times that Arrow makes of it."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_as_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_text(field.type)) for field in kind])
    return kind


def _json_fault(data: bytes) -> str:
    """Returns which line is no JSON object, or which changes the type of a field."""
    kinds: dict[str, str] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except UnicodeDecodeError:
            return f"line {number} is not UTF-8"
        except json.JSONDecodeError as error:
            return f"line {number}, column {error.colno}: {error.msg}"
        if not isinstance(fields, dict):
            return (
                f"line {number} is not an object in braces. Write one object a line: "
                "jq -c '.[]' OLD > NEW"
            )
        for name, value in fields.items():
            kind = {"int": "number", "float": "number"}.get(
                type(value).__name__, type(value).__name__
            )
            if value is not None and kinds.setdefault(name, kind) != kind:
                return f"line {number}: field {name!r} is a {kind} after {kinds[name]} values"
    return ""
