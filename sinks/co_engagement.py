"""Versions of the co-engagement model on disk: written whole by the job that trains them, read only by gateways.

``FOLDER/VERSION/`` holds an array a file and ``manifest.json``, which says of what it was made, when, how, and the
SHA-256 of each file; ``FOLDER/current`` names the version to read, and is replaced at once, last of all. A version is
never changed. Arrays are mapped, not read: what no request touches takes no memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sinks.settings import Settings
from streams.co_engagement import Model, Taste

logger = logging.getLogger(__name__)

FORMAT = 1
KEPT = 3
"""Versions that stay, to go back to by hand."""
LOOK_SECONDS = 10.0
"""How often a gateway looks whether there is a newer one."""
_ARRAYS = ("posts", "neighbours", "weights", "factors", "people", "tastes", "starts", "history")
_VERSION = re.compile(r"[0-9]{13}-[0-9a-f]{12}", re.ASCII)


class ModelBroken(Exception):
    """A version cannot be used: files are missing, or are not what its manifest says."""


class Trained(NamedTuple):
    """A model, its version, and when it was trained in ms."""

    model: Model
    version: str
    at: int


def co_engagement_folder(settings: Settings) -> Path:
    """Where the models of these settings are."""
    return settings.models_folder / f"{settings.topic_prefix}co_engagement"


def write(folder: Path, model: Model, at: int, told: Mapping[str, Any]) -> str:
    """Make ``model``, trained at ``at`` in ms, the current version; its name. ``told`` goes into the manifest. Older
    versions than the last ``KEPT`` go. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"unfinished-{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    files: dict[str, str] = {}
    for name in _ARRAYS:
        path = unfinished / f"{name}.npy"
        np.save(path, np.ascontiguousarray(getattr(model, name)), allow_pickle=False)
        files[path.name] = _digest(path)
    version = f"{at:013d}-{hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]}"
    manifest = {"format": FORMAT, "version": version, "trained_at": at, "taste": model.taste._asdict(), "files": files}
    (unfinished / "manifest.json").write_text(json.dumps({**told, **manifest}, indent=1) + "\n")
    shutil.rmtree(folder / version, ignore_errors=True)
    unfinished.rename(folder / version)
    pointer = folder / f"current-{os.getpid()}"
    pointer.write_text(version + "\n")
    pointer.replace(folder / "current")
    for old in sorted(one for one in folder.iterdir() if _VERSION.fullmatch(one.name))[:-KEPT]:
        if old.name != version:
            shutil.rmtree(old)
    return version


def read(folder: Path) -> Trained | None:
    """The current version; None where none was ever trained. Raises ``ModelBroken``."""
    try:
        version = (folder / "current").read_text().strip()
    except FileNotFoundError:
        return None
    if not _VERSION.fullmatch(version):
        raise ModelBroken(f"{folder / 'current'} names no version: train one anew")
    try:
        manifest = json.loads((folder / version / "manifest.json").read_text())
        if manifest["format"] != FORMAT:
            raise ModelBroken(f"{version} has format {manifest['format']}, and {FORMAT} is read: train one anew")
        arrays: dict[str, Any] = {}
        for name in _ARRAYS:
            path = folder / version / f"{name}.npy"
            if _digest(path) != manifest["files"][path.name]:
                raise ModelBroken(f"{path} is not what its manifest says: train one anew")
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        return Trained(Model(**arrays, taste=Taste(**manifest["taste"])), version, manifest["trained_at"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelBroken(f"{version} cannot be read: {error}") from error


class CurrentModel:
    """The current version, as a gateway has it: read when it changes, and none where there is none that can be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._named: str | None = None
        self._trained: Trained | None = None
        self._looked = -LOOK_SECONDS
        self._looking = asyncio.Lock()

    async def get(self) -> Trained | None:
        """It, not older than ``LOOK_SECONDS``. One that is broken is told to the log, and is none."""
        async with self._looking:
            if time.monotonic() >= self._looked + LOOK_SECONDS:
                await asyncio.to_thread(self._look)
                self._looked = time.monotonic()
        return self._trained

    def _look(self) -> None:
        try:
            named = (self._folder / "current").read_text()
        except OSError:
            named = ""
        if named == self._named:
            return
        self._named, self._trained = named, None
        try:
            self._trained = read(self._folder)
        except ModelBroken as error:
            logger.warning("explore goes on without its model: %s", error)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
