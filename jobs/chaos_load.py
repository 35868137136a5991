"""People who live through the API while everything breaks, and a ledger of all that the API acknowledged to them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, Self

from jobs.chaos_citizen import PASSWORD, Citizen, Refused, Unanswered
from jobs.chaos_deeds import OFTEN, do
from jobs.chaos_ledger import Ledger
from jobs.photos import make_photos

PEOPLE, FOLLOWS_EACH = 8, 3
PAUSE_SECONDS = 0.8
"""Between two deeds of one person, on average."""
_PATIENCE_SECONDS = 60.0


class Load:
    """Everybody, and what they do until they are told to stop. An async context manager."""

    def __init__(self, base_url: str, seed: int, began: float) -> None:
        self.base_url = base_url
        self.chance = Random(seed)  # noqa: S311 - deeds, no secrets
        self.ledger = Ledger()
        self.photos = make_photos(6, seed, (320, 240))
        self.people: list[Citizen] = []
        """Everybody who ever came."""
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
        self._numbers = 0
        self._run = f"{seed}-{time.time_ns():x}"
        self._living: list[asyncio.Task[None]] = []

    @property
    def seconds(self) -> float:
        """Since the run's beginning."""
        return time.monotonic() - self._began

    def number(self) -> int:
        """One that was not used before."""
        self._numbers += 1
        return self._numbers

    def key(self) -> str:
        """An Idempotency-Key that was not used before."""
        return f"chaos-{self._run}-{self.number()}"

    def forget(self, posts: Iterable[int]) -> None:
        """Nobody does anything to ``posts`` any more."""
        gone = set(posts)
        self.posts[:] = [one for one in self.posts if one not in gone]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stop()
        for person in self.people:
            await person.close()

    def stranger(self, name: str, base_url: str = "") -> Citizen:
        """Somebody who has no account yet; their name begins with ``name``, and is nobody else's."""
        person = Citizen(self, base_url or self.base_url, f"{name}{self._run[-8:]}")
        self.people.append(person)
        return person

    async def citizen(self, name: str, base_url: str = "") -> Citizen:
        """Somebody new, logged in. Raises ``Refused``, ``Unanswered``."""
        person = self.stranger(name, base_url)
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
        deeds, weights = list(OFTEN), list(OFTEN.values())
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / PAUSE_SECONDS))
            (deed,) = self.chance.choices(deeds, weights)
            doing = asyncio.ensure_future(self.do(person, deed, citizens))
            try:
                await asyncio.shield(doing)
            except asyncio.CancelledError:
                await doing  # what is under way when the load ends is finished: its answer belongs in the ledger
                raise

    async def do(self, person: Citizen, deed: str, others: Sequence[Citizen]) -> bool:
        """One deed, perhaps to one of ``others``; whether it was answered well."""
        try:
            await do(self, person, deed, others)
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
