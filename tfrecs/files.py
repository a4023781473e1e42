"""Files and folders written aside and renamed, so that a reader never sees half of one."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tfrecs.checks import expected

# pathlib makes "gs:/bucket" of "gs://bucket"
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/|(gs|gcs|s3|s3a|abfss?|hdfs|file|https?):")


@contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, and renames it to `path` when the block succeeds.

    Whatever stands at `path` is replaced only then; if the block raises (a full disk, Ctrl-C), it
    stays as it was and the temporary path is removed. The temporary name starts with a dot and
    ends with the process id, so that no server or pattern takes it for the real one. A file never
    replaces a folder, nor a folder a file.

    Args:
        path: File or folder to write.

    Yields:
        The temporary path; the block creates the file or the folder there.

    Raises:
        OSError: If it cannot be written; the message names `path`.
        ValueError: If it is a URI such as gs://bucket.

    Example:

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "names.txt"
    >>> with written_aside(target) as aside:
    ...     _ = aside.write_text("one")
    >>> target.read_text(), [p.name for p in target.parent.iterdir()]
    ('one', ['names.txt'])
    """
    check_local("path", path)
    path = Path(path)
    aside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    replaced = path.with_name(f".{path.name}.old-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(path, error) from error
    _remove(aside)
    own = (aside, path, replaced)
    try:
        yield aside
        if path.exists() and path.is_dir() != aside.is_dir():
            raise FileExistsError(errno.EEXIST, "a file and a folder do not replace each other")
        if path.is_dir():
            path.rename(replaced)
        aside.rename(path)
    except OSError as error:
        if _is_of_another(error, own):
            raise
        raise _not_written(path, error) from error
    finally:
        _remove(aside)
        if replaced.exists():
            if path.exists():
                _remove(replaced)
            else:
                replaced.rename(path)


def scheme(place: str | Path) -> str:
    """Returns the scheme of a URI in small letters, or "" for a path on this machine.

    Example:

    >>> scheme("gs://bucket/models"), scheme("models/1"), scheme("at 10:30.csv")
    ('gs', '', '')
    """
    found = _URI.match(str(place))
    return "" if found is None else (found[1] or found[2]).lower()


def check_local(argument: str, place: str | Path) -> None:
    """Raises ValueError if `place` is a URI: no folder `gs:` is made on this machine.

    Args:
        argument: What the caller calls it, for the message.
        place: A path, or what a user took for one.
    """
    if scheme(place):
        remedy = (
            "Mount the bucket (gcsfuse, s3fs, rclone) and name the folder of the mount; of "
            "pipelines, Pusher's `destination` and ExampleGen's `source` take URIs."
        )
        raise ValueError(expected(argument, "a path on this machine", str(place), remedy))


def check_writable(argument: str, folder: str | Path) -> None:
    """Raises OSError unless a folder can be made at `folder`, or written where it is.

    To be asked before work whose result goes there. It leaves nothing behind.

    Args:
        argument: What the caller calls the folder, for the message.
        folder: A folder; neither it nor its parents need to be there.
    """
    check_local(argument, folder)
    folder = Path(folder).absolute()
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OSError(
            error.errno,
            f"`{argument}` must be a folder that can be written. Received: {str(folder)!r} "
            f"({error.strerror or error}). Name another folder.",
        ) from error


def check_replaceable(argument: str, folder: str | Path, mark: str) -> None:
    """Raises as `check_writable`, and ValueError where replacing `folder` would lose other files.

    Args:
        argument: What the caller calls the folder, for the message.
        folder: A folder that will be written and may be there.
        mark: A file that only folders of the same making have.
    """
    folder = Path(folder)
    check_writable(argument, folder)
    held = any(path.is_file() and path.stat().st_size for path in folder.rglob("*"))
    if folder.name in ("", "..") or (held and not (folder / mark).is_file()):
        raise ValueError(
            f"`{argument}` must be a new folder, an empty one, or one with a {mark}, which is "
            f"replaced. Received: {str(folder)!r}. Name another folder."
        )


def _is_of_another(error: OSError, own: Iterable[Path]) -> bool:
    """Returns whether an error of the block names a place that is not being written here."""
    named = [getattr(error, "place", None)]
    if named[0] is None:
        named = [error.filename, error.filename2]  # of a copy: from where, and to where
    places = [Path(name) for name in named if isinstance(name, str | Path)]
    return bool(places) and not any(p.is_relative_to(own_p) for p in places for own_p in own)


def _not_written(path: Path, error: OSError) -> OSError:
    """Returns the error that names what was not written, with the first cause."""
    while isinstance(error.__cause__, OSError):  # of a file of the folder, itself written aside
        error = error.__cause__
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        error = OSError(error.args[0][0][2])  # the first of the files of a tree
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "Free some space there, or name another place." if full else "Name another place."
    message = f"{path} cannot be written: {error.strerror or error}. {remedy}"
    # OSError makes itself the class of its number: FileExistsError, PermissionError, ...
    told = OSError(message) if error.errno is None else OSError(error.errno, message)
    told.place = path  # type: ignore[attr-defined]
    return told


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
