"""What the people of a simulated world do: activity follows a power law and the time of day.

Post follows upload, edit follows post, but a post and its pictures can pass each other, posts are deleted before they
are published, and pairs follow, unfollow and follow again in short order: what views find hard happens all the time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from jobs.world import DAY_MS, Plan, Reuse, Step, World
from jobs.world_accounts import Accounts
from jobs.world_activity import Activity
from jobs.world_engagement import Engagement
from jobs.world_follows import Follows
from jobs.world_likes import Likes, Post, about
from jobs.world_privacy import Privacy
from jobs.world_stories import Stories
from schemas.events import (
    Event,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostSubmitted,
    PostUnliked,
)
from streams.notices import renaming
from streams.notifications import named

TORN_SHARE = 0.04
"""Uploads whose file is broken, so that rejections happen."""
PLACE_SHARE, NAMED_SHARE = 0.3, 0.15
"""Posts that say where they were taken; that name somebody in the caption, or in the picture."""
RETAGGED_SHARE, RENAMED_SHARE = 0.3, 0.4
"""Edits after which other tags and another place stand; after which somebody is named who was not, or no longer."""

_TRIES, _FIRST_POSTS = 5, 3


def doings(world: World) -> Iterator[Step]:
    """``plan.events`` events, and a ``Reuse`` for each picture not uploaded. Read the rest of ``world`` first."""
    return Doings(world).steps()


class Doings:
    """The state of a world while its people do things."""

    def __init__(self, world: World) -> None:
        self.world, self.random, self.ids = world, world.random, world.ids
        self.follows = Follows(world.graph, self.random)
        self.alive: list[Post] = []
        self.dead: list[Post] = []
        self.likes = Likes(self.random)
        self.accounts = Accounts(world)
        self.activity = Activity(world)
        self.engagement = Engagement(world, self.follows)
        self.privacy = Privacy(world)
        self.stories = Stories(world)
        self.later: list[tuple[int, int, Callable[[], Step]]] = []
        """Steps that wait for a slot, so that a post and its pictures can pass each other: (slot, order, step)."""

    def steps(self) -> Iterator[Step]:
        plan, random = self.world.plan, self.random
        counts = plan.counts()
        # A post or story with an upload is two events and one slot.
        counts["post"] -= counts["upload"]
        counts["story"] -= counts["story_upload"]
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        random.shuffle(kinds)
        # A world begins with posts: most of what people do needs one.
        first = [slot for slot, kind in enumerate(kinds) if kind in ("post", "upload")][:_FIRST_POSTS]
        kinds = [kinds.pop(slot) for slot in reversed(first)] + kinds
        for slot, (kind, at) in enumerate(zip(kinds, _times(plan, len(kinds)), strict=True)):
            self.ids.reach(at)
            while self.later and self.later[0][0] <= slot:
                yield heapq.heappop(self.later)[2]()
            yield from self._do(kind, slot)
        while self.later:
            yield heapq.heappop(self.later)[2]()

    def _do(self, kind: str, slot: int) -> Iterator[Step]:
        match kind:
            case "post" | "upload":
                yield from self._post(slot, whole_way=kind == "upload")
            case "edit":
                yield self._edit()
            case "delete":
                yield self._delete()
            case "profile":
                yield self.accounts.change(self.world.someone())
            case "seen" | "visit" | "search" | "notices" | "preference":
                yield self._look(kind) or self._profile()
            case "comment" | "uncomment" | "pin" | "save" | "unsave" | "share" | "collection":
                user = self.world.people[self.world.someone()]
                yield self.engagement.event(kind, user, self.alive, self.dead) or self._profile()
            case "like" | "unlike":
                yield self._like(kind)
            case "story" | "story_upload":
                yield from self.stories.publish(whole_way=kind == "story_upload")
            case "story_view" | "story_reaction" | "story_delete" | "highlight":
                yield self.stories.event(kind, self.world.people[self.world.someone()]) or self._profile()
            case "privacy" | "answer" | "block" | "mute":
                yield self.privacy.event(kind) or self._profile()
            case _:
                yield self._relate(kind)

    def _post(self, slot: int, whole_way: bool) -> Iterator[Step]:
        random, world = self.random, self.world
        # Half of the posts are by those whom many follow, half by those who are active.
        number = self.follows.someone_followed() if random.random() < 0.5 else world.someone()
        author = world.people[number]
        media: list[int] = []
        reused: list[Callable[[], Step]] = []
        if whole_way:
            photo = random.choice(world.photos)
            upload = world.upload(author, photo.torn() if random.random() < TORN_SHARE else photo)
            media.append(upload.event.media_id)
            yield upload
        for _ in range((random.random() < 0.15) + (not whole_way)):
            media_id, template = self.ids.next(), random.randrange(len(world.photos))
            media.append(media_id)
            reused.append(partial(self._reuse, media_id, author, template))
        post_id = self.ids.next()
        submit = self._submission(post_id, author, media)
        steps: list[Callable[[], Step]] = [*reused, submit]
        random.shuffle(steps)
        for step in steps:
            if random.random() < 0.15:
                heapq.heappush(self.later, (slot + random.randrange(1, 40), self.ids.next(), step))
            else:
                yield step()

    def _reuse(self, media_id: int, owner: int, template: int) -> Reuse:
        event_id = self.ids.next()
        return Reuse(event_id, self.ids.at, media_id, owner, template)

    def _submission(self, post_id: int, author: int, media: list[int]) -> Callable[[], Step]:
        random = self.random
        tags, place = self._tags((0, 0, 1, 1, 2, 3)), self._where()
        mentions, tagged = (self._somebody(author) if random.random() < NAMED_SHARE else () for _ in range(2))
        post = Post(post_id, author, tags, place, mentions, tagged)
        caption = self.world.said(1, 11, tags, post.mentions)

        def submit() -> PostSubmitted:
            event_id = self.ids.next()
            self.alive.append(post)
            sealed = self.world.sealed(author, event_id, "caption", caption)
            return PostSubmitted(
                event_id=event_id,
                at=self.ids.at,
                actor_id=author,
                post_id=post_id,
                author_id=author,
                media_ids=media,
                caption=sealed,
                mentions=list(post.mentions),
                tagged=list(post.tagged),
                **about(post),
            )

        return submit

    def _tags(self, counts: Sequence[int]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.world.words(self.random.choice(counts)).split()))

    def _where(self) -> str:
        return self.world.words(1).title() if self.random.random() < PLACE_SHARE else ""

    def _somebody(self, author: int) -> tuple[int, ...]:
        """Mostly whom ``author`` follows, else anybody; themself now and then."""
        friend = self.follows.friend(self.world.number_of(author))
        stranger = friend is None or self.random.random() < 0.2
        return (self.random.choice(self.world.people) if stranger else self.world.people[friend or 0],)

    def _edit(self) -> Event:
        # Now and then an edit comes after the deletion that it crossed.
        from_dead = self.dead and self.random.random() < 0.03
        if not (from_dead or self.alive):
            return self._profile()
        if from_dead:
            post = before = self.random.choice(self.dead)
        else:
            place = self._place()
            before = self.alive[place]
            post = self.alive[place] = self._changed(before)
        event_id = self.ids.next()
        return PostEdited(
            event_id=event_id,
            at=self.ids.at,
            actor_id=post.author,
            post_id=post.post_id,
            author_id=post.author,
            **about(post),
            mentions=list(post.mentions),
            tagged=list(post.tagged),
            **renaming(named(before.mentions, before.tagged), named(post.mentions, post.tagged))._asdict(),
            caption=self.world.sealed(
                post.author, event_id, "caption", self.world.said(1, 11, post.hashtags, post.mentions)
            ),
        )

    def _changed(self, post: Post) -> Post:
        """What stands after an edit: mostly what stood before, under other words."""
        random = self.random
        if random.random() < RETAGGED_SHARE:
            post = post._replace(hashtags=self._tags((0, 1, 2)), place=self._where())
        if random.random() < RENAMED_SHARE:
            if random.random() < 0.1:  # whoever was mentioned is tagged now, and the other way round
                return post._replace(mentions=post.tagged, tagged=post.mentions)
            if (post.mentions or post.tagged) and random.random() < 0.6:
                fewer = post._replace(mentions=post.mentions[1:])
                return fewer if post.mentions else post._replace(tagged=post.tagged[1:])
            more = self._somebody(post.author)
            if random.random() < 0.5:
                return post._replace(mentions=tuple(dict.fromkeys((*post.mentions, *more))))
            return post._replace(tagged=tuple(dict.fromkeys((*post.tagged, *more))))
        return post

    def _delete(self) -> Event:
        if not self.alive:
            return self._profile()
        place = self._place()
        post, self.alive[place] = self.alive[place], self.alive[-1]
        self.alive.pop()
        self.dead.append(post)
        event_id = self.ids.next()
        return PostDeleted(
            event_id=event_id, at=self.ids.at, actor_id=post.author, post_id=post.post_id, author_id=post.author
        )

    def _place(self) -> int:
        """Of a post: half of the time one of the newest, which may not be published yet."""
        newest = min(20, len(self.alive)) if self.random.random() < 0.5 else len(self.alive)
        return len(self.alive) - 1 - self.random.randrange(newest)

    def _profile(self) -> Event:
        return self.accounts.profile(self.world.people[self.world.someone()])

    def _like(self, kind: str) -> Event:
        user = self.world.people[self.world.someone()]
        change = self.likes.change(kind, user, self.alive, self.dead)
        if change is None:
            return self._profile()
        user, post, likes = change
        event_id, made = self.ids.next(), PostLiked if likes else PostUnliked
        return made(
            event_id=event_id, at=self.ids.at, actor_id=user, post_id=post.post_id, author_id=post.author, **about(post)
        )

    def _look(self, kind: str) -> Event | None:
        """By somebody who finds something that is not their own, which in a small world not everybody does."""
        for _ in range(_TRIES):
            event = self.activity.event(kind, self.world.people[self.world.someone()], self.alive)
            if event is not None:
                return event
        return None

    def _relate(self, kind: str) -> Event:
        pair = self.follows.change(kind, self.world.someone)
        if pair is None:
            return self._profile()
        follower, followee, follows = pair
        return self.privacy.relation(self.world.people[follower], self.world.people[followee], follows)


def _times(plan: Plan, count: int) -> list[int]:
    """``count`` times from the world's start to its end: most in the evening, few at night."""
    random = np.random.default_rng([plan.seed, 3])
    minutes = np.arange(int(plan.days * 1440) + 1)
    rate = 1.0 + 0.9 * np.cos(2 * np.pi * (minutes / 1440 - 20 / 24))
    passed = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    found = np.interp(np.sort(random.random(count)) * passed[-1], passed, minutes * 60_000.0)
    return (plan.until - int(plan.days * DAY_MS) + found).astype(np.int64).tolist()  # type: ignore[no-any-return]
