"""The publisher's memory in Cassandra, and the sink that emits what it decides."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from schemas.events import RenderedMedia
from sinks.cassandra import Cassandra, Row, Statement, together
from sinks.emitter import Commits, Emits, EmitterSink
from sinks.sink import Sink
from sinks.tables import cut
from streams.publishing import Memory, Outcome, Post, Removed, Seen, Settled, Submitted, Trimmings, join
from streams.records import Span, TopicPartition
from streams.rendering import Refusal

BATCH_ROWS = 40
"""Rows in one unlogged batch. Its rows are of different partitions, so it only saves round trips and the driver's time:
30,000–50,000 rows/s against 10,000–14,000 one by one. 40 rows of about 800 bytes stay below the 50 KiB at which a
Cassandra with default settings refuses a batch."""
READ_KEYS = 50
"""Keys in one ``IN``. Larger ones read no faster and burden one coordinator."""

_POST = "post_id, author_id, media_ids, mentions, tagged, hashtags, place, story"
_WANTS = f"INSERT INTO publishing_media (media_id, {_POST}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"  # noqa: S608
_RENDERED = "INSERT INTO publishing_media (media_id, rendered) VALUES (?, ?) USING TIMESTAMP ?"
_REFUSED = "INSERT INTO publishing_media (media_id, code, reason) VALUES (?, ?, ?) USING TIMESTAMP ?"
_REMOVED = "INSERT INTO publishing_removed (post_id, at) VALUES (?, ?) USING TIMESTAMP ?"
_WANTING = f"SELECT media_id, {_POST} FROM publishing_media WHERE media_id IN ?"  # noqa: S608
# DISTINCT reads the static columns alone, however many posts want the media.
_OUTCOMES = "SELECT DISTINCT media_id, rendered, code, reason FROM publishing_media WHERE media_id IN ?"
_WHICH_REMOVED = "SELECT post_id FROM publishing_removed WHERE post_id IN ?"

_decode = msgspec.json.Decoder(RenderedMedia).decode
_encode = msgspec.json.Encoder().encode
_trimmings = msgspec.json.Decoder(Trimmings).decode

Item = TypeVar("Item")


class PublishingMemory(Memory):
    """``Memory`` in Cassandra: tables of ``cql/publishing.cql``, at the quorum that the session has."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def store(self, seen: Sequence[Seen]) -> None:
        """Store ``seen``. Raises ``StoreAway``; the same call can then be made again."""
        rows = [row for one in seen for row in _rows(one)]
        # Where nodes share the rows, a batch over many partitions would burden the one that has to pass it on.
        size = BATCH_ROWS if self._cassandra.on_every_node else 1
        await together(self._cassandra.apply_batch(part) for part in cut(rows, size))

    async def wanting(self, media_ids: Collection[int]) -> list[tuple[int, Post]]:
        """(media id, post) for each post that wants one of ``media_ids``. Raises ``StoreAway``."""
        return [
            (row.media_id, _post(row))
            for row in await self._rows_of(_WANTING, media_ids)
            if row.post_id is not None  # a media that is settled and that no post wants yet
        ]

    async def outcomes(self, media_ids: Collection[int]) -> dict[int, Outcome]:
        """The outcome of each of ``media_ids`` that has one. Raises ``StoreAway``."""
        found: dict[int, Outcome] = {}
        for row in await self._rows_of(_OUTCOMES, media_ids):
            if row.rendered is not None:
                found[row.media_id] = _decode(row.rendered)
            elif row.code is not None:
                found[row.media_id] = Refusal(row.code, row.reason)
        return found

    async def removed(self, post_ids: Collection[int]) -> set[int]:
        """Those of ``post_ids`` that were deleted. Raises ``StoreAway``."""
        return {row.post_id for row in await self._rows_of(_WHICH_REMOVED, post_ids)}

    async def _rows_of(self, cql: str, keys: Collection[int]) -> list[Row]:
        pages = await together(self._cassandra.execute(cql, (part,)) for part in _parts(sorted(keys), READ_KEYS))
        return [row for page in pages for row in page]


class RememberedCommits(Commits):
    """Offsets that are committed in Kafka *and* stored in the memory: the lower of the two.

    Kafka's commit alone would not notice that Cassandra lost what the publisher remembers (restored from a backup):
    posts that wait would then wait for ever. With this the fence goes back too, and the log is read again from there.
    """

    def __init__(self, commits: Commits, stored: Sink[Any]) -> None:
        """``stored`` holds fences beside the memory; it gets no writes (a ``TableSink`` of the view "publisher")."""
        self._commits = commits
        self._stored = stored

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last offset committed in both. Raises ``StoreAway``, and ``LogRemade`` as ``stored`` does."""
        said, stored = await asyncio.gather(self._commits.committed(partitions), self._stored.fences(partitions))
        return {tp: min(said[tp], stored[tp]) for tp in partitions}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit in both, in Kafka last."""
        await self._stored.apply((), {tp: Span(-1, offset) for tp, offset in offsets.items()})
        await self._commits.commit(offsets)


class PublisherSink(EmitterSink[Seen]):
    """Emits publications and rejections: once for a batch that settles a post, again where a batch comes again."""

    def __init__(self, memory: Memory, producer: Emits, commits: Commits) -> None:
        super().__init__(producer, commits)
        self._memory = memory

    async def emit(self, writes: Sequence[Seen]) -> None:
        """Join ``writes`` with what is stored, and emit what that settles. Raises ``StoreAway``."""
        if writes and (events := await join(writes, self._memory)):
            await self._producer.produce_many(events)


def _post(row: Row) -> Post:
    """A row that was stored before posts had tags has none."""
    media_ids, mentions, tagged = (tuple(part or ()) for part in (row.media_ids, row.mentions, row.tagged))
    hashtags = tuple(row.hashtags or ())
    story = _trimmings(row.story) if row.story else None
    return Post(row.post_id, row.author_id, media_ids, mentions, tagged, hashtags, row.place or "", story)


def _rows(seen: Seen) -> Iterator[Statement]:
    # Offsets are the timestamps, as everywhere: which of two refusals stays does not depend on a worker's clock.
    stamp = seen.mark.offset + 1
    match seen:
        case Submitted(_, post):
            for media_id in dict.fromkeys(post.media_ids):
                lists = (list(part) for part in (post.media_ids, post.mentions, post.tagged, post.hashtags))
                story = b"" if post.story is None else _encode(post.story)
                yield _WANTS, (media_id, post.post_id, post.author_id, *lists, post.place, story, stamp)
        case Settled(_, media_id, RenderedMedia() as rendered):
            yield _RENDERED, (media_id, _encode(rendered), stamp)
        case Settled(_, media_id, Refusal(code, reason)):
            yield _REFUSED, (media_id, code, reason, stamp)
        case Removed(cause, post_id):
            yield _REMOVED, (post_id, cause.at, stamp)


def _parts(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
