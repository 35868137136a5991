"""The object store: originals under their owner, renditions under their content. A local folder, or S3 by setting."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotFoundError,
    UnknownConfigurationKeyError,
)
from obstore.store import LocalStore, S3Store

from sinks.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Config

    from sinks.settings import Settings


MARK = ".store"
"""An empty folder in a local store: an empty folder without it can be the place of a volume that is not mounted."""
_SEGMENT = re.compile(r"[0-9A-Za-z_-]{1,100}", re.ASCII)


class NoSuchObject(Exception):
    """The store answers, and has nothing under this key."""


def original_key(user_id: int | str, at_ms: int, media_id: int | str) -> str:
    """``{user}/{yyyy}/{mm}/{media}/original``; ``at_ms`` is the upload's time in ms since 1970, taken in UTC."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{user_id}/{at:%Y}/{at:%m}/{media_id}/original"


def rendition_key(digest: str) -> str:
    """Where the rendition with this SHA-256 (hexadecimal) lives, for ever."""
    return f"r/{digest[:2]}/{digest}.jpg"


class ObjectStore:
    """Whole objects by key, up to some tens of megabytes.

    Every method raises ``StoreAway`` while the store cannot be reached, its bucket is gone or its volume not mounted.
    Writes are atomic, and repeating one is safe.
    """

    def __init__(self, store: LocalStore | S3Store, root: Path | None = None) -> None:
        self._store = store
        self._root = root

    @classmethod
    def of(cls, settings: Settings) -> ObjectStore:
        """The store that the settings name: S3 where ``s3_endpoint`` is set (credentials from the usual ``AWS_*``
        variables where ``s3_user`` is not), else the folder ``media_root`` as ``make`` made it, else one in the home,
        made if it is absent."""
        if settings.s3_endpoint:
            user: S3Config = {"access_key_id": settings.s3_user, "secret_access_key": settings.s3_key}
            return cls(
                S3Store(
                    settings.s3_bucket,
                    config=user if settings.s3_user else None,
                    endpoint=settings.s3_endpoint,
                    client_options={"allow_http": settings.s3_endpoint.startswith("http://"), "timeout": "30s"},
                    retry_config={"max_retries": 2},
                )
            )
        if settings.media_root is None:
            return cls.local(settings.shutterlog_home / "data" / "media")
        return cls.local(settings.media_root, make=False)

    @classmethod
    def make(cls, settings: Settings) -> None:
        """Make the store of a new world, where it is a folder. Only then: the folder of an older one can be away."""
        if settings.media_root is not None and not settings.s3_endpoint:
            cls.local(settings.media_root)

    @classmethod
    def local(cls, root: Path, *, make: bool = True) -> ObjectStore:
        """The store in the folder ``root``. It gets its mark where it is to ``make`` it, or where it holds anything,
        being of a build that made none."""
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        if make or any(root.iterdir()):
            (root / MARK).mkdir(exist_ok=True)
        return cls(LocalStore(root), root)

    async def put(self, key: str, body: bytes) -> None:
        """Store ``body`` under ``key``, over whatever was there."""
        with self._speaking():
            await obstore.put_async(self._store, key, body, use_multipart=False)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store what ``chunks`` yields under ``key``, holding some megabytes at a time. Whatever ``chunks`` raises
        comes out of here, and nothing is stored then."""
        with self._speaking():
            await obstore.put_async(self._store, key, chunks, max_concurrency=2)

    async def put_if_absent(self, key: str, body: bytes) -> bool:
        """Store ``body`` unless ``key`` exists; whether it was stored. Meant for content-addressed keys."""
        try:
            with self._speaking():
                await obstore.put_async(self._store, key, body, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    async def get(self, key: str) -> bytes:
        """The object under ``key``. Raises ``NoSuchObject``."""
        try:
            with self._speaking(key):
                answer = await obstore.get_async(self._store, key)
                return bytes(await answer.bytes_async())
        except NoSuchObject:
            await self.ping()  # where the bucket is gone, so is each object
            raise

    async def exists(self, key: str) -> bool:
        """Whether there is an object under ``key``."""
        try:
            with self._speaking(key):
                await obstore.head_async(self._store, key)
        except NoSuchObject:
            await self.ping()
            return False
        return True

    async def delete(self, key: str) -> None:
        """Remove what is under ``key``; nothing there is fine."""
        with suppress(NoSuchObject), self._speaking(key):
            await obstore.delete_async(self._store, key)
        await self.ping()  # the driver takes "no such bucket" for "deleted"

    async def delete_folder(self, folder: str) -> None:
        """Remove everything below ``folder``, one path segment, and in a local store the empty folders too."""
        if not _SEGMENT.fullmatch(folder):
            raise ValueError(f"{folder!r} is no folder's name")
        for key in [key async for key in self.list_keys(folder)]:
            await self.delete(key)
        if self._root is not None:
            with self._speaking():
                await asyncio.to_thread(shutil.rmtree, self._root / folder, ignore_errors=True)

    async def list_keys(self, prefix: str = "") -> AsyncIterator[str]:
        """The keys below ``prefix`` (whole path segments), in no order."""
        with self._speaking():
            async for batch in obstore.list(self._store, prefix or None):
                for entry in batch:
                    yield entry["path"]

    async def ping(self) -> None:
        """Raise ``StoreAway`` unless the store answers."""
        with self._speaking():
            if self._root is None:
                async for _ in obstore.list(self._store, "ping/"):
                    break
            else:
                await asyncio.to_thread((self._root / MARK).stat)

    @contextmanager
    def _speaking(self, key: str = "") -> Iterator[None]:
        """Driver errors in our words. ``key`` is what may be absent; without one, whatever is absent is the store."""
        if self._root is not None and not (self._root / MARK).is_dir():
            # Else the driver would quietly make a new one, or say of every picture that it is gone.
            raise StoreAway(f"{self._root} is no store: is its volume mounted? A new one has to have a folder {MARK}")
        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            if not key:
                raise StoreAway(f"the object store is gone: {error}") from error
            raise NoSuchObject(key) from error
        except (AlreadyExistsError, InvalidPathError, UnknownConfigurationKeyError):
            raise
        except (BaseError, OSError) as error:
            raise StoreAway(f"the object store does not answer: {error}") from error
