"""HTTP connections by uvicorn: how long they may take, how many there may be."""

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tfrecs.serving.limits import Limits

_IDLE_SECONDS = 60  # of a connection between two requests
_BACKLOG = 1024
_HEAD_BYTES = 2**16


def listen(host: str, port: int) -> socket.socket:
    """Returns a bound socket.

    Raises:
        OSError: If the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off for sockets that are said to be TCP
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno, f"{host}:{port} cannot be used: {error.strerror}. Name another port."
        ) from error
    return listening


def http_server(app: Any, limits: Limits) -> uvicorn.Server:
    """Returns a server of an ASGI application, to be started by `serve(sockets)`."""

    class Connection(_Connection):
        read_seconds, most = limits.read_seconds, limits.connections

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=1,
        )
    )


class _Connection(HttpToolsProtocol):
    """A connection whose request head must come in time, and whose answers must be taken.

    uvicorn itself waits for a head as long as the client likes. The time for a body is the
    application's to keep.
    """

    read_seconds: float
    most: int
    _deadline: asyncio.TimerHandle | None = None
    _head: int | None = 0  # bytes of a head that is on its way in

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(b"503 Service Unavailable", "Too many connections.")
        else:
            self._within()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > _HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large", "The head is too long.")

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()
        self._within()

    def on_headers_complete(self) -> None:
        self._head = None
        self._done()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._within()

    def resume_writing(self) -> None:
        self._done()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", "This is no HTTP request.")

    def _within(self) -> None:
        self._done()
        self._deadline = self.loop.call_later(self.read_seconds, self.transport.abort)

    def _done(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes, message: str) -> None:
        body = b'{"error": "%s"}' % message.encode()
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (
            status,
            len(body),
        )
        self.transport.write(head + b"Connection: close\r\n\r\n" + body)
        self.transport.close()
