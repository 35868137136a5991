"""Whole views, read from end to end: for jobs that compare, never for requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import islice

import msgspec

from schemas.events import RenderedMedia
from sinks.cassandra import Cassandra, Row
from sinks.home_feed_buckets import HOME_FEEDS, Feeds
from sinks.redis import Redis, reaching_redis
from sinks.view_tables import TABLES, table_name
from streams.buckets import bucket_of

_PIPELINED = 1000
"""Redis commands in one round trip."""

_MEDIA = msgspec.json.Decoder(RenderedMedia)
_MEDIA_LIST = msgspec.json.Decoder(list[RenderedMedia])

COLUMNS: dict[str, tuple[str, ...]] = {
    "accounts": (
        "username",
        "name",
        "bio",
        "registered_at",
        "links",
        "picture",
        "deactivated",
        "role",
        "verified",
        "erased",
    ),
    "followers": ("followed_at",),
    "following": ("followed_at", "approved"),
    "requests": ("requested_at",),
    "requested": ("requested_at",),
    "ties": ("since",),
    "privacy": ("private", "changed_at"),
    "posts": (
        "author_id",
        "media_ids",
        "caption",
        "mentions",
        "tagged",
        "hashtags",
        "place",
        "submitted_at",
        "edited_at",
        "published_at",
        "media",
        "rejected_code",
        "rejected_reason",
        "deleted",
    ),
    "media": ("owner_id", "uploaded_at", "rendered", "code", "reason"),
    "user_posts": ("published", "deleted"),
    "tagged_posts": ("author_id",),
    "seen_posts": ("seen_at", "expires_at"),
    "likes": ("liked_at",),
    "comments": ("user_id", "text", "commented_at", "mentions", "hashtags", "spam", "deleted"),
    "comment_places": ("post_id", "parent_id", "author_id", "user_id"),
    "comment_pins": ("pinned_at",),
    "comment_switches": ("disabled",),
    "notification_groups": ("kind", "target", "post", "code", "reason", "position", "at"),
    "notification_days": ("position",),
    "notification_causes": ("position", "at"),
    "notification_recents": ("actor_id", "comment", "at"),
    "notification_seen": ("at",),
    "notification_preferences": ("silenced", "unpushed"),
    "saves": ("saved_at",),
    "collections": ("name", "made_at", "deleted"),
    "stories": ("author_id", "at", "expires_at", "media_id", "media", "stickers", "music", "code", "reason"),
    "user_stories": ("at", "expires_at"),
    "highlights": ("name", "made_at", "deleted"),
    "highlight_stories": ("added_at",),
    "kept_stories": ("author_id", "published_at", "media", "stickers", "music"),
    "story_views": ("viewed_at", "completed", "expires_at"),
    "story_reactions": ("reaction", "reacted_at", "expires_at"),
    "stories_seen": ("at", "expires_at"),
}
"""Of each table, what stands beside its key."""


async def scan_table(cassandra: Cassandra, table: str, generation: int) -> AsyncIterator[Row]:
    """Every row of ``table`` with its key and ``COLUMNS``, in no order. Raises ``StoreAway``."""
    names = ", ".join((*TABLES[table].key, *COLUMNS[table]))
    cql = f"SELECT {names} FROM {table_name(table, generation)}"  # noqa: S608 (names of ours)
    async for page in cassandra.pages(cql):
        for row in page:
            yield row


def media_of(column: str | None) -> RenderedMedia | None:
    """The column ``rendered`` of ``media``."""
    return None if column is None else _MEDIA.decode(column)


def media_list_of(column: str | None) -> list[RenderedMedia] | None:
    """The column ``media`` of ``posts``."""
    return None if column is None else _MEDIA_LIST.decode(column)


class HomeFeedScan:
    """Everything that one generation of the home feed holds besides the feeds themselves."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int, feeds: Feeds = HOME_FEEDS) -> None:
        self._redis = redis
        self._prefix = f"{feeds.prefix}{generation}"
        self._buckets = buckets

    async def followers(self) -> AsyncIterator[tuple[int, set[int]]]:
        """(author, those of their followers who live in one bucket, and are awake or asleep): an author comes once for
        each bucket and both."""
        for kind in "fz":
            async for author, members in self._sets(kind):
                yield author, members

    async def following(self) -> AsyncIterator[tuple[int, set[int]]]:
        """(person, whom they follow)."""
        async for person, members in self._sets("o"):
            yield person, members

    async def feed_owners(self) -> AsyncIterator[int]:
        """Everybody who has a feed that is not empty."""
        async for key in self._keys("h"):
            yield int(key.rpartition(b":")[2])

    async def timelines(self, authors: Sequence[int]) -> AsyncIterator[tuple[int, list[int], int]]:
        """(author, ids newest first, floor) for each of ``authors``: complete above the floor."""
        rest = iter(authors)
        while some := list(islice(rest, _PIPELINED // 2)):
            async with reaching_redis():
                pipeline = self._redis.pipeline(transaction=False)
                for author in some:
                    prefix = f"{self._prefix}:{{{bucket_of(author, self._buckets)}}}:"
                    # List, then floor: a trim in between shows ids that the floor then drops, never too few.
                    pipeline.lrange(f"{prefix}t:{author}", 0, -1)
                    pipeline.hget(f"{prefix}floors", f"t{author}")
                answers = await pipeline.execute()
            for author, posts, stored in zip(some, answers[0::2], answers[1::2], strict=True):
                floor = int(stored or 0)
                yield author, sorted((post for post in map(int, posts) if post > floor), reverse=True), floor

    async def _sets(self, kind: str) -> AsyncIterator[tuple[int, set[int]]]:
        found: list[bytes] = []
        async for key in self._keys(kind):
            found.append(key)
            if len(found) == _PIPELINED:
                for one in await self._members(found):
                    yield one
                found = []
        for one in await self._members(found):
            yield one

    async def _members(self, keys: list[bytes]) -> list[tuple[int, set[int]]]:
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                pipeline.smembers(key)
            answers = await pipeline.execute()
        return [
            (int(key.rpartition(b":")[2]), set(map(int, members))) for key, members in zip(keys, answers, strict=True)
        ]

    async def _keys(self, kind: str) -> AsyncIterator[bytes]:
        seen: set[bytes] = set()  # SCAN may give a key twice while a table grows
        async with reaching_redis():
            async for key in self._redis.scan_iter(match=f"{self._prefix}:{{*}}:{kind}:*", count=5000):
                if key not in seen:
                    seen.add(key)
                    yield key
