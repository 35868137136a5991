"""Sending pushes: a lane for each push service, so that one that is slow holds up nobody else's.

A message is tried again, with back-off, only where it surely was not taken: no connection, or an answer that says so
(429, 5xx but 504). One whose answer never came may have been taken, and is given up: it would come twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import NamedTuple, Protocol

import httpx

from sinks.errors import StoreAway
from sinks.push_endpoints import Endpoint, EndpointRefused
from sinks.push_subscriptions import Subscription
from sinks.web_push import Vapid, sealed_for, to_base64url

logger = logging.getLogger(__name__)
AT_ONCE, AT_ONCE_IN_LANE = 200, 8
"""Messages that are being sent."""
WAITING_IN_LANE = 500
"""Messages of one push service that wait; what comes on top is dropped."""
LANES = 200
"""Push services whose connections are kept."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
_CONNECT_SECONDS, _SECONDS = 5.0, 15.0
_GRACE_SECONDS = 2.0
_READ_BYTES = 4096
_GONE = (404, 410)
_NOT_TAKEN = (429, 500, 502, 503)
Happened = Callable[[str], None]
"""Hears of each message: sent, gone, refused, unanswered, untold, expired, dropped; and of each turn: retried."""


class Message(NamedTuple):
    """What one device is told. ``at`` in ms: its time to live counts from there. Of those with the same ``topic`` a
    push service keeps the newest for a device that is away."""

    to: Subscription
    said: bytes
    topic: str
    at: int
    stands: Callable[[], Awaitable[bool]]
    """Whether it is still to be told: asked before each try but the first. May raise ``StoreAway``."""


class PushChannel(Protocol):
    """A way to devices."""

    def push(self, message: Message) -> None:
        """Send it, once at most, some time soon. Returns at once."""


class _Lane:
    """One push service."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.slots = asyncio.Semaphore(AT_ONCE_IN_LANE)
        self.waiting = 0


class _NotTaken(Exception):
    """It may be tried again, at the earliest after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"after {seconds} s")
        self.seconds = seconds


class WebPushChannel:
    """``PushChannel`` by RFC 8030. To be opened with ``open``, which ends what is under way when it is left."""

    def __init__(
        self,
        vapid: Vapid,
        remove: Callable[[int, int], Awaitable[None]],
        *,
        seconds: float,
        private: bool = False,
        happened: Happened = lambda what: None,
        first_pause: float = FIRST_PAUSE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``remove(user, subscription)`` is called for devices that are gone. A message lives ``seconds``."""
        self._vapid = vapid
        self._remove = remove
        self._seconds = seconds
        self._private = private
        self._happened = happened
        self._first_pause = first_pause
        self._clock = clock
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tls = ssl.create_default_context()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[WebPushChannel]:
        """Send meanwhile. What is not sent a moment after the end is lost."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            yield self

    def push(self, message: Message) -> None:
        """See ``PushChannel``; dropped where too many wait for the same push service."""
        try:
            endpoint = Endpoint.read(message.to.endpoint, private=self._private)
        except EndpointRefused:  # it was taken when more was allowed
            self._happened("refused")
            return
        lane = self._lane(endpoint.origin)
        if lane.waiting >= WAITING_IN_LANE:
            self._happened("dropped")
            return
        lane.waiting += 1
        task = asyncio.create_task(self._deliver(lane, endpoint, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes.values():
            await lane.client.aclose()

    def _lane(self, origin: str) -> _Lane:
        lane = self._lanes.get(origin)
        if lane is None:
            if len(self._lanes) >= LANES:
                self._leave_idle_lane()
            # Connections are to addresses: a client for each name, so that none is shared by two names.
            timeout = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
            lane = _Lane(httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout))
            self._lanes[origin] = lane
        self._lanes.move_to_end(origin)
        return lane

    def _leave_idle_lane(self) -> None:
        idle = next((origin for origin, lane in self._lanes.items() if not lane.waiting), None)
        if idle is not None:
            closing = asyncio.create_task(self._lanes.pop(idle).client.aclose())
            self._tasks.add(closing)
            closing.add_done_callback(self._tasks.discard)

    async def _deliver(self, lane: _Lane, endpoint: Endpoint, message: Message) -> None:
        try:
            self._happened(await self._outcome(lane, endpoint, message))
        except Exception:  # one message is to blame, and no other
            logger.exception("a push to %s failed", endpoint.host)
            self._happened("refused")
        finally:
            lane.waiting -= 1

    async def _outcome(self, lane: _Lane, endpoint: Endpoint, message: Message) -> str:
        pause = self._first_pause
        while True:
            left = message.at / 1000 + self._seconds - self._clock()
            if left <= 0:
                return "expired"
            try:
                async with lane.slots, self._slots:
                    status = await self._send(lane, endpoint, message, left)
            except _NotTaken as refused:
                wait = max(refused.seconds, pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE)
                if wait > left:
                    return "expired"
                self._happened("retried")
                await asyncio.sleep(wait)
                if not await _stands(message):
                    return "untold"
                continue
            except EndpointRefused:
                return "refused"
            except (httpx.HTTPError, TimeoutError) as error:
                # Never the endpoint: whoever has it can push, and logs are read by many.
                logger.info("a push to %s was not answered: %s", endpoint.host, type(error).__name__)
                return "unanswered"
            if status in _GONE:
                await self._forget(message.to)
                return "gone"
            if 200 <= status < 300:
                return "sent"
            logger.warning("%s refuses a push with %d", endpoint.host, status)
            return "refused"

    async def _forget(self, subscription: Subscription) -> None:
        try:
            await self._remove(subscription.user_id, subscription.subscription_id)
        except StoreAway as away:
            logger.warning("a device that is gone stays until the next push: %s", away)

    async def _send(self, lane: _Lane, endpoint: Endpoint, message: Message, left: float) -> int:
        """The status. Raises ``_NotTaken``, ``EndpointRefused``, and what else httpx may."""
        keys = message.to.keys
        topic = blake2b(message.topic.encode(), key=keys.auth, digest_size=16).digest()
        headers = {
            "Authorization": self._vapid.authorization(endpoint.origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Host": endpoint.origin.partition("://")[2],
            "TTL": str(int(left)),
            "Topic": to_base64url(topic),
            "Urgency": "normal",
        }
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                address = await endpoint.resolved(private=self._private)
        except OSError as error:  # a timeout is one, too
            raise _NotTaken(0) from error
        url = httpx.URL(scheme=endpoint.scheme, host=address, port=endpoint.port, raw_path=endpoint.target.encode())
        # The certificate has to be the name's, not the address's.
        extensions = {"sni_hostname": endpoint.host} if endpoint.scheme == "https" else {}
        body = sealed_for(keys, message.said)
        try:
            async with (
                asyncio.timeout(_SECONDS),
                lane.client.stream("POST", url, content=body, headers=headers, extensions=extensions) as answer,
            ):
                read = 0
                async for part in answer.aiter_raw():
                    read += len(part)
                    if read > _READ_BYTES:
                        break
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NotTaken(0) from error
        if answer.status_code in _NOT_TAKEN:
            raise _NotTaken(retry_after(answer.headers.get("retry-after", ""), self._clock()))
        return answer.status_code


async def _stands(message: Message) -> bool:
    try:
        return await message.stands()
    except StoreAway:
        return False  # rather lost than told of what may be undone


def retry_after(value: str, now: float) -> float:
    """The seconds that the header says, as a number or a date; 0 where it says nothing that can be read."""
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return 0.0
