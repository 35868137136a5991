"""``shutterlog train explore``: the co-engagement model, from the facts in ClickHouse to a version on disk.

Somebody turned to a post whom the log's last word has like it, keep it, or share it, or who commented; at the time of
the latest of these. What is deleted, or not to be seen, is in a model too: readers leave it out.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from jobs.co_engagement import Turned, histories_of, train
from sinks.clickhouse import ClickHouse
from sinks.co_engagement import co_engagement_folder, write
from sinks.fact_tables import fact_tables
from sinks.generations import GenerationLog
from sinks.settings import Settings

DAYS, MOST_ROWS = 180, 5_000_000
_DAY_MS = 86_400_000
_LAST = (
    "SELECT actor_id, post_id, max(said_at) AS turned FROM ("
    "SELECT actor_id, post_id, toUnixTimestamp64Milli(argMax(at, _offset)) AS said_at, argMax(_event, _offset) AS last "
    "FROM {table} WHERE _event IN ('PostLiked', 'PostUnliked', 'PostSaved', 'PostUnsaved', 'PostShared', "
    "'PostUnshared', 'CommentAdded') AND at >= fromUnixTimestamp64Milli({{since:Int64}}) AND actor_id != author_id "
    "GROUP BY actor_id, post_id, multiIf(_event IN ('PostLiked', 'PostUnliked'), 1, _event IN ('PostSaved', "
    "'PostUnsaved'), 2, _event IN ('PostShared', 'PostUnshared'), 3, 4)) "
    "WHERE last NOT IN ('PostUnliked', 'PostUnsaved', 'PostUnshared') "
    "GROUP BY actor_id, post_id ORDER BY turned DESC, actor_id, post_id LIMIT {{most:Int64}}"
)


def run(settings: Settings, *, days: int = DAYS, most: int = MOST_ROWS, dry_run: bool = False) -> dict[str, Any]:
    """Train on the newest ``most`` rows of the last ``days``, and make it the current version; what came of it.

    Raises ``StoreAway``, ``OSError``, and ValueError where there is nothing to learn from.
    """
    at = time.time_ns() // 1_000_000
    rows = asyncio.run(_rows(settings, at - days * _DAY_MS, most))
    histories = histories_of(Turned(*row) for row in reversed(rows))
    begin = time.perf_counter()
    model, tried = train(histories)
    told = {
        "rows": len(rows),
        "since": at - days * _DAY_MS,
        "people": len(model.people),
        "posts": len(model.posts),
        "tried": tried,
        "seconds": round(time.perf_counter() - begin, 2),
    }
    version = None if dry_run else write(co_engagement_folder(settings), model, at, told)
    return {"model": "explore", "version": version, "taste": model.taste._asdict(), **told}


async def _rows(settings: Settings, since: int, most: int) -> list[tuple[int, int, int]]:
    live = (await asyncio.to_thread(GenerationLog(settings).of, "facts")).live
    table = fact_tables()["engagement"].name(live)
    async with await ClickHouse.connect(settings) as clickhouse:
        found = await clickhouse.query_facts(_LAST.format(table=table), {"since": since, "most": most})
    return [(int(person), int(post), int(turned)) for person, post, turned in found]
