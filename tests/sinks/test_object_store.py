"""The object store, in a folder and on a real S3: one contract."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.errors import StoreAway
from sinks.object_store import MARK, NoSuchObject, ObjectStore, original_key, rendition_key
from sinks.settings import Settings

MIB = 1 << 20


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ObjectStore, Path]:
    """A store with nothing in it, and its folder: of an S3, its bucket's."""
    if request.param == "folder":
        settings = Settings(shutterlog_home=tmp_path, s3_endpoint=None)
        return ObjectStore.of(settings), tmp_path / "data" / "media"
    settings, folder = request.getfixturevalue("s3")
    return ObjectStore.of(settings), folder


@pytest.fixture
def store(place: tuple[ObjectStore, Path]) -> ObjectStore:
    return place[0]


async def test_what_is_put_can_be_had_again(store: ObjectStore) -> None:
    key = original_key(7, 1_700_000_000_000, 9)
    await store.put(key, b"one")
    await store.put(key, b"two")
    assert await store.get(key) == b"two" and await store.exists(key)
    await store.ping()


async def test_put_if_absent_keeps_the_first(store: ObjectStore) -> None:
    key = rendition_key("ab" * 32)
    assert await store.put_if_absent(key, b"first")
    assert not await store.put_if_absent(key, b"second")
    assert await store.get(key) == b"first"


async def test_one_of_many_that_put_at_once_wins(store: ObjectStore) -> None:
    key = rendition_key("cd" * 32)
    assert sum(await asyncio.gather(*(store.put_if_absent(key, b"same") for _ in range(20)))) == 1


async def test_nothing_under_a_key_is_said_and_deleting_twice_is_fine(store: ObjectStore) -> None:
    with pytest.raises(NoSuchObject):
        await store.get("r/00/none.jpg")
    assert not await store.exists("r/00/none.jpg")
    await store.put("r/00/some.jpg", b"x")
    for _ in range(2):
        await store.delete("r/00/some.jpg")
    assert not await store.exists("r/00/some.jpg")


async def test_list_keys_gives_what_lies_below_a_prefix(store: ObjectStore) -> None:
    for key in ("7/2026/01/1/original", "7/2026/02/2/original", "8/2026/01/3/original"):
        await store.put(key, b"x")
    assert {key async for key in store.list_keys("7")} == {"7/2026/01/1/original", "7/2026/02/2/original"}
    assert len([key async for key in store.list_keys()]) == 3


async def _pieces(count: int, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * MIB
    if breaks:
        raise ConnectionAbortedError("whoever uploads has gone")


@pytest.mark.parametrize("pieces", [0, 1, 12])
async def test_what_is_streamed_is_stored_whole(store: ObjectStore, pieces: int) -> None:
    await store.put_stream("7/2026/01/1/original", _pieces(pieces))
    assert await store.get("7/2026/01/1/original") == b"".join([piece async for piece in _pieces(pieces)])


async def test_nothing_is_stored_of_a_stream_that_breaks(store: ObjectStore) -> None:
    with pytest.raises((StoreAway, ConnectionAbortedError)):
        await store.put_stream("7/2026/01/1/original", _pieces(12, breaks=True))
    assert not await store.exists("7/2026/01/1/original")
    assert [key async for key in store.list_keys()] == []


async def test_a_folder_is_deleted_with_all_that_is_below_it(store: ObjectStore) -> None:
    for key in ("7/2026/01/1/original", "7/2026/02/2/original", "71/2026/01/3/original"):
        await store.put(key, b"x")
    await store.delete_folder("7")
    assert [key async for key in store.list_keys()] == ["71/2026/01/3/original"]


async def all_away(store: ObjectStore) -> None:
    """Every method says so; none says that there is no such object, or that it has been deleted."""
    for call in (
        *(store.put("a/b", b"x"), store.put_if_absent("a/c", b"x"), store.put_stream("a/d", _pieces(1))),
        *(store.get("a/b"), store.exists("a/b"), store.delete("a/b"), store.delete_folder("a"), store.ping()),
    ):
        with pytest.raises(StoreAway):
            await call


async def test_a_folder_or_bucket_that_is_gone_is_a_store_that_is_away(place: tuple[ObjectStore, Path]) -> None:
    store, folder = place
    await store.put("a/b", b"x")
    shutil.rmtree(folder)
    await all_away(store)
    assert not folder.exists(), "not quietly made anew"


async def test_the_empty_place_of_a_volume_is_a_store_that_is_away(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "media", tmp_path / "elsewhere"
    settings = Settings(shutterlog_home=tmp_path, s3_endpoint=None, media_root=place)
    ObjectStore.make(settings)
    before = ObjectStore.of(settings)
    await before.put("a/b", b"x")
    place.rename(elsewhere)
    place.mkdir()
    meanwhile = ObjectStore.of(settings)
    for store in (before, meanwhile):
        await all_away(store)
    assert not any(place.iterdir())
    place.rmdir()
    elsewhere.rename(place)
    assert await before.get("a/b") == await meanwhile.get("a/b") == b"x"


async def test_a_folder_of_a_build_that_made_no_mark_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "media"
    settings = Settings(shutterlog_home=tmp_path, s3_endpoint=None, media_root=place)
    await ObjectStore.local(place).put("a/b", b"x")
    (place / MARK).rmdir()
    store = ObjectStore.of(settings)
    assert [key async for key in store.list_keys()] == ["a/b"]
    await store.delete_folder("a")
    assert not await ObjectStore.of(settings).exists("a/b"), "an empty store, and not one that is away"


async def test_an_s3_that_does_not_answer_is_a_store_that_is_away(tmp_path: Path) -> None:
    away = Settings(shutterlog_home=tmp_path, s3_endpoint="http://127.0.0.1:1", s3_user="somebody")
    await all_away(ObjectStore.of(away))


async def test_an_s3_that_does_not_know_the_key_is_a_store_that_is_away(s3: tuple[Settings, Path]) -> None:
    await all_away(ObjectStore.of(s3[0].model_copy(update={"s3_key": "another one"})))


@given(st.integers(0, 2**63 - 1), st.integers(0, 4_102_444_800_000), st.integers(0, 2**63 - 1))
def test_original_keys_name_owner_month_and_medium(user: int, at_ms: int, media: int) -> None:
    parts = original_key(user, at_ms, media).split("/")
    assert parts[0] == str(user) and parts[3:] == [str(media), "original"]
    assert len(parts[1]) == 4 and 1 <= int(parts[2]) <= 12
    assert original_key(user, 1_767_225_599_999, media).split("/")[1:3] == ["2025", "12"]


def test_rendition_keys_follow_their_content() -> None:
    assert rendition_key("ab12" + "0" * 60) == f"r/ab/ab12{'0' * 60}.jpg"
