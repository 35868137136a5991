"""A simulated world lived through the real API: the same doings, by people who log in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from jobs.accounts import change_role
from jobs.api_client import ApiClient
from jobs.photos import Photo
from jobs.simulate_counts import found, named
from jobs.simulate_deeds import Deeds, Operate
from jobs.world import Reuse, Step, Upload, World
from jobs.world_doings import doings
from schemas.events import PostSubmitted, StorySubmitted
from sinks.sealing import unseal
from sinks.settings import Settings

FEED_EVERY = 10
"""A feed is read after so many events."""
_REGISTER_AT_ONCE = 4


class ApiSimulation:
    """Lives ``world`` through the API that ``settings`` name. Ids are the API's; everything else is the world's.

    One person's doings keep their order, but for what they look at, which is reported some at a time; a picture is
    uploaded when its post or story first needs it.
    """

    def __init__(
        self,
        settings: Settings,
        world: World,
        moved: Callable[[str, int, int], None],
        client_of: Callable[[str], ApiClient] = ApiClient,
        operate: Operate | None = None,
    ) -> None:
        """``operate`` gives a person a role: the operator's command on the stores of ``settings``, without any."""
        self._base = f"http://{settings.api_host}:{settings.api_port}"
        self._settings, self._world, self._moved = settings, world, moved
        self._client_of, self._operate = client_of, operate or self._change_role
        self._clients: dict[int, ApiClient] = {}
        """The client of each person, by their id in the world."""
        self._moderator = client_of(self._base)
        self._deeds = Deeds(world, self._clients, self._moderator, self._operate)
        self._counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Register everybody, follow the graph, then do what people do. Raises ``ApiRefused``."""
        async with AsyncExitStack() as stack:
            await self._accounts(stack)
            follows = list(self._world.follows())
            for number, follow in enumerate(follows, 1):
                await self._clients[follow.follower_id].follow(self._clients[follow.followee_id].user_id)
                self._moved("graph", number, len(follows))
            self._counts["graph_follows"] = len(follows)
            for number, step in enumerate(doings(self._world), 1):
                await self._do(step)
                if number % FEED_EVERY == 0:
                    await self._read_feed(number)
                self._moved("events", number, self._world.plan.events)
            await self._deeds.end()

    def report(self) -> dict[str, Any]:
        """What was done, as ``--json`` prints it. ``events`` counts that alone; what the API ``refused``, and what is
        ``left_out`` since there was no way, are the rest of the world's events."""
        deeds = self._deeds
        return {
            "accounts": self._counts["accounts"],
            "graph_follows": self._counts["graph_follows"],
            **named(deeds.done),
            "refused": found(deeds.refused),
            "left_out": found(deeds.left_out),
            "more_uploads": self._counts["more_uploads"],
            "feeds_read": self._counts["feeds_read"],
            "posts_seen": self._counts["posts_seen"],
        }

    async def _accounts(self, stack: AsyncExitStack) -> None:
        world, free = self._world, asyncio.Semaphore(_REGISTER_AT_ONCE)
        accounts = list(world.accounts())
        for _ in world.templates():
            pass  # people upload pictures of their own here, but the world's ids and times stay those of its seed

        async def register(number: int) -> None:
            account = accounts[number]
            user = account.user_id
            key = world.person_key(user)
            username, name = unseal(key, user, account.username), unseal(key, user, account.name)
            client = await stack.enter_async_context(self._client_of(self._base))
            async with free:
                await client.register(username, self._deeds.password(user), name, key=f"simulate-{user}")
                await client.log_in(username, self._deeds.password(user))
            self._clients[user] = client
            self._moved("accounts", len(self._clients), len(accounts))

        await asyncio.gather(*(register(number) for number in range(len(accounts))))
        self._counts["accounts"] = len(accounts)
        # Somebody beside the world: a badge is not one's own to give.
        moderator, username = await stack.enter_async_context(self._moderator), f"simmod{world.plan.seed}"
        password = self._deeds.password(world.plan.seed)
        user_id = await moderator.register(username, password, "Moderator", key=f"simulate-{username}")
        await self._operate(user_id, "moderator")
        await moderator.log_in(username, password)

    async def _change_role(self, user_id: int, role: str) -> None:
        await asyncio.to_thread(change_role, self._settings, str(user_id), role)

    async def _do(self, step: Step) -> None:
        match step:
            case Upload(event, photo):
                gone = event.owner_id in self._deeds.erased
                if not gone:
                    await self._upload(event.owner_id, event.media_id, photo)
                (self._deeds.left_out if gone else self._deeds.done)["UploadCompleted"] += 1
            case Reuse():
                await self._more(step.owner_id, step.media_id)  # no event of its own: it belongs to its post or story
            case _:
                if isinstance(step, PostSubmitted):
                    for media_id in step.media_ids:
                        await self._more(step.author_id, media_id)
                elif isinstance(step, StorySubmitted):
                    await self._more(step.author_id, step.media_id)
                await self._deeds.do(step)

    async def _more(self, owner: int, media_id: int) -> None:
        """A picture that the world's log has from elsewhere is uploaded here."""
        if media_id not in self._deeds.ids and owner not in self._deeds.erased:
            await self._upload(owner, media_id, self._world.photos[media_id % len(self._world.photos)])
            self._counts["more_uploads"] += 1

    async def _upload(self, owner: int, media_id: int, photo: Photo) -> None:
        self._deeds.ids[media_id] = await self._clients[owner].upload(photo, f"simulate-{media_id}")

    async def _read_feed(self, number: int) -> None:
        people = [client for user, client in self._clients.items() if user not in self._deeds.erased]
        posts = await people[number // FEED_EVERY % len(people)].feed()
        self._counts["feeds_read"] += 1
        self._counts["posts_seen"] += len(posts)
