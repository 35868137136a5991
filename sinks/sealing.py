"""Sealed personal fields: AES-256-GCM under a key of the person's own. To erase a person is to destroy the key.

Layout: a version byte (1), 12 bytes of nonce, the ciphertext, 16 bytes of tag. The person's id is authenticated with
it, so that one person's bytes cannot be passed off as another's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Unreadable(ValueError):
    """Sealed bytes that this key does not open: another key, another person's, damaged, or no sealed bytes at all."""


def new_key() -> bytes:
    """A fresh key for one person."""
    return AESGCM.generate_key(bit_length=KEY_BYTES * 8)


def seal(key: bytes, user_id: int, text: str, nonce: bytes | None = None) -> bytes:
    """``text`` sealed for ``user_id``. Leave out ``nonce``: only a simulation, which must repeat itself, gives one, and
    never the same one twice with one key."""
    nonce = os.urandom(_NONCE_BYTES) if nonce is None else nonce
    if len(nonce) != _NONCE_BYTES:
        raise ValueError(f"a nonce has {_NONCE_BYTES} bytes, not {len(nonce)}")
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, text.encode(), _bound(user_id))


def unseal(key: bytes, user_id: int, sealed: bytes) -> str:
    """The text in ``sealed``. Raises ``Unreadable``."""
    start = len(_VERSION) + _NONCE_BYTES
    if len(sealed) < start + _TAG_BYTES or sealed[:1] != _VERSION:
        raise Unreadable("these bytes were not sealed by any version that is known here")
    try:
        return AESGCM(key).decrypt(sealed[1:start], sealed[start:], _bound(user_id)).decode()
    except (InvalidTag, UnicodeDecodeError) as error:
        raise Unreadable("the key does not open these bytes") from error


def opened(keys: Mapping[int, bytes], user_id: int, sealed: bytes | None) -> str:
    """The text in a personal field; empty where nothing was said, or nobody can open it: after erasure the key is
    gone."""
    key = keys.get(user_id)
    if key is None or not sealed:
        return ""
    try:
        return unseal(key, user_id, sealed)
    except Unreadable:
        return ""


def _bound(user_id: int) -> bytes:
    # The version is authenticated too: a later one must not be taken back to this one.
    return _VERSION + user_id.to_bytes(8, "big")
