"""Sending pushes: once, after a while where it has to be, never to who is gone, and one service beside the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest

from sinks import push_channel
from sinks.push_channel import AT_ONCE_IN_LANE, Message, WebPushChannel, retry_after
from sinks.push_subscriptions import Subscription
from sinks.web_push import BrowserKeys, Vapid, new_vapid_key
from tests.sinks.push_services import Device, push_service


class Opened:
    """A channel, and what it told of itself."""

    def __init__(self, **given: Any) -> None:
        self.told: list[str] = []
        self.removed: list[tuple[int, int]] = []
        self.stands = True
        vapid = Vapid(new_vapid_key(), "mailto:a@b.example")
        bounds: dict[str, Any] = {"seconds": 60.0, "private": True, "first_pause": 0.01, "happened": self.told.append}
        self.channel = WebPushChannel(vapid, self._remove, **bounds | given)

    async def _remove(self, user_id: int, subscription_id: int) -> None:
        self.removed.append((user_id, subscription_id))

    async def _stands(self) -> bool:
        return self.stands

    def push(self, device: Device, said: bytes = b"{}", age: float = 0.0) -> None:
        keys = BrowserKeys.read(**device.given["keys"])
        to = Subscription(1, 2, "session", 0, device.endpoint, keys)
        self.channel.push(Message(to, said, "topic", int((time.time() - age) * 1000), self._stands))


@asynccontextmanager
async def opened(**given: Any) -> AsyncIterator[Opened]:
    one = Opened(**given)
    async with one.channel.open():
        yield one


async def test_what_was_not_taken_comes_later() -> None:
    answers: list[Any] = [503, (429, {"retry-after": "1"}), 201]
    async with push_service() as service, opened() as one:
        service.answers = lambda path: answers.pop(0)
        begun = time.monotonic()
        one.push(service.device("/a"), b'{"kind": "like"}')
        (pushed,) = await service.takes(1)
        await one.channel.settled()
        assert time.monotonic() - begun >= 1
        assert pushed.said == {"kind": "like"}
        assert 50 < int(pushed.headers["ttl"]) <= 60
        assert len(pushed.headers["topic"]) <= 32
        assert one.told == ["retried", "retried", "sent"]


async def test_what_cannot_come_is_given_up() -> None:
    async with push_service() as service, push_service() as elsewhere, opened() as one:
        answers: dict[str, Any] = {
            "/gone": 410,
            "/unknown": 404,
            "/refused": 400,
            "/later": (503, {"retry-after": "3600"}),
            "/moved": (307, {"location": elsewhere.address + "/a"}),
        }
        service.answers = answers.__getitem__
        for path, told in zip(answers, ("gone", "gone", "refused", "expired", "refused"), strict=True):
            one.push(service.device(path))
            await one.channel.settled()
            assert one.told.pop() == told, path
        assert one.removed == [(1, 2), (1, 2)]
        one.push(service.device("/late"), age=61)
        await one.channel.settled()
        assert one.told == ["expired"]
        assert (len(service.asked), elsewhere.asked) == (5, [])


async def test_what_is_undone_meanwhile_is_not_tried_again() -> None:
    async with push_service() as service, opened() as one:
        service.answers = lambda path: 503
        one.stands = False
        one.push(service.device("/a"))
        await one.channel.settled()
        assert one.told == ["retried", "untold"]
        assert service.asked == ["/a"]


async def test_what_may_have_been_taken_is_not_sent_again() -> None:
    asked = []

    async def read_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(read_and_leave, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with server, opened() as one:
        one.push(Device(f"http://127.0.0.1:{address[1]}/a"))
        await one.channel.settled()
        assert (one.told, len(asked)) == (["unanswered"], 1)


async def test_one_that_is_slow_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_channel, "WAITING_IN_LANE", 3 * AT_ONCE_IN_LANE)
    go_on = asyncio.Event()

    async def slow() -> int:
        await go_on.wait()
        return 201

    async with push_service() as slow_one, push_service() as quick, opened() as one:
        slow_one.answers = lambda path: slow()
        device, other = slow_one.device("/slow"), quick.device("/quick")
        for _ in range(3 * AT_ONCE_IN_LANE + 1):
            one.push(device)
        await slow_one.is_asked(AT_ONCE_IN_LANE)
        for _ in range(20):
            one.push(other)
        await quick.takes(20)
        assert len(slow_one.asked) == AT_ONCE_IN_LANE
        assert one.told.count("dropped") == 1
        go_on.set()
        await one.channel.settled()
        assert len(slow_one.taken) == 3 * AT_ONCE_IN_LANE


async def test_no_private_address_is_asked() -> None:
    async with push_service() as service, opened(private=False) as one:
        one.push(service.device("/a"))
        await one.channel.settled()
        assert (one.told, service.asked) == (["refused"], [])


def test_retry_after() -> None:
    assert retry_after("120", 0) == 120
    assert retry_after(formatdate(1_000_060, usegmt=True), 1_000_000) == 60
    assert retry_after(formatdate(1_000_000, usegmt=True), 1_000_060) == 0
    assert retry_after("", 0) == retry_after("soon", 0) == 0
