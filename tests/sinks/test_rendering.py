"""The media emitter: every upload ends as an event, and nothing that a file does ends the agent."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from schemas.events import MediaRejected, RenditionsReady, Source, UploadCompleted, UploadFailed
from schemas.ids import MIN_ID
from sinks.decoding import DecodePool
from sinks.errors import StoreAway
from sinks.object_store import NoSuchObject, ObjectStore
from sinks.pictures import BOUNDS
from sinks.rendering import TRIES
from streams.records import Span
from streams.rendering import MEDIA, Refusal, Render, project, said
from tests.sinks.emitter_world import FailingCommits
from tests.sinks.scenes import encoded, scene
from tests.sinks.uploads import LIMIT, NOW, OWNER, A, Bench, records, upload

PICTURE = encoded(scene(1500, 1000), "JPEG")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[DecodePool]:
    """One real worker process for all."""
    async with DecodePool(1, 20.0, 512) as pool:
        yield pool


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty folder."""
    return ObjectStore.local(tmp_path / "media")


async def test_a_picture_becomes_renditions_that_the_event_describes(store: ObjectStore, pool: DecodePool) -> None:
    one = upload(MIN_ID + 1, PICTURE)
    await store.put(one.original_key, PICTURE)
    (event,) = await Bench(store, pool).apply(records(one, first=9))
    assert isinstance(event, RenditionsReady)
    assert (event.media_id, event.owner_id, event.actor_id, event.at) == (MIN_ID + 1, OWNER, OWNER, NOW + 9)
    assert event.source == Source(topic="media", partition=0, offset=9, n=0)
    assert event.trace_id == "trace"
    assert (event.media.media_id, event.media.width, event.media.height) == (MIN_ID + 1, 1500, 1000)
    assert [rendition.name for rendition in event.media.renditions] == list(BOUNDS)
    for rendition in event.media.renditions:
        jpeg = await store.get(rendition.key)
        assert len(jpeg) == rendition.bytes
        assert hashlib.sha256(jpeg).hexdigest() in rendition.key


async def test_a_redelivery_says_the_very_same(store: ObjectStore, pool: DecodePool) -> None:
    batch = records(upload(MIN_ID + 1, PICTURE), upload(MIN_ID + 2, b"no picture"))
    for record in batch:
        assert isinstance(record.event, UploadCompleted)
        await store.put(record.event.original_key, PICTURE if record.offset == 0 else b"no picture")
    bench = Bench(store, pool)
    once = await bench.apply(batch)
    bench.commits.offsets.clear()
    assert await bench.apply(batch) == once
    assert len(once) == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "empty"), (b"#!/bin/sh\n", "unsupported_type"), (PICTURE[: len(PICTURE) // 2], "truncated")],
)
async def test_a_broken_file_gives_a_rejection_and_one_notice(
    store: ObjectStore, pool: DecodePool, body: bytes, code: str
) -> None:
    one = upload(MIN_ID + 1, body)
    await store.put(one.original_key, body)
    rejection, notice = await Bench(store, pool).apply(records(one))
    assert isinstance(rejection, MediaRejected)
    assert (rejection.media_id, rejection.owner_id, rejection.code) == (MIN_ID + 1, OWNER, code)
    assert isinstance(notice, UploadFailed)
    assert (notice.recipient_id, notice.media_id, notice.post_id) == (OWNER, MIN_ID + 1, 0)
    assert (notice.code, notice.reason) == (code, rejection.reason)
    assert notice.reason.endswith(".")
    assert notice.source == Source(topic="media", partition=0, offset=0, n=1)
    assert notice.event_id != rejection.event_id


class Forgetful(ObjectStore):
    """A store that does not yet have, or gives wrongly, what it is asked for the first ``times``."""

    @classmethod
    def over(cls, root: Path, times: int, instead: bytes | None) -> Forgetful:
        made = cls.local(root)
        assert isinstance(made, cls)
        made.times, made.instead, made.asked = times, instead, 0
        return made

    times: int
    instead: bytes | None
    asked: int

    async def get(self, key: str) -> bytes:
        self.asked += 1
        if self.asked > self.times:
            return await super().get(key)
        if self.instead is None:
            raise NoSuchObject(key)
        return self.instead


@pytest.mark.parametrize(("instead", "code"), [(None, "original_missing"), (b"something else", "original_damaged")])
async def test_an_original_that_stays_away_is_refused_after_three_tries(
    tmp_path: Path, pool: DecodePool, instead: bytes | None, code: str
) -> None:
    store = Forgetful.over(tmp_path / "media", 99, instead)
    rejection, _ = await Bench(store, pool).apply(records(upload(MIN_ID + 1, PICTURE)))
    assert isinstance(rejection, MediaRejected)
    assert rejection.code == code
    assert store.asked == TRIES == 3


@pytest.mark.parametrize("instead", [None, PICTURE[:-1], PICTURE[:-1] + b"x"])
async def test_an_original_that_comes_late_is_rendered(tmp_path: Path, pool: DecodePool, instead: bytes | None) -> None:
    store = Forgetful.over(tmp_path / "media", TRIES - 1, instead)
    one = upload(MIN_ID + 1, PICTURE)
    await store.put(one.original_key, PICTURE)
    assert [type(event) for event in await Bench(store, pool).apply(records(one))] == [RenditionsReady]


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a//b", "a\0b", "1/2/original#0", "x" * 300])
async def test_a_key_that_is_none_does_not_hold_the_partition(store: ObjectStore, pool: DecodePool, key: str) -> None:
    rejection, _ = await Bench(store, pool).apply(records(upload(MIN_ID + 1, PICTURE, original_key=key)))
    assert isinstance(rejection, MediaRejected)
    assert rejection.code == "original_missing"


async def test_a_file_above_the_limit_is_not_even_fetched(tmp_path: Path, pool: DecodePool) -> None:
    store = Forgetful.over(tmp_path / "media", 0, None)
    rejection, _ = await Bench(store, pool).apply(records(upload(MIN_ID + 1, PICTURE, size=LIMIT + 1)))
    assert isinstance(rejection, MediaRejected)
    assert (rejection.code, store.asked) == ("too_large", 0)


@pytest.mark.parametrize("has_a_place", [False, True])
async def test_while_the_store_is_away_the_partition_is_held(
    tmp_path: Path, store: ObjectStore, pool: DecodePool, has_a_place: bool
) -> None:
    one = upload(MIN_ID + 1, PICTURE)
    await store.put(one.original_key, PICTURE)
    (tmp_path / "media").rename(tmp_path / "elsewhere")
    if has_a_place:  # of a volume that is not mounted
        (tmp_path / "media").mkdir()
    bench = Bench(store, pool)
    for _ in range(TRIES + 1):
        with pytest.raises(StoreAway):
            await bench.apply(records(one))
    assert (bench.broker.log, bench.commits.offsets) == ([], {})
    if has_a_place:
        (tmp_path / "media").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "media")
    assert [type(event) for event in await bench.apply(records(one))] == [RenditionsReady]
    assert bench.commits.offsets == {A: 0}


async def test_only_uploads_are_rendered() -> None:
    batch = records(upload(MIN_ID + 1, PICTURE))
    (render,) = project(batch)
    assert isinstance(render, Render)
    rejection, _ = said(render, Refusal("empty", "The file is empty."))
    assert project([record._replace(event=rejection) for record in batch]) == []
    assert MEDIA.sources == ("media",)


async def test_an_idle_call_and_foreign_events_only_move_the_fence(store: ObjectStore, pool: DecodePool) -> None:
    bench = Bench(store, pool)
    await bench.sink.apply([], {A: Span(-1, 12)})
    await bench.sink.apply([], {A: Span(12, 12)})
    assert isinstance(bench.commits, FailingCommits)
    assert (bench.broker.log, bench.commits.seen) == ([], [{A: 12}])
