"""What somebody looks for, found in the index, with the rules of the moment applied to every page."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from api.cursors import to_cursor
from api.models import Post
from api.models_search import FoundHashtag, FoundPerson, FoundPlace
from api.presenting import Presenter
from api.stores import Stores
from sinks.errors import StoreAway
from sinks.search_reader import NearPlace, city_of, counted
from sinks.search_tiers import FRIENDS, Hit
from streams.rules import may_see_posts, met
from streams.search import RANK_BITS, level
from streams.trending import STEP_MS
from streams.trending_scores import WINDOWS, standing

_ROUNDS = 5
"""Times that a page is filled up with more, where rules leave out much; then it stays shorter."""
_SPARE = 5
Shown = TypeVar("Shown")
Named = tuple[int, float | None]


class Searching:
    """For one viewer (None for a stranger), within one request. Everything raises ``StoreAway``."""

    def __init__(self, stores: Stores, viewer_id: int | None) -> None:
        self._stores, self._viewer_id = stores, viewer_id

    async def people(self, query: str, cursor: int | None, limit: int) -> tuple[list[FoundPerson], str | None]:
        """A page. Within it, whom many follow whom the viewer follows comes further up."""
        friends: list[int] = []
        if self._viewer_id is not None:
            friends = await self._stores.follows.following(self._viewer_id, 0, FRIENDS)

        async def find(after: int | None, count: int) -> list[Hit]:
            return await self._stores.search.people(query, friends, after, count)

        async def show(hits: Sequence[Hit]) -> dict[str, FoundPerson]:
            ids = {int(hit.key[2:]): hit for hit in hits}
            facts = await self._stores.relations.facts(self._viewer_id, list(ids))
            shown = met(facts, ids)
            people = await Presenter(self._stores).let_through(shown)
            # Who follows somebody private is told to their followers alone.
            open_to_all = [user_id for user_id in shown if may_see_posts(facts, user_id)]
            mutuals = await self._stores.search.followed_by(open_to_all, friends) if friends else {}
            return {
                ids[user_id].key: FoundPerson(
                    **people[user_id].model_dump(),
                    you_follow=facts.relation(user_id).follows,
                    mutuals=mutuals.get(user_id, 0),
                )
                for user_id in shown
            }

        found, after = await self._page(find, show, cursor, limit)
        found.sort(key=lambda one: (one[0].tier, -_standing(one[0], one[1].mutuals)))
        return [person for _, person in found], after

    async def hashtags(self, query: str, cursor: int | None, limit: int) -> tuple[list[FoundHashtag], str | None]:
        """A page."""

        async def find(after: int | None, count: int) -> list[Hit]:
            return await self._stores.search.names("hashtag", query, after, count)

        async def show(hits: Sequence[Hit]) -> dict[str, FoundHashtag]:
            known = await self._known({hit.key: hit.said for hit in hits})
            return {
                name: FoundHashtag(name=name[2:], posts=posts, trend=trend) for name, (posts, trend) in known.items()
            }

        found, after = await self._page(find, show, cursor, limit)
        return [hashtag for _, hashtag in found], after

    async def places(self, query: str, cursor: int | None, limit: int) -> tuple[list[FoundPlace], str | None]:
        """A page of those that ``query`` finds."""

        async def find(after: int | None, count: int) -> list[Hit]:
            return await self._stores.search.names("place", query, after, count)

        async def show(hits: Sequence[Hit]) -> dict[str, FoundPlace]:
            of_map = [hit for hit in hits if hit.key.startswith("g:")]
            located = await self._stores.search.located([hit.key for hit in of_map])
            near = [NearPlace(hit.said, *located.get(hit.key, (0.0, 0.0)), 0.0) for hit in of_map]
            found = {hit.key: place for hit, place in zip(of_map, await self._of_map(near), strict=True)}
            known = await self._known({hit.key: hit.said for hit in hits if hit.key.startswith("l:")})
            for name, (posts, trend) in known.items():
                found[name] = _place(name[2:], posts, trend)
            return found

        page, after = await self._page(find, show, cursor, limit)
        return [place for _, place in page], after

    async def near(
        self, query: str, where: tuple[float, float], km: float, cursor: int | None, limit: int
    ) -> tuple[list[FoundPlace], str | None]:
        """A page of the places on the map around ``where`` (latitude, longitude), the nearest first."""
        every = await self._stores.search.near(*where, km, query)
        start = cursor or 0
        some = every[start : start + limit]
        found = await self._of_map(some)
        for place, one in zip(found, some, strict=True):
            place.distance_km = round(one.km, 1)
        return found, to_cursor(start + limit) if start + limit < len(every) else None

    async def posts(self, query: str, cursor: int | None, limit: int, counted: bool) -> tuple[list[Post], str | None]:
        """A page. ``counted``: the counters may be asked."""
        presenter = Presenter(self._stores)

        async def find(after: int | None, count: int) -> list[Hit]:
            return await self._stores.search.posts(query, after, count)

        async def show(hits: Sequence[Hit]) -> dict[str, Post]:
            posts = await presenter.public_posts(self._viewer_id, [hit.rank for hit in hits], counted)
            return {f"p:{post_id}": post for post_id, post in posts.items()}

        found, after = await self._page(find, show, cursor, limit)
        return [post for _, post in found], after

    async def _page(
        self,
        find: Callable[[int | None, int], Awaitable[list[Hit]]],
        show: Callable[[Sequence[Hit]], Awaitable[dict[str, Shown]]],
        cursor: int | None,
        limit: int,
    ) -> tuple[list[tuple[Hit, Shown]], str | None]:
        """What is found and may be shown, ``limit`` at most, and where the list goes on."""
        found: list[tuple[Hit, Shown]] = []
        after = cursor
        for _ in range(_ROUNDS):
            count = limit - len(found) + _SPARE
            hits = await find(after, count)
            shown = await show(hits) if hits else {}
            for hit in hits:
                if len(found) == limit:
                    return found, to_cursor(after or 0)
                after = hit.position
                if hit.key in shown:
                    found.append((hit, shown[hit.key]))
            if len(hits) < count:
                return found, None
        return found, to_cursor(after or 0)

    async def _of_map(self, places: Sequence[NearPlace]) -> list[FoundPlace]:
        """With what posts say of them by that name."""
        cities = [city_of(place.said) for place in places]
        known = await self._known(await self._stores.search.said([f"l:{city['name']}" for city in cities]))
        return [
            FoundPlace.model_validate(
                _place(str(city["name"]), *known.get(f"l:{city['name']}", (0, None))).model_dump()
                | {"country": city["country"], "population": city["population"]}
                | {"latitude": place.latitude, "longitude": place.longitude}
            )
            for city, place in zip(cities, places, strict=True)
        ]

    async def _known(self, said: dict[str, str]) -> dict[str, Named]:
        """Posts and trend of those hashtags and places that the viewer may know of: whose posts with it they see."""
        names = {name: counted(text) for name, text in said.items()}
        facts = await self._stores.relations.facts(
            self._viewer_id, {author for _, authors in names.values() for author in authors}
        )
        shown = {
            name: posts
            for name, (posts, authors) in names.items()
            if any(may_see_posts(facts, author) for author in authors)
        }
        trends = await self._trends(shown)
        return {name: (posts, trends.get(name)) for name, posts in shown.items()}

    async def _trends(self, names: Collection[str]) -> dict[str, float]:
        try:
            trends = await self._stores.trending.trends(names)
        except StoreAway:
            return {}
        now = time.time_ns() // 1_000_000 // STEP_MS
        at_rest = dict.fromkeys(names, 0.0)
        return at_rest | {name: standing(one, WINDOWS["1h"], now).corrected for name, one in trends.items()}


def _place(name: str, posts: int, trend: float | None) -> FoundPlace:
    return FoundPlace(
        name=name,
        posts=posts,
        trend=trend,
        country=None,
        latitude=None,
        longitude=None,
        population=None,
        distance_km=None,
    )


def _standing(hit: Hit, mutuals: int) -> int:
    """What orders people of one tier on a page: one followee who follows them is worth twice the followers."""
    return hit.rank + (2 * level(mutuals) << RANK_BITS)
