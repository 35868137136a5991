"""A simulated world lived through the real API: the same doings, by people who log in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from hashlib import blake2b

from jobs.api_client import ApiClient, ApiRefused
from jobs.photos import Photo
from jobs.world import Reuse, Step, Upload, World
from jobs.world_doings import doings
from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    BadgeChanged,
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
    Followed,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostSubmitted,
    PostUnliked,
    ProfileChanged,
    Unfollowed,
    UsernameChanged,
)
from sinks.sealing import unseal
from sinks.settings import Settings

FEED_EVERY = 10
"""A feed is read after so many events."""
_REGISTER_AT_ONCE = 4


class ApiSimulation:
    """Lives ``world`` through the API that ``settings`` name. Ids are the API's; everything else is the world's.

    One person's doings keep their order; a picture is uploaded when its post first needs it.
    """

    def __init__(self, settings: Settings, world: World, moved: Callable[[str, int, int], None]) -> None:
        self._base = f"http://{settings.api_host}:{settings.api_port}"
        self._world, self._moved = world, moved
        self._clients: dict[int, ApiClient] = {}
        """The client of each person, by their id in the world."""
        self._media: dict[int, int] = {}
        self._posts: dict[int, int] = {}
        self._comments: dict[int, int] = {}
        self._renamed: set[int] = set()
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Register everybody, follow the graph, then do what people do. Raises ``ApiRefused``."""
        async with AsyncExitStack() as stack:
            await self._accounts(stack)
            follows = list(self._world.follows())
            for number, follow in enumerate(follows, 1):
                await self._clients[follow.follower_id].follow(self._clients[follow.followee_id].user_id)
                self._moved("graph", number, len(follows))
            self.counts["graph_follows"] = len(follows)
            for number, step in enumerate(doings(self._world), 1):
                await self._do(step)
                if number % FEED_EVERY == 0:
                    await self._read_feed(number)
                self._moved("events", self.counts["events"], self._world.plan.events)

    async def _accounts(self, stack: AsyncExitStack) -> None:
        world, free = self._world, asyncio.Semaphore(_REGISTER_AT_ONCE)
        accounts = list(world.accounts())
        for _ in world.templates():
            pass  # people upload pictures of their own here, but the world's ids and times stay those of its seed

        async def register(number: int) -> None:
            account = accounts[number]
            user = account.user_id
            key = world.person_key(user)
            username = unseal(key, user, account.username)
            password = self._password(user)
            client = await stack.enter_async_context(ApiClient(self._base))
            async with free:
                await client.register(username, password, unseal(key, user, account.name), key=f"simulate-{user}")
                await client.log_in(username, password)
            self._clients[user] = client
            self._moved("accounts", len(self._clients), len(accounts))

        await asyncio.gather(*(register(number) for number in range(len(accounts))))
        self.counts["accounts"] = len(accounts)

    def _password(self, user: int) -> str:
        return blake2b(b"password", key=self._world.person_key(user)).hexdigest()[:24]

    async def _do(self, step: Step) -> None:
        clients = self._clients
        match step:
            case Upload(event, photo):
                await self._upload(event.owner_id, event.media_id, photo)
            case Reuse():
                if step.media_id not in self._media:
                    await self._upload(step.owner_id, step.media_id, self._photo(step.media_id))
                return  # no event of its own: it belongs to its post
            case PostSubmitted():
                for media_id in step.media_ids:
                    if media_id not in self._media:
                        await self._upload(step.author_id, media_id, self._photo(media_id))
                media = [self._media[media_id] for media_id in step.media_ids]
                caption = self._opened(step.author_id, step.caption)
                key = f"simulate-{step.post_id}"
                self._posts[step.post_id] = await clients[step.author_id].post(media, caption, key)
                self.counts["posts"] += 1
            case PostEdited():
                try:
                    caption = self._opened(step.author_id, step.caption)
                    await clients[step.author_id].edit(self._posts[step.post_id], caption)
                    self.counts["edits"] += 1
                except ApiRefused as refused:
                    # The world lets an edit cross a deletion; the API knows better.
                    if refused.status != 404:
                        raise
                    self.counts["refused_edits"] += 1
            case PostDeleted():
                await clients[step.author_id].delete(self._posts[step.post_id])
                self.counts["deletes"] += 1
            case Followed():
                await clients[step.follower_id].follow(clients[step.followee_id].user_id)
                self.counts["follows"] += 1
            case Unfollowed():
                await clients[step.follower_id].unfollow(clients[step.followee_id].user_id)
                self.counts["unfollows"] += 1
            case PostLiked() | PostUnliked():
                await self._like(step)
            case CommentAdded() | CommentDeleted() | CommentPinned() | CommentUnpinned():
                await self._discuss(step)
            case CommentsDisabled() | CommentsEnabled():
                await self._allow_comments(step)
            case ProfileChanged():
                name, bio = self._opened(step.user_id, step.name), self._opened(step.user_id, step.bio)
                await clients[step.user_id].change_profile(name, bio)
                self.counts["profile_changes"] += 1
            case UsernameChanged():
                if step.user_id in self._renamed:  # a name is not changed every day: the API would let them wait
                    return
                self._renamed.add(step.user_id)
                await clients[step.user_id].change_username(self._opened(step.user_id, step.username))
                self.counts["username_changes"] += 1
            case AccountDeactivated():
                # The world lets people act who are away; here they come back at once.
                password = self._password(step.user_id)
                await clients[step.user_id].deactivate(password)
                await clients[step.user_id].log_in(clients[step.user_id].username, password)
                self.counts["deactivations"] += 1
                self.counts["reactivations"] += 1
            case AccountReactivated():
                return
            case AccountErased():
                # The world's others go on with what was theirs; here nobody could act for them any more.
                self.counts["erasures_left_out"] += 1
                return
            case BadgeChanged():
                self.counts["badges_left_to_moderators"] += 1
                return
        self.counts["events"] += 1

    async def _like(self, step: PostLiked | PostUnliked) -> None:
        client, post_id, likes = self._clients[step.actor_id], self._posts[step.post_id], isinstance(step, PostLiked)
        try:
            await (client.like(post_id) if likes else client.unlike(post_id))
            self.counts["likes" if likes else "unlikes"] += 1
        except ApiRefused as refused:
            # The world likes what is not published yet, or deleted already; the API knows better.
            if refused.status != 404:
                raise
            self.counts["refused_likes"] += 1

    async def _discuss(self, step: CommentAdded | CommentDeleted | CommentPinned | CommentUnpinned) -> None:
        client = self._clients[step.actor_id]
        try:
            match step:
                case CommentAdded():
                    text, key = self._opened(step.actor_id, step.text), f"simulate-{step.event_id}"
                    parent = self._comments[step.parent_id] if step.parent_id else None
                    made = await client.comment(self._posts[step.post_id], text, parent, key)
                    self._comments[step.comment_id] = made
                    self.counts["comments"] += 1
                case CommentDeleted():
                    await client.delete_comment(self._comments[step.comment_id])
                    self.counts["comment_deletes"] += 1
                case _:
                    await client.pin(self._comments[step.comment_id], isinstance(step, CommentPinned))
                    self.counts["comment_pins"] += 1
        except (ApiRefused, KeyError) as refused:
            # The world comments what is not published, deleted or closed to comments, and answers what was refused.
            if isinstance(refused, ApiRefused) and refused.status not in (403, 404, 409):
                raise
            self.counts["refused_comments"] += 1

    async def _allow_comments(self, step: CommentsDisabled | CommentsEnabled) -> None:
        allowed = isinstance(step, CommentsEnabled)
        try:
            await self._clients[step.actor_id].allow_comments(self._posts[step.post_id], allowed)
            self.counts["comments_enabled" if allowed else "comments_disabled"] += 1
        except ApiRefused as refused:
            if refused.status != 404:
                raise
            self.counts["refused_comments"] += 1

    async def _upload(self, owner: int, media_id: int, photo: Photo) -> None:
        self._media[media_id] = await self._clients[owner].upload(photo, f"simulate-{media_id}")
        self.counts["uploads"] += 1

    def _photo(self, media_id: int) -> Photo:
        return self._world.photos[media_id % len(self._world.photos)]

    def _opened(self, user: int, sealed: bytes) -> str:
        return unseal(self._world.person_key(user), user, sealed)

    async def _read_feed(self, number: int) -> None:
        people = list(self._clients.values())
        posts = await people[number // FEED_EVERY % len(people)].feed()
        self.counts["feeds_read"] += 1
        self.counts["posts_seen"] += len(posts)
