"""The live stream over real connections: what comes, in order, once, and going on where it was lost."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
import uvicorn

from api.routers import live
from schemas.events import Muted, NoticeWithdrawn, NotificationPreferencesChanged, Notified, Source
from sinks import notice_tail
from streams.notices import NOTICES
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECONDS = 30.0


class Came(NamedTuple):
    """An event as a client reads it."""

    id: str
    name: str
    said: dict[str, Any]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def address(gateway: Gateway) -> AsyncIterator[str]:
    """The gateway on a socket: the client in process cannot read a stream that does not end."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(gateway.app, lifespan="off", log_level="warning"))
        serving = asyncio.create_task(server.serve([bound]))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        await serving


class Stream:
    """One device."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id = ""

    async def next(self, *, places: bool = False) -> Came:
        """The next event; with ``places`` also a bare place counts."""
        name, said = "", ""
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                field, _, value = line.partition(": ")
                if field == "id":
                    self.last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    said = value
                elif not line and (said or places):
                    return Came(self.last_id, name, json.loads(said or "{}"))
        raise EOFError


@asynccontextmanager
async def listening(address: str, person: Person, last_id: str = "") -> AsyncIterator[Stream]:
    headers = person.headers | ({"Last-Event-ID": last_id} if last_id else {})
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{address}/api/v1/live", headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer.aiter_lines())
        await stream.next(places=True)
        yield stream


def notice(gateway: Gateway, to: Person, by: Person, comment: int = 0, *, stands: bool = True) -> Any:
    made = Notified if stands else NoticeWithdrawn
    return made(
        event_id=gateway.stores.snowflakes.next(),
        at=1_700_000_000_000,
        actor_id=int(by.id),
        recipient_id=int(to.id),
        kind="follow",
        target=0,
        post=0,
        comment=comment,
        source=Source("graph", 0, 0, 0),
    )


async def test_notices_come_to_every_device_and_go_on_where_one_was_lost(gateway: Gateway, address: str) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    await gateway.catch_up()
    async with listening(address, ada) as first, listening(address, ada) as second:
        await gateway.say(notice(gateway, bob, ada), notice(gateway, ada, bob))
        for device in (first, second):
            came = await device.next()
            assert (came.name, came.said["text"]) == ("notification", "Bob started following you.")
            assert came.said["actor"]["id"] == bob.id
        lost = first.last_id
    await gateway.say(notice(gateway, ada, cam), notice(gateway, ada, bob, stands=False))
    async with listening(address, ada, lost) as again:
        came = await again.next()
        assert came.said["actor"]["name"] == "Cam"
        undone = await again.next()
        assert (undone.name, undone.said) == ("withdrawal", {"id": came.said["id"], "kind": "follow"})
    # The place of an event is a consistency token: what the stream said is in the list.
    await gateway.catch_up()
    page = await gateway.client.get(
        "/api/v1/notifications", headers=ada.headers | {"Consistency-Token": undone.id.partition(",")[0]}
    )
    assert [actor["name"] for actor in page.json()["items"][0]["actors"]] == ["Cam"]


async def test_a_hundred_losses_under_load_miss_and_repeat_nothing(gateway: Gateway, address: str) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    await gateway.catch_up()
    chance, losses, last = random.Random(9), 0, 150
    got: list[int] = []

    async def load() -> None:
        for number in range(1, last + 1):
            await gateway.say(notice(gateway, ada, bob, number), notice(gateway, cam, bob, number))

    async with listening(address, ada) as stream:
        last_id = stream.last_id
    loading = asyncio.create_task(load())
    while losses < 100 or not got or got[-1] < last:
        async with listening(address, ada, last_id) as stream:
            for _ in range(chance.randint(1, 3)):
                if got and got[-1] == last:
                    break
                came = await stream.next()
                assert came.name == "notification"
                got.append(int(came.said["comment_id"]))
            last_id, losses = stream.last_id, losses + 1
    await loading
    assert got == list(range(1, last + 1))


async def test_nobody_hears_of_whom_they_mute_nor_what_they_silenced(gateway: Gateway, address: str) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    base: dict[str, Any] = {"event_id": gateway.stores.snowflakes.next(), "at": 1_700_000_000_000}
    await gateway.say(Muted(**base, actor_id=int(ada.id), muter_id=int(ada.id), muted_id=int(bob.id)))
    await gateway.catch_up()
    async with listening(address, ada) as stream:
        wishes: dict[str, Any] = {"actor_id": int(ada.id), "recipient_id": int(ada.id), "unpushed": []}
        await gateway.say(
            notice(gateway, ada, bob, 1),
            NotificationPreferencesChanged(**base, **wishes, silenced=["follow"]),
            notice(gateway, ada, cam, 2),
            NotificationPreferencesChanged(**base, **wishes, silenced=[]),
            notice(gateway, ada, cam, 3),
        )
        assert (await stream.next()).said["comment_id"] == "3"


async def test_heartbeats_move_the_place_on(gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    await gateway.catch_up()
    async with listening(address, ada) as stream:
        place = stream.last_id
        tp = gateway.stores.notice_tail.of(int(ada.id))
        # Somebody else's notices stand in the same partition.
        others = [await gateway.person() for _ in range(6)]
        assert any(gateway.stores.notice_tail.of(int(one.id)) == tp for one in others)
        await gateway.say(*(notice(gateway, one, bob) for one in others))
        while stream.last_id == place:
            await stream.next(places=True)


async def test_what_comes_during_a_heartbeat_is_told(
    gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat asks whether the session is open. What comes meanwhile stands after the place that it sends."""
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    await gateway.catch_up()
    asking, said = gateway.stores.sessions.open_among, asyncio.Event()

    async def slowly(session_ids: Collection[str]) -> set[str]:
        if not said.is_set():
            said.set()
            with gateway.stores.notice_tail.listening(int(ada.id), None) as quick:
                await gateway.say(notice(gateway, ada, bob, 1))
                while not await numbers_of(quick):
                    pass
        return await asking(session_ids)

    async with listening(address, ada) as stream:
        monkeypatch.setattr(gateway.stores.sessions, "open_among", slowly)
        assert (await stream.next()).said["comment_id"] == "1"


async def test_what_a_view_does_not_hold_yet_is_told_when_it_does(
    gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a comment stands is for its view to say. What cannot be judged yet is neither told nor passed over."""
    monkeypatch.setattr(gateway.stores.settings, "consistency_wait_seconds", 0.1)
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    post = await gateway.post(ada)
    await gateway.publish(ada, post)
    await gateway.catch_up()
    async with listening(address, ada) as stream, listening(address, cam) as other:
        route = f"/api/v1/posts/{post}/comments"
        answer = await gateway.client.post(route, json={"text": "Hello"}, headers=bob.headers)
        (told,) = NOTICES.project(gateway.listener.records[-1:])
        await gateway.say(told.event, notice(gateway, cam, bob))
        assert (await other.next()).name == "notification"
        with pytest.raises(EOFError):
            await stream.next()
    monkeypatch.setattr(gateway.stores.settings, "consistency_wait_seconds", SECONDS)
    async with listening(address, ada, stream.last_id) as stream:
        await gateway.catch_up()
        assert (await stream.next()).said["comment_id"] == answer.json()["id"]


async def test_what_hung_on_a_deleted_comment_is_taken_back(gateway: Gateway, address: str) -> None:
    ada, bob, cam, dan = [await gateway.person(name) for name in ("Ada", "Bob", "Cam", "Dan")]
    post = await gateway.post(ada)
    await gateway.publish(ada, post)
    await gateway.catch_up()
    route = f"/api/v1/posts/{post}/comments"

    async def listed(person: Person, last_id: str) -> Any:
        headers = person.headers | {"Consistency-Token": last_id.partition(",")[0]}
        answer = await gateway.client.get("/api/v1/notifications", headers=headers)
        return answer.json()["items"]

    body = {"text": f"What says @{cam.username}?"}
    first = (await gateway.client.post(route, json=body, headers=bob.headers)).json()["id"]
    await gateway.catch_up()
    async with listening(address, bob) as bobs, listening(address, cam) as cams, listening(address, dan) as dans:
        body = {"text": f"Ask @{dan.username}", "parent_id": first}
        await gateway.client.post(route, json=body, headers=cam.headers)
        await gateway.catch_up()
        reply, mention = await bobs.next(), await dans.next()
        (item,) = await listed(bob, reply.id)
        told = {name: item[name] for name in ("id", "kind", "text", "at", "post_id", "comment_id", "story_id")}
        assert reply.said == told | {"actor": reply.said["actor"]}
        assert (await gateway.client.delete(f"/api/v1/comments/{first}", headers=bob.headers)).status_code == 204
        await gateway.catch_up()
        gone = await bobs.next()
        assert (gone.name, gone.said) == ("withdrawal", {"id": reply.said["id"], "kind": "reply"})
        undone = await dans.next()
        assert (undone.name, undone.said) == ("withdrawal", {"id": mention.said["id"], "kind": "mention"})
        assert (await cams.next()).said["kind"] == "mention"
        assert await listed(bob, gone.id) == await listed(dan, undone.id) == []


async def test_who_was_logged_out_hears_nothing_more(
    gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    ada = await gateway.person("Ada")
    async with listening(address, ada) as stream:
        answer = await gateway.client.delete("/api/v1/sessions", headers=ada.headers)
        assert answer.status_code < 300, answer.text
        with pytest.raises(EOFError):
            while True:
                await stream.next(places=True)


async def test_what_is_not_kept_is_to_be_read_again(
    gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await gateway.person("Ada")
    for elsewhere in ("notifications-0-999999999,notifications-1-999999999", "nonsense", "posts-0-1"):
        headers = ada.headers | {"Last-Event-ID": elsewhere}
        async with (
            httpx.AsyncClient(timeout=SECONDS) as client,
            client.stream("GET", f"{address}/api/v1/live", headers=headers) as answer,
        ):
            came = await Stream(answer.aiter_lines()).next()
            assert came.name == "reload"


async def test_who_does_not_take_what_comes_holds_up_nobody(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is left behind by more than is kept is told so; one that is behind by less misses nothing."""
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    tail = gateway.stores.notice_tail
    await tail.ready()
    monkeypatch.setattr(notice_tail, "AT_ONCE", 5)
    with tail.listening(int(ada.id), None) as slow, tail.listening(int(ada.id), None) as quick:

        async def say(numbers: range) -> None:
            await gateway.say(*(notice(gateway, ada, bob, number) for number in numbers))
            async with asyncio.timeout(SECONDS):
                while not taken or taken[-1] < numbers[-1]:
                    taken.extend(await numbers_of(quick))

        taken: list[int] = []
        await say(range(1, 13))
        assert taken == list(range(1, 13))
        behind = [await numbers_of(slow) for _ in range(2)]
        assert behind == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
        since = slow.since
        assert not slow.missed
        kept = tail._kept[slow.tp.partition]
        monkeypatch.setattr(notice_tail, "KEPT", len(kept))
        for first in range(13, 13 + len(kept) + 3, 3):
            await say(range(first, first + 3))
        assert slow.missed and not quick.missed
        with tail.listening(int(ada.id), since) as again:
            assert again.missed


async def numbers_of(listener: notice_tail.Listener) -> list[int]:
    return [one.event.comment for one in await listener.take(1.0) if isinstance(one.event, Notified)]


async def test_streams_are_private_and_few(gateway: Gateway, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "DEVICES", 1)
    ada = await gateway.person("Ada")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{address}/api/v1/live")).status_code == 401
        async with listening(address, ada):
            answer = await client.get(f"{address}/api/v1/live", headers=ada.headers)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (429, "too-many-streams")
