"""Files named one by one, by folder or by pattern."""

import glob
from collections.abc import Iterable
from pathlib import Path

from tfrecs import checks


def found_paths(paths: str | Path | Iterable[str | Path], extension: str) -> list[Path]:
    """Returns the files meant by `paths`, those of a folder or a pattern sorted by name.

    Args:
        paths: A file, a folder, a pattern with `*`, `?` or `[]`, or several of these.
        extension: Of the files of a folder, as ".parquet"; shards such as `a.parquet-0` count.

    Raises:
        FileNotFoundError: A file is not there, or a folder or a pattern has none.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("b.parquet", "a.parquet", "notes.txt"):
    ...     _ = (folder / name).write_text("")
    >>> [path.name for path in found_paths(folder, ".parquet")]
    ['a.parquet', 'b.parquet']
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    files: list[Path] = []
    for entry in given:
        path = Path(entry)
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = sorted(p for p in path.iterdir() if _has(p, extension))
        else:
            found = sorted(Path(name) for name in glob.glob(str(entry)) if Path(name).is_file())
        if not found:
            expectation = f"files, a folder of {extension} files, or a pattern of files"
            raise FileNotFoundError(checks.expected("paths", expectation, str(entry)))
        files += found
    if not files:
        raise FileNotFoundError(checks.expected("paths", "one file or more", given))
    return files


def _has(path: Path, extension: str) -> bool:
    """Returns whether a file is a table or a shard of one: a.tfrecord-00000-of-00002."""
    name = path.name
    return (name.endswith(extension) or f"{extension}-" in name) and not name.startswith(".")
