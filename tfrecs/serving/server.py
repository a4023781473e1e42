"""`Server`: folders of SavedModels by TensorFlow Serving's gRPC and REST interfaces."""

import asyncio
import logging
import signal
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Self

from tfrecs.serving.http import http_server, listen
from tfrecs.serving.rest import Rest
from tfrecs.serving.rpc import grpc_server
from tfrecs.serving.service import Limits, Service

logger = logging.getLogger("tfrecs")
_GRACE = 1.0  # seconds for the last bytes of answers


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
        self.service = Service(models, limits or Limits(), poll_seconds)
        self.rest = Rest(self.service)
        self._socket = listen(host, rest_port)
        self.rest_port: int = self._socket.getsockname()[1]
        # one thread for the network of both interfaces; TensorFlow runs in threads of its own
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        try:
            self._grpc, self.grpc_port = self._call(self._bound(f"{host}:{grpc_port}"))
        except OSError:
            self._socket.close()
            self._end()
            raise
        self._http = http_server(self.rest, self.service.limits)
        self._serving: Any = None

    async def _bound(self, address: str) -> tuple[Any, int]:
        return grpc_server(address, self.service)

    def _call(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def start(self) -> Self:
        """Loads the models and listens; a model that does not load yet is tried again."""
        self.service.watch()
        self._call(self._grpc.start())
        self._serving = asyncio.run_coroutine_threadsafe(
            self._http.serve(sockets=[self._socket]), self._loop
        )
        return self

    def stop(self, seconds: float = 10.0) -> bool:
        """Refuses new requests, waits for those that run, frees the models.

        Args:
            seconds: How long to wait. Defaults to 10.

        Returns:
            Whether all requests were answered.
        """
        answered = self.service.stop(seconds)
        for model in self.service.models.values():
            model.stop_watching()
        self._http.should_exit = True
        self._call(self._grpc.stop(_GRACE))
        if self._serving is not None:
            self._serving.result(seconds + 2 * _GRACE)
        self._socket.close()
        self._end()
        if answered:
            for model in self.service.models.values():
                model.close()
        return answered

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_GRACE)
        if not self._thread.is_alive():
            self._loop.close()

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
