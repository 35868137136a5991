"""When each view was verified last, and what was found."""

from __future__ import annotations

import time
from typing import NamedTuple

from sinks.cassandra import Cassandra

_PUT = "INSERT INTO verifications (view_name, verified_at, generation, checked, differences) VALUES (?, ?, ?, ?, ?)"
_ALL = "SELECT view_name, verified_at, generation, checked, differences FROM verifications"


class Verification(NamedTuple):
    """``at`` is in ms since 1970."""

    at: int
    generation: int
    checked: int
    differences: int


async def remember(cassandra: Cassandra, view: str, generation: int, checked: int, differences: int) -> None:
    """Keep what verify found now. Raises ``StoreAway``."""
    await cassandra.execute(_PUT, (view, time.time_ns() // 1_000_000, generation, checked, differences))


async def last(cassandra: Cassandra) -> dict[str, Verification]:
    """By view or emitter; those that were never verified are left out. Raises ``StoreAway``."""
    rows = await cassandra.execute(_ALL)
    return {row.view_name: Verification(*row[1:]) for row in rows}
