"""Laws of the home feed: the projection through its sink, over buckets in memory, against a plain definition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Event, Followed, PostDeleted, PostPublished, Source, Unfollowed
from schemas.ids import MIN_ID
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_reader import Skeleton
from streams.home_feed import project
from streams.records import Record, Span, TopicPartition
from tests.sinks.memory_buckets import MemoryBuckets

TOPIC_IDS = {"posts": "P", "graph": "G"}
PEOPLE = [MIN_ID + n for n in range(4)]
POSTS = [MIN_ID + 1000 + n for n in range(8)]
LOGS = [TopicPartition(topic, p) for topic in TOPIC_IDS for p in range(2)]
SOURCE = Source(topic="media", partition=0, offset=0, n=0)


def _event(kind: str, one: int, other: int) -> Event:
    """A post belongs to one author for ever: the author's place is the post's place modulo two."""
    if kind in ("publish", "delete"):
        author, post = PEOPLE[other % 2], POSTS[other]
        if kind == "delete":
            return PostDeleted(event_id=MIN_ID, at=0, actor_id=author, author_id=author, post_id=post)
        return PostPublished(
            event_id=MIN_ID, at=0, actor_id=author, author_id=author, post_id=post, media=[], source=SOURCE
        )
    follower, followee = PEOPLE[one], PEOPLE[(one + 1 + other % 3) % len(PEOPLE)]
    relation = Followed if kind == "follow" else Unfollowed
    return relation(event_id=MIN_ID, at=0, actor_id=follower, follower_id=follower, followee_id=followee)


EVENTS = st.lists(
    st.builds(
        _event,
        st.sampled_from(["publish", "publish", "delete", "follow", "follow", "unfollow"]),
        st.integers(0, len(PEOPLE) - 1),
        st.integers(0, len(POSTS) - 1),
    ),
    min_size=5,
    max_size=40,
)


def _log(events: Sequence[Event]) -> dict[TopicPartition, list[Record]]:
    log: dict[TopicPartition, list[Record]] = {tp: [] for tp in LOGS}
    for event in events:
        tp = TopicPartition(event.TOPIC, event.key[-1] % 2)
        log[tp].append(Record(tp, len(log[tp]), 0, event))
    return log


def _read(log: dict[TopicPartition, list[Record]], steps: Sequence[tuple[int, int, bool]]) -> list[Skeleton]:
    """Every person's feed after reading ``log`` by ``steps``: (partition, records, start again from the beginning)."""
    buckets = MemoryBuckets(TOPIC_IDS, count=2, cap=2, slack=0)
    sink = HomeFeedSink(buckets, TOPIC_IDS, count=2, pull_threshold=2)
    reached = dict.fromkeys(LOGS, -1)

    async def read() -> None:
        for which, some, again in [*steps, *((n, 100, False) for n in range(len(LOGS)))]:
            tp = LOGS[which]
            if again:
                reached[tp] = -1
            records = log[tp][reached[tp] + 1 : reached[tp] + 1 + some]
            if records:
                last = records[-1].offset
                await sink.apply(project(records), {tp: Span(reached[tp], last)})
                reached[tp] = last

    asyncio.run(read())
    return [buckets.skeleton(person) for person in PEOPLE]


STEPS = st.lists(st.tuples(st.integers(0, len(LOGS) - 1), st.integers(1, 6), st.booleans()), max_size=20)


@settings(deadline=None, max_examples=300)
@given(EVENTS, STEPS)
def test_any_interleaving_and_redelivery_gives_the_feed_of_the_final_graph_and_posts(
    events: list[Event], steps: list[tuple[int, int, bool]]
) -> None:
    following: set[tuple[int, int]] = set()
    published: dict[int, int] = {}
    deleted: set[int] = set()
    for event in events:
        match event:
            case Followed():
                following.add((event.follower_id, event.followee_id))
            case Unfollowed():
                following.discard((event.follower_id, event.followee_id))
            case PostPublished():
                published[event.post_id] = event.author_id
            case PostDeleted():
                deleted.add(event.post_id)
    for person, feed in zip(PEOPLE, _read(_log(events), steps), strict=True):
        true = {
            post
            for post, author in published.items()
            if (person, author) in following and post not in deleted and post > feed.floor
        }
        shown = {p for p in feed.ids if (person, published[p]) in following and p not in deleted}
        assert shown == true
        assert feed.ids == sorted(set(feed.ids), reverse=True)
