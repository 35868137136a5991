"""Files out of multipart bodies, however the bytes are cut."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from api.problems import Problem
from api.uploads import Upload

PNG = b"\x89PNG\r\n\x1a\n"
FORM = "multipart/form-data; boundary=cut"


def form(*parts: tuple[str, bytes], end: bytes = b"--cut--\r\n") -> bytes:
    return b"".join(b"--cut\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + end


def file(body: bytes, name: str = "file") -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"; filename="a.bin"\r\nContent-Type: text/plain', body


def request(pieces: list[bytes], content_type: str = FORM, **headers: str) -> Request:
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    given = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def receive() -> Message:
        return messages.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


async def read(upload: Upload) -> bytes:
    return b"".join([piece async for piece in upload.chunks()])


async def refusal(upload: Upload) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        await read(upload)
    return refused.value.status_code, refused.value.kind


@given(st.binary(max_size=300), st.integers(1, 64))
async def test_the_file_comes_whole_however_it_is_cut(rest: bytes, size: int) -> None:
    body = form(("Content-Disposition: form-data; name=note", b"hello"), file(PNG + rest))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    upload = Upload(request(pieces), 1000)
    if b"\r\n--cut" in rest:
        return
    assert await read(upload) == PNG + rest
    assert (upload.size, upload.content_type) == (len(PNG + rest), "image/png")
    assert upload.sha256 == hashlib.sha256(PNG + rest).hexdigest()


async def test_what_is_too_large_ends_where_the_limit_is() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield b"--cut\r\n" + file(b"")[0].encode() + b"\r\n\r\n" + PNG
        while True:
            taken += 1
            yield bytes(1000)

    pieces = endless()
    asked = request([])

    async def receive() -> Message:
        return {"type": "http.request", "body": await anext(pieces), "more_body": True}

    asked._receive = receive
    assert await refusal(Upload(asked, 10_000)) == (413, "file-too-large")
    assert taken == 10


async def test_a_declared_length_is_refused_before_a_byte_is_read() -> None:
    asked = request([], content_length=str(10**9))

    async def receive() -> Message:
        raise AssertionError("nothing should be read")

    asked._receive = receive
    assert await refusal(Upload(asked, 1000)) == (413, "file-too-large")


async def test_a_large_form_around_a_small_file_is_refused() -> None:
    body = form(("Content-Disposition: form-data; name=note", bytes(100_000)), file(PNG))
    assert await refusal(Upload(request([body]), 1000)) == (413, "file-too-large")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (form(file(PNG)), "application/json", (415, "unsupported-media-type")),
        (form(file(PNG)), "multipart/form-data", (415, "unsupported-media-type")),
        (form(file(b"plain text")), FORM, (415, "unsupported-picture")),
        (form(file(b"plain text" * 20)), FORM, (415, "unsupported-picture")),
        (form(file(b"")), FORM, (422, "empty-file")),
        (form(), FORM, (422, "no-file")),
        (form(file(PNG, name="photo")), FORM, (422, "no-file")),
        (form(file(PNG), file(PNG)), FORM, (422, "several-files")),
        (form(file(PNG), end=b""), FORM, (400, "malformed-form")),
        (b"not a form", FORM, (400, "malformed-form")),
        (b"", FORM, (400, "malformed-form")),
    ],
)
async def test_what_is_wrong_is_said(body: bytes, content_type: str, expected: tuple[int, str]) -> None:
    assert await refusal(Upload(request([body], content_type), 1000)) == expected
