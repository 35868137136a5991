"""Where a person lives: feeds and follower sets are spread over a fixed number of buckets."""

from __future__ import annotations

GOLDEN = 0x9E37_79B9_7F4A_7C15
"""2**64 divided by the golden ratio: Fibonacci hashing (Knuth, TAOCP volume 3, 6.4) spreads sequential ids."""


def bucket_of(user_id: int, buckets: int) -> int:
    """The bucket, 0 to ``buckets - 1``, in which ``user_id`` lives for ever."""
    return ((user_id * GOLDEN & (1 << 64) - 1) * buckets) >> 64
