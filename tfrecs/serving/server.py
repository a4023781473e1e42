"""`Server`: folders of SavedModels by TensorFlow Serving's gRPC and REST interfaces."""

import logging
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tfrecs.serving.rest import RestServer
from tfrecs.serving.rpc import grpc_server
from tfrecs.serving.service import Limits, Service

logger = logging.getLogger("tfrecs")
_STOP_SECONDS = 0.1  # in which a listening thread sees that it shall stop


class Server:
    """Serves models on a laptop or in a test; production is TensorFlow Serving.

    `with Server(find_models(Path("saved_models"))) as server:` serves until the block ends. Each
    model answers in its greatest version, and new ones take over while requests run.

    Args:
        models: Folder of versions, by model.
        host: Address to listen on. Defaults to "127.0.0.1", this machine alone.
        grpc_port: Port of gRPC; 0 takes a free one. Defaults to 8500.
        rest_port: Port of REST; 0 takes a free one. Defaults to 8501.
        limits: What a request may cost.
        poll_seconds: How often to look for new versions. Defaults to 2.

    Raises:
        OSError: If a port is taken.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 8500,
        rest_port: int = 8501,
        limits: Limits | None = None,
        poll_seconds: float = 2.0,
    ) -> None:
        self.service = Service(models, limits or Limits())
        self._poll_seconds = poll_seconds
        self._stopped = threading.Event()
        self._rest = RestServer((host, rest_port), self.service)
        try:
            self._grpc, self.grpc_port = grpc_server(f"{host}:{grpc_port}", self.service)
        except OSError:
            self._rest.server_close()
            raise
        self.rest_port: int = self._rest.server_address[1]
        self._threads = [
            threading.Thread(
                target=self._rest.serve_forever, args=(_STOP_SECONDS,), name="rest", daemon=True
            ),
            threading.Thread(target=self._watch, name="versions", daemon=True),
        ]

    def start(self) -> Self:
        """Loads the models and listens; a model that does not load yet is tried again."""
        self.poll()
        self._grpc.start()
        for thread in self._threads:
            thread.start()
        return self

    def poll(self) -> None:
        """Looks for new versions of every model, once."""
        for name, model in self.service.models.items():
            try:
                model.poll()
            except OSError as error:  # a file left while it was looked at
                logger.warning("%s could not be looked at: %s", name, error)

    def _watch(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            self.poll()

    def stop(self, seconds: float = 10.0) -> bool:
        """Refuses new requests, waits for those that run, frees the models.

        Args:
            seconds: How long to wait. Defaults to 10.

        Returns:
            Whether all requests were answered.
        """
        answered = self.service.stop(seconds)
        self._stopped.set()
        self._grpc.stop(1.0).wait()
        self._rest.shutdown()
        self._rest.server_close()
        for thread in self._threads:
            thread.join(seconds)
        if answered:
            for model in self.service.models.values():
                model.close()
        return answered

    def run(self, seconds: float = 10.0) -> bool:
        """Serves until SIGTERM or Ctrl-C, then stops; call it from the main thread.

        Args:
            seconds: How long to wait for requests that run. Defaults to 10.

        Returns:
            Whether all requests were answered.
        """
        asked = threading.Event()

        def ask(number: int, frame: Any) -> None:
            asked.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            asked.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self.stop(seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()
