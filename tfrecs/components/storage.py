"""Places outside a pipeline: files and folders of this machine, or URIs of buckets and HDFS.

URIs go through pyarrow's file systems, which come with it. Credentials come from the environment,
as the owners of the stores describe it, and never from a URI, since URIs are written into the
lineage.
"""

import fnmatch
import functools
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from tfrecs import checks, files
from tfrecs.components import artifacts

SCHEMES = ("file", "gs", "s3", "abfs", "abfss", "hdfs", "viewfs")
_PARTS = re.compile(r"([^:]+)://([^/?]*)/?([^?]*)(\?.*)?")


def is_remote(place: str) -> bool:
    """Returns whether a place is a URI of another machine."""
    return files.scheme(place) not in ("", "file")


def local(place: str) -> Path:
    """Returns a place of this machine as a path."""
    return Path(place.removeprefix("file://") if files.scheme(place) == "file" else place)


def check(argument: str, place: str) -> None:
    """Raises ValueError unless a place is a path, or a URI that can be opened.

    Args:
        argument: Its name, for the message.
        place: What a user gave.

    Example:

    >>> check("destination", "models"), check("destination", "gs://bucket/models")
    (None, None)
    """
    name = files.scheme(place)
    if not name:
        return
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    expectation = f"a path, or a URI of {known}"
    parts = _PARTS.fullmatch(place)
    if name not in SCHEMES:
        near = {"gcs": "gs", "s3a": "s3", "s3n": "s3", "az": "abfs", "wasb": "abfs"}.get(name)
        remedy = f"Write {near}://." if near else "Mount it, and name the folder of the mount."
        raise ValueError(checks.expected(argument, expectation, place, remedy))
    if parts is None or (name != "file" and not parts[2]):
        remedy = f"Write it as {name}:///FOLDER." if name == "file" else f"As {name}://NAME/FOLDER."
        raise ValueError(checks.expected(argument, expectation, place, remedy))
    if ":" in parts[2].rpartition("@")[0]:
        shown = f"{parts[1]}://...@{parts[2].rpartition('@')[2]}/{parts[3]}"
        remedy = "Set them in the environment, such as AWS_SECRET_ACCESS_KEY."
        raise ValueError(checks.expected(argument, "a URI without credentials", shown, remedy))


def opened(place: str) -> tuple[Any, str]:
    """Returns the file system of a place, and its path there.

    Raises:
        ValueError: The scheme is unknown.
        OSError: The store cannot be reached.
    """
    check("place", place)
    if not is_remote(place):
        return pafs.LocalFileSystem(), str(local(place))
    name, store, path, options = _PARTS.findall(place)[0]
    with named(place):
        system, root = _system(f"{name.lower()}://{store}{_limited(name, options)}")
    return system, f"{root.rstrip('/')}/{path.strip('/')}".rstrip("/")


def _limited(name: str, query: str) -> str:
    """Returns the options of a URI; without any, Google's client would try for 15 minutes."""
    if name.lower() == "gs" and "retry_limit_seconds" not in query:
        return f"{query}&retry_limit_seconds=60" if query else "?retry_limit_seconds=60"
    return query


@functools.lru_cache(maxsize=16)
def _system(root: str) -> tuple[Any, str]:
    system, path = pafs.FileSystem.from_uri(root)
    return system, str(path)


@contextmanager
def named(place: str) -> Iterator[None]:
    """Lets errors of reading and writing name their place."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if place in str(error):
            raise
        message = f"{place}: {str(error).strip()}"
        if isinstance(error, OSError):  # of the class of its number: FileNotFoundError, ...
            told = OSError(message) if error.errno is None else OSError(error.errno, message)
            told.place = place  # type: ignore[attr-defined]
            raise told from error
        raise ValueError(message) from error


def find(pattern: str) -> list[str]:
    """Returns what a pattern with `*` names: files and folders, in order.

    A `*` stands for anything but "/".
    """
    if not is_remote(pattern):
        path = local(pattern)
        anchor = Path(path.anchor) if path.is_absolute() else Path()
        return sorted(str(found) for found in anchor.glob(str(path.relative_to(anchor))))
    whole, mark, query = pattern.partition("?")
    base = whole[: whole.index("*")].rpartition("/")[0] if "*" in whole else whole
    if base == whole:
        return [pattern] if kind(pattern) != "nothing" else []
    wanted = whole[len(base) + 1 :].split("/")
    return [
        f"{base}/{name}{mark}{query}"
        for name in _listed(base + mark + query, folders=True)
        if len(parts := name.split("/")) == len(wanted)
        and all(fnmatch.fnmatchcase(*pair) for pair in zip(parts, wanted, strict=True))
    ]


def kind(place: str) -> str:
    """Returns "file", "folder" or "nothing"."""
    system, path = opened(place)
    with named(place):
        found = system.get_file_info(path).type
    return {pafs.FileType.File: "file", pafs.FileType.Directory: "folder"}.get(found, "nothing")


def within(place: str) -> dict[str, int]:
    """Returns the sizes of the files in a folder, at any depth, by their paths in it."""
    return _listed(place, folders=False)


def _listed(place: str, folders: bool) -> dict[str, int]:
    system, path = opened(place)
    with named(place):
        selector = pafs.FileSelector(path, recursive=True, allow_not_found=True)
        found = system.get_file_info(selector)
    head = len(path) + 1
    return {
        info.path[head:]: info.size if info.is_file else 0
        for info in sorted(found, key=lambda info: str(info.path))
        if info.is_file or folders
    }


def join(place: str, *names: str) -> str:
    """Returns a place within a place."""
    whole, mark, query = place.partition("?") if is_remote(place) else (place, "", "")
    return "/".join([whole.rstrip("/") or "/", *names]) + mark + query


def split(place: str) -> tuple[str, str]:
    """Returns the folder that a place is in, and its name there."""
    whole, mark, query = place.partition("?") if is_remote(place) else (place, "", "")
    folder, _, name = whole.rpartition("/")
    return folder + mark + query, name


def size(place: str) -> int:
    """Returns the bytes of a file."""
    system, path = opened(place)
    with named(place):
        return int(system.get_file_info(path).size or 0)


def fingerprint(place: str | Path) -> str:
    """Returns a hash that changes with a file's contents; of a URI, with its size and time."""
    if not is_remote(str(place)):
        return artifacts.digest(local(str(place)))
    system, path = opened(str(place))
    with named(str(place)):
        info = system.get_file_info(path)
    return hashlib.sha256(f"{info.path} {info.size} {info.mtime_ns}".encode()).hexdigest()
