"""Faults that come over the network: benchmarks/serving_faults.py."""

import json
import os
import random
import socket
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from serving_faults import ITEMS, MODEL, World

POST = f"POST /v1/models/{MODEL}:predict HTTP/1.1\r\nHost: a\r\n"
BODY = '{"inputs": {"user_id": [1]}}'
IDLE = 5000
FUZZ = 5000  # by each interface


def connect(world: World) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.rest), timeout=30)


def raw(data: bytes | str, world: World, wanted: str) -> None:
    """Sends bytes; what comes back must begin with `wanted`, answer one request, and end."""
    with connect(world) as connection, suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(data.encode() if isinstance(data, str) else data)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while chunk := connection.recv(2**16):
            said += chunk
        assert said.decode(errors="replace").startswith(wanted), said[:200]
        assert said.count(b"HTTP/1.1 ") <= 1, said


def two_lengths(*lines: str) -> Callable[[World], None]:
    """A request whose length can be read in two ways, with another hidden behind it."""
    hidden = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    data = POST + "".join(f"{line}\r\n" for line in lines) + "\r\n" + BODY + hidden
    return lambda world: raw(data, world, "HTTP/1.1 400")


def sent(data: bytes | str, wanted: str = "HTTP/1.1 4") -> Callable[[World], None]:
    return lambda world: raw(data, world, wanted)


def posted(status: int, body: bytes, **headers: str) -> Callable[[World], None]:
    def fault(world: World) -> None:
        got, said = world.post(body, headers)
        assert got == status, (got, said[:200])

    return fault


def bodies(status: int, *made: Any, signature: str = "recommend") -> Callable[[World], None]:
    """Asks with other inputs than a sound request has; each must get the status."""

    def fault(world: World) -> None:
        for changed in made:
            inputs = {"user_id": [1], "k": 3, "exclude": [[-1]]} | changed
            got, said = world.post(
                json.dumps({"signature_name": signature, "inputs": inputs}).encode()
            )
            assert got == status, (changed, got, said[:200])

    return fault


def get_with_body(world: World) -> None:
    inner = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
    raw(
        f"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: {len(inner)}\r\n\r\n{inner}",
        world,
        "HTTP/1.1 200",
    )


def drip(head: str, seconds: float = 3.0, count: int = 100) -> Callable[[World], None]:
    """Many connections that send a byte from time to time."""

    def fault(world: World) -> None:
        connections = [connect(world) for _ in range(count)]
        for connection in connections:
            connection.sendall(head.encode())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for connection in connections:
                connection.sendall(b" " if head.endswith("\n\r\n") else b"a")
            time.sleep(0.5)
        for connection in connections:
            connection.close()

    return fault


def idle(world: World) -> None:
    connections = [connect(world) for _ in range(IDLE)]
    time.sleep(1)
    assert world.get("/healthz")[0] == 200
    for connection in connections:
        connection.close()


def unread_answers(world: World) -> None:
    """Clients that ask for large answers and read nothing."""
    inputs = {"user_id": list(range(60)) * 4, "k": ITEMS, "exclude": [[-1]] * 240}
    body = json.dumps({"signature_name": "recommend", "inputs": inputs})
    connections = [connect(world) for _ in range(8)]
    for connection in connections:
        connection.sendall(f"{POST}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    time.sleep(3)
    for connection in connections:
        connection.close()


def resets(world: World) -> None:
    """Clients that ask and are gone by a reset."""
    for _ in range(300):
        connection = connect(world)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"{POST}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
        connection.close()


def pipelined(world: World) -> None:
    count = 500
    with connect(world) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        said = b""
        while said.count(b"ok\n") < count:
            said += connection.recv(2**16)


def fuzzed(world: World) -> None:
    """Spoils bytes of sound requests; each is answered by 200 or an error that is the client's."""
    draw, sound = (
        random.Random(0),
        bytearray(
            b'{"signature_name": "recommend", "inputs": {"user_id": [1, 2], "k": 3, '
            b'"exclude": [[1], [2]]}}'
        ),
    )
    with connect(world) as connection:
        for _ in range(FUZZ):
            body = spoiled(draw, sound)
            connection.sendall(f"{POST}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            said = b""
            while b"\r\n\r\n" not in said:
                said += connection.recv(2**16)
            head, _, rest = said.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(rest) < length:
                rest += connection.recv(2**16)
            assert head[9:12] in (b"200", b"400", b"429"), (body, head)


def spoiled(draw: random.Random, sound: bytearray) -> bytes:
    """Returns the bytes with some replaced, left out, doubled or cut."""
    data = bytearray(sound)
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(data))
        kind = draw.randrange(4)
        if kind == 0:
            data[place] = draw.randrange(256)
        elif kind == 1:
            del data[place : place + draw.randint(1, 4)]
        elif kind == 2:
            data[place:place] = data[place : place + draw.randint(1, 8)]
        else:
            data[place:place] = draw.choice(
                [b"[", b"{", b'"', b"9" * 30, b"null", b"\x00", b"1e999"]
            )
        data = data or bytearray(b"x")
    return bytes(data)


def head_bomb() -> str:
    return (
        POST + "".join(f"X-{n}: {'a' * 1000}\r\n" for n in range(200)) + "Content-Length: 0\r\n\r\n"
    )


def other_methods(world: World) -> None:
    for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"):
        raw(f"{method} /v1/models/{MODEL} HTTP/1.1\r\nHost: a\r\n\r\n", world, "HTTP/1.1 4")


def other_paths(world: World) -> None:
    for path in (
        "/../../etc/passwd",
        "/%2e%2e/",
        "/v1/models/%00",
        "/v1/" + "a/" * 2000,
        "//",
        "/%ff",
    ):
        status, _ = world.get(path)
        assert status in (400, 404), (path, status)


_ROWS = b'{"instances": [' + b",".join([b'{"user_id":1}'] * 2_000_000) + b"]}"
_ZEROS = zlib.compress(bytes(2**28), 9)
GZIP = {"Content-Encoding": "gzip"}
FAULTS: dict[str, Callable[[World], Any]] = {
    "Content-Length and Transfer-Encoding": two_lengths(
        f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"
    ),
    "Transfer-Encoding and Content-Length": two_lengths(
        "Transfer-Encoding: chunked", f"Content-Length: {len(BODY)}"
    ),
    "two lengths": two_lengths(f"Content-Length: {len(BODY)}", "Content-Length: 3"),
    "a length twice": two_lengths(*[f"Content-Length: {len(BODY)}"] * 2),
    "a length of 40 digits": two_lengths("Content-Length: " + "9" * 40),
    "a negative length": two_lengths("Content-Length: -1"),
    "a request in the body of a GET": get_with_body,
    "a chunk that is no number": sent(f"{POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "a head of 200 kB": sent(head_bomb()),
    "random bytes": lambda world: [raw(os.urandom(500), world, "HTTP/1.1 4") for _ in range(50)],
    "a TLS handshake": sent(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
    "HTTP/2's preface": sent(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "other methods": other_methods,
    "other paths": other_paths,
    "100 slow heads": drip("GET /healthz HTTP/1.1\r\nX: "),
    "100 slow bodies": drip(f"{POST}Content-Length: 10000\r\n\r\n"),
    "5,000 idle connections": idle,
    "8 clients that read no answer": unread_answers,
    "300 clients that reset": resets,
    "500 pipelined requests": pipelined,
    "28 MB of rows": posted(429, _ROWS),
    "a body of 64 MB": posted(429, bytes(2**26)),
    "a million nested lists": posted(400, b"[" * 10**6),
    "100,000 names": posted(
        400, json.dumps({"inputs": {f"n{i}": 1 for i in range(10**5)}}).encode()
    ),
    "a number of a million digits": posted(
        400, b'{"inputs": {"user_id": [' + b"9" * 10**6 + b"]}}"
    ),
    "a zip bomb as a body": posted(400, _ZEROS),
    "a gzip bomb as a body": posted(400, _ZEROS, **GZIP),
    "invalid UTF-8": posted(400, b'{"inputs": {"user_id": ["\xff\xfe"]}}'),
    "invalid base64": bodies(400, *({"user_id": [{"b64": t}]} for t in ("-__-", "YzE", "Y*zE", 3))),
    "NaN and infinity": bodies(400, {"user_id": [float("nan")]}, {"k": float("inf")}),
    "other dtypes": bodies(400, {"k": 2.5}, {"k": True}, {"k": "3"}, {"user_id": [1, True]}),
    "k of 2^31 - 1": bodies(429, {"k": 2**31 - 1}),
    "k beyond the catalogue": bodies(400, {"k": ITEMS + 1}, {"k": 0}, {"k": -1}),
    "5,000 fuzzed requests by REST": fuzzed,
}
