"""The sink of every view that lives in Cassandra tables.

Rows are written USING TIMESTAMP = offset + 1, so that Cassandra agrees with the log about what came last, whoever
writes it, however often and however late. The fence of a partition follows its rows, with the same kind of timestamp:
a zombie can neither undo a later row nor move a fence back.

What ends (``Table.expires``) gets what is left of its time as its time to live, by the clock of whoever writes. That
decides only for how long a store keeps what nobody is shown any more: readers look at ``expires_at`` themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from sinks.cassandra import LOCAL_QUORUM, Cassandra, Statement, together
from sinks.errors import FenceBehind, LogRemade
from sinks.generations import now_ms
from sinks.view_tables import TABLES, table_name
from streams.records import Spans, TopicPartition
from streams.views import Delete, Upsert

BATCH_ROWS = 100
BATCH_BYTES = 32 * 1024
"""Cassandra as it is shipped refuses batches above 50 KiB."""

LONGEST_TTL = 400 * 86_400
"""Seconds. Nothing here is meant to last so long; a Cassandra of older sstables refuses what ends after 2038."""

READ_FENCES = (
    "SELECT partition, topic_id, applied_offset FROM fences WHERE view_name = ? AND generation = ? AND topic = ?"
)
MOVE_FENCE = (
    "INSERT INTO fences (view_name, generation, topic, partition, topic_id, applied_offset) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)


class TableSink:
    """Applies the upserts and deletes of one view to its tables in one generation. Safe for several writers at once."""

    def __init__(
        self,
        cassandra: Cassandra,
        view: str,
        generation: int,
        topic_ids: Mapping[str, str],
        *,
        consistency: int = LOCAL_QUORUM,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """``topic_ids`` names the incarnation of each source topic; ``consistency`` is that of reads and writes;
        ``clock`` gives the time in ms, for what ends."""
        self._cassandra = cassandra
        self._view = view
        self._generation = generation
        self._topic_ids = topic_ids
        self._consistency = consistency
        self._clock = clock

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``: one round trip for each topic among ``partitions``."""
        topics = sorted({tp.topic for tp in partitions})
        reads = [(READ_FENCES, (self._view, self._generation, topic)) for topic in topics]
        answers = await self._cassandra.execute_each(reads, consistency=self._consistency)
        stored: dict[TopicPartition, int] = {}
        for topic, rows in zip(topics, answers, strict=True):
            for row in rows:
                if row.topic_id != self._topic_ids[topic]:
                    raise self._remade(topic, row.topic_id)
                stored[TopicPartition(topic, row.partition)] = row.applied_offset
        return {tp: stored.get(tp, -1) for tp in partitions}

    async def apply(self, writes: Sequence[Upsert | Delete], spans: Spans) -> None:
        """See ``Sink.apply``. If it fails midway, some rows are written and no fence has moved: call it again."""
        stored = await self.fences(spans)
        if any(stored[tp] < span.prior for tp, span in spans.items()):
            raise FenceBehind(stored)
        now = self._clock()
        new = [write for write in writes if write.mark.offset > stored[write.mark.tp] and lives(write, now)]
        batches = self._batches(new, now)
        await together(self._cassandra.apply_batch(batch, consistency=self._consistency) for batch in batches)
        moved = [self._fence(tp, span.last) for tp, span in spans.items() if span.last > stored[tp]]
        if moved:
            await self._cassandra.apply_batch(moved, consistency=self._consistency)

    def _remade(self, topic: str, topic_id: str) -> LogRemade:
        return LogRemade(
            f"generation {self._generation} of the view {self._view} was built from topic {topic} when its id was "
            f"{topic_id}; now the id is {self._topic_ids[topic]}, so the topic was deleted and made again. Bring the "
            f"log back, or build a new generation with `shutterlog replay {self._view}`"
        )

    def _fence(self, tp: TopicPartition, offset: int) -> Statement:
        key = (self._view, self._generation, tp.topic, tp.partition, self._topic_ids[tp.topic])
        return MOVE_FENCE, (*key, offset, timestamp(offset))

    def _batches(self, writes: Iterable[Upsert | Delete], now: int) -> Iterator[list[Statement]]:
        """Statements of one partition together; of several, only where every node holds them all anyway."""
        whole = self._cassandra.on_every_node
        groups: dict[object, list[Statement]] = {}
        for write in writes:
            group = None if whole else (write.table, write.key[TABLES[write.table].key[0]])
            groups.setdefault(group, []).append(statement(write, self._generation, now))
        for statements in groups.values():
            yield from cut(statements)


def uncovered(writes: Iterable[Upsert | Delete]) -> list[Upsert | Delete]:
    """Those of ``writes`` that no later one of the same row and the same columns covers: all that a reader can see of
    them. Pays for the large batches of a replay, whose rows are read by nobody in between."""
    last = {(w.table, *w.key.values(), *(w.columns if isinstance(w, Upsert) else ("-",))): w for w in writes}
    return list(last.values())


def timestamp(offset: int) -> int:
    """The write time of a row that the record at ``offset`` makes: above 0, since unset columns count as older."""
    return offset + 1


def lives(write: Upsert | Delete, now: int) -> bool:
    """Whether anybody is to be shown what ``write`` says, at ``now`` in ms or later: else it need not be written."""
    return isinstance(write, Delete) or now < write.columns.get("expires_at", now + 1)


def statement(write: Upsert | Delete, generation: int, now: int) -> Statement:
    """The CQL of one write and its parameters, at ``now`` in ms."""
    if isinstance(write, Delete):
        names = tuple(name for name in TABLES[write.table].key if name in write.key)
        cql = _delete(write.table, generation, names)
        return cql, (timestamp(write.mark.offset), *(write.key[name] for name in names))
    ends = TABLES[write.table].expires and "expires_at" in write.columns
    cql = _upsert(write.table, generation, tuple(write.columns), ends)
    key = (write.key[name] for name in TABLES[write.table].key)
    values = (*key, *write.columns.values(), timestamp(write.mark.offset))
    if not ends:
        return cql, values
    # Rounded up: Cassandra never lets a row go before its end. What is from the far future is kept for no longer.
    return cql, (*values, min(-(-(write.columns["expires_at"] - now) // 1000), LONGEST_TTL))


@lru_cache(maxsize=1024)
def _upsert(table: str, generation: int, columns: tuple[str, ...], ends: bool) -> str:
    names = (*TABLES[table].key, *columns)
    holes = ", ".join("?" * len(names))
    name = table_name(table, generation)
    using = "TIMESTAMP ? AND TTL ?" if ends else "TIMESTAMP ?"
    return f"INSERT INTO {name} ({', '.join(names)}) VALUES ({holes}) USING {using}"  # noqa: S608 (names of ours)


@lru_cache(maxsize=1024)
def _delete(table: str, generation: int, names: tuple[str, ...]) -> str:
    where = " AND ".join(f"{name} = ?" for name in names)
    return f"DELETE FROM {table_name(table, generation)} USING TIMESTAMP ? WHERE {where}"  # noqa: S608 (names of ours)


def cut(statements: Iterable[Statement], rows: int = BATCH_ROWS) -> Iterator[list[Statement]]:
    """Batches of at most ``rows`` statements and about ``BATCH_BYTES``."""
    batch: list[Statement] = []
    size = 0
    for one in statements:
        own = sum(map(_bytes_of, one[1]))
        if batch and (len(batch) == rows or size + own > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += own
    if batch:
        yield batch


def _bytes_of(value: object) -> int:
    """About how much a parameter takes, at most."""
    if isinstance(value, str) and not value.isascii():
        return 4 * len(value)
    if isinstance(value, str | bytes):
        return len(value)
    return sum(8 + _bytes_of(part) for part in value) if isinstance(value, list) else 8
