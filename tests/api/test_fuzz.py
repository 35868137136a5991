"""What is sent that nobody would send: broken forms, bombs, JSON of any shape. No 5xx, in bounded time and memory.

The same every time; more of it, and other:

    pytest tests/api -k fuzz --fuzz 20000 --seed 4711
"""

from __future__ import annotations

import io
import json
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from api.problems import MEDIA_TYPE, TYPE
from tests.api.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECONDS = 5.0
"""Of one request. Most take some milliseconds; a machine may be busy."""
NOT_HERE = {"no-mail", "no-push", "not-yet-consistent"}
"""Why the tests' gateway may say 503: nobody gave it these, and its views stand still."""
MEMORY = 8 * 1024 * 1024
"""Bytes that a request may need beside its own body."""


# -- files ------------------------------------------------------------------------------------------------------------


def png_bomb() -> bytes:
    """A PNG that says it is 50,000 pixels square, with the beginning of so many zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(4_000_000))) + b"\0\0\0\0"


def jpeg_bomb() -> bytes:
    """A small JPEG whose header says that it has 65,535 × 65,535 pixels."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    body = bytearray(file.getvalue())
    at = body.index(b"\xff\xc0")
    body[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return bytes(body)


def zip_bomb() -> bytes:
    """A ZIP whose one file is a thousand times as large."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(4_000_000))
    return file.getvalue()


def gif_of_frames() -> bytes:
    """A GIF that never ends."""
    return b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\xf0\0\0" + b",\0\0\0\0" * 2_000


def pictures() -> list[bytes]:
    """Files, good and bad."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, "PNG")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    xml = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><a>&b;</a>'
    return [
        *(file.getvalue(), file.getvalue()[:40], png_bomb(), jpeg_bomb(), zip_bomb(), gif_of_frames()),
        *(b"", b"\0" * 5_000, svg, xml, b"\xff\xd8\xff", b"RIFF\xff\xff\xff\xffWEBP", b"\0\0\0\x18ftypheic"),
    ]


# -- forms ------------------------------------------------------------------------------------------------------------


def form(chance: random.Random, files: list[bytes]) -> tuple[str, bytes]:
    """A content type and a body: a right form, and up to three things that are wrong with it."""
    boundary = chance.choice(["cut", "x" * 70, "a b", "----WebKitFormBoundary7MA4YWxkTrZu0gW"])
    parts = [part(chance, boundary, chance.choice(files))]
    kind = f'multipart/form-data; boundary="{boundary}"'
    end = f"--{boundary}--\r\n".encode()
    body = b""
    for _ in range(chance.randrange(4)):
        match chance.randrange(12):
            case 0:
                parts += [part(chance, boundary, b"x", name=f"field{n}") for n in range(chance.choice((3, 2_000)))]
            case 1:
                parts.append(part(chance, boundary, chance.choice(files)))
            case 2:
                parts[0] = part(chance, boundary, chance.choice(files), extra="X-Long: " + "a" * 20_000)
            case 3:
                many = "\r\n".join(f"X-{n}: {n}" for n in range(500))
                parts[0] = part(chance, boundary, chance.choice(files), extra=many)
            case 4:
                end = chance.choice([b"", b"--", f"--{boundary}".encode(), b"\r\n" * 50, end + b"after the end" * 9])
            case 5:
                kind = chance.choice(
                    [
                        *(
                            "multipart/form-data",
                            'multipart/form-data; boundary=""',
                            "multipart/form-data; boundary=other",
                        ),
                        *("application/json", "image/png", "", "multipart/form-data; boundary=" + "b" * 5_000),
                        *("multipart/mixed; boundary=cut", "multipart/form-data; boundary=\x00", "text/plain; ;;=;"),
                    ]
                )
            case 6:
                parts[0] = parts[0].replace(b"\r\n", chance.choice([b"\n", b"\r", b"\r\r\n"]))
            case 7:
                parts[0] = part(chance, boundary, chance.choice(files), name=chance.choice(["", "FILE", "file\0", "🖼"]))
            case 8:
                parts[0] = parts[0].replace(
                    b"Content-Disposition", chance.choice([b"Content-", b"", b":", b"\xff\xfe"])
                )
            case 9:
                body = chance.randbytes(chance.randrange(2_000))
            case 10:
                parts.insert(0, part(chance, boundary, form(chance, files)[1][:3_000], name="nested"))
            case _:
                parts[0] = parts[0][: chance.randrange(len(parts[0]))]
    body += b"".join(parts) + end
    for _ in range(chance.choice((0, 0, 1, 5))):
        at = chance.randrange(len(body) + 1)
        body = (
            body[:at] + chance.choice([b"", chance.randbytes(3), b"\r\n", b"--" + boundary.encode()]) + body[at + 1 :]
        )
    return kind, body


def part(chance: random.Random, boundary: str, body: bytes, name: str = "file", extra: str = "") -> bytes:
    """One part of a form."""
    filename = chance.choice(["a.png", "../../etc/passwd", "a" * 3_000, 'q".png', "", "\u202egnp.a"])
    kind = chance.choice(["image/png", "text/html", "application/zip", "x" * 500, ""])
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}'
    head += f"\r\n{extra}" if extra else ""
    return f"--{boundary}\r\n{head}\r\n\r\n".encode(errors="surrogatepass") + body + b"\r\n"


# -- JSON -------------------------------------------------------------------------------------------------------------

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, 2**63, -(2**70), "", " ", "0", "a" * 5_000, "\0", "\ud800", "🦊" * 300),
    *([], {}, [[]], {"": ""}, ["1"] * 3_000, [None], {"a": {"a": {"a": {}}}}, "1000000000000000001", "../..", "%00"),
    *("<script>", "'; DROP TABLE posts; --", "9" * 400, "١٢٣", "NaN", "2026-11-21T00:00:00Z"),
]
TEXTS = [
    *(
        b"",
        b"{",
        b"[" * 5_000,
        b'{"a":' * 5_000,
        b"NaN",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"null",
        b'"text"',
        b"1e999999",
    ),
    *(b'{"a":1,"a":2}', b"{}" * 50, b"9" * 5_000, b'{"text":"\\ud800"}', b"{'a': 1}", b"\0" * 100),
]


def body_of(chance: random.Random, schema: dict[str, Any], document: dict[str, Any]) -> bytes:
    """A JSON body: one with the fields of the schema and odd values, or no such thing."""
    if chance.random() < 0.15:
        return chance.choice(TEXTS)
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    fields = list(schema.get("properties", {})) or ["a"]
    made = {name: chance.choice(ODD) for name in fields if chance.random() < 0.8}
    if chance.random() < 0.2:
        made[chance.choice(["id", "__proto__", "role", "user_id", ""])] = chance.choice(ODD)
    value: Any = made if chance.random() < 0.95 else [made]
    return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")


# -- the tests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def chance(pytestconfig: pytest.Config) -> random.Random:
    """The same every time, unless a seed is given."""
    return random.Random(pytestconfig.getoption("--seed") or 1)


async def refused(gateway: Gateway, what: object, *, of: int, **request: Any) -> int:
    """Send a request of ``of`` bytes, which may be taken or refused, within the bounds; its status."""
    tracemalloc.reset_peak()
    before, began = tracemalloc.get_traced_memory()[0], time.monotonic()
    answer = await gateway.client.request(**request)
    seconds, memory = time.monotonic() - began, tracemalloc.get_traced_memory()[1] - before
    assert answer.status_code < 500 or answer.json()["type"].removeprefix(TYPE) in NOT_HERE, (what, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == MEDIA_TYPE, what
        assert answer.json()["detail"], what
    assert seconds < SECONDS, (what, seconds)
    assert memory < MEMORY + 4 * of, (what, memory)
    return answer.status_code


@pytest.fixture
def measured(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Memory is measured, and nobody has to wait for sending much."""
    for limit in ("write", "comment", "login", "activity"):
        monkeypatch.setattr(gateway.settings, f"{limit}_burst", 10**6)
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


async def test_fuzzed_uploads_are_taken_or_refused(
    gateway: Gateway, chance: random.Random, measured: None, pytestconfig: pytest.Config
) -> None:
    ada, files, found = await gateway.person(), pictures(), set()
    for number in range(pytestconfig.getoption("--fuzz")):
        kind, body = form(chance, files)
        headers = ada.headers | {"Content-Type": kind.encode("utf-8")}
        pieces = cut(chance, body)
        found.add(
            await refused(
                *(gateway, (number, kind[:100], body[:200])),
                of=len(body),
                **{"method": "POST", "url": "/api/v1/media", "headers": headers, "content": pieces()},
            )
        )
    assert found >= {201, 400, 415}, "all of it was refused for one reason, and nothing tried"


def cut(chance: random.Random, body: bytes) -> Callable[[], Any]:
    """The body in pieces of any size, as a network brings it."""
    size = chance.choice((1 << 16, 1_000, max(len(body) // 50, 7)))

    async def pieces() -> Any:
        for at in range(0, len(body), size):
            yield body[at : at + size]

    return pieces


async def test_a_form_of_nothing_but_parts_is_ended_early(gateway: Gateway, measured: None) -> None:
    """What stands beside the file has a limit of its own, or a million empty parts would be a minute's work."""
    ada = await gateway.person()
    one = b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    sent = 0

    async def pieces() -> Any:
        nonlocal sent
        while sent < 90_000:
            sent += 100 * len(one)
            yield one * 100
        yield b"--cut--\r\n"

    headers = ada.headers | {"Content-Type": "multipart/form-data; boundary=cut"}
    status = await refused(
        gateway, "parts", of=90_000, method="POST", url="/api/v1/media", headers=headers, content=pieces()
    )
    assert status == 413
    assert sent < 40_000


async def test_fuzzed_bodies_are_taken_or_refused(
    gateway: Gateway, chance: random.Random, measured: None, pytestconfig: pytest.Config
) -> None:
    ada = await gateway.person()
    post_id = await gateway.post(ada)
    await gateway.catch_up()
    document = (await gateway.client.get("/openapi.json")).json()
    asked = [
        (method, path, body["content"]["application/json"]["schema"])
        for path, methods in document["paths"].items()
        for method, said in methods.items()
        if "application/json" in (body := said.get("requestBody", {"content": {}}))["content"]
    ]
    assert len(asked) >= 15
    found: set[int] = set()
    for number in range(pytestconfig.getoption("--fuzz")):
        method, path, schema = asked[number % len(asked)]
        content = body_of(chance, schema, document)
        url = path.replace("{post_id}", post_id).replace("{user}", ada.id)
        for name in ("{media_id}", "{story_id}", "{comment_id}", "{collection_id}", "{highlight_id}"):
            url = url.replace(name, chance.choice(["1", post_id]))
        headers = ada.headers | {"Content-Type": chance.choice(["application/json"] * 9 + ["text/plain"])}
        found.add(
            await refused(
                *(gateway, (method, path, content[:300])),
                of=len(content),
                **{"method": method.upper(), "url": url, "headers": headers, "content": content},
            )
        )
    assert found >= {400, 422}
