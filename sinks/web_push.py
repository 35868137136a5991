"""Web Push: how a message is sealed for one browser (RFC 8291) and how its sender is known (VAPID, RFC 8292).

Written here with ``cryptography`` and ``pyjwt``: pywebpush would bring requests and a second HTTP client, for what is a
page of code with a test vector in the RFC.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES = 4096
"""The most that a push service has to take (RFC 8030), and the record size: a message is one record."""
_POINT, _SECRET, _TAG, _SALT = 65, 16, 16, 16
LONGEST_MESSAGE = RECORD_BYTES - (_SALT + 4 + 1 + _POINT) - _TAG - 1
"""Bytes of a message, its padding included; one more marks where that begins."""
PADDED_TO = 1024
"""Messages are padded to a multiple of so many bytes: what they say does not show in their length."""
_CURVE = ec.SECP256R1()
_TOKEN_SECONDS = 12 * 3600
_REMEMBERED = 1000


class BrowserKeys(NamedTuple):
    """What a browser gave with a subscription: its public key (an uncompressed point of P-256, 65 bytes) and a secret
    of 16 bytes."""

    p256dh: bytes
    auth: bytes

    @classmethod
    def read(cls, p256dh: str, auth: str) -> BrowserKeys:
        """From base64url. Raises ``ValueError``, with a sentence for the client, for what cannot be such keys."""
        point, secret = from_base64url(p256dh), from_base64url(auth)
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
        except ValueError:
            point = b""
        if len(point) != _POINT:
            raise ValueError("`p256dh` is no public key: it has to be the 65 bytes of a point of P-256, as base64url")
        if len(secret) != _SECRET:
            raise ValueError("`auth` has to be 16 bytes, as base64url")
        return cls(point, secret)


def to_base64url(some: bytes) -> str:
    """Without padding, as JWTs and browsers write it."""
    return base64.urlsafe_b64encode(some).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Padded or not. Raises ``ValueError``."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("this is no base64url") from error


def sealed_for(
    browser: BrowserKeys,
    message: bytes,
    *,
    padded_to: int = PADDED_TO,
    salt: bytes | None = None,
    own: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body that only ``browser`` can open: ``aes128gcm`` of RFC 8188, one record, keyed as RFC 8291 says.

    Raises ``ValueError`` for a message of more than ``LONGEST_MESSAGE`` bytes. ``salt`` and ``own`` are fresh for each
    message; tests give them.
    """
    if len(message) > LONGEST_MESSAGE:
        raise ValueError(f"a push message has at most {LONGEST_MESSAGE} bytes, this one {len(message)}")
    salt = salt or os.urandom(_SALT)
    own = own or ec.generate_private_key(_CURVE)
    own_point = _point(own.public_key())
    shared = own.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, browser.p256dh))
    secret = _derived(shared, browser.auth, b"WebPush: info\0" + browser.p256dh + own_point, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    padding = min(-(len(message) + 1) % max(padded_to, 1), LONGEST_MESSAGE - len(message))
    record = AESGCM(key).encrypt(nonce, message + b"\2" + bytes(padding), None)
    return salt + RECORD_BYTES.to_bytes(4, "big") + bytes([_POINT]) + own_point + record


def new_vapid_key() -> str:
    """A private key by which push services know this sender, as ``VAPID_PRIVATE_KEY`` holds it."""
    return to_base64url(ec.generate_private_key(_CURVE).private_numbers().private_value.to_bytes(32, "big"))


class Vapid:
    """The sender's identity. Browsers are given its ``public_key``, and push services take messages from it alone."""

    def __init__(self, private_key: str, subject: str, clock: Callable[[], float] = time.time) -> None:
        """``private_key``: base64url of the 32 bytes of a key of P-256; ``subject``: where the operator is reached, a
        ``mailto:`` or ``https:`` address. Raises ``ValueError`` for others."""
        raw = from_base64url(private_key)
        if len(raw) != 32:
            raise ValueError("VAPID_PRIVATE_KEY has to be the 32 bytes of a private key of P-256, as base64url")
        if not subject.startswith(("mailto:", "https://")):
            raise ValueError("VAPID_SUBJECT has to be a mailto: or https: address at which the operator is reached")
        self._private = ec.derive_private_key(int.from_bytes(raw, "big"), _CURVE)
        self._subject = subject
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self.public_key = to_base64url(_point(self._private.public_key()))
        """``applicationServerKey`` of browsers, base64url."""

    def authorization(self, origin: str) -> str:
        """The header for a push service; ``origin`` is ``https://host`` of the endpoint. A token is used for hours."""
        now = self._clock()
        expires, token = self._tokens.get(origin, (0.0, ""))
        if expires - now < _TOKEN_SECONDS / 2:
            expires = now + _TOKEN_SECONDS
            claims = {"aud": origin, "exp": int(expires), "sub": self._subject}
            token = jwt.encode(claims, self._private, algorithm="ES256")
            self._tokens[origin] = expires, token
            if len(self._tokens) > _REMEMBERED:
                self._tokens.popitem(last=False)
        return f"vapid t={token}, k={self.public_key}"


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
