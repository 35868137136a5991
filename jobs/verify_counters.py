"""The counters: who is counted, where they stand, what readers are told; against the fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from jobs.verify_differences import Differences
from jobs.verify_fold import Fold
from sinks.counters import shard_of
from sinks.counters_reader import CounterReader, CounterScan
from streams.counters import COMMENTS, DEAD, LIKES, SAVES, SHARES

_AT_ONCE = 1000
VERBS = {
    LIKES: ("likes it", "does not like it"),
    SAVES: ("keeps it", "does not keep it"),
    SHARES: ("shared it", "did not share it"),
    COMMENTS: ("is a comment of it", "is no comment of it"),
    DEAD: ("is a deleted comment of it", "is no deleted comment of it"),
}
"""What the log says of a member, by kind: that it is one, and that it is none."""
Members = Mapping[int, set[int]]
"""Post → who or what is counted."""


class CounterComparison:
    """Compares everything; ``moved`` hears (done, of) in posts."""

    def __init__(self, fold: Fold, moved: Callable[[int, int], None]) -> None:
        self._fold, self._moved = fold, moved
        self._gone = {post_id for post_id, post in fold.posts.items() if post.deleted}
        said = fold.engagement
        self._expected: dict[str, Members] = {
            LIKES: self._standing({post_id: set(likers) for post_id, likers in fold.likes.items()}),
            SAVES: self._standing(said.savers()),
            SHARES: self._standing(said.shares),
            COMMENTS: self._standing(said.by_post()),
            DEAD: self._standing(said.deleted()),
        }
        self._found = Differences()

    def _standing(self, members: Members) -> Members:
        return {post_id: some for post_id, some in members.items() if some and post_id not in self._gone}

    async def run(self, reader: CounterReader, scan: CounterScan) -> Differences:
        """What differs. Raises ``StoreAway``."""
        for kind in VERBS:
            await self._members(kind, scan)
        await self._replies(scan)
        await self._deleted(scan)
        await self._named(reader, scan)
        await self._read(reader)
        return self._found

    async def _members(self, kind: str, scan: CounterScan) -> None:
        """Every member of every shard."""
        expected = self._expected[kind]
        missing = {post_id: set(members) for post_id, members in expected.items()}
        does, does_not = VERBS[kind]
        async for post_id, shard, shards, members in scan.shards(kind):
            for member in members:
                self._found.checked += 1
                if shard_of(member, shards) != shard:
                    what = f"post {post_id}: {member} stands in shard {shard} of {shards}, and is looked for elsewhere"
                    self._found.add((kind, post_id, member, "shard"), what)
                if member not in expected.get(post_id, ()):
                    self._found.add((kind, post_id, member), f"post {post_id}: {member} is counted, and {does_not}")
                missing.get(post_id, set()).discard(member)
        for post_id, members_left in missing.items():
            for member in members_left:
                self._found.checked += 1
                self._found.add((kind, post_id, member), f"post {post_id}: {member} {does}, and is not counted")

    async def _replies(self, scan: CounterScan) -> None:
        """How many replies each comment has, of posts that stand."""
        comments = self._fold.engagement.comments
        by_parent = self._fold.engagement.by_parent()
        expected = {
            parent: len(some)
            for parent, some in by_parent.items()
            if comments[next(iter(some))].post_id not in self._gone
        }
        counted = await scan.replies()
        for comment in expected.keys() | counted.keys():
            self._found.checked += 1
            says, counts = expected.get(comment, 0), counted.get(comment, 0)
            if says != counts:
                what = f"comment {comment} counts {counts} replies, the log says {says}"
                self._found.add((comment, "replies"), what)

    async def _deleted(self, scan: CounterScan) -> None:
        gone = {post_id async for post_id in scan.gone()}
        self._found.checked += len(gone | self._gone)
        for post_id in gone ^ self._gone:
            what = "counts as deleted, and is not" if post_id in gone else "is deleted, and not noted as gone"
            self._found.add((post_id, "gone"), f"post {post_id} {what}")

    async def _named(self, reader: CounterReader, scan: CounterScan) -> None:
        """Which posts count for which hashtags and places, and how many readers are told there are."""
        expected: dict[str, set[int]] = {}
        for post_id, post in self._fold.posts.items():
            for name in post.names | {""} if post.is_shown else ():
                expected.setdefault(name, set()).add(post_id)
        held = await scan.named()
        for name in sorted(expected.keys() | held.keys()):
            says, has = expected.get(name, set()), held.get(name, set())
            self._found.checked += len(says | has)
            for post_id in says ^ has:
                what = "counts, and is not shown with it" if post_id in has else "is shown with it, and does not count"
                self._found.add((name, post_id), f"{name or 'all posts'}: post {post_id} {what}")
        rest = iter(sorted(expected))
        while some := list(islice(rest, _AT_ONCE)):
            for name, total in (await reader.named(some)).items():
                if total != len(expected[name]):
                    what = f"{name or 'all posts'} counts {total} posts, the log says {len(expected[name])}"
                    self._found.add((name, "count"), what)

    async def _read(self, reader: CounterReader) -> None:
        """What readers get, of every post of which anything was ever said."""
        named = (post_id for members in self._expected.values() for post_id in members)
        posts = sorted({*self._fold.likes, *self._fold.posts, *named})
        rest, done = iter(posts), 0
        while some := list(islice(rest, _AT_ONCE)):
            for post_id, counts in (await reader.posts(some, None)).items():
                self._found.checked += 1
                told = {LIKES: counts.likes, COMMENTS: counts.comments, SHARES: counts.shares}
                for kind, total in told.items():
                    says = len(self._expected[kind].get(post_id, ()))
                    if total != says:
                        what = f"post {post_id} counts {total} {kind}, the log says {says}"
                        self._found.add((kind, post_id, "count"), what)
            done += len(some)
            self._moved(done, len(posts))
