"""Checkpoints of the bulk sink: killed anywhere, of something else, and damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sinks.home_feed_bulk import BulkHomeFeedSink
from tests.sinks.feed_histories import CAP, LOGS, Generation, History, Killed, deliver, quiet


class Folder:
    """What a checkpoint of ``seed``'s history is resumed to, after some damage."""

    def __init__(self, generation: Generation, path: Path, seed: int = 1) -> None:
        self.generation, self.path = generation, path
        self.chance = random.Random(seed)
        self.history = History.of(self.chance)

    async def wrote(self, n: int) -> BulkHomeFeedSink:
        """A sink that has made a checkpoint at offset ``n`` of each partition."""
        bulk = self.generation.bulk(self.path)
        await deliver(bulk, self.history, self.chance, dict.fromkeys(LOGS, n))
        await bulk.checkpoint()
        return bulk

    async def resumed(self) -> tuple[set[int], BulkHomeFeedSink]:
        bulk = self.generation.bulk(self.path)
        return set((await bulk.fences(LOGS)).values()), bulk

    async def finishes(self, bulk: BulkHomeFeedSink) -> None:
        """It goes on, is killed once more, and ends right."""
        await deliver(bulk, self.history, self.chance, dict.fromkeys(LOGS, 15))
        await bulk.checkpoint()
        fences, bulk = await self.resumed()
        assert fences == {15}
        await deliver(bulk, self.history, self.chance)
        await bulk.load(quiet)
        await self.generation.check(self.history, exact=True)


@pytest.fixture
def folder(generation: Generation, tmp_path: Path) -> Folder:
    return Folder(generation, tmp_path / "checkpoint")


async def test_a_kill_before_a_checkpoint_leaves_the_one_before(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk = await folder.wrote(3)
    await deliver(bulk, folder.history, folder.chance, dict.fromkeys(LOGS, 9))

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            await bulk.checkpoint()
    with (folder.path / "posts").open("ab") as file:
        file.write(b"torn")
    fences, bulk = await folder.resumed()
    assert fences == {3}
    await folder.finishes(bulk)


async def test_a_sink_without_a_folder_keeps_nothing(folder: Folder) -> None:
    bulk = folder.generation.bulk()
    await deliver(bulk, folder.history, folder.chance)
    await bulk.checkpoint()
    assert set((await folder.generation.bulk().fences(LOGS)).values()) == {-1}


async def test_a_checkpoint_of_something_else_is_not_used(
    folder: Folder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await folder.wrote(3)
    for other in (
        folder.generation.bulk(folder.path, posts_id="remade"),
        folder.generation.bulk(folder.path, cap=CAP + 1),
        Generation(folder.generation.redis, 2).bulk(folder.path),
    ):
        caplog.clear()
        assert set((await other.fences(LOGS)).values()) == {-1}
        assert "is not used" in caplog.text
    # Taken over by another sink, which is killed between its files and its manifest: nobody reads that as the first's.
    taker = folder.generation.bulk(folder.path, posts_id="remade")
    await deliver(taker, History.of(random.Random(2)), folder.chance)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            await taker.checkpoint()
    fences, bulk = await folder.resumed()
    assert fences == {-1}
    await folder.finishes(bulk)


@pytest.mark.parametrize("damage", ["manifest", "short", "missing"])
async def test_a_damaged_checkpoint_is_not_used(damage: str, folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    await folder.wrote(3)
    if damage == "manifest":
        (folder.path / "manifest.json").write_bytes(b"{")
    elif damage == "short":
        (folder.path / "follows").write_bytes(bytes(8))
    else:
        (folder.path / "posts").unlink()
    fences, bulk = await folder.resumed()
    assert fences == {-1}
    assert "is not used" in caplog.text
    await folder.finishes(bulk)
