"""Snowflake ids: 41 bits of milliseconds since 2010, 10 bits of gateway, 12 bits of sequence.

Ids sort by time. From mid 2017 to the scheme's end in 2079 they all have 19 decimal digits, so that they also
sort as strings: Lua's numbers are doubles and cannot hold them.
"""

from __future__ import annotations

EPOCH_MS = 1_262_304_000_000
"""2010-01-01T00:00:00Z."""
MIN_ID = 10**18
MAX_ID = 2**63 - 1


def snowflake(at_ms: int, node: int, sequence: int) -> int:
    """The id made at ``at_ms`` by gateway ``node`` (0..1023) as its ``sequence``-th (0..4095) in that millisecond."""
    made = (at_ms - EPOCH_MS) << 22 | (node & 0x3FF) << 12 | (sequence & 0xFFF)
    if not MIN_ID <= made <= MAX_ID:
        raise ValueError(f"no Snowflake id can be made for the time {at_ms} ms")
    return made


def made_at(snowflake_id: int) -> int:
    """The time in an id, in ms since 1970."""
    return (snowflake_id >> 22) + EPOCH_MS
