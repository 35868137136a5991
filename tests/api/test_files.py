"""Renditions, and nothing but renditions."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from schemas.events import UploadCompleted
from sinks.object_store import rendition_key
from tests.api.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_rendition_may_be_kept_for_ever(gateway: Gateway) -> None:
    body = b"\xff\xd8\xff a picture"
    digest = hashlib.sha256(body).hexdigest()
    await gateway.stores.objects.put(rendition_key(digest), body)
    address = f"/media/{rendition_key(digest)}"
    answer = await gateway.client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (body, "image/jpeg")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    etag = answer.headers["etag"]
    for match in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await gateway.client.get(address, headers={"If-None-Match": match})
        assert (again.status_code, again.content) == (304, b"")
    assert (await gateway.client.get(address, headers={"If-None-Match": '"other"'})).status_code == 200
    head = await gateway.client.head(address)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(body)))


async def test_originals_and_other_files_are_not_there(gateway: Gateway) -> None:
    ada = await gateway.person()
    await gateway.upload(ada)
    event = gateway.said[-1]
    assert isinstance(event, UploadCompleted)
    root = gateway.settings.shutterlog_home / "data" / "media"
    assert (root / event.original_key).is_file()
    (root / "secret.jpg").write_bytes(b"secret")
    digest = "0" * 64
    for key in (
        event.original_key,
        f"r/../{event.original_key}",
        f"r/%2e%2e/{event.original_key}",
        "secret.jpg",
        "..%2f..%2fdata%2fmedia%2fsecret.jpg",
        "%2e%2e/secret.jpg",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "r/00/%00.jpg",
        f"r/00/{digest}.jpg",
        f"r/01/{digest}.jpg",
        f"r/00/{digest}",
        f"r/00/{digest}.jpg/",
        f"r//00/{digest}.jpg",
        f"../media/r/00/{digest}.jpg",
        "",
    ):
        # As raw bytes: a client that would tidy up the path hides what is tried here.
        url = httpx.URL("http://gateway/").copy_with(raw_path=f"/media/{key}".encode())
        answer = await gateway.client.get(url)
        assert answer.status_code == 404, key
        assert b"secret" not in answer.content.replace(answer.json()["instance"].encode(), b"")
