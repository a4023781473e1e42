"""The versions of a served model: watched on disk, loaded aside, swapped without a gap."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import NOT_FOUND, OK, UNAVAILABLE, code_of
from tfrecs.serving.session import Session

logger = logging.getLogger("tfrecs")


@dataclass(frozen=True)
class State:
    """What became of a version.

    Args:
        version: Its number.
        state: As TensorFlow Serving names it: LOADING, AVAILABLE, UNLOADING or END.
        code: Error code of a version that failed; 0 else.
        message: Why it failed.
    """

    version: int
    state: str
    code: int = OK
    message: str = ""


class Loaded:
    """A version in memory, and how many requests use it now.

    Args:
        version: Its number.
        session: The SavedModel.
        runner: What answers its requests: a `Batcher`.
    """

    def __init__(self, version: int, session: Session, runner: Any) -> None:
        self.version, self.session, self.runner = version, session, runner
        self.users = 0

    @property
    def signatures(self) -> Any:
        """What it takes and gives."""
        return self.session.signatures


class Versions:
    """Serves the greatest version of a folder; `poll` follows what happens there.

    A new version is loaded and warmed up beside the old one, which answers until then and leaves
    when its last request is answered. One that fails to load is left out until its files change;
    the greatest that loads is served. If all folders vanish, the last version stays.

    Args:
        name: Of the model.
        directory: Folder of numbered versions.
        load: Makes a runner for a session, after warming it up; may raise.
    """

    def __init__(self, name: str, directory: Path, load: Callable[[Session], Any]) -> None:
        self.name, self.directory, self._load = name, directory, load
        self._changed = threading.Condition()
        self._current: Loaded | None = None
        self._failed: dict[int, tuple[Any, State]] = {}
        self._states: dict[int, State] = {}

    def poll(self) -> None:
        """Looks at the folder once, and swaps versions if there is another to serve."""
        there = {
            int(path.name): path
            for path in (self.directory.iterdir() if self.directory.is_dir() else ())
            if path.name.isdigit() and path.is_dir()
        }
        for version in [*self._failed]:
            if version not in there or self._failed[version][0] != _fingerprint(there[version]):
                del self._failed[version]
        for version in sorted(set(there) - set(self._failed), reverse=True):
            if self._current is not None and version == self._current.version:
                return
            if self._serve(version, there[version]):
                return

    def _serve(self, version: int, path: Path) -> bool:
        """Loads a version and puts it in the current one's place; returns whether it could."""
        before = _fingerprint(path)
        self._states[version] = State(version, "LOADING")
        try:
            session = Session(path)
            try:
                loaded = Loaded(version, session, self._load(session))
            except BaseException:
                session.close()
                raise
        except (OSError, ValueError, SessionError) as error:
            self._states[version] = State(version, "END", code_of(error), str(error))
            self._failed[version] = (before, self._states[version])
            logger.warning("%s version %d is not served: %s", self.name, version, error)
            return False
        with self._changed:
            old, self._current = self._current, loaded
        self._states[version] = State(version, "AVAILABLE")
        logger.info("%s version %d is served.", self.name, version)
        if old is not None:
            self._retire(old)
        return True

    def _retire(self, loaded: Loaded) -> None:
        """Frees a version when its last request is answered."""
        self._states[loaded.version] = State(loaded.version, "UNLOADING")
        with self._changed:
            self._changed.wait_for(lambda: not loaded.users)
        loaded.session.close()
        self._states[loaded.version] = State(loaded.version, "END")

    @contextmanager
    def use(self, version: int | None = None) -> Iterator[Loaded]:
        """Gives the served version, which stays loaded inside the block.

        Raises:
            SessionError: NOT_FOUND if `version` is not the served one, UNAVAILABLE if there is
                none yet.
        """
        with self._changed:
            loaded = self._current
            if loaded is None:
                raise SessionError(f"{self.name} has no version that loads yet.", UNAVAILABLE)
            if version is not None and version != loaded.version:
                raise SessionError(
                    f"{self.name} is served in version {loaded.version}, not {version}.", NOT_FOUND
                )
            loaded.users += 1
        try:
            yield loaded
        finally:
            with self._changed:
                loaded.users -= 1
                if not loaded.users:
                    self._changed.notify_all()

    def states(self, version: int | None = None) -> list[State]:
        """Returns what became of every version seen, newest first."""
        states = sorted(dict(self._states).values(), key=lambda state: -state.version)
        if version is not None:
            states = [state for state in states if state.version == version]
        if not states:
            raise SessionError(f"{self.name} has no version {version or ''}".strip(), NOT_FOUND)
        return states

    @property
    def served(self) -> int:
        """The version served now; 0 while there is none."""
        return 0 if self._current is None else self._current.version

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a slot."""
        return 0 if self._current is None else int(self._current.runner.waiting)

    def close(self) -> None:
        """Frees the served version when its last request is answered."""
        with self._changed:
            loaded, self._current = self._current, None
        if loaded is not None:
            self._retire(loaded)


def _fingerprint(path: Path) -> Any:
    """Returns what changes when the files of a version do."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return [(str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files]
