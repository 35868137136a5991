"""Everything the gateway talks to, opened together and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.access_tokens import AccessTokens
from api.passwords import Passwords
from sinks.accounts import AccountReader
from sinks.cassandra import Cassandra
from sinks.consistency import Fences
from sinks.credentials import Credentials, Sessions, Usernames
from sinks.follows import FollowReader
from sinks.home_feed_reader import HomeFeedReader
from sinks.idempotency import IdempotencyKeys, Submissions
from sinks.notifications import NotificationReader
from sinks.object_store import ObjectStore
from sinks.person_keys import PersonKeys
from sinks.posts import PostReader
from sinks.producer import Producer
from sinks.redis import Redis, connect
from sinks.settings import Settings
from sinks.snowflakes import SnowflakeMaker
from sinks.throttles import Throttles
from sinks.topics import Topics

KAFKA_PING_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The gateway's parts. Routers take what they need of it."""

    settings: Settings
    producer: Producer
    cassandra: Cassandra
    redis: Redis
    objects: ObjectStore
    keys: PersonKeys
    accounts: AccountReader
    follows: FollowReader
    posts: PostReader
    notifications: NotificationReader
    home_feed: HomeFeedReader
    fences: Fences
    usernames: Usernames
    credentials: Credentials
    sessions: Sessions
    idempotency: IdempotencyKeys
    submissions: Submissions
    throttles: Throttles
    topics: Topics
    snowflakes: SnowflakeMaker
    passwords: Passwords
    access_tokens: AccessTokens


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """All parts on real stores. Raises ``StoreAway`` and ``ValueError`` for a secret that is too short."""
    access_tokens = AccessTokens(settings.jwt_secret, seconds=settings.access_token_seconds)
    async with AsyncExitStack() as stack:
        cassandra = await stack.enter_async_context(await Cassandra.connect(settings))
        producer = await stack.enter_async_context(Producer(settings))
        redis = connect(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        passwords = Passwords()
        stack.callback(passwords.close)
        home_feed = HomeFeedReader(redis, generation=1, buckets=settings.buckets)
        yield Stores(
            settings=settings,
            producer=producer,
            cassandra=cassandra,
            redis=redis,
            objects=ObjectStore.of(settings),
            keys=PersonKeys(cassandra),
            accounts=AccountReader(cassandra),
            follows=FollowReader(cassandra),
            posts=PostReader(cassandra),
            notifications=NotificationReader(cassandra),
            home_feed=home_feed,
            fences=Fences(cassandra, home_feed),
            usernames=Usernames(cassandra),
            credentials=Credentials(cassandra),
            sessions=Sessions(cassandra, seconds=settings.refresh_token_seconds),
            idempotency=IdempotencyKeys(cassandra),
            submissions=Submissions(cassandra),
            throttles=Throttles(redis, prefix=settings.topic_prefix),
            topics=Topics(settings, timeout_seconds=KAFKA_PING_SECONDS),
            snowflakes=SnowflakeMaker(settings.node_id),
            passwords=passwords,
            access_tokens=access_tokens,
        )


def _stores(request: Request) -> Stores:
    stores: Stores = request.app.state.stores
    return stores


Opened = Annotated[Stores, Depends(_stores)]
"""The stores, in a route."""
