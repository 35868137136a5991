"""People who live through the API while everything breaks, and a ledger of all that the API acknowledged to them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, Self

from jobs.chaos_citizen import PASSWORD, Citizen, Refused, Unanswered
from jobs.chaos_ledger import Ledger
from jobs.photos import make_photos

PEOPLE, FOLLOWS_EACH = 8, 3
PAUSE_SECONDS = 0.8
"""Between two deeds of one person, on average."""
_PATIENCE_SECONDS = 60.0
_KEPT_POSTS = 200

DEEDS: Mapping[str, int] = {
    "like": 30,
    "comment": 15,
    "feed": 20,
    "post": 10,
    "unlike": 8,
    "follow": 7,
    "story": 5,
    "unfollow": 4,
    "save": 4,
    "watch": 4,
    "delete": 2,
    "register": 2,
}
"""What people do, and how often in proportion."""


class Load:
    """Everybody, and what they do until they are told to stop. An async context manager."""

    def __init__(self, base_url: str, seed: int, began: float) -> None:
        self.base_url = base_url
        self.chance = Random(seed)  # noqa: S311 - deeds, no secrets
        self.ledger = Ledger()
        self.photos = make_photos(6, seed, (320, 240))
        self.people: list[Citizen] = []
        """Everybody who ever logged in."""
        self.citizens: list[Citizen] = []
        """Those who live on by themselves."""
        self.feeds: Counter[str] = Counter()
        """Feeds read, by how it went."""
        self.stale: list[str] = []
        """Reads that brought a token and were answered without what it stands for."""
        self.ticks: list[tuple[float, str]] = []
        """When something was acknowledged, refused or not answered, in seconds after the beginning."""
        self._began = began
        self.posts: list[int] = []
        """Published, as feeds have shown them, the latest last."""
        self._keys = 0
        self._run = f"{seed}-{time.time_ns():x}"
        self._living: list[asyncio.Task[None]] = []

    @property
    def seconds(self) -> float:
        """Since the run's beginning."""
        return time.monotonic() - self._began

    def key(self) -> str:
        """An Idempotency-Key that was not used before."""
        self._keys += 1
        return f"chaos-{self._run}-{self._keys}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stop()
        for person in self.people:
            await person.close()

    async def citizen(self, name: str, base_url: str = "") -> Citizen:
        """Somebody new, logged in. Raises ``Refused``, ``Unanswered``."""
        person = Citizen(self, base_url or self.base_url, f"{name}{self._run[-8:]}")
        self.people.append(person)
        await self.registered(person)
        await person.log_in()
        return person

    async def registered(self, person: Citizen) -> None:
        """Open their account."""
        who = {"username": person.name, "password": PASSWORD, "name": person.name}
        await person.make("AccountRegistered", "/api/v1/accounts", {"user_id": "id"}, json=who)

    async def begin(self, people: int = PEOPLE) -> None:
        """Everybody registers, follows some others and posts. Raises ``Refused``, ``Unanswered``."""
        citizens = self.citizens = [await self.citizen(f"c{number}x") for number in range(people)]
        for number, person in enumerate(citizens):
            for step in range(1, min(FOLLOWS_EACH, people - 1) + 1):
                await self._insist(person.follow, citizens[(number + step) % people].id)
            media_id = await person.upload(self.photos[number % len(self.photos)])
            await person.post(media_id, f"The first of {number}")
        self._living = [asyncio.create_task(self._live(person, citizens)) for person in citizens]

    async def stop(self) -> None:
        """Let everybody finish what they are at, and no more."""
        living, self._living = self._living, []
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    async def _insist(self, deed: Any, *given: Any) -> None:
        """At the beginning nothing is broken, but views need a moment to know who has just registered."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                await deed(*given)
                return
            except Refused:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def _live(self, person: Citizen, citizens: list[Citizen]) -> None:
        deeds, weights = list(DEEDS), list(DEEDS.values())
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / PAUSE_SECONDS))
            (deed,) = self.chance.choices(deeds, weights)
            # A deed under way when the load ends is finished: its answer belongs in the ledger.
            await asyncio.shield(asyncio.ensure_future(self.do(person, deed, citizens)))

    async def do(self, person: Citizen, deed: str, citizens: list[Citizen]) -> bool:
        """One deed; whether it was answered well."""
        try:
            await self._do(person, deed, citizens)
        except Refused as refused:
            if deed == "feed":
                self.feeds[str(refused)] += 1
            self.ticks.append((self.seconds, "refused" if refused.status in (429, 503) else "declined"))
            await asyncio.sleep(0.3)
        except Unanswered as unanswered:
            if deed == "feed":
                self.feeds[str(unanswered)] += 1
            self.ticks.append((self.seconds, "unanswered"))
            await asyncio.sleep(0.3)
        else:
            self.ticks.append((self.seconds, "acknowledged" if deed != "feed" else "read"))
            return True
        return False

    async def _do(self, person: Citizen, deed: str, citizens: list[Citizen]) -> None:
        chance = self.chance
        match deed:
            case "feed":
                await self._read_feed(person)
            case "post" | "story":
                media_id = await person.upload(chance.choice(self.photos))
                if deed == "post":
                    await person.post(media_id, f"Picture {self._keys} #chaos #tag{self._keys % 7}")
                else:
                    await person.story(media_id)
            case "follow" | "unfollow":
                other = chance.choice([one for one in citizens if one is not person])
                await person.follow(other.id, deed == "follow")
            case "register":
                newcomer = Citizen(self, self.base_url, f"n{self._keys}x{self._run[-8:]}")
                try:
                    await self.registered(newcomer)
                finally:
                    await newcomer.close()
            case "watch":
                await self._watch(person)
            case _ if not self.posts:
                await self._read_feed(person)
            case "like" | "unlike":
                await self._like(person, chance.choice(self.posts), deed == "like")
            case "comment":
                await person.comment(chance.choice(self.posts), f"Seen as number {self._keys}, and liked it")
            case "save":
                post_id = chance.choice(self.posts)
                saved = {"post_id": post_id, "actor_id": person.id}
                await person.write("PostSaved", "POST", f"/api/v1/posts/{post_id}/save", saved)
            case "delete":
                own = [int(post["id"]) for post in await self._own_posts(person)]
                if len(own) > 3:
                    gone = own[-1]
                    fields = {"post_id": gone, "author_id": person.id}
                    await person.write("PostDeleted", "DELETE", f"/api/v1/posts/{gone}", fields)
                    if gone in self.posts:
                        self.posts.remove(gone)

    async def _watch(self, person: Citizen) -> None:
        """See the newest story of the tray."""
        tray = (await person.ask("GET", "/api/v1/stories/feed")).json()["items"]
        if tray:
            story_id = int(tray[0]["stories"][-1]["id"])
            seen = {"story_id": story_id, "actor_id": person.id}
            await person.write("StoryViewed", "POST", f"/api/v1/stories/{story_id}/views", seen)

    async def _own_posts(self, person: Citizen) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await person.ask("GET", f"/api/v1/users/{person.id}/posts")).json()["items"]
        return found

    async def _read_feed(self, person: Citizen) -> None:
        answer = await person.ask("GET", "/api/v1/feed?limit=20", fresh=True)
        self.feeds[f"from {answer.headers.get('Feed-Source', '?')}"] += 1
        for post in answer.json()["items"]:
            if int(post["id"]) not in self.posts:
                self.posts.append(int(post["id"]))
        del self.posts[:-_KEPT_POSTS]

    async def _like(self, person: Citizen, post_id: int, likes: bool) -> None:
        await person.like(post_id, likes)
        token = person.token
        seen = (await person.ask("GET", f"/api/v1/posts/{post_id}", fresh=True)).json()["liked_by_me"]
        if seen is not None and seen is not likes and self.seconds > person.unsure_until:
            self.stale.append(
                f"{self.seconds:.1f} s: {person.id} said {likes} of {post_id} ({token}) and was shown {seen}"
            )
