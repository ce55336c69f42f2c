"""A listener on loopback that answers a client's first requests: TLS, API versions, login, brokers."""

import contextlib
import socket
import ssl
import struct
import threading
from typing import Self

API_VERSIONS, METADATA, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 3, 17, 36
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, AUTHENTICATION_FAILED = 33, 34, 58


class FakeBroker:
    """`context`: for a TLS server. `mechanisms`: SASL mechanisms; without any, clients that log in are refused, with
    some, clients that do not. `password`: for PLAIN. `advertised`: (host, port) of each broker in the metadata, by
    default of this one.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        mechanisms: tuple[str, ...] = (),
        password: str = "right",
        advertised: list[tuple[str, int]] | None = None,
    ) -> None:
        self._context, self._mechanisms, self._password = context, mechanisms, password
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._advertised = [("127.0.0.1", self.port)] if advertised is None else advertised
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, struct.error):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            with sock:
                sock.settimeout(5)
                self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        trusted = not self._mechanisms
        while True:
            (size,) = struct.unpack(">i", _exactly(sock, 4))
            if size > 100_000:  # no Kafka, or TLS
                return
            request = _exactly(sock, size)
            key, _, number, name_size = struct.unpack(">hhih", request[:10])
            body = request[10 + name_size :]
            if key == METADATA and not trusted:
                return
            answer = {
                API_VERSIONS: lambda _: struct.pack(">hi", 0, 0),
                SASL_HANDSHAKE: self._handshake,
                SASL_AUTHENTICATE: self._authenticate,
                METADATA: self._metadata,
            }[key](body)
            trusted = trusted or (key == SASL_AUTHENTICATE and answer[:2] == b"\0\0")
            sock.sendall(struct.pack(">ii", len(answer) + 4, number) + answer)

    def _handshake(self, body: bytes) -> bytes:
        name = body[2:].decode()
        error = 0 if name in self._mechanisms else UNSUPPORTED_MECHANISM if self._mechanisms else ILLEGAL_STATE
        return struct.pack(">hi", error, len(self._mechanisms)) + b"".join(map(_text, self._mechanisms))

    def _authenticate(self, body: bytes) -> bytes:
        right = body[4:].decode().split("\0")[-1] == self._password
        error = struct.pack(">hh", 0, -1) if right else struct.pack(">h", AUTHENTICATION_FAILED) + _text("Invalid")
        return error + struct.pack(">i", 0)

    def _metadata(self, body: bytes) -> bytes:
        brokers = [
            struct.pack(">i", number) + _text(host) + struct.pack(">ih", port, -1)
            for number, (host, port) in enumerate(self._advertised, 1)
        ]
        return struct.pack(">ii", 0, len(brokers)) + b"".join(brokers) + _text("a-cluster") + struct.pack(">ii", 1, 0)


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _exactly(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (data := sock.recv(size - len(found))):
            raise OSError("closed")
        found += data
    return found
