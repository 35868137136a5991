"""Uploads."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from schemas.events import MediaRejected, Source, UploadCompleted
from sinks.errors import StoreAway
from tests.api.gateway import Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


def kept(gateway: Gateway, user_id: str) -> int:
    """Files in a person's folder, unfinished ones included."""
    folder = gateway.settings.shutterlog_home / "data" / "media" / user_id
    return sum(path.is_file() for path in folder.rglob("*"))


async def test_an_upload_stands_in_the_store_before_it_is_said(gateway: Gateway) -> None:
    ada = await gateway.person()
    body = picture("red")
    answer = await gateway.upload(ada, body)
    assert answer.status_code == 201
    media_id = answer.json()["media_id"]
    assert answer.json()["status"] == "processing"
    assert answer.headers["location"] == f"/api/v1/media/{media_id}"
    event = gateway.said[-1]
    assert isinstance(event, UploadCompleted)
    assert (str(event.media_id), str(event.owner_id), event.content_type) == (media_id, ada.id, "image/png")
    assert (event.size, event.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert await gateway.stores.objects.get(event.original_key) == body
    assert event.original_key.endswith(f"/{media_id}/original")


async def test_its_owner_sees_what_becomes_of_it(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    media_id = (await gateway.upload(ada)).json()["media_id"]
    address = f"/api/v1/media/{media_id}"
    assert (await gateway.client.get(address, headers=ada.headers)).json()["status"] == "processing"
    await gateway.say(
        MediaRejected(
            event_id=gateway.stores.snowflakes.next(),
            at=1,
            actor_id=int(ada.id),
            media_id=int(media_id),
            owner_id=int(ada.id),
            code="truncated",
            reason="Part of this picture is missing.",
            source=Source("media", 0, 0, 0),
        )
    )
    await gateway.catch_up()
    seen = (await gateway.client.get(address, headers=ada.headers)).json()
    assert (seen["status"], seen["code"], seen["picture"]) == ("rejected", "truncated", None)
    assert (await gateway.client.get(address, headers=bob.headers)).status_code == 404
    assert (await gateway.client.get(address)).status_code == 401
    assert (await gateway.client.get("/api/v1/media/12", headers=ada.headers)).status_code == 404


async def test_a_retry_gives_the_same_upload(gateway: Gateway) -> None:
    ada = await gateway.person()
    body = picture("blue")
    first = await gateway.upload(ada, body, Idempotency_Key="m-1")
    again = await gateway.upload(ada, body, Idempotency_Key="m-1")
    assert (again.status_code, again.json(), again.headers["location"]) == (
        201,
        first.json(),
        first.headers["location"],
    )
    one, two = gateway.said[-2:]
    assert one == two or (one.event_id, one.key) == (two.event_id, two.key)
    assert kept(gateway, ada.id) == 1
    other = await gateway.upload(ada, picture("green"), Idempotency_Key="m-1")
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (422, "idempotency-key-reused")
    assert kept(gateway, ada.id) == 1
    bob = await gateway.person()
    assert (await gateway.upload(bob, body, Idempotency_Key="m-1")).json() != first.json()


async def test_retries_at_the_same_time_are_one(gateway: Gateway) -> None:
    ada = await gateway.person()
    answers = await asyncio.gather(*(gateway.upload(ada, picture(), Idempotency_Key="m-2") for _ in range(4)))
    assert len({answer.json()["media_id"] for answer in answers}) == 1
    assert kept(gateway, ada.id) == 1


async def test_nothing_is_left_of_what_is_refused(gateway: Gateway) -> None:
    ada = await gateway.person()
    large = picture() + bytes(gateway.settings.upload_limit_bytes)
    for body, status in ((large, 413), (b"plain text " * 100, 415), (b"", 422)):
        answer = await gateway.upload(ada, body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert kept(gateway, ada.id) == 0
    exact = picture() + bytes(gateway.settings.upload_limit_bytes - len(picture()))
    assert (await gateway.upload(ada, exact)).status_code == 201


@pytest.mark.parametrize(
    ("store", "call", "headers", "left"),
    [
        ("keys", "stands", {"Idempotency_Key": "m-3"}, 0),
        ("submissions", "add_upload", {}, 0),
        # A claim can stand that was not answered, and whoever tries again is told to use its file.
        ("idempotency", "claim", {"Idempotency_Key": "m-4"}, 1),
        ("submissions", "add_upload", {"Idempotency_Key": "m-5"}, 1),
        # So can an event.
        ("producer", "produce", {}, 1),
    ],
)
async def test_a_file_stays_only_where_somebody_may_know_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, store: str, call: str, headers: dict[str, str], left: int
) -> None:
    ada = await gateway.person()
    owner = getattr(gateway.stores, store)
    true = getattr(owner, call)

    async def unanswered(*given: Any, **named: Any) -> Any:
        await true(*given, **named)
        raise StoreAway("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(owner, call, unanswered)
        assert (await gateway.upload(ada, None, **headers)).status_code == 503
    assert kept(gateway, ada.id) == left
    if headers:
        assert (await gateway.upload(ada, None, **headers)).status_code == 201
        event = gateway.said[-1]
        assert isinstance(event, UploadCompleted)
        assert await gateway.stores.objects.exists(event.original_key)
        assert kept(gateway, ada.id) == 1


async def test_a_file_goes_where_the_log_is_known_to_be_away(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await gateway.person()

    def check() -> None:
        raise StoreAway("Kafka does not answer")

    monkeypatch.setattr(gateway.stores.producer, "check", check)
    assert (await gateway.upload(ada)).status_code == 503
    assert kept(gateway, ada.id) == 0


async def test_uploading_takes_a_login_and_a_form(gateway: Gateway) -> None:
    ada = await gateway.person()
    assert (await gateway.client.post("/api/v1/media", files={"file": picture()})).status_code == 401
    plain = await gateway.client.post("/api/v1/media", content=picture(), headers=ada.headers)
    assert plain.status_code == 415
    named = await gateway.client.post("/api/v1/media", files={"photo": picture()}, headers=ada.headers)
    assert named.status_code == 422
    key = await gateway.upload(ada, None, Idempotency_Key="k" * 256)
    assert key.status_code == 422
