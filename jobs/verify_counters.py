"""The counters: who is counted, where they stand, what readers are told; against the fold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from jobs.verify_differences import Differences
from jobs.verify_fold import Fold
from sinks.counters import shard_of
from sinks.counters_reader import CounterReader, CounterScan
from streams.counters import LIKES

_AT_ONCE = 1000


class CounterComparison:
    """Compares everything; ``moved`` hears (done, of) in posts."""

    def __init__(self, fold: Fold, moved: Callable[[int, int], None]) -> None:
        self._fold, self._moved = fold, moved
        self._gone = {post_id for post_id, post in fold.posts.items() if post.deleted}
        self._expected = {
            post_id: set(likers) for post_id, likers in fold.likes.items() if likers and post_id not in self._gone
        }
        """Posts that are liked → by whom."""
        self._found = Differences()

    async def run(self, reader: CounterReader, scan: CounterScan) -> Differences:
        """What differs. Raises ``StoreAway``."""
        await self._members(scan)
        await self._deleted(scan)
        await self._read(reader)
        return self._found

    async def _members(self, scan: CounterScan) -> None:
        """Every member of every shard."""
        missing = {post_id: set(likers) for post_id, likers in self._expected.items()}
        async for post_id, shard, shards, members in scan.shards(LIKES):
            for member in members:
                self._found.checked += 1
                if shard_of(member, shards) != shard:
                    what = f"post {post_id}: {member} stands in shard {shard} of {shards}, and is looked for elsewhere"
                    self._found.add((post_id, member, "shard"), what)
                if member not in self._expected.get(post_id, ()):
                    self._found.add((post_id, member), f"post {post_id}: {member} is counted, and does not like it")
                missing.get(post_id, set()).discard(member)
        for post_id, members_left in missing.items():
            for member in members_left:
                self._found.checked += 1
                self._found.add((post_id, member), f"post {post_id}: {member} likes it, and is not counted")

    async def _deleted(self, scan: CounterScan) -> None:
        gone = {post_id async for post_id in scan.gone()}
        self._found.checked += len(gone | self._gone)
        for post_id in gone ^ self._gone:
            what = "counts as deleted, and is not" if post_id in gone else "is deleted, and not noted as gone"
            self._found.add((post_id, "gone"), f"post {post_id} {what}")

    async def _read(self, reader: CounterReader) -> None:
        """What readers get, of every post that is or was liked, and of one who likes it."""
        posts = sorted({*self._fold.likes, *self._fold.posts})
        rest, done = iter(posts), 0
        while some := list(islice(rest, _AT_ONCE)):
            for post_id, (total, _) in (await reader.likes(some, None)).items():
                self._found.checked += 1
                expected = len(self._expected.get(post_id, ()))
                if total != expected:
                    what = f"post {post_id} counts {total} likes, the log says {expected}"
                    self._found.add((post_id, "count"), what)
            done += len(some)
            self._moved(done, len(posts))
