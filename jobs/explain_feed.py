"""``shutterlog explain-feed``: why each post is in a person's feed, or why it is not, with the places in the log.

What is there is read from the views, whose rows carry the offsets that they come from. What is not there is asked of
the log itself: the last word on a relation stands in the partition of who is followed, a post in its author's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from jobs.explain_log import last_word, post_in_log
from jobs.explain_report import Reason, Report, Why, place
from jobs.verify_log import committed
from schemas.ids import MAX_ID
from sinks.cassandra import Cassandra
from sinks.consistency import Fences
from sinks.counters_reader import CounterReader
from sinks.feed_evidence import FeedEvidence, PostEvidence
from sinks.follows import FollowReader
from sinks.generations import GenerationLog
from sinks.home_feed_reader import HomeFeedReader, Skeleton
from sinks.posts import PostReader
from sinks.redis import connect
from sinks.settings import Settings
from sinks.usernames import Usernames
from streams.publishing import PUBLISHER
from streams.views import Mark


class UnknownPerson(LookupError):
    """Nobody has this name."""


def explain(settings: Settings, who: str, post_id: int | None = None, limit: int = 20) -> Report:
    """Explain the newest ``limit`` posts of the feed of ``who`` (an id or a username), and the newest posts of those
    whom they follow that are missing in it; or ``post_id`` alone. Raises ``UnknownPerson`` and ``StoreAway``."""

    async def run() -> Report:
        async with _opened(settings) as explanation:
            return await explanation.run(who, post_id, limit)

    return asyncio.run(run())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Explanation]:
    known = await asyncio.to_thread(GenerationLog(settings).read)
    live = {view: generations.live for view, generations in known.items()}
    async with AsyncExitStack() as stack:
        cassandra = await stack.enter_async_context(await Cassandra.connect(settings))
        redis = connect(settings.redis_url, seconds=30)
        stack.push_async_callback(redis.aclose)
        feeds = HomeFeedReader(redis, generation=live.get("home_feed", 1), buckets=settings.buckets)
        counters = CounterReader(redis, generation=live.get("counters", 1), buckets=settings.buckets)
        yield _Explanation(
            settings=settings,
            names=Usernames(cassandra),
            evidence=FeedEvidence(cassandra, redis, live, buckets=settings.buckets, partitions=settings.partitions),
            feeds=feeds,
            posts=PostReader(cassandra, live.get("posts", 1), live.get("user_posts", 1)),
            follows=FollowReader(cassandra, live.get("follows", 1)),
            fences=Fences(cassandra, feeds, counters, live),
        )


@dataclass
class _Explanation:
    settings: Settings
    names: Usernames
    evidence: FeedEvidence
    feeds: HomeFeedReader
    posts: PostReader
    follows: FollowReader
    fences: Fences
    user: int = 0
    skeleton: Skeleton = field(default_factory=lambda: Skeleton([], 0))
    pushed: set[int] = field(default_factory=set)
    pulled: set[int] = field(default_factory=set)

    async def run(self, who: str, post_id: int | None, limit: int) -> Report:
        self.user = await self._person(who)
        self.skeleton = await self.feeds.skeleton(self.user)
        self.pushed, self.pulled = await self.evidence.pushed(self.user)
        report = Report(self.user, self.feeds.generation, self.skeleton.floor, self.skeleton.asleep)
        followed = await self.follows.following_of(self.user)
        if post_id is not None:
            report.reasons = [await self._one(post_id, followed)]
            return report
        listed = self.skeleton.ids[:limit]
        newest = await self.posts.older(followed, MAX_ID, limit)
        if len(listed) < limit:
            listed += await self.posts.older(followed, min(self.skeleton.floor + 1, MAX_ID), limit - len(listed))
        wanted = sorted({*listed, *newest}, reverse=True)
        known = await self.evidence.posts(wanted)
        since = await self.evidence.follows(self.user, {post.author_id for post in known.values()})
        for one in wanted:
            post = known.get(one)
            report.reasons.append(
                self._present(post, since) if post and self._holds(post, since) else await self._absent(one, post)
            )
        return report

    async def _person(self, who: str) -> int:
        if who.isascii() and who.isdigit() and len(who) == 19:
            return int(who)
        found = await self.names.find(who.casefold())
        if found is None:
            raise UnknownPerson(f"nobody has the username {who!r}; an id has 19 digits")
        return found.user_id

    async def _one(self, post_id: int, followed: Collection[int]) -> Reason:
        post = (await self.evidence.posts([post_id])).get(post_id)
        since = await self.evidence.follows(self.user, [post.author_id]) if post else {}
        if post and self._holds(post, since):
            below = post_id <= self.skeleton.floor
            if not below or await self.posts.older([post.author_id], post_id + 1, 1) == [post_id]:
                return self._present(post, since)
            return await self._behind(post, "user_posts", {"published": post.published} if post.published else {})
        return await self._absent(post_id, post)

    def _holds(self, post: PostEvidence, since: dict[int, Mark]) -> bool:
        """Whether readers get the post: it is in the list, or Cassandra goes on there, and the rules let it pass."""
        is_listed = post.post_id in self.skeleton.ids or post.post_id <= self.skeleton.floor
        return is_listed and post.published is not None and post.deleted is None and post.author_id in since

    def _present(self, post: PostEvidence, since: dict[int, Mark]) -> Reason:
        why: Why = "pushed"
        how = "it was pushed into the list"
        if post.post_id <= self.skeleton.floor:
            why, how = "cassandra", f"at or below the floor {self.skeleton.floor} the feed goes on in Cassandra"
            if self.skeleton.asleep:
                how = "this person was not seen for long, and the feed comes from Cassandra"
        elif post.post_id not in self.pushed:
            why, how = "pulled", "it is pulled from the author's timeline, since many follow them"
        marks = {"followed": since[post.author_id]}
        if post.published is not None:
            marks["published"] = post.published
        said = f"by {post.author_id}, followed since {place(since[post.author_id])}"
        return self._reason(post.post_id, post.author_id, why, f"{said}; {_published(post)}; {how}", marks, shown=True)

    async def _absent(self, post_id: int, post: PostEvidence | None) -> Reason:
        if post is None or (post.submitted is None and post.published is None and post.deleted is None):
            return await self._unknown(post_id)
        author = post.author_id
        if post.deleted is not None:
            return self._reason(
                post_id, author, "deleted", f"by {author}; deleted at {place(post.deleted)}", {"deleted": post.deleted}
            )
        if post.published is None:
            return await self._unpublished(post)
        last = await asyncio.to_thread(
            last_word, self.settings, self.user, self.evidence.partition("graph", author), author
        )
        if last is None or not last[0]:
            how = f"unfollowed at {place(last[1])}" if last else "and was never followed"
            marks = {"unfollowed": last[1]} if last else {}
            hidden = post_id in self.skeleton.ids
            rules = "; it still stands in the list, and the rules hide it" if hidden else ""
            sentence = f"by {author}, who is not followed: {how}{rules}"
            return self._reason(post_id, author, "hidden" if hidden else "not_followed", sentence, marks)
        marks = {"followed": last[1], "published": post.published}
        view = "follows" if post_id in self.skeleton.ids or post_id <= self.skeleton.floor else "home_feed"
        return await self._behind(post, view, marks)

    async def _behind(self, post: PostEvidence, view: str, marks: dict[str, Mark]) -> Reason:
        """The log says that it belongs there: the view has not come so far, or it is wrong."""
        said = f"by {post.author_id}" + "".join(f", {what} at {place(mark)}" for what, mark in marks.items())
        for mark in marks.values():
            if mark.tp.topic not in ("posts", "graph") or (view == "follows" and mark.tp.topic == "posts"):
                continue
            fence = await self.fences.fence(view, self.user, mark.tp)
            if fence < mark.offset:
                late = f"{said}; {view} is late: it stands at {mark.tp}@{fence}"
                return self._reason(
                    post.post_id, post.author_id, "late", late, {**marks, "fence": Mark(mark.tp, fence)}
                )
        advice = f"run `shutterlog verify {view}`, and if it finds the same `shutterlog replay {view}`"
        sentence = f"{said}; {view} has applied all that, so it SHOULD BE THERE AND IS NOT: {advice}"
        return self._reason(post.post_id, post.author_id, "difference", sentence, marks)

    async def _unpublished(self, post: PostEvidence) -> Reason:
        author, marks = post.author_id, {}
        if post.submitted is not None:
            marks["submitted"] = post.submitted
        if post.rejected is not None:
            why = f"rejected at {place(post.rejected)}: {post.rejected_code}, {post.rejected_reason}"
            return self._reason(
                post.post_id, author, "rejected", f"by {author}; {why}", {**marks, "rejected": post.rejected}
            )
        known = await self.posts.media(post.media_ids)
        waiting = [one for one in post.media_ids if one not in known or known[one].status == "processing"]
        if waiting:
            why = f"waiting for the renditions of media {', '.join(map(str, waiting))}"
        else:
            topics = PUBLISHER.sources
            commits = await asyncio.to_thread(committed, self.settings, PUBLISHER.name, topics)
            tp = self.evidence.partition("posts", author)
            stands = f"the publisher has committed {tp}@{commits[tp]}"
            why = f"its media are settled; {stands}: see `shutterlog verify publisher`"
        submitted = f", submitted at {place(post.submitted)}" if post.submitted else ""
        return self._reason(
            post.post_id, author, "processing", f"by {author}{submitted}; not published yet: {why}", marks
        )

    async def _unknown(self, post_id: int) -> Reason:
        found = await asyncio.to_thread(post_in_log, self.settings, post_id)
        if found is None:
            return self._reason(post_id, None, "unknown", "there is no such post in the log", {})
        author, mark = found
        fence = await self.fences.fence("posts", self.user, mark.tp)
        sentence = f"by {author}, at {place(mark)}; "
        if fence < mark.offset:
            late = f"posts is late: it stands at {mark.tp}@{fence}"
            return self._reason(post_id, author, "late", sentence + late, {"log": mark, "fence": Mark(mark.tp, fence)})
        lost = "posts has applied that and does not know it: run `shutterlog verify posts`"
        return self._reason(post_id, author, "difference", sentence + lost, {"log": mark})

    def _reason(
        self, post_id: int, author: int | None, why: Why, sentence: str, marks: dict[str, Mark], shown: bool = False
    ) -> Reason:
        return Reason(post_id, author, shown, why, sentence, marks)


def _published(post: PostEvidence) -> str:
    return f"published at {place(post.published)}" if post.published else "published"
