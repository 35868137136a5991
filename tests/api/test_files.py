"""Renditions, and nothing but renditions."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import quote

import httpx
import pytest

from api.media_urls import MediaUrls
from schemas.events import UploadCompleted
from sinks.object_store import rendition_key
from tests.api.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_rendition_may_be_kept(gateway: Gateway) -> None:
    body = b"\xff\xd8\xff a picture"
    digest = hashlib.sha256(body).hexdigest()
    await gateway.stores.objects.put(rendition_key(digest), body)
    address = MediaUrls(gateway.settings).of(rendition_key(digest), public=True)
    answer = await gateway.client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (body, "image/jpeg")
    kind, age, last = answer.headers["cache-control"].split(", ")
    seconds = gateway.settings.public_media_seconds
    assert (kind, last) == ("public", "immutable") and seconds <= int(age[8:]) <= 2 * seconds
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
    digest, absent = "0" * 64, "f" * 64
    for path in ("secret.jpg", f"r/00/{digest}.jpg", f"r/01/{digest}.jpg", f"r/00/{digest}", f"{digest}.jpg"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"secret")
    urls = MediaUrls(gateway.settings)

    async def answer(key: str) -> httpx.Response:
        """To who asks for ``key`` with a signature that is good for it: the signature refuses nothing here."""
        query = urls.of(key, public=True).rpartition("?")[2]
        # Dots are escaped: a client that tidied up the path would hide what is tried here.
        raw = f"/media/{quote(key).replace('.', '%2e')}?{query}"
        url = httpx.URL("http://gateway/").copy_with(raw_path=raw.encode())
        assert url.path == f"/media/{key}"
        return await gateway.client.get(url)

    assert (await answer(f"r/00/{digest}.jpg")).content == b"secret", "a good key is refused, and so proves nothing"
    for key in (
        event.original_key,
        f"r/../{event.original_key}",
        f"r/%2e%2e/{event.original_key}",
        "secret.jpg",
        "../../data/media/secret.jpg",
        "..%2f..%2fdata%2fmedia%2fsecret.jpg",
        "../secret.jpg",
        "%2e%2e/secret.jpg",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "r/00/\x00.jpg",
        f"{digest}.jpg",
        f"r/ff/{absent}.jpg",
        f"r/01/{digest}.jpg",
        f"r/00/{digest}",
        f"r/00/{digest}.jpg/",
        f"r//00/{digest}.jpg",
        f"../media/r/00/{digest}.jpg",
        "",
    ):
        refused = await answer(key)
        assert refused.status_code == 404, key
        assert b"secret" not in refused.content.replace(refused.json()["instance"].encode(), b"")


async def test_addresses_are_signed_and_expire(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"\xff\xd8\xff another picture"
    key = rendition_key(hashlib.sha256(body).hexdigest())
    await gateway.stores.objects.put(key, body)
    address = MediaUrls(gateway.settings).of(key, public=False)
    answer = await gateway.client.get(address)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["cache-control"].startswith("private, max-age=")
    bare, _, query = address.partition("?")
    for changed in ("", query.replace("private", "public"), query.replace("expires=1", "expires=2"), query[:-1] + "x"):
        assert (await gateway.client.get(f"{bare}?{changed}")).status_code == 404, changed
    later = time.time() + 2 * gateway.settings.private_media_seconds
    monkeypatch.setattr("api.media_urls.time.time", lambda: later)
    expired = await gateway.client.get(address)
    assert (expired.status_code, expired.json()["type"]) == (403, "urn:shutterlog:problem:address-expired")


async def test_an_address_cannot_be_widened(gateway: Gateway) -> None:
    """To another picture, to everybody, to a later end; nor by saying something twice."""
    bodies = [b"\xff\xd8\xff mine", b"\xff\xd8\xff theirs"]
    keys = [rendition_key(hashlib.sha256(body).hexdigest()) for body in bodies]
    for key, body in zip(keys, bodies, strict=True):
        await gateway.stores.objects.put(key, body)
    urls = MediaUrls(gateway.settings)
    mine, theirs = (urls.of(key, public=False).partition("?") for key in keys)
    given = dict(part.split("=") for part in mine[2].split("&"))
    later = str(int(given["expires"]) + gateway.settings.private_media_seconds)
    public = urls.of(keys[0], public=True).rpartition("signature=")[2]
    seconds = int((await gateway.client.get("?".join(mine[::2]))).headers["cache-control"].split("=")[1].split(",")[0])

    def query(**changes: str) -> str:
        return "&".join(f"{name}={value}" for name, value in {**given, **changes}.items())

    wider = [
        (theirs[0], query()),
        (mine[0], query(**{"for": "public"})),
        (mine[0], query(**{"for": ""})),
        (mine[0], query(expires=later)),
        (mine[0], query(signature=public)),
        (mine[0], query(signature=theirs[2].rpartition("=")[2])),
        (mine[0], f"{query()}&for=public"),
        (mine[0], f"{query()}&expires={later}"),
        (mine[0], query(signature="")),
    ]
    for path, tried in wider:
        assert (await gateway.client.get(f"{path}?{tried}")).status_code == 404, tried
    # What is said first counts for nothing.
    for tried in (f"for=public&{query()}", f"expires={later}&{query()}"):
        kind, age, _ = (await gateway.client.get(f"{mine[0]}?{tried}")).headers["cache-control"].split(", ")
        assert kind == "private" and int(age[8:]) <= seconds


async def test_pictures_of_private_people_have_addresses_of_their_own(gateway: Gateway) -> None:
    ada = await gateway.person()
    post_id = await gateway.post(ada)
    await gateway.publish(ada, post_id)
    await gateway.catch_up()

    async def address() -> str:
        post = (await gateway.client.get(f"/api/v1/posts/{post_id}", headers=ada.headers)).json()
        url: str = post["media"][0]["renditions"][0]["url"]
        return url

    assert "?for=public&" in await address()
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=ada.headers)
    await gateway.catch_up()
    assert "?for=private&" in await address()
