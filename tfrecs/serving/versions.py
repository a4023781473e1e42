"""The versions of a served model: watched on disk, loaded aside, swapped without a gap."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecs.serving.c_api import SessionError
from tfrecs.serving.codes import INVALID_ARGUMENT, NOT_FOUND, OK, UNAVAILABLE, code_of
from tfrecs.serving.session import Session, version_number

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


@dataclass(frozen=True)
class Policy:
    """Which versions of a folder are served.

    Args:
        latest: How many of the greatest; 0 is all. Defaults to 1.
        specific: These alone; empty for any.
    """

    latest: int = 1
    specific: frozenset[int] = frozenset()


class Loaded:
    """A version in memory, and how many requests use it now.

    Args:
        version: Its number.
        session: The SavedModel.
        runner: What answers its requests: a `Batcher`.
    """

    def __init__(self, version: int, session: Session, runner: Any) -> None:
        self.version, self.session, self.runner = version, session, runner
        self.signatures = session.signatures
        self.users = 0


class Versions:
    """Serves versions of a folder, by default the greatest; `poll` follows what happens there.

    A new version is loaded and warmed up beside the old ones, which answer until then and leave
    when their last request is answered. One that fails to load is left out until its files change;
    the greatest that load are served. If all folders vanish, the last versions stay.

    Args:
        name: Of the model.
        directory: Folder of numbered versions.
        load: Makes a runner for a session, after warming it up; may raise.
        policy: Which versions. Defaults to the greatest.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        load: Callable[[Session], Any],
        policy: Policy | None = None,
    ) -> None:
        self.name, self.directory, self._load = name, directory, load
        self.policy = policy or Policy()
        self.labels: Mapping[str, int] = {}
        self._polling = threading.Lock()
        self._changed = threading.Condition()
        self._loaded: dict[int, Loaded] = {}
        self._failed: dict[int, Any] = {}  # fingerprint of a version that does not load
        self._states: dict[int, State] = {}
        self._stopped = threading.Event()
        self._watch: threading.Thread | None = None

    def watch(self, seconds: float) -> None:
        """Polls from now on, in a thread of the model's own: none waits for another's loading."""

        def follow() -> None:
            while not self._stopped.wait(seconds):
                self.look()

        self._watch = threading.Thread(target=follow, name=f"versions-{self.name}", daemon=True)
        self._watch.start()

    @property
    def watched(self) -> bool:
        """Whether its folder is watched: a thread that died would serve old versions for ever."""
        return self._watch is not None and self._watch.is_alive()

    def look(self) -> None:
        """Polls; what goes wrong is logged, and the next look may find better."""
        try:
            self.poll()
        except Exception as error:  # such as a file that left while it was looked at
            logger.warning("%s could not be looked at: %r", self.name, error)

    def poll(self) -> None:
        """Looks at the folder once, and swaps versions if there are others to serve."""
        with self._polling:
            there = {
                number: path
                for path in (self.directory.iterdir() if self.directory.is_dir() else ())
                if (number := version_number(path.name)) is not None and path.is_dir()
            }
            for version in [*self._failed]:
                if version not in there or self._failed[version] != _fingerprint(there[version]):
                    del self._failed[version]
            policy = self.policy
            served: list[int] = []
            for version in sorted(there, reverse=True):
                if policy.specific and version not in policy.specific:
                    continue
                if policy.latest and not policy.specific and len(served) == policy.latest:
                    break
                if version in self._loaded or (
                    version not in self._failed and self._serve(version, there[version])
                ):
                    served.append(version)
            if served:
                for version in sorted(set(self._loaded) - set(served)):
                    self._retire(version)

    def _serve(self, version: int, path: Path) -> bool:
        """Loads a version beside the others; returns whether it could."""
        before = _fingerprint(path)
        self._states[version] = State(version, "LOADING")
        try:
            session = Session(path)
            try:
                loaded = Loaded(version, session, self._load(session))
            except BaseException:
                session.close()
                raise
        except Exception as error:  # whatever is in those files: only this version pays for it
            said = str(error) or repr(error)
            self._states[version] = State(version, "END", code_of(error), said)
            self._failed[version] = before
            logger.warning("%s version %d is not served: %s", self.name, version, said)
            return False
        with self._changed:
            self._loaded[version] = loaded
        self._states[version] = State(version, "AVAILABLE")
        logger.info("%s version %d is served.", self.name, version)
        return True

    def _retire(self, version: int) -> None:
        """Frees a version when its last request is answered."""
        self._states[version] = State(version, "UNLOADING")
        with self._changed:
            loaded = self._loaded.pop(version)
            self._changed.wait_for(lambda: not loaded.users)
        loaded.runner.close()
        loaded.session.close()
        self._states[version] = State(version, "END")

    @contextmanager
    def use(self, version: int | None = None, label: str = "") -> Iterator[Loaded]:
        """Gives a served version, the greatest by default; it stays loaded inside the block.

        Raises:
            SessionError: NOT_FOUND if `version` is not served, INVALID_ARGUMENT for a label that
                is not set, UNAVAILABLE if nothing is served yet.
        """
        with self._changed:
            if not self._loaded:
                raise SessionError(f"{self.name} has no version that loads yet.", UNAVAILABLE)
            wanted = self.of_label(label) if label else version
            loaded = self._loaded.get(max(self._loaded) if wanted is None else wanted)
            if loaded is None:
                said = " and ".join(map(str, sorted(self._loaded)))
                raise SessionError(
                    f"{self.name} is served in version {said}, not {wanted}.", NOT_FOUND
                )
            loaded.users += 1
        try:
            yield loaded
        finally:
            with self._changed:
                loaded.users -= 1
                if not loaded.users:
                    self._changed.notify_all()

    def of_label(self, label: str) -> int:
        """Returns the version of a label."""
        if label not in self.labels:
            raise SessionError(
                f"{self.name} has no version label {label!r}, only {sorted(self.labels)}.",
                INVALID_ARGUMENT,
            )
        return self.labels[label]

    def seen(self) -> list[State]:
        """Returns what became of every version seen, newest first; perhaps of none."""
        return sorted(dict(self._states).values(), key=lambda state: -state.version)

    def states(self, version: int | None = None) -> list[State]:
        """Returns what became of every version seen, newest first."""
        states = self.seen()
        if version is not None:
            states = [state for state in states if state.version == version]
        if not states:
            raise SessionError(f"{self.name} has no version {version or ''}".strip(), NOT_FOUND)
        return states

    @property
    def served(self) -> int:
        """The greatest version served now; 0 while there is none."""
        return max([*self._loaded], default=0)

    @property
    def serves(self) -> set[int]:
        """All versions served now."""
        return {*self._loaded}

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a slot."""
        return sum(int(loaded.runner.waiting) for loaded in [*self._loaded.values()])

    def stop_watching(self) -> None:
        """Ends the thread that `watch` began, after what it is doing."""
        self._stopped.set()

    def close(self) -> None:
        """Frees the served versions when their last request is answered."""
        self.stop_watching()
        with self._polling:
            for version in sorted(self._loaded):
                self._retire(version)


def _fingerprint(path: Path) -> Any:
    """Returns what changes when the files of a version do."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return [(str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files]
