"""Erasing oneself, at the gateway and at the command line; what then follows is ``tests/e2e/test_erasure.py``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from jobs.accounts import AccountUnknown, erase
from jobs.verify_erasure import leftovers
from jobs.verify_fold import Fold
from schemas.events import AccountErased, Event, MediaPurged, UploadCompleted
from tests.api.gateway import PASSWORD, Gateway, Person, picture
from tests.api.history_world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_erases_themselves_is_out_at_once_and_not_to_be_seen(gateway: Gateway) -> None:
    person, other = await gateway.person("Ada"), await gateway.person("Bob")
    post = await gateway.post(person, "mine")
    await gateway.publish(person, post)
    await gateway.catch_up()
    wrong = await gateway.client.request("DELETE", "/api/v1/me", json={"password": "wrong"}, headers=person.headers)
    assert (wrong.status_code, wrong.json()["type"].rpartition(":")[2]) == (403, "wrong-password")
    assert not isinstance(gateway.said[-1], AccountErased)
    body = {"password": PASSWORD}
    answer = await gateway.client.request("DELETE", "/api/v1/me", json=body, headers=person.headers)
    assert (answer.status_code, answer.json()["id"]) == (202, person.id)
    assert answer.headers["consistency-token"]
    assert isinstance(gateway.said[-1], AccountErased)
    assert (await gateway.client.get("/api/v1/me", headers=person.headers)).status_code == 401
    login = {"username": person.username, "password": PASSWORD}
    assert (await gateway.client.post("/api/v1/sessions", json=login)).status_code == 401
    token = {"refresh_token": person.refresh_token}
    assert (await gateway.client.post("/api/v1/sessions/refresh", json=token)).status_code == 401
    await gateway.catch_up()
    for path in (f"/users/{person.id}", f"/users/by-name/{person.username}", f"/posts/{post}"):
        assert (await gateway.client.get(f"/api/v1{path}", headers=other.headers)).status_code == 404, path


async def test_operators_erase_by_name_or_id_or_nobody(gateway: Gateway) -> None:
    one, other = await gateway.person(), await gateway.person()
    settings = gateway.settings
    with pytest.raises(AccountUnknown, match="nobody goes by"):
        await asyncio.to_thread(erase, settings, [one.username, "nobodyatall"])
    assert "would erase" in (await asyncio.to_thread(erase, settings, [one.username], dry_run=True))[0]
    assert (await gateway.client.get("/api/v1/me", headers=one.headers)).status_code != 401
    lines = await asyncio.to_thread(erase, settings, [one.username, other.id])
    assert [line.split()[0] for line in lines] == [one.id, other.id]
    login = {"username": one.username, "password": PASSWORD}
    assert (await gateway.client.post("/api/v1/sessions", json=login)).status_code == 401


async def erased(gateway: Gateway, world: World, person: Person) -> None:
    """Erased by themselves, and the agents are done with it."""
    body = {"password": PASSWORD}
    assert (await gateway.client.request("DELETE", "/api/v1/me", json=body, headers=person.headers)).status_code == 202
    await world.settle()


async def traces(gateway: Gateway, said: list[Event]) -> list[str]:
    """What ``verify erasure`` finds, of those alone who were erased in ``said``."""
    fold = Fold()
    for event in said:
        fold.take(event)
    found = await leftovers(fold, gateway.stores.cassandra, gateway.stores.objects)
    assert found.checked == 1
    return list(found.found.values())


@pytest.mark.parametrize("has_folders", [True, False])
async def test_an_upload_during_which_its_person_was_erased_leaves_no_trace(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, has_folders: bool
) -> None:
    person, before = await gateway.person(), len(gateway.said)
    world = World(gateway, [person], random.Random(1))
    under_way, gone = asyncio.Event(), asyncio.Event()

    async def at_its_end(key: str, chunks: AsyncIterator[bytes]) -> None:
        await gateway.stores.objects.put(key, b"".join([chunk async for chunk in chunks]))

    if not has_folders:  # as in a bucket: there is nothing that an erasure could take away before the file is whole
        monkeypatch.setattr(gateway.stores.objects, "put_stream", at_its_end)

    async def slowly() -> AsyncIterator[bytes]:
        yield b'--cut\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + picture()[:40]
        under_way.set()
        await gone.wait()
        yield picture()[40:] + b"\r\n--cut--\r\n"

    headers = person.headers | {"Content-Type": "multipart/form-data; boundary=cut", "Idempotency-Key": "slow"}
    uploading = asyncio.create_task(gateway.client.post("/api/v1/media", content=slowly(), headers=headers))
    await under_way.wait()
    await erased(gateway, world, person)
    gone.set()
    answer = await uploading
    expected = (503, "store-away") if has_folders else (401, "session-ended")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == expected
    assert not any(isinstance(event, UploadCompleted) for event in gateway.said[before:])
    assert await traces(gateway, gateway.said[before:]) == []


async def test_an_upload_that_crosses_an_erasure_at_its_end_is_purged_with_its_rows(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, before = await gateway.person(), len(gateway.said)
    world = World(gateway, [person], random.Random(1))
    stands = gateway.stores.keys.stands

    async def erased_just_then(user_id: int) -> bool:
        found = await stands(user_id)
        await erased(gateway, world, person)
        return found

    monkeypatch.setattr(gateway.stores.keys, "stands", erased_just_then)
    assert (await gateway.upload(person, Idempotency_Key="crossing")).status_code == 201
    left = await traces(gateway, gateway.said[before:])
    assert [one.rpartition(" ")[2] for one in left] == ["idempotency", "uploads"], "or nothing is shown here"
    await world.settle()
    assert isinstance(gateway.said[-1], MediaPurged)
    assert await traces(gateway, gateway.said[before:]) == []
