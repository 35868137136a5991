"""A push service on this machine: takes what a real one takes, opens it as the browser would, and checks who sent it.

Written apart from sinks/web_push.py, from the RFCs: what both agree on is what browsers read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def _text(some: bytes) -> str:
    return base64.urlsafe_b64encode(some).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mac(key: bytes, some: bytes) -> bytes:
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(some)
    return made.finalize()


class Device:
    """A browser with one subscription."""

    def __init__(self, endpoint: str, private: ec.EllipticCurvePrivateKey | None = None, auth: bytes = b"") -> None:
        self.endpoint = endpoint
        self._private = private or ec.generate_private_key(ec.SECP256R1())
        self._point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = auth or os.urandom(16)

    @property
    def given(self) -> dict[str, Any]:
        """What ``PushSubscription.toJSON()`` gives."""
        keys = {"p256dh": _text(self._point), "auth": _text(self._auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def opened(self, body: bytes) -> bytes:
        """The message in ``body``, by RFC 8188 and RFC 8291."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size
        shared = self._private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        first = _mac(_mac(self._auth, shared), b"WebPush: info\0" + self._point + sender + b"\1")
        second = _mac(salt, first)
        key = _mac(second, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _mac(second, b"Content-Encoding: nonce\0\1")[:12]
        message, marker, padding = AESGCM(key).decrypt(nonce, record, None).rpartition(b"\2")
        assert marker
        assert not padding.strip(b"\0")
        return message


@dataclass
class Pushed:
    """One message that was taken."""

    path: str
    headers: dict[str, str]
    body: bytes
    said: dict[str, Any]


@dataclass
class PushEndpoint:
    """The service. ``answers`` decides what it answers to a path, 201 unless told otherwise; what it does not answer
    with 201 it does not take."""

    address: str
    public_key: str = ""
    devices: dict[str, Device] = field(default_factory=dict)
    taken: list[Pushed] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: Callable[[str], Any] = lambda path: 201
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    def device(self, path: str) -> Device:
        """A browser that this service serves."""
        self.devices[path] = Device(self.address + path)
        return self.devices[path]

    async def takes(self, count: int, seconds: float = 20.0) -> list[Pushed]:
        """Wait until ``count`` messages were taken."""
        await self._until(lambda: len(self.taken) >= count, seconds)
        return self.taken

    async def is_asked(self, count: int, seconds: float = 20.0) -> list[str]:
        """Wait until it was asked ``count`` times; the paths."""
        await self._until(lambda: len(self.asked) >= count, seconds)
        return self.asked

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds), self.came:
            await self.came.wait_for(holds)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        path, headers = scope["path"], {name.decode(): value.decode() for name, value in scope["headers"]}
        async with self.came:
            self.asked.append(path)
            self.came.notify_all()
        answer = self.answers(path)
        if asyncio.iscoroutine(answer):
            answer = await answer
        status, *given = answer if isinstance(answer, tuple) else (answer,)
        if status == 201:
            self._check_sender(headers)
            said = json.loads(self.devices[path].opened(body)) if path in self.devices else {}
            async with self.came:
                self.taken.append(Pushed(path, headers, body, said))
                self.came.notify_all()
        fields = [(name.encode(), value.encode()) for name, value in (given[0] if given else {}).items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    def _check_sender(self, headers: dict[str, str]) -> None:
        """RFC 8292, and what RFC 8030 asks of a message."""
        assert headers["content-encoding"] == "aes128gcm"
        assert int(headers["ttl"]) >= 0
        scheme, _, rest = headers["authorization"].partition(" ")
        given = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert scheme == "vapid"
        assert self.public_key in ("", given["k"])
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _bytes(given["k"]))
        claims = jwt.decode(given["t"], point, algorithms=["ES256"], audience=self.address)
        assert claims["sub"].startswith("mailto:")


@asynccontextmanager
async def push_service() -> AsyncIterator[PushEndpoint]:
    """A push service on a free port of this machine."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        service = PushEndpoint(f"http://127.0.0.1:{bound.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(service, lifespan="off", log_level="error"))
        serving = asyncio.create_task(server.serve([bound]))
        try:
            yield service
        finally:
            server.should_exit = server.force_exit = True
            await serving
