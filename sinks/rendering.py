"""The media emitter: renditions into the object store, then RenditionsReady; or MediaRejected and a notice."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.events import RenderedMedia, Rendition, UploadCompleted
from sinks.emitter import Commits, Emits, EmitterSink, JoinedCommits
from sinks.errors import StoreAway
from sinks.object_store import NoSuchObject, ObjectStore, rendition_key
from sinks.pictures import Rejected, Rendered, too_large
from streams.records import TopicPartition
from streams.rendering import Refusal, Render, said

TRIES = 3
"""Fetches of an original that is absent or not what was uploaded; ``DecodePool`` has three tries of its own."""
MISSING = Refusal(
    "original_missing", "The uploaded file is no longer there. Choose the picture again and upload it once more."
)
DAMAGED = Refusal(
    "original_damaged", "The file did not arrive as it was sent. Choose the picture again and upload it once more."
)

_KEY = re.compile(r"[\w-]{1,100}(/[\w-]{1,100}){0,9}", re.ASCII)
"""What an original's key can look like; the store takes any other for a failure of its own, and would be waited for."""


class Renders(Protocol):
    """The part of ``sinks.decoding.DecodePool`` that is used here."""

    async def render(self, original: bytes) -> Rendered:
        """The renditions of ``original``. Raises ``Rejected``."""


class Uses(Protocol):
    """The part of ``sinks.rendition_uses.RenditionUses`` that is used here."""

    async def add(self, shown: Iterable[tuple[int, Sequence[str]]]) -> None:
        """Each file has these renditions. Raises ``StoreAway``."""


class RenderingSink(EmitterSink[Render]):
    """Turns uploads into renditions, several at a time, each partition in its own order.

    ``concurrency`` bounds the uploads in memory at once: one more than the pool has workers keeps these busy while
    files come and go. A batch can take minutes, so each upload is emitted and committed as soon as it is done: a slow
    one holds back only its own partition, and a crash repeats at most the upload in hand and the one before it for each
    partition. Any file, however broken, ends as an event; only ``StoreAway`` (Kafka, the object store) holds the
    partition, and its posts stay "processing".
    """

    def __init__(
        self,
        store: ObjectStore,
        pool: Renders,
        producer: Emits,
        commits: Commits,
        *,
        concurrency: int,
        size_limit: int,
        pause_seconds: float = 0.2,
        uses: Uses | None = None,
    ) -> None:
        """``size_limit`` is the largest original, in bytes; ``pause_seconds`` the pause before a second fetch;
        ``uses`` hears of a rendition before it is stored, where renditions are ever to be removed."""
        super().__init__(producer, commits)
        self._store = store
        self._pool = pool
        self._free = asyncio.Semaphore(concurrency)
        self._size_limit = size_limit
        self._pause_seconds = pause_seconds
        self._uses = uses

    async def emit(self, writes: Sequence[Render]) -> None:
        """Render and emit ``writes``, committing as it goes. Raises ``StoreAway`` once all partitions have stopped,
        which they do after the upload in hand: a batch is long, and its other uploads need the same stores."""
        if not writes:
            return
        lanes: dict[TopicPartition, list[Render]] = {}
        for write in writes:
            lanes.setdefault(write.mark.tp, []).append(write)
        failures: list[BaseException] = []
        async with JoinedCommits(self._commits) as commits:
            working = (self._emit_in_order(lane, commits, failures) for lane in lanes.values())
            ends = await asyncio.gather(*working, return_exceptions=True)
        failures += [end for end in ends if end is not None]
        # A failure that nobody foresaw tells more than a store that is away, and has to be told.
        for failure in sorted(failures, key=lambda failure: isinstance(failure, StoreAway)):
            raise failure

    async def _emit_in_order(
        self, lane: Sequence[Render], commits: JoinedCommits, failures: list[BaseException]
    ) -> None:
        """Emit ``lane`` until one fails, here or in another lane. The next upload is begun while the last one is
        committed, and emitted when that is done."""
        try:
            committed: asyncio.Future[None] | None = None
            for render in lane:
                if failures:
                    break
                async with self._free:
                    outcome = await self._outcome(render.upload)
                if committed is not None:
                    await committed
                await self._producer.produce_many(said(render, outcome))
                committed = commits.commit(render.mark.tp, render.mark.offset)
            if committed is not None:
                await committed
        except Exception as failure:
            failures.append(failure)

    async def _outcome(self, upload: UploadCompleted) -> RenderedMedia | Refusal:
        try:
            if upload.size > self._size_limit:
                raise too_large(upload.size, self._size_limit)
            original = await self._original(upload)
            if isinstance(original, Refusal):
                return original
            rendered = await self._pool.render(original)
        except Rejected as rejected:
            return Refusal(rejected.code, rejected.reason)
        renditions = [
            Rendition(
                name=one.bound,
                width=one.width,
                height=one.height,
                key=rendition_key(one.digest),
                bytes=len(one.jpeg),
            )
            for one in rendered.renditions
        ]
        if self._uses is not None:
            await self._uses.add([(upload.media_id, list(dict.fromkeys(one.key for one in renditions)))])
        # A key is its content's digest: whoever stored it first, stored the same.
        for one, described in zip(rendered.renditions, renditions, strict=True):
            await self._store.put_if_absent(described.key, one.jpeg)
        return RenderedMedia(
            media_id=upload.media_id,
            width=rendered.width,
            height=rendered.height,
            blurhash=rendered.blurhash,
            average_color=rendered.colour,
            renditions=renditions,
        )

    async def _original(self, upload: UploadCompleted) -> bytes | Refusal:
        """The bytes that were uploaded. An absent or different object may be one that is still on its way between
        replicas, so it is asked for again; then it is refused."""
        if not _KEY.fullmatch(upload.original_key):
            return MISSING
        refusal = MISSING
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause_seconds * attempt)
            try:
                original = await self._store.get(upload.original_key)
            except NoSuchObject:
                refusal = MISSING
                continue
            if len(original) == upload.size and await asyncio.to_thread(_digest, original) == upload.sha256.lower():
                return original
            refusal = DAMAGED
        return refusal


def _digest(original: bytes) -> str:
    return hashlib.sha256(original).hexdigest()
