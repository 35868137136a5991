"""The home feed's buckets in memory, for the simulation: the same answers as the Lua scripts, by the contract test.

``without`` takes one rule out, so that the simulation can be shown to need it.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from sinks.home_feed_buckets import PUSH, SLEEP, STATE, Call, Reply, Timeline
from sinks.home_feed_reader import ASLEEP, Skeleton
from streams.buckets import bucket_of

_decoded = lru_cache(4096)(msgspec.msgpack.decode)
"""What was ``packed``; a write for all buckets is unpacked once."""

GATHER_FROM = 100
"""As in home_feed_push.lua."""


@dataclass
class Bucket:
    """One bucket's keys."""

    fences: dict[str, tuple[int, str]] = field(default_factory=dict)
    floors: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sets: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    asleep: dict[str, str] = field(default_factory=dict)


class MemoryBuckets:
    """``Buckets`` of ``count`` buckets."""

    def __init__(
        self,
        topic_ids: dict[str, str],
        *,
        count: int,
        cap: int,
        slack: int,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.buckets = [Bucket() for _ in range(count)]
        self._topic_ids = topic_ids
        self._cap, self._slack = cap, slack
        self._without = without

    def snapshot(self, bucket: int) -> Bucket:
        """What a bucket holds now, for a later ``restore``."""
        return copy.deepcopy(self.buckets[bucket])

    def restore(self, bucket: int, held: Bucket) -> None:
        """The bucket loses what came after ``held``."""
        self.buckets[bucket] = copy.deepcopy(held)

    async def call(self, calls: Sequence[Call]) -> list[Reply]:
        return [self.run(call) for call in calls]

    async def timelines(self, wanted: Sequence[tuple[int, int, str]]) -> list[Timeline]:
        found = []
        for bucket, author, tp in wanted:
            held = self.buckets[bucket]
            fence = held.fences.get(f"{STATE}:{tp}", (-1, ""))[0]
            found.append(Timeline(fence, held.floors.get(f"t{author}", ""), tuple(held.lists[f"t:{author}"])))
        return found

    async def fences(self) -> list[dict[str, tuple[int, str]]]:
        return [dict(bucket.fences) for bucket in self.buckets]

    def skeleton(self, user: int) -> Skeleton:
        """As ``HomeFeedReader.skeleton``."""
        own = self.buckets[bucket_of(user, len(self.buckets))]
        if str(user) in own.asleep:
            return ASLEEP
        ids = set(own.lists[f"h:{user}"])
        floor = self._floor(own, str(user))
        for author in own.sets[f"o:{user}"] & own.sets["pulled"]:
            home = self.buckets[bucket_of(int(author), len(self.buckets))]
            ids |= set(home.lists[f"t:{author}"])
            floor = max(floor, self._floor(home, f"t{author}"))
        return Skeleton(sorted((int(i) for i in ids if i > floor), reverse=True), int(floor or 0))

    def _floor(self, bucket: Bucket, name: str) -> str:
        return "" if "floor" in self._without else bucket.floors.get(name, "")

    def run(self, call: Call) -> Reply:
        """One script call: checks first, then writes, then fences."""
        bucket = self.buckets[call.bucket]
        fence: dict[int, int] = {}
        if "second_pass" in self._without and call.which != SLEEP:
            return self._run_with_one_fence(bucket, call)
        for n, (tp, span) in enumerate(call.spans.items(), 1):
            stored, topic_id = bucket.fences.get(f"{call.which}:{tp}", (-1, self._topic_ids[tp.topic]))
            if topic_id != self._topic_ids[tp.topic]:
                return Reply("remade", (), ())
            if "expected" not in self._without:
                if stored < span.prior:
                    return Reply("behind", (), ())
                if call.which == PUSH and bucket.fences.get(f"{STATE}:{tp}", (-1, ""))[0] < span.last:
                    return Reply("behind", (), ())
            fence[n] = -1 if "fence" in self._without else stored
        rule = "wake_limit" if call.which == SLEEP else "limit"
        for name, limit in call.limits:
            if rule not in self._without and bucket.fences.get(f"{PUSH}:{name}", (-1, ""))[0] > limit:
                return Reply("behind", (), ())
        writes = [_decoded(write) for write in call.writes]
        reply = Reply("ok", (), ())
        if call.which == STATE:
            reply = self._state(bucket, fence, writes)
        elif call.which == SLEEP:
            reply = self._sleep(bucket, writes)
        else:
            self._push(bucket, fence, writes)
        for tp, span in call.spans.items():
            name = f"{call.which}:{tp}"
            if span.last > bucket.fences.get(name, (-1, ""))[0]:
                bucket.fences[name] = (span.last, self._topic_ids[tp.topic])
        return reply

    def _run_with_one_fence(self, bucket: Bucket, call: Call) -> Reply:
        """What is wrong without a fence of its own for pass 2: pass 1 moves the only one, and pass 2 has to trust
        that it comes right after."""
        fence = {}
        for n, (tp, span) in enumerate(call.spans.items(), 1):
            stored = bucket.fences.get(f"{STATE}:{tp}", (-1, ""))[0]
            if stored < span.prior:
                return Reply("behind", (), ())
            fence[n] = stored if call.which == STATE else span.prior
        writes = [_decoded(write) for write in call.writes]
        if call.which == PUSH:
            self._push(bucket, fence, writes)
            return Reply("ok", (), ())
        reply = self._state(bucket, fence, writes)
        for tp, span in call.spans.items():
            for which in (STATE, PUSH):
                held = bucket.fences.get(f"{which}:{tp}", (-1, ""))[0]
                bucket.fences[f"{which}:{tp}"] = (max(held, span.last), self._topic_ids[tp.topic])
        return reply

    def _state(self, bucket: Bucket, fence: dict[int, int], writes: Sequence[Any]) -> Reply:
        counts: list[int] = []
        marks: list[str] = []
        for kind, *rest in writes:
            if kind == "C":
                counts += (len(bucket.sets[f"f:{author}"]) + len(bucket.sets[f"z:{author}"]) for author in rest)
                continue
            i, offset, a, b = rest
            is_new = offset > fence[i]
            if kind == "T":
                marks.append(self._on_timeline(bucket, is_new, a, b))
            elif not is_new:
                continue
            elif kind == "F":
                bucket.sets[self._memberships(bucket, a) + b].add(a)
                bucket.sets[f"o:{a}"].add(b)
            elif kind == "U":
                bucket.sets[self._memberships(bucket, a) + b].discard(a)
                bucket.sets[f"o:{a}"].discard(b)
            elif kind == "X":
                bucket.lists[f"t:{a}"] = [post for post in bucket.lists[f"t:{a}"] if post != b]
                bucket.sets[f"d:{a}"].add(b)
        return Reply("ok", counts, marks)

    def _on_timeline(self, bucket: Bucket, is_new: bool, author: str, post: str) -> str:
        if post in bucket.sets[f"d:{author}"]:
            return "skip"
        if is_new:
            if post in bucket.lists[f"t:{author}"]:
                return "skip"
            self._lpush(bucket, f"t:{author}", f"t{author}", [post])
        return "push"

    def _push(self, bucket: Bucket, fence: dict[int, int], writes: Sequence[Any]) -> None:
        for kind, *rest in writes:
            if kind == "P":
                self._push_posts(bucket, fence, rest)
                continue
            i, offset, a, b, *more = rest
            if offset <= fence[i]:
                continue
            if kind == "W":
                for follower in bucket.sets[f"f:{a}"]:
                    bucket.lists[f"h:{follower}"] = [p for p in bucket.lists[f"h:{follower}"] if p != b]
            else:
                self._reconcile(bucket, a, b, more[0], more[1:])

    def _push_posts(self, bucket: Bucket, fence: dict[int, int], rest: Sequence[Any]) -> None:
        gathered: dict[str, list[str]] = {}
        gather = len(rest) >= 5 * GATHER_FROM
        for i, offset, author, post, level in zip(*(rest[n::5] for n in range(5)), strict=True):
            if offset <= fence[i]:
                continue
            if level >= 0:
                (bucket.sets["big"].add if level else bucket.sets["big"].discard)(author)
            if author in bucket.sets["big"]:
                bucket.sets["pulled"].add(author)
                continue
            for follower in bucket.sets[f"f:{author}"]:
                if gather:
                    gathered.setdefault(follower, []).append(post)
                else:
                    self._lpush(bucket, f"h:{follower}", follower, [post])
        for follower, ids in gathered.items():
            self._lpush(bucket, f"h:{follower}", follower, ids)

    def _reconcile(self, bucket: Bucket, follower: str, followee: str, floor: str, ids: list[str]) -> None:
        if bucket.asleep.get(follower) == "asleep":
            return
        feed = bucket.lists[f"h:{follower}"]
        if followee in bucket.sets[f"o:{follower}"]:
            self._raise_floor(bucket, follower, floor)
            self._rewrite(bucket, f"h:{follower}", follower, feed + ids)
        elif any(post in ids for post in feed):
            self._rewrite(bucket, f"h:{follower}", follower, [post for post in feed if post not in ids])

    def _memberships(self, bucket: Bucket, user: str) -> str:
        return "z:" if bucket.asleep.get(user) == "asleep" else "f:"

    def _sleep(self, bucket: Bucket, writes: Sequence[Any]) -> Reply:
        """Nobody notes here when people were seen: whoever is to sleep, sleeps."""
        counts: list[int] = []
        marks: list[str] = []
        for kind, user, *rest in writes:
            if kind == "S":
                counts.append(self._put_to_sleep(bucket, user))
            elif kind == "B":
                counts.append(int(user in bucket.asleep))
                if user in bucket.asleep:
                    marks = self._move(bucket, user, "z:", "f:")
                    bucket.asleep[user] = "waking"
                    if "early_clear" in self._without:
                        del bucket.asleep[user]
            else:
                self._awake(bucket, user, rest[0], list(zip(rest[1::2], rest[2::2], strict=True)))
        return Reply("ok", counts, marks)

    def _put_to_sleep(self, bucket: Bucket, user: str) -> int:
        if bucket.asleep.get(user) == "asleep" or not bucket.sets[f"o:{user}"]:
            return 0
        self._move(bucket, user, "f:", "z:")
        bucket.lists[f"h:{user}"] = []
        bucket.floors.pop(user, None)
        bucket.asleep[user] = "asleep"
        return 1

    def _move(self, bucket: Bucket, user: str, source: str, target: str) -> list[str]:
        authors = sorted(bucket.sets[f"o:{user}"])
        for author in authors:
            if user in bucket.sets[source + author]:
                bucket.sets[source + author].discard(user)
                bucket.sets[target + author].add(user)
        return authors

    def _awake(self, bucket: Bucket, user: str, floor: str, posts: list[tuple[str, str]]) -> None:
        if bucket.asleep.get(user) != "waking" and "early_clear" not in self._without:
            return
        followed = bucket.sets[f"o:{user}"]
        ids = bucket.lists[f"h:{user}"] + [post for author, post in posts if author in followed]
        if floor:
            self._raise_floor(bucket, user, floor)
        self._rewrite(bucket, f"h:{user}", user, ids)
        bucket.asleep.pop(user, None)

    def _raise_floor(self, bucket: Bucket, name: str, post: str) -> None:
        bucket.floors[name] = max(bucket.floors.get(name, ""), post)

    def _lpush(self, bucket: Bucket, key: str, name: str, ids: list[str]) -> None:
        held = bucket.lists[key]
        held[:0] = reversed(ids)
        if len(held) > self._cap + self._slack:
            highest = max(held[self._cap :])
            if highest < held[self._cap - 1 - self._cap // 10] and highest < held[0]:
                del held[self._cap :]
                self._raise_floor(bucket, name, highest)
            else:
                self._rewrite(bucket, key, name, held)

    def _rewrite(self, bucket: Bucket, key: str, name: str, ids: list[str]) -> None:
        distinct = sorted({post for post in ids if post > self._floor(bucket, name)}, reverse=True)
        if len(distinct) > self._cap:
            bucket.floors[name] = distinct[self._cap]
        bucket.lists[key] = distinct[: self._cap]


def contents(buckets: MemoryBuckets) -> Any:
    """Everything held, with the empty keys left out, for comparing two stores."""
    return [
        (b.fences, b.floors, {k: v for k, v in b.lists.items() if v}, {k: v for k, v in b.sets.items() if v}, b.asleep)
        for b in buckets.buckets
    ]
