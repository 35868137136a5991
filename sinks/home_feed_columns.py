"""What a bulk sink was given, as columns of numbers: 16 bytes a write, in memory and in a checkpoint's files."""

from __future__ import annotations

import logging
import os
from array import array
from pathlib import Path

import msgspec

from streams.records import TopicPartition

logger = logging.getLogger(__name__)
NAMES = ("follows", "posts")
_WIDTH = 8


class Identity(msgspec.Struct, frozen=True):
    """What a checkpoint belongs to: with another one it is of no use."""

    topic_ids: dict[str, str]
    generation: int
    buckets: int
    cap: int
    pull_threshold: int


class _Manifest(msgspec.Struct, frozen=True):
    """What a checkpoint counts with: of each file the first ``lengths`` numbers, and nothing after them."""

    identity: Identity
    lengths: dict[str, int]
    fences: list[tuple[str, int, int]]


class Columns:
    """``follows``: follower, followee, …; a negative follower unfollows. ``posts``: post, author, …; a negative post is
    withdrawn. ``fences``: how far the log stands in them."""

    def __init__(self) -> None:
        self.follows = array("q")
        self.posts = array("q")
        self.fences: dict[TopicPartition, int] = {}


class Checkpoint:
    """Columns in the folder ``folder``: files that are only appended to, and a small manifest that is replaced whole.

    A kill between the two leaves the manifest before, which does not count the new numbers.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._folder = folder
        self._identity = identity
        self._written = dict.fromkeys(NAMES, 0)
        self._whole = False
        """Whether the files hold what was written, so that they can be appended to."""

    @property
    def _manifest(self) -> Path:
        return self._folder / "manifest.json"

    def read(self) -> Columns:
        """What the last ``write`` left; empty where there is none that can be used, which is logged."""
        columns = Columns()
        try:
            manifest = msgspec.json.decode(self._manifest.read_bytes(), type=_Manifest)
        except FileNotFoundError:
            return columns
        except msgspec.DecodeError as error:
            return self._useless(f"its manifest cannot be read: {error}")
        if manifest.identity != self._identity:
            return self._useless("it belongs to other topics, another generation or other settings")
        for name in NAMES:
            try:
                with (self._folder / name).open("rb") as file:
                    getattr(columns, name).fromfile(file, manifest.lengths[name])
            except (OSError, EOFError, KeyError) as error:
                return self._useless(f"its file {name} is not whole ({error})")
        columns.fences = {TopicPartition(topic, n): offset for topic, n, offset in manifest.fences}
        self._written, self._whole = dict(manifest.lengths), True
        return columns

    def _useless(self, why: str) -> Columns:
        logger.warning("the checkpoint in %s is not used, and will be replaced: %s", self._folder, why)
        return Columns()

    def write(self, tails: dict[str, bytes], fences: dict[TopicPartition, int]) -> None:
        """Append ``tails`` (of each file, what is not ``written``), then count them. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._whole:  # nothing of what may stand here must be counted with what is written now
            self._manifest.unlink(missing_ok=True)
        lengths = {}
        for name, tail in tails.items():
            with os.fdopen(os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                file.truncate(self._written[name] * _WIDTH)
                file.seek(0, os.SEEK_END)
                file.write(tail)
                file.flush()
                os.fsync(file.fileno())
            lengths[name] = self._written[name] + len(tail) // _WIDTH
        named = [(tp.topic, tp.partition, offset) for tp, offset in sorted(fences.items())]
        beside = self._manifest.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(_Manifest(self._identity, lengths, named)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._manifest)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._written, self._whole = lengths, True

    def tails(self, columns: Columns) -> dict[str, bytes]:
        """What ``columns`` holds and ``write`` has not written."""
        return {name: memoryview(getattr(columns, name))[self._written[name] :].tobytes() for name in NAMES}
