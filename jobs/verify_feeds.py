"""The home feed as readers get it, and what it stands on: follower sets and timelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from jobs.verify_differences import Differences
from jobs.verify_fold import Fold, feed
from sinks.home_feed_reader import HomeFeedReader, Skeleton
from sinks.posts import PostReader
from sinks.scans import HomeFeedScan

_AT_ONCE = 500
_CONTINUED = 200
"""Feeds of which the page past the floor is read too: spread evenly over those that have a floor."""


class FeedComparison:
    """Compares one generation of the home feed with ``fold``. ``moved`` is told how many people are done."""

    def __init__(self, fold: Fold, cap: int, moved: Callable[[int, int], None] = lambda done, of: None) -> None:
        self.fold, self.cap, self.moved = fold, cap, moved
        self.differences = Differences(
            notes={"early_floors": 0, "floors": 0, "left_to_rules": 0, "continued": 0, "asleep": 0}
        )
        self._shown = fold.shown_by_author()

    async def run(self, reader: HomeFeedReader, scan: HomeFeedScan, posts: PostReader | None) -> Differences:
        """Everything, bounded in memory by the largest batch of feeds; without ``posts``, feeds end at their floors."""
        await self._follower_sets(scan)
        await self._timelines(scan)
        people = set(self.fold.accounts) | set(self.fold.following)
        people.update([owner async for owner in scan.feed_owners()])
        floors: list[tuple[int, int]] = []
        done = 0
        for some in _chunks(sorted(people), _AT_ONCE):
            for user, skeleton in (await reader.skeletons(some)).items():
                self.check(user, skeleton)
                if skeleton.floor:
                    floors.append((user, skeleton.floor))
            done += len(some)
            self.moved(done, len(people))
        if posts is None:
            return self.differences
        step = max(len(floors) // _CONTINUED, 1)
        for user, floor in floors[::step]:
            await self._check_continuation(posts, user, floor)
        return self.differences

    def check(self, user: int, skeleton: Skeleton) -> None:
        """One feed: above its floor it holds what the log says, no more and no less, after the rules."""
        self.differences.checked += 1
        notes, fold = self.differences.notes, self.fold
        expected = feed(fold, self._shown, user)
        above = [post for post in expected if post > skeleton.floor]
        following = fold.following.get(user, {})
        held = []
        for post_id in skeleton.ids:
            post = fold.posts.get(post_id)
            if post is None or (post.published_at is None and not post.deleted):
                self._add(user, post_id, "stands in it, and the log never published it")
            elif post.deleted or post.author_id not in following:
                notes["left_to_rules"] += 1
            else:
                held.append(post_id)
        if held != above:
            for post_id in sorted(set(above) - set(held)):
                author = fold.posts[post_id].author_id
                self._add(user, post_id, f"by {author}, whom they follow, is missing (floor {skeleton.floor})")
            for post_id in sorted(set(held) - set(above)):
                self._add(user, post_id, f"stands at or below the floor {skeleton.floor}")
            if set(held) == set(above):
                self._add(user, 0, "is not in order, or shows a post twice")
        if skeleton.asleep:
            # All of it comes from Cassandra, as what stands past a floor does.
            notes["asleep"] += 1
        elif skeleton.floor:
            notes["floors"] += 1
            # A floor may be above the true cap-th post (after unfollows and deletions): readers go on in Cassandra.
            notes["early_floors"] += len(above) < min(self.cap, len(expected))

    async def _check_continuation(self, posts: PostReader, user: int, floor: int) -> None:
        """Past its floor a feed goes on from Cassandra, as the API reads it."""
        self.differences.checked += 1
        self.differences.notes["continued"] += 1
        below = [post for post in feed(self.fold, self._shown, user) if post <= floor][:50]
        found = await posts.older(sorted(self.fold.following.get(user, ())), floor + 1, 50)
        for post_id in sorted(set(below) ^ set(found[:50])):
            why = "is missing" if post_id in below else "should not be there"
            self._add(user, post_id, f"{why} in the page past the floor {floor}")

    async def _follower_sets(self, scan: HomeFeedScan) -> None:
        of = self.fold.followers()
        held: dict[int, set[int]] = {}
        async for author, members in scan.followers():
            held.setdefault(author, set()).update(members)
        self._compare_sets("followers", of, held)
        followees = {person: set(following) for person, following in self.fold.following.items() if following}
        held = {}
        async for person, members in scan.following():
            held[person] = members
        self._compare_sets("following", followees, held)

    def _compare_sets(self, what: str, expected: dict[int, set[int]], held: dict[int, set[int]]) -> None:
        for person in expected.keys() | held.keys():
            self.differences.checked += 1
            should, has = expected.get(person, set()), held.get(person, set())
            for other in sorted(should ^ has):
                wrong = "is missing" if other in should else "should not be there"
                self.differences.add((what, person, other), f"{what} of {person}: {other} {wrong}")

    async def _timelines(self, scan: HomeFeedScan) -> None:
        authors = sorted({post.author_id for post in self.fold.posts.values()})
        async for author, ids, floor in scan.timelines(authors):
            self.differences.checked += 1
            expected = {post for post in self._shown.get(author, ()) if post > floor}
            for post_id in sorted(expected - set(ids)):
                self.differences.add(("timeline", author, post_id), f"timeline of {author}: post {post_id} is missing")
            for post_id in sorted(set(ids) - expected):
                post = self.fold.posts.get(post_id)
                if post is None or post.author_id != author or (post.published_at is None and not post.deleted):
                    sentence = f"timeline of {author}: post {post_id} should not be there"
                    self.differences.add(("timeline", author, post_id), sentence)

    def _add(self, user: int, post_id: int, why: str) -> None:
        self.differences.add(("feed", user, post_id), f"feed of {user}: post {post_id} {why}")


def _chunks(people: Sequence[int], size: int) -> Iterator[list[int]]:
    rest = iter(people)
    while some := list(islice(rest, size)):
        yield some
