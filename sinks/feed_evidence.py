"""Why a post is, or is not, in a feed: what the views' rows say of it, with the log positions that they carry.

A row's write time is the offset of its record + 1, and its key gives the partition: so each column says where in the
log it comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sinks.cassandra import Cassandra, in_chunks
from sinks.partitioning import partition_of
from sinks.redis import Redis, reaching_redis
from sinks.view_tables import table_name
from streams.buckets import bucket_of
from streams.records import TopicPartition
from streams.views import Mark


class PostEvidence(NamedTuple):
    """What the view ``posts`` knows of a post, and where in the log each piece stands; None for what never happened."""

    post_id: int
    author_id: int
    media_ids: list[int]
    submitted: Mark | None
    published: Mark | None
    rejected: Mark | None
    deleted: Mark | None
    rejected_code: str | None
    rejected_reason: str | None


class FeedEvidence:
    """Asks the views of the generations ``live``. Raises ``StoreAway``, everywhere."""

    def __init__(
        self, cassandra: Cassandra, redis: Redis, live: Mapping[str, int], *, buckets: int, partitions: int
    ) -> None:
        self._cassandra, self._redis = cassandra, redis
        self._buckets, self._partitions = buckets, partitions
        self._prefix = f"hf{live.get('home_feed', 1)}:"
        names = ("published_at", "submitted_at", "rejected_code", "deleted")
        times = ", ".join(f"WRITETIME({name}) AS {name}_written" for name in names)
        posts, following = table_name("posts", live.get("posts", 1)), table_name("following", live.get("follows", 1))
        self._posts = (
            f"SELECT post_id, author_id, media_ids, rejected_code, rejected_reason, deleted, {times} "  # noqa: S608
            f"FROM {posts} WHERE post_id IN ?"
        )
        self._follow = (
            f"SELECT WRITETIME(followed_at) AS followed_written FROM {following} "  # noqa: S608 (names of ours)
            "WHERE follower_id = ? AND followee_id = ?"
        )

    def partition(self, topic: str, key: int) -> TopicPartition:
        """Where everything about ``key`` stands."""
        return TopicPartition(topic, partition_of(b"%d" % key, self._partitions))

    async def posts(self, post_ids: Collection[int]) -> dict[int, PostEvidence]:
        """Those of ``post_ids`` that the view knows."""
        found = {}
        for row in await in_chunks(self._cassandra, self._posts, post_ids):
            if row.author_id is None:
                continue
            tp = self.partition("posts", row.author_id)
            found[row.post_id] = PostEvidence(
                row.post_id,
                row.author_id,
                list(row.media_ids or ()),
                _mark(tp, row.submitted_at_written),
                _mark(tp, row.published_at_written),
                _mark(tp, row.rejected_code_written),
                _mark(tp, row.deleted_written) if row.deleted else None,
                row.rejected_code,
                row.rejected_reason,
            )
        return found

    async def follows(self, user_id: int, author_ids: Collection[int]) -> dict[int, Mark]:
        """Where in the log ``user_id`` began to follow those of ``author_ids`` whom they follow."""
        asked = list(author_ids)
        answers = await self._cassandra.execute_each((self._follow, (user_id, author)) for author in asked)
        return {
            author: Mark(self.partition("graph", author), rows[0].followed_written - 1)
            for author, rows in zip(asked, answers, strict=True)
            if rows and rows[0].followed_written is not None
        }

    async def pushed(self, user_id: int) -> tuple[set[int], set[int]]:
        """The ids in the person's own list, and the authors whom they follow and whose timelines readers merge."""
        prefix = f"{self._prefix}{{{bucket_of(user_id, self._buckets)}}}:"
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.lrange(f"{prefix}h:{user_id}", 0, -1)
            pipeline.sinter([f"{prefix}o:{user_id}", f"{prefix}pulled"])
            ids, pulled = await pipeline.execute()
        return {int(post) for post in ids}, {int(author) for author in pulled}


def _mark(tp: TopicPartition, written: int | None) -> Mark | None:
    return None if written is None else Mark(tp, written - 1)
