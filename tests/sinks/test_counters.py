"""The counters' sink in Redis: the contract of sinks, and a plain model beside a long random history."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.ids import MIN_ID, snowflake
from sinks import counters
from sinks.counters import CounterSink, prefix_of, shard_of
from sinks.counters_reader import Count, CounterReader, CounterScan
from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.redis import Redis
from sinks.scripts import ScriptCall
from streams.buckets import bucket_of
from streams.counters import (
    COMMENTS,
    DEAD,
    LIKES,
    REPLIES,
    CountComment,
    CounterWrite,
    CountMembers,
    NamePost,
    ShowPost,
    Uncount,
    UncountComment,
)
from streams.records import Span, TopicPartition
from streams.views import Mark
from tests.streams.memory_counters import MemoryCounters

TOPIC_IDS = {"engagement": "E", "posts": "P"}
COUNT = 3
ENGAGEMENT, POSTS = TopicPartition("engagement", 0), TopicPartition("posts", 0)
INTSET_AT_MOST = 512
"""Entries, as Redis is shipped; this project's own settings allow more."""


class World:
    """The sink, fed batch by batch as an agent would, and what reads it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.sink = CounterSink(redis, TOPIC_IDS, generation=1, buckets=COUNT)
        self.reader = CounterReader(redis, generation=1, buckets=COUNT)
        self.scan = CounterScan(redis, generation=1, buckets=COUNT)
        self.reached = {ENGAGEMENT: -1, POSTS: -1}

    async def apply(self, writes: Sequence[CounterWrite]) -> None:
        last = dict(self.reached)
        for write in writes:
            offsets = [offset for offset, _ in write.said.values()] if isinstance(write, CountMembers) else []
            last[write.mark.tp] = max(last[write.mark.tp], write.mark.offset, *offsets)
        await self.sink.apply(writes, {tp: Span(self.reached[tp], last[tp]) for tp in last})
        self.reached = last

    async def counts(self, *posts: int, viewer: int | None = None) -> list[Count]:
        found = await self.reader.likes(posts, viewer)
        return [found[post] for post in posts]


@pytest.fixture
async def world(redis: Redis) -> World:
    return World(redis)


def like(offset: int, post: int, user: int) -> CountMembers:
    return CountMembers(Mark(ENGAGEMENT, offset), LIKES, post, {user: (offset, True)})


def unlike(offset: int, post: int, user: int) -> CountMembers:
    return CountMembers(Mark(ENGAGEMENT, offset), LIKES, post, {user: (offset, False)})


def together(writes: Sequence[CounterWrite]) -> list[CounterWrite]:
    """The same with one write for the likes of each post, as the projection makes them."""
    made: list[CounterWrite] = []
    groups: dict[int, CountMembers] = {}
    for write in writes:
        if not isinstance(write, CountMembers):
            made.append(write)
        elif write.of in groups:
            groups[write.of].said.update(write.said)
        else:
            groups[write.of] = write._replace(said=dict(write.said))
            made.append(groups[write.of])
    return made


def delete(offset: int, post: int) -> Uncount:
    return Uncount(Mark(POSTS, offset), post)


A, B, C = (MIN_ID + n for n in range(3))
P, Q, R = (MIN_ID + 1000 + n for n in range(3))


def people(count: int, seed: int = 1) -> list[int]:
    """Ids as gateways make them: their low bits are nearly always 0."""
    chance = random.Random(seed)
    return [snowflake(1_700_000_000_000 + 7919 * n + chance.randrange(7919), 1, 0) for n in range(count)]


async def test_likes_are_counted_once_and_never_below_nothing(world: World) -> None:
    await world.apply([unlike(0, P, A), like(1, P, A), like(2, P, A), like(3, P, B), like(4, Q, A), unlike(5, Q, A)])
    assert await world.counts(P, Q, R, viewer=A) == [Count(2, True), Count(0, False), Count(0, False)]
    assert await world.counts(P, viewer=C) == await world.counts(P) == [Count(2, False)]
    assert await world.reader.likes([], A) == {}


@pytest.mark.parametrize("together", [True, False])
async def test_a_deleted_post_counts_nothing_whatever_comes_first(world: World, together: bool) -> None:
    writes: list[CounterWrite] = [
        like(0, P, A),
        delete(0, P),
        delete(1, Q),
        like(1, P, B),
        like(2, Q, A),
        unlike(3, P, A),
        like(4, R, A),
    ]
    for some in [writes] if together else [[write] for write in writes]:
        await world.apply(some)
    assert await world.counts(P, Q, R) == [Count(0, False), Count(0, False), Count(1, False)]
    assert {post async for post in world.scan.gone()} == {P, Q}


async def test_a_redelivered_batch_with_other_boundaries_changes_nothing(world: World) -> None:
    writes: list[CounterWrite] = [
        like(0, P, A),
        unlike(1, P, A),
        like(2, P, B),
        like(3, Q, B),
        unlike(4, Q, B),
        delete(0, R),
    ]
    await world.apply(writes)
    world.reached = {ENGAGEMENT: -1, POSTS: -1}
    await world.apply(writes[:1])
    await world.apply([*writes[1:], like(5, R, A), like(6, P, C)])
    assert await world.counts(P, Q, R) == [Count(2, False), Count(0, False), Count(0, False)]


async def test_a_zombie_is_harmless(world: World) -> None:
    """Who was paused and still holds an old batch applies it after what came later."""
    await world.apply([like(0, P, A)])
    await world.apply([unlike(1, P, A), like(2, P, B)])
    await world.sink.apply([like(0, P, A)], {ENGAGEMENT: Span(-1, 0), POSTS: Span(-1, -1)})
    assert await world.counts(P, viewer=A) == [Count(1, False)]
    assert await world.sink.fences([ENGAGEMENT]) == {ENGAGEMENT: 2}


async def test_a_fence_that_went_back_is_noticed_and_nothing_applied(world: World) -> None:
    world.reached = {ENGAGEMENT: 41, POSTS: 7}
    for writes in ([like(42, P, A)], []):
        with pytest.raises(FenceBehind) as noticed:
            await world.apply(writes)
        assert noticed.value.positions == {ENGAGEMENT: -1, POSTS: -1}
    assert await world.counts(P) == [Count(0, False)]


async def test_one_bucket_that_lost_its_fences_is_noticed(world: World) -> None:
    await world.apply([like(0, P, A), delete(0, Q)])
    await world.redis.delete(prefix_of(1, bucket_of(P, COUNT)) + "fences")
    with pytest.raises(FenceBehind):
        await world.apply([])
    assert await world.sink.fences([ENGAGEMENT]) == {ENGAGEMENT: -1}
    assert await world.reader.fence(ENGAGEMENT) == -1


async def test_fences_of_another_log_stop_the_worker(world: World) -> None:
    await world.apply([like(0, P, A)])
    world.sink = CounterSink(world.redis, {**TOPIC_IDS, "engagement": "another"}, generation=1, buckets=COUNT)
    with pytest.raises(LogRemade, match="engagement"):
        await world.sink.fences([ENGAGEMENT])
    with pytest.raises(LogRemade, match="engagement"):
        await world.apply([like(1, P, B)])
    assert await world.counts(P) == [Count(1, False)]


async def test_generations_do_not_meet(world: World) -> None:
    await world.apply([like(0, P, A)])
    assert await CounterReader(world.redis, generation=2, buckets=COUNT).likes([P], A) == {P: Count(0, False)}


async def test_a_kill_between_two_buckets_and_scripts_that_are_forgotten(world: World) -> None:
    writes = [like(n, post, user) for n, (post, user) in enumerate((p, u) for p in (P, Q, R) for u in (A, B))]
    assert len({bucket_of(post, COUNT) for post in (P, Q, R)}) > 1
    run = world.sink._buckets._scripts.run

    async def killed(calls: Sequence[ScriptCall]) -> list[Any]:
        await run(calls[:1])
        raise StoreAway("killed")

    world.sink._buckets._scripts.run = killed  # type: ignore[method-assign]
    with pytest.raises(StoreAway):
        await world.apply(writes)
    assert await world.sink.fences([ENGAGEMENT]) == {ENGAGEMENT: -1}
    world.sink._buckets._scripts.run = run  # type: ignore[method-assign]
    await world.redis.script_flush()
    await world.apply(writes)
    assert await world.counts(P, Q, R, viewer=A) == [Count(2, True)] * 3
    assert await world.sink.fences([ENGAGEMENT, POSTS]) == {ENGAGEMENT: 5, POSTS: -1}


async def test_large_calls_are_cut_between_offsets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "CALL_WRITES", 3)
    users = people(50)
    writes: list[CounterWrite] = [like(n, P if n % 5 else Q, user) for n, user in enumerate(users)]
    writes[20:20] = [delete(0, R)]
    await world.apply(writes)
    assert await world.counts(P, Q, R) == [Count(40, False), Count(10, False), Count(0, False)]
    assert await world.sink.fences([ENGAGEMENT, POSTS]) == {ENGAGEMENT: 49, POSTS: 0}


async def test_a_large_set_is_split_and_every_member_found(world: World) -> None:
    users = people(3000)
    for start in range(0, 3000, 250):
        await world.apply([like(n, P, user) for n, user in enumerate(users[start : start + 250], start)])
        assert await world.counts(P, viewer=users[start]) == [Count(start + 250, True)]
    shards = [shard async for shard in world.scan.shards(LIKES)]
    assert {shard.shards for shard in shards} == {15}
    for shard in shards:
        assert {shard_of(member, shard.shards) for member in shard.members} == {shard.shard}
        assert len(shard.members) <= INTSET_AT_MOST
    assert await world.scan.members(LIKES, [P, Q]) == {P: set(users), Q: set()}
    await world.apply([unlike(3000 + n, P, user) for n, user in enumerate(users[1:])])
    assert await world.counts(P, viewer=users[0]) == [Count(1, True)]
    await world.apply([unlike(6000, P, users[0])])
    assert await world.redis.exists(prefix_of(1, bucket_of(P, COUNT)) + "shards") == 0
    await world.apply([*(like(6001 + n, P, user) for n, user in enumerate(users[:500])), delete(0, P)])
    assert await world.counts(P, viewer=users[0]) == [Count(0, False)]
    assert [shard async for shard in world.scan.shards(LIKES)] == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_history_equals_the_model(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likes, unlikes and deletions in batches of any size, with redeliveries; posts of very different popularity."""
    monkeypatch.setattr(counters, "CALL_WRITES", 97)
    chance, model = random.Random(seed), MemoryCounters()
    users, posts = people(1500, seed), [snowflake(1_700_000_000_000 + n, 2, n % 3) for n in range(8)]
    offsets = {ENGAGEMENT: -1, POSTS: -1}
    sent: list[tuple[dict[TopicPartition, int], list[CounterWrite]]] = []
    for _ in range(40):
        batch: list[CounterWrite] = []
        for _ in range(chance.choice([1, 10, 400])):
            post = posts[min(int(chance.expovariate(0.8)), 7)]
            tp = POSTS if chance.random() < 0.0005 else ENGAGEMENT
            offsets[tp] += chance.choice([1, 1, 2])
            mark = Mark(tp, offsets[tp])
            stands = chance.random() < 0.8
            said = {chance.choice(users): (mark.offset, stands)}
            batch.append(Uncount(mark, post) if tp == POSTS else CountMembers(mark, LIKES, post, said))
        if chance.random() < 0.8:
            batch = together(batch)
        sent.append((dict(world.reached), batch))
        await world.apply(batch)
        model.apply(batch)
        if chance.random() < 0.2:
            now, (world.reached, again) = world.reached, chance.choice(sent[-3:])
            await world.apply(again)
            world.reached = now
        viewer = chance.choice(users)
        expected = model.counted()
        of = {post: expected.get((LIKES, post), set()) for post in posts}
        assert await world.reader.likes(posts, viewer) == {p: Count(len(m), viewer in m) for p, m in of.items()}
    assert await world.scan.members(LIKES, posts) == of
    assert {post async for post in world.scan.gone()} == model.gone


@pytest.mark.parametrize("seed", range(2))
async def test_comments_and_replies_equal_the_model(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, replies and deletions of both, some before what they delete, and now and then of a whole post."""
    monkeypatch.setattr(counters, "CALL_WRITES", 97)
    chance, model = random.Random(seed), MemoryCounters()
    posts = [MIN_ID + 10_000 * n for n in range(4)]
    offsets = {ENGAGEMENT: -1, POSTS: -1}
    for _ in range(20):
        batch: list[CounterWrite] = []
        for _ in range(chance.choice([1, 10, 300])):
            post = chance.choice(posts)
            tp = POSTS if chance.random() < 0.001 else ENGAGEMENT
            offsets[tp] += 1
            mark, number = Mark(tp, offsets[tp]), chance.randrange(600)
            comment, parent = post + 100 + number, post + 100 + number % 7 if number > 300 else 0
            kind = CountComment if chance.random() < 0.9 else UncountComment
            batch.append(Uncount(mark, post) if tp == POSTS else kind(mark, post, comment, parent))
        await world.apply(batch)
        model.apply(batch)
        expected = model.counted()
        found = await world.reader.posts(posts, None)
        assert {post: found[post].comments for post in posts} == {
            p: len(expected.get((COMMENTS, p), ())) for p in posts
        }
        parents = [posts[0] + 100 + n for n in range(7)]
        replies = {parent: len(expected.get((REPLIES, parent), ())) for parent in parents}
        assert await world.reader.replies(posts[0], parents) == replies
    for name in (COMMENTS, DEAD):
        assert await world.scan.members(name, posts) == {post: expected.get((name, post), set()) for post in posts}
    assert await world.scan.replies() == {of: len(some) for (name, of), some in expected.items() if name == REPLIES}


@pytest.mark.parametrize("likes", [100, 127, 128, 200, 201, 400, 1000, 100_000])
async def test_bytes_a_like(world: World, likes: int) -> None:
    """At most 11 with everything that grows with it: keys, shards, state; of posts with 100 likes and more."""
    posts = [snowflake(1_700_000_000_000 + n, 2, 0) for n in range(max(1, 2000 // likes))]
    users, offset = people(likes), 0
    for post in posts:
        for start in range(0, likes, 20_000):
            some = users[start : start + 20_000]
            await world.apply([like(offset + n, post, user) for n, user in enumerate(some)])
            offset += len(some)
    keys = [key async for key in world.redis.scan_iter(match="ct1:*")]
    bookkeeping = {b"fences", b"history"}
    taken = 0
    for key in keys:
        if key.rpartition(b":")[2] not in bookkeeping:
            taken += await world.redis.memory_usage(key, samples=0) or 0
            if not key.endswith(b":shards"):
                assert await world.redis.scard(key) <= INTSET_AT_MOST
                assert await world.redis.object("encoding", key) == b"intset"
    bytes_a_like = taken / (likes * len(posts))
    print(f"{likes} likes: {bytes_a_like:.2f} bytes a like, {len(keys)} keys")
    assert bytes_a_like <= 11


def test_members_are_spread_evenly_and_splits_move_what_they_must() -> None:
    users = people(20_000)
    for shards in (2, 3, 7, 64, 100):
        sizes = [0] * shards
        for user in users:
            shard = shard_of(user, shards)
            sizes[shard] += 1
            assert shard_of(user, shards + 1) in (shard, shards)
        assert max(sizes) < 2.6 * len(users) / shards


async def test_what_posts_name_equals_the_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Posts named, shown, named anew and deleted, in any order, with batches that come again; also some hundred that
    name the same, so that sets are split."""
    monkeypatch.setattr(counters, "CALL_WRITES", 97)
    chance, model = random.Random(7), MemoryCounters()
    posts = [MIN_ID + 1000 * n for n in range(1500)]
    names = ["t:everywhere", "t:a", "t:é:0", "l:a", "l:Rue {1}:h:2"]
    offset, sent = -1, []
    for _ in range(25):
        batch: list[CounterWrite] = []
        for _ in range(chance.choice([1, 10, 800])):
            offset += 1
            mark, post, kind = Mark(POSTS, offset), chance.choice(posts), chance.random()
            if kind < 0.005:
                batch.append(Uncount(mark, post))
            elif kind < 0.5:
                batch.append(ShowPost(mark, post))
            else:
                named = (names[0], *chance.sample(names[1:], chance.randrange(4)))
                batch.append(NamePost(mark, post, named[chance.random() < 0.1 :]))
        sent.append((dict(world.reached), batch))
        await world.apply(batch)
        model.apply(batch)
        if chance.random() < 0.2:
            now, (world.reached, again) = world.reached, chance.choice(sent[-3:])
            await world.apply(again)
            world.reached = now
        expected = model.named()
        asked = await world.reader.named([*names, "", "t:never"])
        assert asked == {name: len(expected.get(name, ())) for name in asked}
    assert await world.scan.named() == {name: some for name, some in expected.items() if some}
    assert len(expected["t:everywhere"]) > 200 * COUNT, "no set was split"
