"""Which partition a key is in: the same one for whoever writes, whatever the client."""

from __future__ import annotations


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key``: murmur2 without its sign, as Java's clients and this producer have it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(text: bytes) -> int:
    """Kafka's 32-bit murmur2 of ``text``, unsigned."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    length = len(text)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(text[start : start + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(text[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
