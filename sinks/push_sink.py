"""Decides which notices are pushed, and hands them to the channel.

Each at most once. What was pushed of a person, kind and post is claimed in Cassandra before anything is sent, and never
given back: a worker that is killed in between leaves a push that never comes, and none that comes twice. That is the
better mistake, since a push only says what the list of notifications and the live stream hold anyway. For the same
reason the offset is committed once the claims are made, and does not wait for push services.

What is decided here comes from the views and the rules as they are now: a cause that was withdrawn, somebody blocked,
muted or gone, a kind that is not wanted, and what was seen meanwhile, push nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sinks.accounts import AccountReader
from sinks.audience import RuledAudience
from sinks.cassandra import Cassandra, together
from sinks.comments import CommentReader
from sinks.consistency import TableFences
from sinks.emitter import Commits
from sinks.errors import FenceBehind, StoreAway
from sinks.notifications import NotificationReader, Standing
from sinks.person_keys import PersonKeys
from sinks.posts import PostReader
from sinks.push_channel import Happened, Message, PushChannel
from sinks.push_subscriptions import PushSubscriptions, Subscription
from sinks.relations import RelationReader
from sinks.sealing import Unreadable, unseal
from sinks.stories import StoryReader
from streams.notifications import STORY_REACTION, UPLOAD_FAILED
from streams.push import WINDOW_MS, Push, may_follow
from streams.records import Spans, TopicPartition

PEOPLE_AT_ONCE = 16
_CLAIM_SLACK_SECONDS = 3600
_VIEWS = ("notifications", "posts", "comments", "follows", "stories")
"""They have to hold what a notice tells of before it is judged by them."""


class Views:
    """The views that pushes are judged by, of the generations that are live."""

    def __init__(self, cassandra: Cassandra, keys: PersonKeys, live: Mapping[str, int]) -> None:
        of = {view: live.get(view, 1) for view in ("accounts", "user_posts", *_VIEWS)}
        self._keys = keys
        self._accounts = AccountReader(cassandra, of["accounts"])
        self._relations = RelationReader(cassandra, of["follows"], of["accounts"])
        self._posts = PostReader(cassandra, of["posts"], of["user_posts"])
        self._comments = CommentReader(cassandra, of["comments"])
        self._stories = StoryReader(cassandra, of["stories"])
        self._notifications = NotificationReader(cassandra, of["notifications"])
        self._fences = TableFences(cassandra, live)

    async def hold(self, pushes: Collection[Push], seconds: float) -> bool:
        """Whether they hold all that ``pushes`` tell of, within ``seconds``."""
        token: dict[TopicPartition, int] = {}
        for push in pushes:
            source = TopicPartition(push.source.topic, push.source.partition)
            for tp, offset in ((push.mark.tp, push.mark.offset), (source, push.source.offset)):
                token[tp] = max(offset, token.get(tp, -1))
        return all(await together(self._fences.wait(view, 0, token, seconds) for view in _VIEWS))

    async def standing(self, push: Push, now: int) -> Standing | None:
        """What stands at ``now``, in ms, of the group in which ``push`` is shown; None where its recipient is not to be
        told of it."""
        recipient_id, group_id = push.recipient_id, push.group_id
        audience = RuledAudience(recipient_id, self._relations, self._posts, self._comments, self._stories)
        post = [push.post] if push.post and push.kind != UPLOAD_FAILED else []
        story = [push.target] if push.kind == STORY_REACTION else []
        preferences, seen, facts, groups, open_posts, open_stories = await asyncio.gather(
            self._notifications.preferences(recipient_id),
            self._notifications.seen(recipient_id),
            self._relations.facts(None, [recipient_id]),
            self._notifications.standing(recipient_id, {group_id: (push.kind, push.post)}, audience),
            audience.open_posts(post),
            audience.open_stories(story, now),
        )
        unwanted = push.kind in preferences.silenced | preferences.unpushed or seen >= push.mark.offset
        standing = groups[group_id]
        if not (open_posts.issuperset(post) and open_stories.issuperset(story)):
            return None
        # Where the newest that stands is older than this notice, this one was withdrawn, or is not for them.
        if facts.standing(recipient_id).gone or standing.position < push.mark.offset:
            return None
        return None if unwanted else standing

    async def usernames(self, user_ids: Collection[int]) -> dict[int, str]:
        """What people go by; those whose key is gone are left out."""
        accounts, keys = await asyncio.gather(self._accounts.by_ids(user_ids), self._keys.get_many(user_ids))
        found = {}
        for user_id, account in accounts.items():
            try:
                found[user_id] = unseal(keys[user_id], user_id, account.username)
            except (KeyError, Unreadable):
                continue
        return found


class PushSink:
    """A ``Sink`` whose effect is pushes, each at most once; its fence is the group's committed offset."""

    def __init__(
        self,
        cassandra: Cassandra,
        commits: Commits,
        channel: PushChannel | None,
        subscriptions: PushSubscriptions,
        keys: PersonKeys,
        live: Callable[[], Mapping[str, int]],
        *,
        seconds: float,
        wait_seconds: float,
        happened: Happened = lambda what: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Without a ``channel`` nothing is pushed. ``live`` gives the live generation of views; notices older than
        ``seconds`` are passed over; views are waited for ``wait_seconds`` before the call is to be made again."""
        self._cassandra = cassandra
        self._commits = commits
        self._channel = channel
        self._subscriptions = subscriptions
        self._keys = keys
        self._live = live
        self._seconds = seconds
        self._wait_seconds = wait_seconds
        self._happened = happened
        self._clock = clock
        self._claim_seconds = int(seconds) + WINDOW_MS // 1000 + _CLAIM_SLACK_SECONDS
        """After so long no notice can come any more that a claim would hold back."""

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The committed offset of each of ``partitions``; -1 where nothing is committed. Raises ``StoreAway``."""
        return await self._commits.committed(partitions)

    async def apply(self, writes: Sequence[Push], spans: Spans) -> None:
        """Claim and hand over what is to be pushed of ``writes``, then commit ``spans``. See ``Sink.apply``; raises
        ``StoreAway`` also while the views have not come as far as ``writes``."""
        fences = await self.fences(spans.keys())
        if any(fences[tp] < span.prior for tp, span in spans.items()):
            raise FenceBehind(fences)
        new = [write for write in writes if write.mark.offset > fences[write.mark.tp]]
        if self._channel is not None and new:
            await self._push(new, self._channel)
        moved = {tp: span.last for tp, span in spans.items() if span.last > fences[tp]}
        if moved:
            await self._commits.commit(moved)

    async def _push(self, writes: Sequence[Push], channel: PushChannel) -> None:
        oldest = (self._clock() - self._seconds) * 1000
        young = [write for write in writes if write.at > oldest]
        for _ in range(len(writes) - len(young)):
            self._happened("late")
        reached = await self._subscriptions.subscribed({write.recipient_id for write in young})
        of: dict[int, list[Push]] = {}
        for write in young:
            if write.recipient_id in reached:
                of.setdefault(write.recipient_id, []).append(write)
        if not of:
            return
        views = Views(self._cassandra, self._keys, self._live())
        if not await views.hold([push for pushes in of.values() for push in pushes], self._wait_seconds):
            raise StoreAway("the views that say what may be pushed are behind")
        places = asyncio.Semaphore(PEOPLE_AT_ONCE)

        async def one_person(pushes: Sequence[Push]) -> None:
            async with places:
                for push in pushes:
                    await self._decide(push, views, channel)

        await together(one_person(pushes) for pushes in of.values())

    async def _decide(self, push: Push, views: Views, channel: PushChannel) -> None:
        # Who subscribed later is not told of what was before.
        devices = [one for one in await self._subscriptions.of(push.recipient_id) if one.created_at <= push.at]
        standing = await views.standing(push, self._now()) if devices else None
        if standing is None:
            self._happened("untold")
            return
        said = _said(push, standing, await views.usernames(standing.actors))
        if not await self._claim(push):
            self._happened("held")
            return
        for device in devices:
            stands = partial(self._stands, push, device)
            channel.push(Message(device, json.dumps(said).encode(), str(push.group_id), push.at, stands))

    async def _stands(self, push: Push, device: Subscription) -> bool:
        """Whether ``push`` is still to be told to ``device``, some time after it was decided on."""
        devices = {one.subscription_id for one in await self._subscriptions.of(push.recipient_id)}
        views = Views(self._cassandra, self._keys, self._live())
        return device.subscription_id in devices and await views.standing(push, self._now()) is not None

    def _now(self) -> int:
        return int(self._clock() * 1000)

    async def _claim(self, push: Push) -> bool:
        """Whether this is the first of its kind and post within the window; from now on it is."""
        key = (push.recipient_id, push.kind, push.target if push.kind == STORY_REACTION else push.post)
        rows = await self._cassandra.execute(
            "INSERT INTO push_claims (recipient_id, kind, post, at) VALUES (?, ?, ?, ?) IF NOT EXISTS USING TTL ?",
            (*key, push.at, self._claim_seconds),
        )
        if rows[0].applied:
            return True
        before = rows[0].at
        if not may_follow(push.at, before):
            return False
        rows = await self._cassandra.execute(
            "UPDATE push_claims USING TTL ? SET at = ? WHERE recipient_id = ? AND kind = ? AND post = ? IF at = ?",
            (self._claim_seconds, push.at, *key, before),
        )
        return bool(rows[0].applied)


def _said(push: Push, standing: Standing, usernames: Mapping[int, str]) -> dict[str, Any]:
    """What a device is told: no more than the list of notifications would say, and no text of anybody's."""
    failed = push.kind == UPLOAD_FAILED
    actors = [] if failed else [{"id": str(one), "username": usernames.get(one, "")} for one in standing.actors]
    return {
        "id": str(push.group_id),
        "kind": push.kind,
        "actors": actors,
        "actor_count": 0 if failed else standing.total,
        "post_id": str(push.post) if push.post else None,
        "comment_id": str(standing.comment) if standing.comment else None,
        "story_id": str(push.target) if push.kind == STORY_REACTION else None,
        "media_id": str(push.target) if failed else None,
        "at": standing.at,
    }
