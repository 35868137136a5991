"""Ranking models on disk: versioned artefacts with a manifest, the one that is current, and running it.

``models_root/ranking/VERSION/`` holds ``model.onnx`` and ``manifest.json``; the file ``current`` beside the versions
names one of them. A version is never changed once it is named, so a gateway that reads ``current`` again and again goes
over to another, or back, without a restart. A model is run by onnxruntime on one thread: a feed takes less than a
millisecond, and gateways have their own processes for more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime

from sinks.settings import Settings
from streams.ranking import FEATURES, HEADS, Numbers

logger = logging.getLogger(__name__)
MODEL, MANIFEST, CURRENT = "model.onnx", "manifest.json", "current"
INPUT, OUTPUT = "features", "probabilities"
LOOK_SECONDS = 5.0
"""A gateway looks for another current version after so long."""


class Unusable(ValueError):
    """An artefact that is not what its manifest says, or that was made for other features than this code's."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is and where it comes from. ``made_at`` in ms; ``digest`` is SHA-256 of the model; ``trained_on``
    and ``evaluation`` are for people and for who compares versions."""

    version: str
    made_at: int
    digest: str
    features: list[str]
    heads: list[str]
    trained_on: dict[str, Any]
    evaluation: dict[str, Any]


def models_folder(settings: Settings) -> Path:
    """Where the versions are."""
    return settings.models_folder / "ranking"


def publish(
    folder: Path,
    model: bytes,
    *,
    made_at: int,
    trained_on: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    current: bool = True,
) -> Manifest:
    """Write a version, and make it ``current``. The same model made at the same time is the same version. Raises
    ``OSError``, and ``Unusable`` for a model that cannot be run."""
    digest = hashlib.sha256(model).hexdigest()
    version = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(made_at / 1000))}-{digest[:12]}"
    manifest = Manifest(
        version=version,
        made_at=made_at,
        digest=digest,
        features=list(FEATURES),
        heads=list(HEADS),
        trained_on=dict(trained_on),
        evaluation=dict(evaluation),
    )
    RankingModel(manifest, model)
    place = folder / version
    place.mkdir(parents=True, exist_ok=True)
    _written(place / MODEL, model)
    _written(place / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    if current:
        choose(folder, version)
    return manifest


def choose(folder: Path, version: str) -> None:
    """Make ``version`` the current one; gateways follow within ``LOOK_SECONDS``. Raises ``OSError``, and ``Unusable``
    where it is none."""
    load(folder, version)
    _written(folder / CURRENT, version.encode() + b"\n")


def _written(path: Path, content: bytes) -> None:
    """Whole or not at all, whoever reads meanwhile."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


class RankingModel:
    """A model, ready to run."""

    def __init__(self, manifest: Manifest, model: bytes) -> None:
        """Raises ``Unusable``."""
        self.manifest = manifest
        if hashlib.sha256(model).hexdigest() != manifest.digest:
            raise Unusable(f"ranking model {manifest.version}: the file is not the one that the manifest describes")
        if (manifest.features, manifest.heads) != (list(FEATURES), list(HEADS)):
            raise Unusable(
                f"ranking model {manifest.version} was made for other features than this version of Shutterlog "
                "computes: train it again with `shutterlog train ranking`"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        except Exception as error:  # the runtime has its own for each thing that can be wrong with a file
            raise Unusable(f"ranking model {manifest.version} cannot be run: {error}") from error
        if [one.name for one in inputs] != [INPUT] or [one.name for one in outputs] != [OUTPUT]:
            raise Unusable(f"ranking model {manifest.version} takes or gives something else")

    @property
    def version(self) -> str:
        """By which it is known."""
        return self.manifest.version

    def probabilities(self, features: Numbers) -> Numbers:
        """float32, (posts, ``HEADS``), of (posts, ``FEATURES``)."""
        found: Numbers = self._session.run([OUTPUT], {INPUT: features})[0]
        return found


def current_version(folder: Path) -> str | None:
    """The version that is current; None where none is."""
    try:
        return (folder / CURRENT).read_text().strip() or None
    except FileNotFoundError:
        return None


def load(folder: Path, version: str) -> RankingModel:
    """One version. Raises ``Unusable``."""
    place = folder / version
    try:
        manifest = msgspec.json.decode((place / MANIFEST).read_bytes(), type=Manifest)
        model = (place / MODEL).read_bytes()
    except (OSError, msgspec.DecodeError) as error:
        raise Unusable(f"ranking model {version!r} cannot be read: {error}") from error
    if manifest.version != version:
        raise Unusable(f"ranking model {version!r} says that it is {manifest.version!r}")
    return RankingModel(manifest, model)


class RankingModels:
    """The current model, for one gateway. Looked for again every ``LOOK_SECONDS``, by one thread, while the one before
    goes on ranking; one that cannot be used is logged once, and leaves the one before in its place."""

    def __init__(self, folder: Path, *, seconds: float = LOOK_SECONDS) -> None:
        self._folder, self._seconds = folder, seconds
        self._model: RankingModel | None = None
        self._looked = float("-inf")
        self.looking: asyncio.Task[None] | None = None
        """The look that is under way."""
        self._refused = ""
        self._named: dict[str, tuple[float, asyncio.Task[RankingModel | None]]] = {}
        """Version → since when it is looked for, and what is found. A version that is there never changes."""

    async def current(self) -> RankingModel | None:
        """The current model; None where there is none that can be used. Waits only for the first look."""
        now = time.monotonic()
        if now - self._looked >= self._seconds and self.looking is None:
            self._looked = now
            self.looking = asyncio.create_task(self._look())
        if self._model is None and self.looking is not None:
            await asyncio.shield(self.looking)
        return self._model

    async def named(self, version: str) -> RankingModel | None:
        """A certain version, whichever is current; None where it is not there or cannot be used."""
        now = time.monotonic()
        looked, found = self._named.get(version, (now, None))
        if found is None or (found.done() and found.result() is None and now - looked >= self._seconds):
            found = asyncio.create_task(asyncio.to_thread(self._load, version))
            self._named[version] = (now, found)
        # Whoever gives up waiting leaves it to the next.
        return await asyncio.shield(found)

    def _load(self, version: str) -> RankingModel | None:
        try:
            return load(self._folder, version)
        except (OSError, Unusable) as error:
            logger.error("%s", error)
            return None

    async def _look(self) -> None:
        try:
            self._model = await asyncio.to_thread(self._found)
        finally:
            self.looking = None

    def _found(self) -> RankingModel | None:
        before = self._model
        try:
            version = current_version(self._folder)
            if version is None or (before is not None and version == before.version):
                return before if version else None
            model = load(self._folder, version)
        except (OSError, Unusable) as error:
            if str(error) != self._refused:
                logger.error("%s", error)
            self._refused = str(error)
            return before
        logger.info("ranking by model %s", model.version)
        return model
