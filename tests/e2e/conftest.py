"""A whole Shutterlog: the gateway in this process, every agent in one worker process, and real stores."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.app import create_app
from jobs.provision import provision
from sinks.cassandra import Cassandra
from sinks.settings import Settings
from tests.agents.workers import until, worker_processes
from tests.services import empty_redis

GROUPS = (
    *("accounts", "follows", "posts", "user_posts", "tagged_posts", "seen_posts", "notifications", "home_feed"),
    *("likes", "comments", "saves", "counters", "trending", "affinity", "media"),
    *("publisher", "notices", "saga", "erasure"),
)
URL = "http://shutterlog.test"
SLOW = 60.0
"""Seconds that anything may take on a machine that runs everything at once."""


class Person:
    """Somebody with a client of their own."""

    def __init__(self, client: httpx.AsyncClient, account: dict[str, Any], token: str) -> None:
        self.id, self.username = account["id"], account["username"]
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request that has to succeed."""
        answer = await self._client.request(method, path, headers=self._headers, **given)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def get(self, path: str, **given: Any) -> Any:
        """The JSON of a page."""
        return (await self.ask("GET", path, **given)).json()

    async def follow(self, other: Person) -> None:
        """Follow somebody."""
        await self.ask("PUT", f"/api/v1/users/{other.id}/follow")

    async def upload(self, body: bytes) -> str:
        """Upload a file; the media id."""
        form = {"file": ("photo.jpg", body, "image/jpeg")}
        return str((await self.ask("POST", "/api/v1/media", files=form)).json()["media_id"])

    async def post(self, body: bytes, caption: str = "") -> str:
        """Upload a file and post it; the post id."""
        wanted = {"media_ids": [await self.upload(body)], "caption": caption}
        answer = (await self.ask("POST", "/api/v1/posts", json=wanted)).json()
        assert answer["status"] == "processing"
        return str(answer["id"])

    async def feed(self, limit: int = 50) -> list[dict[str, Any]]:
        """All posts of the feed, page by page."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get("/api/v1/feed", params={"limit": str(limit)} | cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}

    async def sees(self, *posts: str, limit: int = 50) -> list[dict[str, Any]]:
        """Wait until the feed is exactly ``posts``, newest first."""
        found: list[dict[str, Any]] = []

        async def shown() -> bool:
            nonlocal found
            found = await self.feed(limit)
            return [post["id"] for post in found] == list(posts)

        await until(f"{self.username} sees {posts}", shown, SLOW)
        return found


class Product:
    """What one can do with it."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient) -> None:
        self.settings, self.client = settings, client

    async def register(self, username: str, name: str) -> Person:
        """Somebody new, logged in."""
        who = {"username": f"{username}{uuid.uuid4().hex[:8]}", "password": "correct horse battery"}
        account = await self.client.post("/api/v1/accounts", json=who | {"name": name})
        assert account.status_code == 201, account.text
        tokens = await self.client.post("/api/v1/sessions", json=who)
        return Person(self.client, account.json(), tokens.json()["access_token"])


def settings_of_a_world(
    kafka_bootstrap: str, redis_url: str, cassandra_hosts: str, home: Any, **limits: Any
) -> Settings:
    """Settings of a world of its own."""
    name = uuid.uuid4().hex[:10]
    return Settings(
        shutterlog_home=home,
        kafka_bootstrap=kafka_bootstrap,
        redis_url=redis_url,
        cassandra_hosts=cassandra_hosts,
        cassandra_keyspace=f"test_{name}",
        clickhouse_database=f"test_{name}",
        topic_prefix=f"test-{name}.",
        jwt_secret="only for tests, and long enough for HS256",
        public_url=URL,
        partitions=2,
        buckets=2,
        **{"session_timeout_ms": 2000, **limits},
    )


async def forget(settings: Settings) -> None:
    """Drop the keyspace."""
    async with await Cassandra.connect(settings) as cassandra:
        await cassandra.change_schema(f"DROP KEYSPACE {settings.cassandra_keyspace}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(
    kafka_bootstrap: str, redis_url: str, cassandra_hosts: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    """The whole of it, with feeds that end in Redis after a few posts."""
    home = tmp_path_factory.mktemp("home")
    with empty_redis(redis_url) as own_redis_url, worker_processes(home) as workers:
        limits = {"feed_cap": 5, "feed_slack": 2, "consistency_wait_seconds": 20}
        settings = settings_of_a_world(kafka_bootstrap, own_redis_url, cassandra_hosts, home, **limits)
        await asyncio.to_thread(provision, settings)
        worker = workers.start(settings, *GROUPS)
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                await worker.says("metrics on port", seconds=SLOW)
                yield Product(settings, client)
        assert worker.process.poll() is None, "no input may end the worker"
        worker.process.terminate()
        assert await worker.ends() == 0
        await forget(settings)
