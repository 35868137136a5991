"""The archive of all that is held of one person: a zip that is made while it is sent, so that none is ever stored."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import msgspec

from api.stores import Stores
from sinks.accounts import AccountRow
from sinks.object_store import NoSuchObject, original_key
from sinks.own_rows import OWN, OwnRows
from sinks.sealing import opened
from streams.story_views import REACTED

_AT_ONCE = 100
_IDS = ("_id", "_ids", "mentions", "mentioned", "tagged", "media", "target", "post")


class _Sent(io.RawIOBase):
    """What a zip file is written into: keeps it only until the next chunk is sent."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, some: Any) -> int:
        self._held.append(bytes(some))
        return len(self._held[-1])

    def take(self) -> bytes:
        held, self._held = b"".join(self._held), []
        return held


class Archive:
    """The archive of one person, part by part. Text that was sealed under their key is opened."""

    def __init__(self, stores: Stores, account: AccountRow, keys: dict[int, bytes]) -> None:
        self._stores, self._account, self._keys = stores, account, keys
        self._user_id = account.user_id
        self._own = OwnRows(stores.cassandra, stores.generations.snapshot())
        self._out = _Sent()
        self._media: list[int] = [account.picture.media_id] if account.picture else []
        self._missing: list[str] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the zip, in order. Raises ``StoreAway`` midway: the archive is then seen to be torn."""
        with ZipFile(self._out, "w", ZIP_DEFLATED) as file:
            yield self._put(file, "account.json", await self._profile())
            sessions = await self._stores.sessions.of(self._user_id)
            listed = [{"opened_at": one.opened_at, "refreshed_at": one.refreshed_at} for one in sessions]
            yield self._put(file, "sessions.json", listed)
            devices = await self._stores.push.of(self._user_id)
            pushed = [{"created_at": one.created_at, "host": urlsplit(one.endpoint).hostname} for one in devices]
            yield self._put(file, "push_subscriptions.json", pushed)  # without what would let others push
            for part in OWN:
                rows = [row async for row in self._own.rows(part, self._user_id)]
                match part:
                    case "posts":
                        rows = await self._posts(row["post_id"] for row in rows)
                    case "uploads":
                        self._media += [row["media_id"] for row in rows]
                        rows = [{name: row[name] for name in row if name != "rendered"} for row in rows]
                    case "stories":
                        rows = await self._stories(row["story_id"] for row in rows)
                yield self._put(file, f"{part}.json", [self._readable(row) for row in rows])
                if part == "stories_seen":
                    yield self._put(file, "story_reactions.json", await self._reactions(rows))
            for media_id in dict.fromkeys(self._media):
                yield await self._original(file, media_id)
            yield self._put(file, "missing.json", self._missing)
        yield self._out.take()

    def _put(self, file: ZipFile, name: str, content: object) -> bytes:
        file.writestr(name, json.dumps(content, ensure_ascii=False, indent=1))
        return self._out.take()

    async def _profile(self) -> dict[str, Any]:
        account, email = self._account, None
        if self._stores.emails is not None:
            email = await self._stores.emails.of(self._user_id)
        readable = self._readable(account._asdict() | {"email": email or b""})
        return readable | {"links": json.loads(readable["links"] or "[]"), "picture": None}

    async def _posts(self, post_ids: Iterable[int]) -> list[dict[str, Any]]:
        ids, found = list(post_ids), []
        for start in range(0, len(ids), _AT_ONCE):
            rows = await self._stores.posts.by_ids(ids[start : start + _AT_ONCE])
            for row in rows.values():
                self._media += row.media_ids
                found.append(row._asdict() | {"media": [picture.media_id for picture in row.media]})
        return found

    async def _stories(self, story_ids: Iterable[int]) -> list[dict[str, Any]]:
        """Those that are known still: of a day, and those that highlights keep."""
        kept = [row["story_id"] async for row in self._own.rows("highlight_stories", self._user_id)]
        ids, found = list(dict.fromkeys([*story_ids, *kept])), list[dict[str, Any]]()
        for start in range(0, len(ids), _AT_ONCE):
            rows = await self._stores.stories.open_among(ids[start : start + _AT_ONCE], self._stores.clock())
            for row in rows.values():
                stickers = [self._readable(msgspec.structs.asdict(sticker)) for sticker in row.stickers]
                media = row.media.media_id if row.media else None
                found.append(row._asdict() | {"media": media, "stickers": stickers})
                self._media += [row.media.media_id] if row.media else []
        return found

    async def _reactions(self, seen: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the person says to stories: it is kept by story, and ``seen``, their ``stories_seen``, names these. What
        its author is no longer shown is left out."""
        reacted = {row["story_id"]: row for row in seen if row["kind"] == REACTED}
        ids, said = list(reacted), dict[int, str]()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            said |= await self._stores.story_views.reactions(self._user_id, some, self._stores.clock())
        return [
            self._readable(
                {"story_id": one, "author_id": reacted[one]["author_id"], "reaction": text, "at": reacted[one]["at"]}
            )
            for one, text in said.items()
        ]

    async def _original(self, file: ZipFile, media_id: int) -> bytes:
        """The picture as it was uploaded; it is compressed already."""
        uploaded_at = await self._stores.posts.uploaded_at(media_id)
        try:
            body = await self._stores.objects.get(original_key(self._user_id, uploaded_at or 0, media_id))
        except NoSuchObject:
            self._missing.append(str(media_id))
            return b""
        named = ZipInfo(f"originals/{media_id}")
        named.compress_type = ZIP_STORED
        file.writestr(named, body)
        return self._out.take()

    def _readable(self, row: dict[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in row.items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, bytes):
            return opened(self._keys, self._user_id, value)
        if isinstance(value, dict):
            return value  # readable already
        if isinstance(value, list | tuple | set):
            return [self._value(name, one) for one in value]
        # Ids have 63 bits, and many programs read numbers as doubles.
        return str(value) if isinstance(value, int) and name.endswith(_IDS) else value
