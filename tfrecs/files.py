"""Files and folders written aside and renamed, so that a reader never sees half of one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, and renames it to `path` when the block succeeds.

    Whatever stands at `path` is replaced only then; if the block raises (a full disk, Ctrl-C), it
    stays as it was and the temporary path is removed. The temporary name starts with a dot and
    ends with the process id, so that no server or pattern takes it for the real one.

    Args:
        path: File or folder to write.

    Yields:
        The temporary path; the block creates the file or the folder there.

    Raises:
        OSError: If the parent folder cannot be written.

    Example:

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "names.txt"
    >>> with written_aside(target) as aside:
    ...     _ = aside.write_text("one")
    >>> target.read_text(), [p.name for p in target.parent.iterdir()]
    ('one', ['names.txt'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    replaced = path.with_name(f".{path.name}.old-{os.getpid()}")
    _remove(aside)
    try:
        yield aside
        if path.is_dir():
            path.rename(replaced)
        aside.rename(path)
    finally:
        _remove(aside)
        if replaced.exists():
            if path.exists():
                _remove(replaced)
            else:
                replaced.rename(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
