"""``shutterlog views``: what each view is and how it is, and the end of generations that are needed no more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.replay import at_work
from jobs.replay_views import PREFIXES, VIEWS, ReplayStores, drop_generation, stores_of, view_named
from jobs.replay_workers import Workers
from sinks.clickhouse import Unanswerable
from sinks.dead_letters_fold import DeadLetterBook
from sinks.dead_letters_reader import DeadLetterLog
from sinks.errors import LogRemade, StoreAway
from sinks.fact_migrations import disk_bytes as fact_bytes
from sinks.generation_tables import disk_bytes
from sinks.generations import GenerationLog, Generations
from sinks.producer import failure
from sinks.replay_poison import PoisonBook
from sinks.search import disk_bytes as index_bytes
from sinks.search_index import folder_of
from sinks.settings import Settings
from sinks.verifications import Verification, last
from sinks.view_tables import view_tables
from streams.facts import FACTS
from streams.records import TopicPartition
from streams.search import SEARCH
from streams.views import View

logger = logging.getLogger(__name__)
_OLDEST_SECONDS = 10.0


def listed(settings: Settings) -> dict[str, Any]:
    """What ``views list --json`` prints: ``views`` → name → ``stores``, ``sources``, ``live`` (a number) and
    ``generations``, oldest first, each with ``number``, ``state`` (building, live, kept) and ``since`` (ms, 0 for the
    beginning). Blocks; raises ``StoreAway`` and ``TopicMissing``."""
    known = GenerationLog(settings).read()
    return {"views": {name: _entry(view, known.get(name) or Generations(view=name)) for name, view in VIEWS.items()}}


def status(settings: Settings) -> dict[str, Any]:
    """What ``views status --json`` prints: ``well``, and ``views`` → name → what ``views list`` says of it, and

    - ``lag``: ``events`` between the live generation's fences and the log's end, and ``seconds``, the age of the oldest
      record among them by the broker's clock (both 0 when none is left, markers of transactions aside);
    - ``fences``: null, or why they cannot be used (the log was remade; of facts: ClickHouse is away);
    - ``size``: ``bytes`` of the live generation and ``measured``: ``memory`` (each key asked), ``sample`` (1,000 keys
      asked, times their number) or ``disk`` (of the Cassandra node that answers, in steps of 1 MiB);
    - ``verified``: null, or ``at`` (ms), ``generation``, ``checked`` and ``differences`` of the last verify;
    - ``tainted``: ``refused`` while the live generation was built, unresolved refusals in the DLQ (``dead_letters``),
      and ``is``, whether there is any;
    - ``workers``: how many are in its consumer group; without any it stands still.

    ``well`` is false where a view is tainted, has no workers, cannot use its fences, or differed at its last verify.
    Raises ``StoreAway`` and ``TopicMissing``.
    """
    return asyncio.run(_status(settings))


def drop(settings: Settings, name: str, number: int, *, dry_run: bool) -> list[str]:
    """Remove a generation that is being built or kept; what was removed (or would be), for people.

    Raises ``UnknownView``, ``LookupError`` for one that never was, ``ValueError`` for the live one, ``LeaseHeld`` while
    somebody replays the view, and ``StoreAway``. What a drop that was cut off has left is removed by the next.
    """
    view = view_named(name)
    log = GenerationLog(settings)
    if dry_run:
        _dropped(log.of(name), number)
        if view is SEARCH:
            return [str(folder_of(settings, number))]
        return view_tables(number, name) or [f"every key that begins with {PREFIXES[name]}{number}:"]

    async def run() -> list[str]:
        async with at_work(settings, view, f"shutterlog views drop {name}") as (stores, _):
            generations = await asyncio.to_thread(log.of, name)
            rest = _dropped(generations, number)
            # First nobody points to it: what is half removed must never be gone back to.
            if rest != generations:
                await asyncio.to_thread(log.write, rest)
            return await drop_generation(stores, view, number)

    return asyncio.run(run())


def _dropped(generations: Generations, number: int) -> Generations:
    is_known = any(one.number == number for one in generations.all)
    if not is_known and 1 <= number <= generations.highest:
        return generations
    return generations.dropped(number)


def _entry(view: View[Any], generations: Generations) -> dict[str, Any]:
    return {
        "stores": stores_of(view),
        "sources": list(view.sources),
        "live": generations.live,
        "generations": [
            {"number": one.number, "state": one.state, "since": one.since, "refused": one.refused}
            for one in generations.all
        ],
    }


async def _status(settings: Settings) -> dict[str, Any]:
    async with ReplayStores(settings) as stores:
        known = await asyncio.to_thread(GenerationLog(settings).read)
        ends = await asyncio.to_thread(stores.topics.ends)
        letters = await asyncio.to_thread(DeadLetterLog(settings).read, known)
        verified = await last(stores.cassandra)
        views: dict[str, dict[str, Any]] = {}
        for name, view in VIEWS.items():
            generations = known.get(name) or Generations(view=name)
            views[name] = _entry(view, generations) | await _state(
                stores, view, generations, ends, letters, verified.get(name)
            )
    return {"well": all(map(_is_well, views.values())), "views": views}


async def _state(
    stores: ReplayStores,
    view: View[Any],
    generations: Generations,
    ends: Mapping[TopicPartition, int],
    letters: DeadLetterBook,
    verified: Verification | None,
) -> dict[str, Any]:
    settings, live = stores.settings, generations.of(generations.live)
    mine = {tp: end for tp, end in ends.items() if tp.topic in view.sources}
    wrong, lag = None, {"events": 0, "seconds": 0.0}
    try:
        await stores.ready(view)
        fences = await stores.live_sink(view, live.number).fences(list(mine))
        lag = await asyncio.to_thread(lag_of, settings, fences, mine)
    except LogRemade as error:
        wrong = str(error)
    except (StoreAway, Unanswerable) as error:
        if view is not FACTS:
            raise
        wrong = str(error)
    refused = max(live.refused, (await PoisonBook(stores.cassandra, view.name, live.number).met(0)).refused)
    buried = len(letters.refusals(view.name))
    return {
        "lag": lag,
        "fences": wrong,
        "size": await _size(stores, view, live.number),
        "verified": verified._asdict() if verified else None,
        "tainted": {"is": bool(refused or buried), "refused": refused, "dead_letters": buried},
        "workers": await asyncio.to_thread(_members, settings, view.name),
    }


def _is_well(state: Mapping[str, Any]) -> bool:
    verified = state["verified"]
    return bool(
        not state["tainted"]["is"]
        and state["workers"]
        and state["fences"] is None
        and not (verified and verified["differences"])
    )


async def _size(stores: ReplayStores, view: View[Any], generation: int) -> dict[str, Any]:
    if view is FACTS:
        return {"bytes": await _bytes_of_facts(stores, generation), "measured": "disk"}
    if view is SEARCH:
        folder = folder_of(stores.settings, generation)
        return {"bytes": await asyncio.to_thread(index_bytes, folder), "measured": "disk"}
    if "redis" in stores_of(view):
        size = await stores.keys(view, generation).size()
        return {"bytes": size.bytes, "measured": "memory" if size.exact else "sample"}
    return {"bytes": await disk_bytes(stores.cassandra, view.name, generation), "measured": "disk"}


async def _bytes_of_facts(stores: ReplayStores, generation: int) -> int:
    try:
        return await fact_bytes(stores.clickhouse, generation)
    except (StoreAway, RuntimeError):  # said already, where the fences were to be read
        return 0


def _members(settings: Settings, view: str) -> int:
    workers = Workers(settings, view)
    try:
        return workers.members()
    finally:
        workers.close()


def lag_of(
    settings: Settings, fences: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[str, Any]:
    """``events`` and ``seconds`` of what is above ``fences``. The first record of each partition that is behind is read
    for its time, which also tells of partitions where nothing but transaction markers is left. Blocks."""
    behind = {tp: at for tp, at in fences.items() if at < ends[tp]}
    if not behind:
        return {"events": 0, "seconds": 0.0}
    consumer = Consumer(
        {
            **settings.kafka_client,
            "group.id": settings.topic_prefix + "status",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "max.partition.fetch.bytes": 65_536,  # one record of each is wanted
            "error_cb": lambda error: logger.warning("status: %s", error),
        }
    )
    oldest: dict[TopicPartition, int | None] = {}
    try:
        consumer.assign([KafkaPartition(settings.topic(tp.topic), tp.partition, at + 1) for tp, at in behind.items()])
        deadline = time.monotonic() + _OLDEST_SECONDS
        while len(oldest) < len(behind):
            message = consumer.poll(0.5)
            if time.monotonic() > deadline:
                raise StoreAway(f"Kafka did not give the oldest records within {_OLDEST_SECONDS:.0f} s")
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            topic = (message.topic() or "").removeprefix(settings.topic_prefix)
            oldest.setdefault(
                TopicPartition(topic, message.partition() or 0), None if error else message.timestamp()[1]
            )
    except KafkaException as error:
        raise failure(error.args[0]) from error
    finally:
        consumer.close()
    times = [at for at in oldest.values() if at is not None]
    events = sum(ends[tp] - fences[tp] for tp, at in oldest.items() if at is not None)
    now = time.time_ns() // 1_000_000
    return {"events": events, "seconds": round(max(now - min(times), 0) / 1000, 3) if times else 0.0}
