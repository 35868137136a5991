"""Whether everything works again: something written now is seen in every kind of view, through the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from jobs.chaos_citizen import Citizen, Refused, Unanswered
from jobs.chaos_load import Load

_LOOK_SECONDS = 0.15


class StillBroken(Exception):
    """Something written after a fault was not seen in time; the message says what."""


@dataclass
class Canary:
    """An author and a reader who follows them, beside the load."""

    load: Load
    author: Citizen
    reader: Citizen
    sung: int = 0
    waits: dict[str, float] = field(default_factory=dict)
    """How long each thing took to be seen, the last time, in seconds."""

    @classmethod
    async def hatch(cls, load: Load) -> Canary:
        """Both register, and the one follows the other."""
        canary = cls(load, await load.citizen("canary"), await load.citizen("reader"))
        deadline = time.monotonic() + 60
        await canary._until("follow", deadline, lambda: canary._done(canary.reader.follow(canary.author.id)))
        return canary

    async def sing(self, patience: float) -> float:
        """Post, like, comment and tell a story, until all of it is seen; the seconds that took.

        Feeds have to come from Redis again, counts to be numbers, and analytics to have the like. Raises
        ``StillBroken`` after ``patience`` seconds.
        """
        began = time.monotonic()
        deadline = began + patience
        self.sung += 1
        self.waits.clear()
        author, reader = self.author, self.reader
        made: dict[str, int] = {}
        key = self.load.key()  # of the comment: tried again until it is answered, it has to be one

        async def uploaded() -> bool:
            made["media"] = await author.upload(self.load.photos[self.sung % len(self.load.photos)])
            return True

        async def posted() -> bool:
            made["post"] = await author.post(made["media"], f"Canary {self.sung}")
            return True

        async def told() -> bool:
            made["story"] = await author.story(made["media"])
            return True

        await self._until("upload", deadline, uploaded)
        await self._until("post", deadline, posted)
        await self._until("story", deadline, told)
        reader.token = author.token
        post = f"/api/v1/posts/{made['post']}"

        async def in_feed() -> bool:
            answer = await reader.ask("GET", "/api/v1/feed?limit=20", fresh=True)
            ids = [int(one["id"]) for one in answer.json()["items"]]
            return made["post"] in ids and answer.headers.get("Feed-Source") == "redis"

        async def in_tray() -> bool:
            answer = await reader.ask("GET", f"/api/v1/users/{author.id}/stories", fresh=True)
            tray = (await reader.ask("GET", "/api/v1/stories/feed", fresh=True)).json()["items"]
            seen = any(int(one["id"]) == made["story"] for one in answer.json()["items"])
            return seen and any(int(one["author"]["id"]) == author.id for one in tray)

        async def counted() -> bool:
            shown = (await reader.ask("GET", post, fresh=True)).json()
            return shown["like_count"] == 1 and shown["comment_count"] == 1 and shown["liked_by_me"] is True

        async def listed() -> bool:
            shown = (await reader.ask("GET", f"{post}/comments", fresh=True)).json()["items"]
            return any(int(one["id"]) == made["comment"] for one in shown)

        async def noticed() -> bool:
            notices = (await author.ask("GET", "/api/v1/notifications")).json()["items"]
            return any(one["kind"] == "like" and one.get("post_id") == str(made["post"]) for one in notices)

        async def analysed() -> bool:
            counts = (await author.ask("GET", f"{post}/insights")).json()["counts"]
            return bool(counts["likes"] == 1)

        async def found() -> bool:
            asked = {"q": f"Canary {self.sung}"}
            shown = (await reader.ask("GET", "/api/v1/search/posts", params=asked)).json()["items"]
            return any(int(one["id"]) == made["post"] for one in shown)

        async def commented() -> bool:
            made["comment"] = await reader.comment(made["post"], f"Heard number {self.sung}", key)
            return True

        await self._until("feed", deadline, in_feed)
        await self._until("like", deadline, lambda: self._done(reader.like(made["post"])))
        await self._until("comment", deadline, commented)
        looks = (
            ("counts", counted),
            ("comments", listed),
            ("notices", noticed),
            ("analytics", analysed),
            ("tray", in_tray),
            ("search", found),
        )
        came = await asyncio.gather(
            *(self._until(what, deadline, look) for what, look in looks), return_exceptions=True
        )
        broken = [one for one in came if isinstance(one, BaseException)]
        for one in broken:
            if not isinstance(one, StillBroken):
                raise one
        if broken:
            raise StillBroken(", ".join(str(one) for one in broken))
        return time.monotonic() - began

    @staticmethod
    async def _done(deed: Awaitable[object]) -> bool:
        await deed
        return True

    async def _until(self, what: str, deadline: float, look: Callable[[], Awaitable[bool]]) -> None:
        began = time.monotonic()
        last = "not seen"
        while True:
            try:
                if await look():
                    self.waits[what] = round(time.monotonic() - began, 2)
                    return
                last = "not seen"
            except (Refused, Unanswered) as error:
                last = f"{type(error).__name__.lower()}: {error}"
            if time.monotonic() > deadline:
                raise StillBroken(f"{what}: {last}")
            await asyncio.sleep(_LOOK_SECONDS)
