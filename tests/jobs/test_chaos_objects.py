"""Faults of the object store have fired only where somebody was told that it is away."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.chaos_citizen import Refused, Unanswered
from jobs.chaos_objects import remove
from jobs.chaos_plan import Fault, NotFired

FAULT = Fault(0, "remove", "objects", 0.0, 0.0, 1)


class World:
    """A stack and its load in one, where every upload ends in ``ends``; notes whether the folder was there then."""

    def __init__(self, folder: Path, ends: Exception | None) -> None:
        self.media, self.photos, self.ends = folder, [b"a picture"], ends
        self.there: list[bool] = []
        folder.mkdir()
        (folder / "kept").touch()

    async def citizen(self, name: str) -> Any:
        return SimpleNamespace(id=1, upload=self.upload)

    async def upload(self, photo: bytes) -> None:
        self.there.append(self.media.exists())
        if self.ends:
            raise self.ends


async def fired(world: Any) -> str:
    return await remove(world, world, FAULT)


async def test_a_refused_upload_shows_that_the_product_met_the_fault(tmp_path: Path) -> None:
    world = World(tmp_path / "media", Refused(503, "store-away"))
    assert "503 store-away" in await fired(world)
    assert world.there == [False] and (world.media / "kept").exists(), "away meanwhile, and back"


@pytest.mark.parametrize("ends", [None, Refused(429, "too-many-uploads"), Unanswered("ReadTimeout")])
async def test_without_one_the_fault_has_not_fired(tmp_path: Path, ends: Exception | None) -> None:
    world = World(tmp_path / "media", ends)
    with pytest.raises(NotFired, match="acknowledged" if ends is None else str(ends)):
        await fired(world)
    assert (world.media / "kept").exists(), "it is back all the same"
