"""What is pushed, to whom, how often: the sink over the gateway's views, and a service that opens what it is sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from schemas.events import AccountDeactivated, Blocked, Muted, Notified, Source
from sinks.emitter import MemoryCommits
from sinks.errors import StoreAway
from sinks.push_channel import WebPushChannel
from sinks.push_sink import PushSink
from streams.notifications import group_of
from streams.push import PUSH, WINDOW_MS
from streams.records import Span
from tests.agents.workers import worker_processes
from tests.api.gateway import Gateway, Person
from tests.api.test_notifications import like, published
from tests.sinks.push_services import Device, PushEndpoint, push_service

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUTE = "/api/v1/me/push-subscriptions"


class Pushing:
    """The sink and its channel, which takes what the gateway's log holds when it is told to."""

    def __init__(self, gateway: Gateway, channel: WebPushChannel, told: list[str]) -> None:
        self.gateway, self.channel, self.told = gateway, channel, told
        self._commits = MemoryCommits()
        self._begin = len(gateway.listener.records)

    async def take(self, **other: Any) -> list[str]:
        """Deliver what is new, to the end of the last try; what became of it."""
        self.told.clear()
        stores, settings = self.gateway.stores, self.gateway.settings
        given: dict[str, Any] = {
            "seconds": settings.push_seconds,
            "wait_seconds": 0.0,
            "happened": self.told.append,
        } | other
        live = stores.generations.snapshot
        sink = PushSink(stores.cassandra, self._commits, self.channel, stores.push, stores.keys, live, **given)
        records = self.gateway.listener.records[self._begin :]
        mine = sorted((one for one in records if one.tp.topic == "notifications"), key=lambda one: one.offset)
        spans = {record.tp: Span(self._commits.offsets.get(record.tp, -1), record.offset) for record in mine}
        await sink.apply(PUSH.project(mine), spans)
        await self.channel.settled()
        return self.told

    def forget(self) -> None:
        """Lose the commits: everything is delivered once more."""
        self._commits = MemoryCommits()


@pytest_asyncio.fixture(loop_scope="session")
async def service(gateway: Gateway) -> AsyncIterator[PushEndpoint]:
    async with push_service() as service:
        service.public_key = gateway.stores.vapid.public_key if gateway.stores.vapid else ""
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def pushing(gateway: Gateway) -> AsyncIterator[Pushing]:
    await gateway.catch_up()
    told: list[str] = []
    assert gateway.stores.vapid is not None
    channel = WebPushChannel(
        gateway.stores.vapid, gateway.stores.push.remove, seconds=600, private=True, happened=told.append
    )
    async with channel.open():
        yield Pushing(gateway, channel, told)


async def subscribe(gateway: Gateway, person: Person, device: Device) -> None:
    answer = await gateway.client.post(ROUTE, json=device.given, headers=person.headers)
    assert answer.status_code == 201, answer.text


def notice(gateway: Gateway, to: Person, by: Person, **other: Any) -> Notified:
    given: dict[str, Any] = {"kind": "follow", "target": 0, "post": 0, "comment": 0, "at": int(time.time() * 1000)}
    return Notified(
        event_id=gateway.stores.snowflakes.next(),
        actor_id=int(by.id),
        recipient_id=int(to.id),
        source=Source("graph", 0, -1, 0),
        **given | other,
    )


async def test_once_for_a_post_and_kind_on_every_device(
    gateway: Gateway, service: PushEndpoint, pushing: Pushing
) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    post_id, other_id = await published(gateway, ada), await published(gateway, ada)
    for path in ("/laptop", "/phone"):
        await subscribe(gateway, ada, service.device(path))
    for fan, liked in ((bob, post_id), (cam, post_id), (bob, other_id)):
        await like(gateway, fan, liked)
    await gateway.catch_up()
    assert sorted(await pushing.take()) == ["held", *["sent"] * 4]
    assert sorted((one.path, one.said["post_id"]) for one in service.taken) == sorted(
        (path, liked) for path in ("/laptop", "/phone") for liked in (post_id, other_id)
    )
    first = next(one for one in service.taken if one.said["post_id"] == post_id)
    assert first.said == {
        "id": str(group_of(int(ada.id), "like", int(post_id))),
        "kind": "like",
        "actors": [{"id": one.id, "username": one.username} for one in (cam, bob)],
        "actor_count": 2,
        "post_id": post_id,
        "comment_id": None,
        "story_id": None,
        "media_id": None,
        "at": first.said["at"],
    }
    assert len({len(one.body) for one in service.taken}) == 1
    # The same again, as after a kill before the commit, or where an operator sets the group back: nothing comes twice.
    pushing.forget()
    assert set(await pushing.take()) == {"held"}
    # Another kind is another matter; and so is the same kind once the window has passed.
    about = {"kind": "like", "target": int(post_id), "post": int(post_id)}
    before = first.said["at"]
    dan = await gateway.person("Dan")
    await gateway.say(notice(gateway, ada, dan, **about, at=before + WINDOW_MS - 60_000))
    await gateway.say(notice(gateway, ada, dan))
    await gateway.say(notice(gateway, ada, dan, **about, at=before + WINDOW_MS + 60_000))
    await gateway.catch_up()
    assert sorted(await pushing.take()) == ["held", *["sent"] * 4]
    assert len(service.taken) == 8


async def test_who_is_not_to_be_told_is_not_pushed(gateway: Gateway, service: PushEndpoint, pushing: Pushing) -> None:
    cases = ("blocked", "muted", "undone", "seen", "unpushed", "deleted", "logged out")
    fan = await gateway.person("Fan")
    people = {case: await gateway.person(case) for case in cases}
    posts = {case: await gateway.post(person) for case, person in people.items()}
    for case, person in people.items():
        await gateway.publish(person, posts[case])
        await subscribe(gateway, person, service.device(f"/{case.replace(' ', '-')}"))
    await gateway.catch_up()
    for post_id in posts.values():
        await like(gateway, fan, post_id)
    await gateway.catch_up()
    client = gateway.client
    said: dict[str, Any] = {"event_id": gateway.stores.snowflakes.next(), "at": 1}
    blocked, muted = int(people["blocked"].id), int(people["muted"].id)
    fan_id = int(fan.id)
    await gateway.say(
        Blocked(**said, actor_id=blocked, user_id=blocked, blocker_id=blocked, blocked_id=fan_id),
        Muted(**said, actor_id=muted, muter_id=muted, muted_id=fan_id),
    )
    await like(gateway, fan, posts["undone"], "DELETE")
    page = (await client.get("/api/v1/notifications", headers=people["seen"].headers)).json()
    seen = {"position": page["position"]}
    await client.put("/api/v1/notifications/seen", json=seen, headers=people["seen"].headers)
    unpushed = {"kinds": {"like": {"pushed": False}}}
    await client.patch("/api/v1/notifications/preferences", json=unpushed, headers=people["unpushed"].headers)
    await client.delete(f"/api/v1/posts/{posts['deleted']}", headers=people["deleted"].headers)
    await client.delete("/api/v1/sessions", headers=people["logged out"].headers)
    await gateway.catch_up()
    assert await pushing.take() == ["untold"] * len(cases)
    # All of them are reached where there is nothing against it, by somebody who is nobody's friend or foe.
    other = await gateway.person("Other")
    await gateway.say(*(notice(gateway, person, other) for person in people.values()))
    await gateway.catch_up()
    assert sorted(await pushing.take()) == ["sent"] * (len(cases) - 1)
    assert {one.said["kind"] for one in service.taken} == {"follow"}
    assert "/logged-out" not in service.asked


async def test_old_notices_and_those_of_before_are_passed_over(
    gateway: Gateway, service: PushEndpoint, pushing: Pushing
) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    now = int(time.time() * 1000)
    await gateway.say(notice(gateway, ada, bob, at=now - 1000))
    await subscribe(gateway, ada, service.device("/a"))
    old = now - int(gateway.settings.push_seconds * 1000) - 1
    await gateway.say(notice(gateway, ada, bob, kind="approval", at=old))
    with pytest.raises(StoreAway):  # the views do not know yet what is told of
        await pushing.take()
    await gateway.catch_up()
    assert sorted(await pushing.take()) == ["late", "untold"]
    # Who went away is told of nothing, even if a session of theirs were still open.
    await gateway.say(notice(gateway, ada, bob, kind="request", at=now + 1000))
    ada_id = int(ada.id)
    gone = AccountDeactivated(event_id=gateway.stores.snowflakes.next(), at=now, actor_id=ada_id, user_id=ada_id)
    await gateway.say(gone)
    await gateway.catch_up()
    assert await pushing.take() == ["untold"]
    assert service.asked == []


async def test_a_device_that_is_gone_is_forgotten(gateway: Gateway, service: PushEndpoint, pushing: Pushing) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    service.answers = lambda path: 410 if path == "/gone" else 201
    for path in ("/gone", "/here"):
        await subscribe(gateway, ada, service.device(path))
    await gateway.say(notice(gateway, ada, bob), notice(gateway, ada, bob, kind="request"))
    await gateway.catch_up()
    await pushing.take()
    assert {one.path for one in service.taken} == {"/here"}
    left = await gateway.stores.push.of(int(ada.id))
    assert [one.endpoint for one in left] == [service.devices["/here"].endpoint]


async def test_an_agent_killed_in_the_middle_pushes_nothing_twice(
    gateway: Gateway, service: PushEndpoint, tmp_path: Path
) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    await subscribe(gateway, ada, service.device("/a"))
    service.answers = lambda path: (503, {"retry-after": "1"})
    await gateway.say(notice(gateway, ada, bob))
    await gateway.catch_up()
    with worker_processes(tmp_path) as workers:
        worker = workers.start(gateway.settings, "push")
        await service.is_asked(1, seconds=60)
        await worker.kill()
        service.answers = lambda path: 201
        workers.start(gateway.settings, "push")
        await gateway.say(notice(gateway, ada, bob, kind="request"))
        await gateway.catch_up()
        (pushed,) = await service.takes(1, seconds=60)
    assert pushed.said["kind"] == "request"
    assert service.asked == ["/a", "/a"]
