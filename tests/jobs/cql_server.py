"""As much of Cassandra as a login takes: it knows roles, and what makes and drops them."""

from __future__ import annotations

import re
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ERROR, READY, AUTHENTICATE, RESULT, AUTH_SUCCESS = 0, 2, 3, 8, 16


class CqlServer(socketserver.ThreadingTCPServer):
    """Speaks TLS with the certificate in ``pem``. ``roles`` are users and their passwords."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, roles: dict[str, str], pem: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.roles = roles
        self.port: int = self.server_address[1]
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(pem)

    def answer(self, opcode: int, body: bytes) -> int:
        """The opcode of the answer."""
        if opcode == 1:
            return AUTHENTICATE
        if opcode == 15:
            _, user, password = body[4:].decode().split("\0")
            return AUTH_SUCCESS if self.roles.get(user) == password else ERROR
        text = body[4 : 4 + struct.unpack(">i", body[:4])[0]].decode()
        if made := re.match(r"CREATE ROLE IF NOT EXISTS (\w+) WITH PASSWORD = '([^']+)' AND SUPERUSER = true", text):
            self.roles.setdefault(made[1], made[2])
        elif dropped := re.fullmatch(r"DROP ROLE IF EXISTS (\w+)", text):
            self.roles.pop(dropped[1], None)
        return RESULT


class _Connection(socketserver.BaseRequestHandler):
    server: CqlServer

    def handle(self) -> None:
        # Who does not trust the certificate, or speaks in clear, is gone before anything is said.
        with suppress(OSError), self.server.tls.wrap_socket(self.request, server_side=True) as connection:
            while head := connection.recv(9):
                _, _, _, opcode, length = struct.unpack(">BBhBi", head)
                answer = self.server.answer(opcode, connection.recv(length))
                connection.sendall(struct.pack(">BBhBi", 0x84, 0, 0, answer, 0))


@contextmanager
def serving(roles: dict[str, str], pem: Path) -> Iterator[CqlServer]:
    """A server on a thread, ended with the block."""
    with CqlServer(roles, pem) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
