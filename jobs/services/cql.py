"""Cassandra's native protocol, version 4, as far as probes need it, and the making of a first user."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

ERROR, STARTUP, READY, AUTHENTICATE, QUERY, RESULT, AUTH_RESPONSE, AUTH_SUCCESS = 0, 1, 2, 3, 7, 8, 15, 16
_SKIP_METADATA, _ROWS, _NO_METADATA = 2, 2, 4
_SUPERUSER = "cassandra"
"""The user, and its password, that a new Cassandra which asks for users begins with."""


class Login(NamedTuple):
    """How one speaks with Cassandra."""

    tls: ssl.SSLContext | None = None
    user: str = ""
    key: str = ""


class Unspoken(OSError):
    """It did not answer as a healthy Cassandra does."""


class Unadmitted(Unspoken):
    """It wants another user or key, or any at all."""


@contextmanager
def session(host: str, port: int, login: Login, seconds: float) -> Iterator[socket.socket]:
    """A connection that ``query`` can be said on. Raises ``OSError``."""
    with (
        socket.create_connection((host, port), timeout=seconds) as plain,
        login.tls.wrap_socket(plain, server_hostname=host) if login.tls else plain as connection,
    ):
        _begin(connection, login)
        yield connection


def query(connection: socket.socket, text: str) -> bytes:
    """Say ``text``, at consistency ONE; the answer's body. Raises ``OSError``; the message has nothing of ``text``."""
    statement = text.encode()
    asked = struct.pack(">i", len(statement)) + statement + struct.pack(">HB", 1, _SKIP_METADATA)
    answer, body = _ask(connection, QUERY, asked)
    if answer != RESULT:
        raise Unspoken(f"answered a query with opcode {answer}")
    return body


def column(connection: socket.socket, text: str) -> list[bytes]:
    """The values, as the wire has them, of the one column that ``text`` selects; empty for null. Raises ``OSError``."""
    body = query(connection, text)
    kind, flags, columns, count = struct.unpack_from(">4i", body)
    if kind != _ROWS or columns != 1 or not flags & _NO_METADATA:
        raise Unspoken(f"answered with a result of kind {kind}, flags {flags} and {columns} columns")
    values, place = [], 16
    for _ in range(count):
        (length,) = struct.unpack_from(">i", body, place)
        values.append(body[place + 4 : place + 4 + max(length, 0)])
        place += 4 + max(length, 0)
    return values


def admit(host: str, port: int, login: Login, seconds: float) -> None:
    """Make ``login.user`` the only user. Raises ``Unspoken`` while that is under way, and ``OSError``."""
    try:
        with session(host, port, login, seconds) as connection:
            query(connection, f"DROP ROLE IF EXISTS {_SUPERUSER}")
    except Unadmitted:
        first = login._replace(user=_SUPERUSER, key=_SUPERUSER)
        with session(host, port, first, seconds) as connection:
            options = f"PASSWORD = '{login.key}' AND SUPERUSER = true AND LOGIN = true"
            query(connection, f"CREATE ROLE IF NOT EXISTS {login.user} WITH {options}")
        raise Unspoken(f"the user {login.user} was just made") from None


def _begin(connection: socket.socket, login: Login) -> None:
    version = b"".join(struct.pack(">H", len(text)) + text for text in (b"CQL_VERSION", b"3.0.0"))
    answer, _ = _ask(connection, STARTUP, struct.pack(">H", 1) + version)
    if answer == AUTHENTICATE:
        if not login.user:
            raise Unadmitted("asks for credentials")
        token = f"\0{login.user}\0{login.key}".encode()
        answer, _ = _ask(connection, AUTH_RESPONSE, struct.pack(">i", len(token)) + token)
        if answer == ERROR:
            raise Unadmitted(f"refuses the user {login.user} with this key")
        if answer != AUTH_SUCCESS:
            raise Unspoken(f"answered AUTH_RESPONSE with opcode {answer}")
    elif answer != READY:
        raise Unspoken(f"answered STARTUP with opcode {answer}")


def _ask(connection: socket.socket, opcode: int, body: bytes) -> tuple[int, bytes]:
    connection.sendall(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
    _, _, _, answer, length = struct.unpack(">BBhBi", _read(connection, 9))
    return int(answer), _read(connection, length)


def _read(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        chunk = connection.recv(length - len(received))
        if not chunk:
            raise Unspoken("closed the connection")
        received += chunk
    return received
