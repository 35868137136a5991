"""Which files have which renditions, so that one goes from the object store once the last file with it has gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sinks.cassandra import Cassandra, Statement, in_chunks
from sinks.object_store import NoSuchObject, ObjectStore

_AT_ONCE = 1000
_USE = "INSERT INTO rendition_uses (key, media_id) VALUES (?, ?)"
_KEYS = "INSERT INTO rendition_keys (media_id, keys) VALUES (?, ?)"


class RenditionUses:
    """(rendition, file). Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def add(self, shown: Iterable[tuple[int, Sequence[str]]]) -> None:
        """Each file has these renditions. To be said before a rendition is counted on to be there."""
        rows: list[Statement] = []
        for media_id, keys in shown:
            rows += ((_USE, (key, media_id)) for key in keys)
            rows.append((_KEYS, (media_id, list(keys))))
        for start in range(0, len(rows), _AT_ONCE):
            await self._cassandra.execute_each(rows[start : start + _AT_ONCE])

    async def remove(self, media_ids: Collection[int], objects: ObjectStore) -> None:
        """These files are gone, and so are those of their renditions that no other file has."""
        keys: set[str] = set()
        for row in await in_chunks(
            self._cassandra, "SELECT media_id, keys FROM rendition_keys WHERE media_id IN ?", media_ids
        ):
            keys.update(row.keys)
            gone = "DELETE FROM rendition_uses WHERE key = ? AND media_id = ?"
            await self._cassandra.execute_each((gone, (key, row.media_id)) for key in row.keys)
        for key in sorted(keys):
            if not await self._used(key):
                await self._delete(key, objects)
        # Last, so that whoever does it again still knows which they were.
        gone = "DELETE FROM rendition_keys WHERE media_id = ?"
        await self._cassandra.execute_each((gone, (media_id,)) for media_id in media_ids)

    async def _delete(self, key: str, objects: ObjectStore) -> None:
        try:
            body = await objects.get(key)
        except NoSuchObject:
            return
        await objects.delete(key)
        # Somebody may have come for the same picture, and found it there still: they said so before they looked.
        if await self._used(key):
            await objects.put_if_absent(key, body)

    async def _used(self, key: str) -> bool:
        return bool(await self._cassandra.execute("SELECT media_id FROM rendition_uses WHERE key = ? LIMIT 1", (key,)))
