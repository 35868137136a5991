"""The shared folder of real pictures, and what is known of each."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_corpus = pytest.mark.skipif(not (ROOT / "FACTS.jsonl").exists(), reason="the folder ../shared/data is absent")


@dataclass(frozen=True)
class Fact:
    path: str
    decodable: bool
    size: tuple[int, int]
    """Upright."""

    @property
    def original(self) -> bytes:
        return (ROOT / self.path).read_bytes()


def facts_by_folder() -> dict[str, list[Fact]]:
    """Every picture of ``images/``, by its folder's name; nothing where the data is absent."""
    folders: dict[str, list[Fact]] = defaultdict(list)
    if not (ROOT / "FACTS.jsonl").exists():
        return folders
    for line in (ROOT / "FACTS.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if not entry["path"].startswith("images/") or "measured" not in entry:
            continue
        measured = entry["measured"]
        width, height = measured.get("wh", (0, 0))
        # Pillow reports the upright size of a TIFF, and the stored size of everything else.
        if measured.get("ori", 1) in {5, 6, 7, 8} and measured.get("fmt") != "TIFF":
            width, height = height, width
        fact = Fact(entry["path"], measured["decode"] == "ok", (width, height))
        folders[entry["path"].split("/")[1]].append(fact)
    return folders


FOLDERS = facts_by_folder()


def picture(name: str) -> bytes:
    """The bytes of ``images/{name}``."""
    return (ROOT / "images" / name).read_bytes()
