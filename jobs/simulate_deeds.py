"""What people of a simulated world do, done through the API's routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jobs.api_client import ApiClient, ApiRefused
from jobs.simulate_requests import Requests, Unknown, on
from jobs.world import World
from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    BadgeChanged,
    Blocked,
    CollectionMade,
    CommentAdded,
    Event,
    HighlightMade,
    NotificationsSeen,
    PostSeen,
    PostSubmitted,
    ProfileVisited,
    RoleChanged,
    StorySubmitted,
    Unblocked,
    UsernameChanged,
)

SIGHTS = 40
"""So many posts and profiles that somebody looked at are reported together."""
REFUSALS = (403, 404, 409, 422, 429)
"""What the world does and the API knows better: what is not there yet, or no more, or not for everybody."""

Operate = Callable[[int, str], Awaitable[None]]
"""Gives the person of this id (the API's) a role, which ends their sessions: an operator's command, and no route."""


class Deeds:
    """Counts what was done, refused and left out, by the events' names. Ids are the API's, all else the world's."""

    def __init__(self, world: World, clients: Mapping[int, ApiClient], moderator: ApiClient, operate: Operate) -> None:
        """``clients`` by the world's ids, all logged in. ``moderator`` gives badges: somebody beside the world."""
        self._world, self._clients, self._moderator, self._operate = world, clients, moderator, operate
        self.erased: set[int] = set()
        """Who is gone for good, by the world's ids."""
        self.ids: dict[int, int] = {}
        """By the world's ids, those of posts, pictures, comments, collections, stories and highlights."""
        self._requests = Requests(world, clients, self.ids, self.erased)
        self._sights: dict[int, list[PostSeen | ProfileVisited]] = {}
        self._last: tuple[type[Event], int, int] | None = None
        """The block that was done last, which the API says twice of itself."""
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def password(self, user: int) -> str:
        """Of a person of the world."""
        return self._world.person_key(user).hex()[:24]

    async def do(self, event: Event) -> None:
        """Do one thing. Raises ``ApiRefused`` where that is no answer to be expected."""
        if isinstance(event, PostSeen | ProfileVisited):
            waiting = self._sights.setdefault(event.actor_id, [])
            waiting.append(event)
            if len(waiting) >= SIGHTS:
                await self._report(event.actor_id)
            return
        counts = self.done
        if event.actor_id in self.erased:
            counts = self.left_out  # the world goes on with what was theirs; here they are gone
        else:
            try:
                if not await self._did(event):
                    counts = self.left_out
            except (ApiRefused, Unknown) as refused:
                if isinstance(refused, ApiRefused) and refused.status not in REFUSALS:
                    raise
                counts = self.refused
        counts[type(event).__name__] += 1

    async def end(self) -> None:
        """Report what was looked at since the last report of each person."""
        for user in list(self._sights):
            await self._report(user)

    async def _did(self, event: Event) -> bool:
        """Whether there is a way to do it."""
        client, key = self._clients[event.actor_id], f"simulate-{event.event_id}"
        match event:
            case PostSubmitted():
                await self._post(client, event)
            case StorySubmitted():
                await self._story(client, event)
            case CommentAdded():
                body = {"text": self._requests.opened(event.actor_id, event.text)}
                body |= {"parent_id": str(self._requests.id(event.parent_id))} if event.parent_id else {}
                path = f"/posts/{self._requests.id(event.post_id)}/comments"
                self.ids[event.comment_id] = int((await client.ask("POST", path, key=key, json=body))["id"])
            case CollectionMade() | HighlightMade():
                path, own = "/me/collections", event.event_id
                if isinstance(event, HighlightMade):
                    path, own = "/me/highlights", event.highlight_id
                answer = await client.ask("POST", path, key=key, json=self._requests.name(event.actor_id, event.name))
                self.ids[own] = int(answer["id"])
            case NotificationsSeen():
                # The world knows no positions: up to the newest that there is.
                position = (await client.ask("GET", "/notifications?limit=1"))["position"]
                if position is None:
                    return False
                await client.ask("PUT", "/notifications/seen", json={"position": position})
            case UsernameChanged():
                await client.change_username(self._requests.opened(event.user_id, event.username))
            case AccountDeactivated():
                # The world lets people act who are away; here they come back at once.
                await client.deactivate(self.password(event.user_id))
                await client.log_in(client.username, self.password(event.user_id))
            case AccountReactivated():
                pass
            case AccountErased():
                await self._report(event.user_id)
                await client.ask("DELETE", "/me", json={"password": self.password(event.user_id)})
                self.erased.add(event.user_id)
            case RoleChanged():
                await self._operate(client.user_id, event.role)
                await client.log_in(client.username, self.password(event.user_id))
            case BadgeChanged():
                await self._moderator.ask(on(event.verified), f"/users/{client.user_id}/badge")
            case Blocked() | Unblocked():
                said = type(event), event.blocker_id, event.blocked_id
                if event.user_id == event.blocker_id:
                    self._last = None
                    other = self._requests.person(event.blocked_id)
                    await client.ask(on(isinstance(event, Blocked)), f"/users/{other}/block")
                    self._last = said
                elif self._last != said:
                    raise Unknown("the first copy was refused")
            case _:
                method, path, more = self._requests.of(event)
                await client.ask(method, path, **more)
        return True

    async def _post(self, client: ApiClient, event: PostSubmitted) -> None:
        media = [self._requests.id(media_id) for media_id in event.media_ids]
        caption = self._requests.opened(event.author_id, event.caption)
        tagged = self._requests.tagged(event.tagged)
        key = f"simulate-{event.post_id}"
        try:
            made = await client.post(media, caption, key, tagged=tagged, place=event.place)
        except ApiRefused as refused:
            if refused.kind != "tagged-unknown":  # who blocks the author cannot be tagged
                raise
            made = await client.post(media, caption, key, place=event.place)
        self.ids[event.post_id] = made

    async def _story(self, client: ApiClient, event: StorySubmitted) -> None:
        stickers = [
            {"kind": one.kind, "x": one.x, "y": one.y, "turn": one.turn, "size": one.size}
            | {"content": self._requests.opened(event.author_id, one.content)}
            for one in event.stickers
        ]
        body = {"media_id": str(self._requests.id(event.media_id)), "stickers": stickers, "music_id": event.music}
        answer = await client.ask("POST", "/stories", key=f"simulate-{event.story_id}", json=body)
        self.ids[event.story_id] = int(answer["id"])

    async def _report(self, user: int) -> None:
        """What this person looked at goes to the gateway in one request, as clients send it."""
        posts: list[dict[str, Any]] = []
        profiles: list[dict[str, Any]] = []
        for sight in self._sights.pop(user, []):
            counts = self.left_out if user in self.erased else self.done
            if isinstance(sight, ProfileVisited):
                profiles.append({"user_id": str(self._requests.person(sight.profile_id))})
            elif sight.post_id in self.ids:
                seen = {"dwell_ms": sight.dwell_ms, "surface": sight.surface, "rank": sight.rank}
                posts.append({"post_id": str(self.ids[sight.post_id]), **seen})
            else:
                counts = self.refused  # so was the post itself
            counts[type(sight).__name__] += 1
        if (posts or profiles) and user not in self.erased:
            await self._clients[user].ask("POST", "/activity", json={"posts": posts, "profiles": profiles})
