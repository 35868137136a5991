"""What does not belong into the log, written into it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from schemas.codec import encode
from schemas.events import CommentAdded, Followed
from schemas.ids import snowflake
from sinks.cassandra import Cassandra
from sinks.person_keys import PersonKeys
from sinks.posts import PostReader
from sinks.producer import EVENT_LIMIT, Outgoing, Producer, Written
from sinks.sealing import seal
from sinks.settings import Settings

POISONED = ("posts", "graph", "engagement", "media", "stories", "accounts", "activity", "notifications")
OVERSIZE_BYTES, PACKED_BYTES = 1_000_000, 2_000_000
"""What a topic takes at most of a value, and of one that packs well."""
COMMENT_BYTES = EVENT_LIMIT - 10_000
_NODE = 1023
"""Of ids made here, which no gateway has."""


def spoiled(number: int, chance: Random, at: int) -> tuple[bytes, bytes]:
    """A key, and a value that nobody can decode, in one way or another."""
    one, other = snowflake(at, _NODE, 1), snowflake(at, _NODE, 2)
    event = Followed(event_id=one, at=at, actor_id=one, follower_id=one, followee_id=other)
    value = encode(event)
    match number % 5:
        case 0:
            return event.key, b"not avro at all"
        case 1:
            return event.key, value[:-3]
        case 2:
            return event.key, value + b"more"
        case 3:
            return event.key, b"\0" + (99_999).to_bytes(4, "big") + value[5:]
        case _:
            return event.key, chance.randbytes(200)


async def poison(settings: Settings, chance: Random, at: int = 1_700_000_000_000) -> list[Written]:
    """Write a record that nobody can decode into most topics; where they stand. Raises ``StoreAway``."""
    topics = chance.sample(POISONED, 5)
    outgoing = [Outgoing(topic, *spoiled(number, chance, at)) for number, topic in enumerate(topics)]
    async with Producer(settings) as producer:
        return await producer.write(outgoing)


async def oversize(
    settings: Settings, chance: Random, people: Sequence[int], posts: Sequence[int]
) -> tuple[list[Written], list[Written]]:
    """Write garbage of the largest size that topics take, and a comment of the largest that the log takes.

    Gives back where either stands; no comment where none of ``posts`` is published. Raises ``StoreAway``.
    """
    garbage = [
        Outgoing("posts", chance.randbytes(8), chance.randbytes(OVERSIZE_BYTES)),
        Outgoing("engagement", chance.randbytes(8), bytes(PACKED_BYTES)),
        Outgoing("graph", chance.randbytes(100_000), chance.randbytes(OVERSIZE_BYTES - 120_000)),
    ]
    comments: list[Outgoing] = []
    async with await Cassandra.connect(settings) as cassandra, Producer(settings) as producer:
        rows = await PostReader(cassandra, 1, 1).by_ids(list(posts))
        keys = await PersonKeys(cassandra).get_many(people)
        shown = [row for row in rows.values() if row.published_at]
        if shown and keys:
            row, person = chance.choice(shown), chance.choice(sorted(keys))
            comment_id = snowflake(row.published_at or 0, _NODE, chance.randrange(4096))
            event = CommentAdded(
                event_id=comment_id,
                at=row.published_at or 0,
                actor_id=person,
                comment_id=comment_id,
                post_id=row.post_id,
                author_id=row.author_id,
                text=seal(keys[person], person, "x" * COMMENT_BYTES),
            )
            comments.append(Outgoing(event.TOPIC, event.key, encode(event)))
        written = await producer.write(garbage)
        return written, await producer.write(comments)
