"""What is left of a person outside the log and its views, and its end: key, names, password, address, sessions, files.

Without the key nobody can read any more what the person wrote: in the log, in a view, in a backup of either.
Everything else here would end by itself or is no use without it, and goes too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.events import Event
from sinks.cassandra import Cassandra, Statement, in_chunks
from sinks.emitter import Commits, Emits, EmitterSink
from sinks.object_store import ObjectStore
from sinks.rendition_uses import RenditionUses
from sinks.sessions import Sessions
from streams.erasure import Forget, Purge, Shown, Write
from streams.records import TopicPartition

FINAL = 2**62
"""Write time of what is never to be undone by a record that comes late: above every offset."""


class Kept(NamedTuple):
    """A table with rows of people that are not found by person: it is scanned. ``columns`` are its key's; ``owner``
    names the column that says whose a row is. Rows that gateways race for are deleted by a transaction."""

    table: str
    columns: tuple[str, ...]
    owner: str
    raced: bool = True


USERNAMES = Kept("usernames", ("username",), "user_id")
IDEMPOTENCY = Kept("idempotency", ("owner", "key"), "owner")
SCANNED = (
    IDEMPOTENCY,  # before the usernames, by which some of it is found
    USERNAMES,
    Kept("username_skeletons", ("skeleton",), "user_id"),
    Kept("email_owners", ("lookup",), "user_id"),
    Kept("mail_tokens", ("token_hash",), "user_id"),
    Kept("uploads", ("media_id",), "owner_id", raced=False),
    Kept("submissions", ("post_id",), "author_id", raced=False),
)


class Leftovers:
    """What the gateway alone keeps of people. Every method raises ``StoreAway``, and can be called again."""

    def __init__(self, cassandra: Cassandra, sessions: Sessions) -> None:
        self._cassandra, self._sessions = cassandra, sessions

    async def remove(self, user_ids: Collection[int]) -> None:
        """Remove all of it, the keys first. Scans some tables whole, once for all of ``user_ids``."""
        execute = self._cassandra.execute_each
        await execute(("DELETE FROM person_keys WHERE user_id = ? IF EXISTS", (user_id,)) for user_id in user_ids)
        for table in ("credentials", "push_subscriptions"):
            await execute((f"DELETE FROM {table} WHERE user_id = ?", (user_id,)) for user_id in user_ids)  # noqa: S608
        for user_id in user_ids:
            await self._sessions.end_all(user_id)
        for kept in SCANNED:
            rows = await self.found(kept, user_ids)
            await execute(_removal(kept, row) for row in rows)

    async def remove_late(self, media: Mapping[int, int]) -> None:
        """Remove the rows of purged files (owner by id) that came after the rows of their owner were looked for."""
        rows = await in_chunks(self._cassandra, "SELECT media_id, owner_id FROM uploads WHERE media_id IN ?", media)
        if not rows:
            return
        retried = await self.found(IDEMPOTENCY, {row.owner_id for row in rows})
        await self._cassandra.execute_each(_removal(IDEMPOTENCY, row) for row in retried)
        # Last: by these a purge that is done again knows that there is something.
        await self._cassandra.execute_each(("DELETE FROM uploads WHERE media_id = ?", (row.media_id,)) for row in rows)

    async def found(self, kept: Kept, user_ids: Collection[int]) -> list[Any]:
        """The rows of one of ``SCANNED`` that are theirs."""
        owners: set[object] = set(user_ids)
        if kept is IDEMPOTENCY:
            # A key used for registering belongs to the name.
            names = await self.found(USERNAMES, user_ids)
            owners = {*map(str, user_ids)} | {f"name:{row.username}" for row in names}
        columns = ", ".join(dict.fromkeys((*kept.columns, kept.owner)))
        found: list[Any] = []
        async for page in self._cassandra.pages(f"SELECT {columns} FROM {kept.table}"):  # noqa: S608 (names of ours)
            found += (row for row in page if getattr(row, kept.owner) in owners)
        return found


def _removal(kept: Kept, row: Any) -> Statement:
    where = " AND ".join(f"{name} = ?" for name in kept.columns)
    condition = ""
    values = [getattr(row, name) for name in kept.columns]
    if kept.raced and kept.owner in kept.columns:
        condition = " IF EXISTS"
    elif kept.raced:
        condition = f" IF {kept.owner} = ?"
        values.append(getattr(row, kept.owner))
    return f"DELETE FROM {kept.table} WHERE {where}{condition}", values  # noqa: S608 (names of ours)


class _Silent(Emits):
    async def produce_many(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        raise AssertionError(f"nothing is said here, and not {len(events)} events")


class ErasureSink(EmitterSink[Write]):
    """Ends what is left of the erased. At least once: each step can be done twice."""

    def __init__(
        self,
        cassandra: Cassandra,
        leftovers: Leftovers,
        objects: ObjectStore,
        commits: Commits,
    ) -> None:
        super().__init__(_Silent(), commits)
        self._cassandra, self._leftovers, self._objects = cassandra, leftovers, objects
        self._uses = RenditionUses(cassandra)

    async def emit(self, writes: Sequence[Write]) -> None:
        """Note who has which renditions, then forget and purge. Raises ``StoreAway``."""
        await self._uses.add((one.media_id, one.keys) for one in writes if isinstance(one, Shown))
        people = list(dict.fromkeys(one.user_id for one in writes if isinstance(one, Forget)))
        if people:
            await self._leftovers.remove(people)
            for user_id in people:
                await self._objects.delete_folder(str(user_id))
        await self._purge([one for one in writes if isinstance(one, Purge)])

    async def _purge(self, purges: Iterable[Purge]) -> None:
        media = {one.media_id: one.owner_id for one in purges}
        if not media:
            return
        for owner_id in set(media.values()):
            own = {str(media_id) for media_id, owner in media.items() if owner == owner_id}
            keys = [key async for key in self._objects.list_keys(str(owner_id)) if own.intersection(key.split("/"))]
            for key in keys:
                await self._objects.delete(key)
        await self._leftovers.remove_late(media)
        # What the publisher holds for those who wait for the file: its picture in small, the post's tags and place.
        held = "DELETE FROM publishing_media USING TIMESTAMP ? WHERE media_id = ?"
        await self._cassandra.execute_each((held, (FINAL, media_id)) for media_id in media)
        await self._uses.remove(list(media), self._objects)
