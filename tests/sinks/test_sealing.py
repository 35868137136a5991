"""Sealed fields open with their person's key and with nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.sealing import KEY_BYTES, Unreadable, new_key, seal, unseal

KEY = bytes(range(32))
USER = 10**18 + 7


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 2**63 - 1))
def test_what_is_sealed_opens(text: str, user_id: int) -> None:
    assert unseal(KEY, user_id, seal(KEY, user_id, text)) == text


def test_layout_is_version_nonce_ciphertext_tag() -> None:
    sealed = seal(KEY, USER, "héllo", nonce=b"n" * 12)
    assert sealed[:13] == b"\x01" + b"n" * 12
    assert len(sealed) == 1 + 12 + len("héllo".encode()) + 16
    assert sealed == seal(KEY, USER, "héllo", nonce=b"n" * 12)


def test_bytes_sealed_by_an_earlier_release_open() -> None:
    # These stand in logs: if this fails, what people wrote can no longer be read.
    sealed = bytes.fromhex(EARLIER)
    assert unseal(KEY, USER, sealed) == "kept for ever"


EARLIER = "01000102030405060708090a0b2c67a66fe583ad69ad24e1eec3772943846800cd44d9a703f4bf79bd00"


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    assert len({seal(KEY, USER, "again") for _ in range(100)}) == 100


def test_keys_differ_and_have_the_right_size() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100 and {len(key) for key in keys} == {KEY_BYTES}


@given(st.data())
def test_no_bit_can_be_changed(data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, USER, "a caption"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Unreadable):
        unseal(KEY, USER, bytes(sealed))


@given(st.binary(max_size=80))
def test_other_bytes_are_unreadable(sealed: bytes) -> None:
    with pytest.raises(Unreadable):
        unseal(KEY, USER, sealed)


def test_another_key_or_another_person_is_refused() -> None:
    sealed = seal(KEY, USER, "mine")
    for key, user_id in ((new_key(), USER), (KEY, USER + 1)):
        with pytest.raises(Unreadable):
            unseal(key, user_id, sealed)


@pytest.mark.parametrize("nonce", [b"", b"n" * 11, b"n" * 13])
def test_a_nonce_of_another_size_is_refused(nonce: bytes) -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        seal(KEY, USER, "x", nonce=nonce)
