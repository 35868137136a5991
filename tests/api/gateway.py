"""A gateway in process, on real stores, whose views are brought up to date when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI
from PIL import Image

from api.app import create_app
from api.passwords import Passwords
from api.stores import Stores, open_stores
from schemas.events import Event, PostPublished, RenderedMedia, Rendition, Source, StoryPublished, StorySubmitted
from sinks.affinity import AffinitySink
from sinks.broker_watch import BrokerWatch
from sinks.counters import CounterSink
from sinks.errors import StoreAway
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.object_store import rendition_key
from sinks.producer import Producer
from sinks.search import SearchSink
from sinks.settings import Settings
from sinks.story_tray import tray_sink
from sinks.tables import TableSink
from sinks.topics import Topics
from sinks.transactions import Transactions
from sinks.trending import TrendSink
from streams.accounts import ACCOUNTS
from streams.affinity import AFFINITY
from streams.comments import COMMENTS
from streams.counters import COUNTERS
from streams.follows import FOLLOWS
from streams.home_feed import HOME_FEED
from streams.likes import LIKES
from streams.notices import NOTICES
from streams.notifications import NOTIFICATIONS
from streams.posts import POSTS
from streams.records import Record, Span, Spans, TopicPartition
from streams.saves import SAVES
from streams.search import SEARCH
from streams.seen_posts import SEEN_POSTS
from streams.stories import STORIES
from streams.story_tray import STORY_TRAY
from streams.story_views import STORY_VIEWS
from streams.tagged_posts import TAGGED_POSTS
from streams.trending import TRENDING
from streams.user_posts import USER_POSTS
from streams.views import View
from tests.agents.workers import until

VIEWS: tuple[View[Any], ...] = (
    *(ACCOUNTS, FOLLOWS, POSTS, USER_POSTS, NOTIFICATIONS),
    *(LIKES, COMMENTS, SAVES, HOME_FEED, COUNTERS),
    *(STORIES, STORY_VIEWS, STORY_TRAY, TRENDING, AFFINITY, TAGGED_POSTS, SEEN_POSTS),
    SEARCH,
)
PASSWORD = "correct horse battery"
_numbers = itertools.count(int(time.time() * 1000))


def picture(colour: str = "teal") -> bytes:
    """A small PNG."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


class Listener(Producer):
    """A producer that keeps what was said, with its place in the log."""

    def __init__(self, settings: Settings, watch: BrokerWatch | None = None) -> None:
        super().__init__(settings, linger_ms=0, watch=watch)  # most tests say one thing at a time
        self.records: list[Record] = []
        self.markers: dict[TopicPartition, int] = {}
        """Of each partition, where the marker stands that ended the last transaction: behind its last record."""

    async def produce_many(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        written = await super().produce_many(events)
        now = int(time.time() * 1000)
        self.records += [Record(tp, at, now, event) for (tp, at), event in zip(written, events, strict=True)]
        return written


class ListeningTransactions(Transactions):
    """As ``Listener``, of what is said in transactions."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        super().__init__(settings)
        self._listener = listener

    async def say(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        written = await super().say(events)
        now = int(time.time() * 1000)
        self._listener.markers |= {tp: at + 1 for tp, at in sorted(written)}
        self._listener.records += [Record(tp, at, now, event) for (tp, at), event in zip(written, events, strict=True)]
        return written


class Person(NamedTuple):
    """Somebody who is logged in."""

    id: str
    username: str
    headers: dict[str, str]
    refresh_token: str


class Gateway:
    """The gateway, its client and its views."""

    def __init__(
        self, settings: Settings, app: FastAPI, client: httpx.AsyncClient, stores: Stores, listener: Listener
    ) -> None:
        self.settings = settings
        self.app = app
        self.client = client
        self.stores = stores
        self.listener = listener
        self._applied = 0
        self._sinks: dict[str, Any] = {}
        self._ends: dict[TopicPartition, int] = {}

    @property
    def said(self) -> list[Event]:
        """Every event so far."""
        return [record.event for record in self.listener.records]

    async def person(self, name: str = "") -> Person:
        """Somebody new, logged in; the views do not know of them yet."""
        username = f"p{next(_numbers)}"
        answer = await self.client.post(
            "/api/v1/accounts", json={"username": username, "password": PASSWORD, "name": name}
        )
        assert answer.status_code == 201, answer.text
        tokens = (await self.client.post("/api/v1/sessions", json={"username": username, "password": PASSWORD})).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return Person(answer.json()["id"], username, headers, tokens["refresh_token"])

    async def upload(self, person: Person, body: bytes | None = None, **headers: str) -> httpx.Response:
        """Upload a picture."""
        form = {"file": ("a.bin", picture() if body is None else body, "application/octet-stream")}
        given = person.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/api/v1/media", files=form, headers=given)

    async def post(self, person: Person, caption: str = "", place: str = "") -> str:
        """Submit a post of a new picture; its id."""
        media_id = (await self.upload(person)).json()["media_id"]
        body = {"media_ids": [media_id], "caption": caption, "place": place}
        answer = await self.client.post("/api/v1/posts", json=body, headers=person.headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def publish(self, person: Person, post_id: str, mentions: Sequence[int] = ()) -> None:
        """Say what the publisher says once renditions exist."""
        digest = "ab" * 32
        rendition = Rendition(name=150, width=8, height=8, key=rendition_key(digest), bytes=10)
        media = RenderedMedia(int(post_id) + 1, 8, 8, "00", "#008080", [rendition])
        await self.say(
            PostPublished(
                event_id=self.stores.snowflakes.next(),
                at=int(time.time() * 1000),
                actor_id=int(person.id),
                post_id=int(post_id),
                author_id=int(person.id),
                media=[media],
                source=Source("media", 0, next(_numbers), 0),
                mentions=list(mentions),
            )
        )

    async def story(self, person: Person, at: int | None = None, **body: Any) -> str:
        """Submit a story of a new picture, and say, ``at`` in ms, what the publisher says once it is ready; its id."""
        media_id = (await self.upload(person)).json()["media_id"]
        answer = await self.client.post("/api/v1/stories", json={"media_id": media_id, **body}, headers=person.headers)
        assert answer.status_code == 202, answer.text
        submitted = self.said[-1]
        assert isinstance(submitted, StorySubmitted)
        rendition = Rendition(name=150, width=8, height=8, key=rendition_key("cd" * 32), bytes=10)
        await self.say(
            StoryPublished(
                event_id=self.stores.snowflakes.next(),
                at=int(time.time() * 1000) if at is None else at,
                actor_id=int(person.id),
                story_id=submitted.story_id,
                author_id=submitted.author_id,
                media=RenderedMedia(submitted.media_id, 8, 8, "00", "#008080", [rendition]),
                stickers=submitted.stickers,
                music=submitted.music,
                source=Source("media", 0, next(_numbers), 0),
            )
        )
        return str(answer.json()["id"])

    async def say(self, *events: Event) -> None:
        """Put ``events`` into the log."""
        await self.listener.produce_many(events)

    async def catch_up_alone(self, view: View[Any]) -> None:
        """Apply what was said since the last time to this view, while the others stay behind."""
        own = [one for one in self.listener.records[self._applied :] if one.tp.topic in view.sources]
        last = {one.tp: one.offset for one in sorted(own, key=lambda one: one.offset)}
        spans = {tp: Span(self._ends.get(tp, -1), end) for tp, end in last.items()}
        await self._sink(view.name).apply(view.project(own), spans)

    async def catch_up_but(self, behind: str) -> None:
        """Apply what was said since the last time to every view but one, which gets it with the next ``catch_up``."""
        applied, ends = self._applied, dict(self._ends)
        records = sorted(self.listener.records[applied:], key=lambda record: (record.tp, record.offset))
        last = self._ends | {record.tp: record.offset for record in records}
        await asyncio.gather(*(self._apply(view, records, last) for view in VIEWS if view.name != behind))
        self._applied, self._ends = applied, ends  # what is applied twice is applied once

    async def catch_up(self) -> None:
        """Apply what was said since the last time to every view."""
        await self.say(*(notice.event for notice in NOTICES.project(self.listener.records[self._applied :])))
        records = sorted(self.listener.records[self._applied :], key=lambda record: (record.tp, record.offset))
        self._applied = len(self.listener.records)
        last = self._ends | {record.tp: record.offset for record in records}
        # Agents step over markers, or no view would ever be seen to come to the log's end.
        last |= {tp: at for tp, at in self.listener.markers.items() if last.get(tp) == at - 1}
        await asyncio.gather(*(self._apply(view, records, last) for view in VIEWS))
        self._ends = last
        with contextlib.suppress(StoreAway):  # there is no index before the first person
            await asyncio.to_thread(self.stores.search.fences)  # or it looks for commits only now and then

    async def step_to_ends(self) -> None:
        """Apply nothing, up to the log's ends: markers of transactions stand there, and agents step over them."""
        ends = await asyncio.to_thread(self.stores.topics.ends)
        ahead = {tp: Span(self._ends.get(tp, -1), end) for tp, end in ends.items() if end > self._ends.get(tp, -1)}

        async def step(view: View[Any]) -> None:
            if spans := {tp: span for tp, span in ahead.items() if tp.topic in view.sources}:
                await self._sink(view.name).apply(view.project([]), spans)

        await asyncio.gather(*map(step, VIEWS))
        self._ends |= {tp: span.last for tp, span in ahead.items()}

    async def _apply(self, view: View[Any], records: Sequence[Record], last: dict[TopicPartition, int]) -> None:
        own = [record for record in records if record.tp.topic in view.sources]
        spans = {record.tp: Span(self._ends.get(record.tp, -1), last[record.tp]) for record in own}
        if own:
            await self._sink(view.name).apply(view.project(own), spans)

    async def rebuild(self, part: float = 1.0) -> None:
        """Apply ``part`` of the log to the views in Redis once more, from its beginning, as agents do after a loss."""
        records = sorted(self.listener.records[: self._applied], key=lambda record: (record.tp, record.offset))
        for view in (HOME_FEED, COUNTERS, STORY_TRAY, TRENDING, AFFINITY):
            own = [record for record in records if record.tp.topic in view.sources]
            own = own[: int(len(own) * part)]
            spans = {record.tp: Span(-1, record.offset) for record in own}
            if part == 1:
                spans |= {tp: Span(-1, end) for tp, end in self._ends.items() if tp.topic in view.sources}
            await until(f"{view.name} is rebuilt", partial(self._applied_to, view, own, spans))

    async def _applied_to(self, view: View[Any], records: Sequence[Record], spans: Spans) -> bool:
        """Whether the store takes them: as agents do, whoever calls tries again where it is away."""
        with contextlib.suppress(StoreAway):
            await self._sink(view.name).apply(view.project(records), spans)
            return True
        return False

    def _sink(self, view: str) -> Any:
        if not self._sinks:
            ids = Topics(self.settings).ids()
            for view_of in VIEWS:
                self._sinks[view_of.name] = TableSink(self.stores.cassandra, view_of.name, 1, ids)
            self._sinks["story_tray"] = tray_sink(self.stores.redis, self.settings, ids, 1)
            count = self.settings.buckets
            cap, slack = self.settings.feed_cap, self.settings.feed_slack
            buckets = RedisBuckets(self.stores.redis, ids, generation=1, buckets=count, cap=cap, slack=slack)
            threshold = self.settings.pull_threshold
            self._sinks["home_feed"] = HomeFeedSink(buckets, ids, count=count, pull_threshold=threshold)
            self._sinks["counters"] = CounterSink(self.stores.redis, ids, generation=1, buckets=count)
            least = self.settings.trending_least_people
            self._sinks["trending"] = TrendSink(self.stores.redis, ids, generation=1, buckets=count, least_people=least)
            self._sinks["affinity"] = AffinitySink(self.stores.redis, ids, generation=1, buckets=count)
            self._sinks["search"] = SearchSink(self.settings, self.stores.keys, 1, ids)
        return self._sinks[view]


@asynccontextmanager
async def open_gateway(settings: Settings, watch: BrokerWatch | None = None) -> AsyncIterator[Gateway]:
    """A gateway whose passwords are hashed cheaply and whose events are listened to."""
    async with Listener(settings, watch) as listener:
        opened: list[Stores] = []

        @asynccontextmanager
        async def opening(settings: Settings) -> AsyncIterator[Stores]:
            async with open_stores(settings) as stores:
                passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
                transactions = ListeningTransactions(settings, listener)
                opened.append(
                    dataclasses.replace(stores, producer=listener, transactions=transactions, passwords=passwords)
                )
                yield opened[0]
                passwords.close()
                await transactions.close()

        app = create_app(settings, opening)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                yield Gateway(settings, app, client, opened[0], listener)
