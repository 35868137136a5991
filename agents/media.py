"""media: an emitter. Uploads become renditions in the object store, and RenditionsReady or MediaRejected in the log."""

from __future__ import annotations

from agents.group import EMITTER_WAIT_SECONDS, Group, emitter_commits
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.rendering import RenderingSink
from sinks.rendition_uses import RenditionUses
from streams.rendering import MEDIA as VIEW

BATCH_EVENTS = 500
"""Most records are no uploads and need no work; uploads are committed one by one, however long their batch takes."""

PARTITION_FETCH_BYTES = 8192
"""Some 20 uploads. A backlog of them is then worked on in many partitions at once, and none waits for minutes behind
the others, which the watchdog would take for a stall."""


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> RenderingSink:
    """The sink, with worker processes for decoding. Emitters have one generation only: nothing is emitted again."""
    settings = stores.settings
    return RenderingSink(
        stores.object_store(),
        await stores.decode_pool(),
        await stores.producer(),
        emitter_commits(source, settings),
        concurrency=settings.decode_workers + 1,
        size_limit=settings.upload_limit_bytes,
        uses=RenditionUses(await stores.cassandra()),
    )


GROUP = Group(
    VIEW,
    open_sink,
    batch_events=BATCH_EVENTS,
    batch_wait_seconds=EMITTER_WAIT_SECONDS,
    partition_fetch_bytes=PARTITION_FETCH_BYTES,
)
