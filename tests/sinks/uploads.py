"""Uploads, and a media emitter whose log is a list."""

from __future__ import annotations

import hashlib
from typing import Any

from schemas.codec import decode, encode
from schemas.events import Event, UploadCompleted
from schemas.ids import MIN_ID
from sinks.emitter import MemoryCommits
from sinks.object_store import ObjectStore, original_key
from sinks.rendering import RenderingSink
from streams.records import Record, TopicPartition
from streams.rendering import project
from tests.sinks.emitter_world import Broker, FailingCommits, spans_of

NOW = 1_780_000_000_000
OWNER = MIN_ID + 7
A, B = TopicPartition("media", 0), TopicPartition("media", 1)
LIMIT = 5_000_000


def upload(media_id: int, body: bytes, **other: Any) -> UploadCompleted:
    fields: dict[str, Any] = {
        "original_key": original_key(OWNER, NOW, media_id),
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return UploadCompleted(
        event_id=MIN_ID,
        at=NOW,
        actor_id=OWNER,
        trace_id="trace",
        media_id=media_id,
        owner_id=OWNER,
        content_type="image/jpeg",
        **(fields | other),
    )


def records(*uploads: UploadCompleted, tp: TopicPartition = A, first: int = 0) -> list[Record]:
    return [Record(tp, first + n, NOW + first + n, one) for n, one in enumerate(uploads)]


class Bench:
    """A sink with a list for a log."""

    def __init__(
        self, store: ObjectStore, pool: Any, concurrency: int = 2, commits: MemoryCommits | None = None
    ) -> None:
        self.broker = Broker()
        self.commits = commits or FailingCommits()
        self.sink = RenderingSink(
            store, pool, self.broker, self.commits, concurrency=concurrency, size_limit=LIMIT, pause_seconds=0.001
        )

    async def apply(self, batch: list[Record]) -> list[Event]:
        """What the batch put into the log, as its readers decode it."""
        before = len(self.broker.log)
        await self.sink.apply(project(batch), spans_of(batch, {}))
        return [decode(encode(event)) for event in self.broker.log[before:]]
