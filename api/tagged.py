"""The posts that name a hashtag or a place, for one viewer: the newest, or those that people turned to most."""

from __future__ import annotations

from collections.abc import Sequence

from api.home_feed import Page, page
from api.models import Post
from api.presenting import Presenter
from api.stores import Stores
from schemas.ids import MAX_ID
from sinks.counters_reader import PostCounts
from streams.tagged_posts import names_of

TOP_OF = 500
"""The newest posts among which the top ones are looked for: a page that nobody can enter any more would be no page."""
LOOKED_THROUGH = 10
"""Pages looked through for the first post that the viewer may see."""
_SPARE = 5
_TIE_BITS = 40
_MOST_SCORE = (1 << 63 - _TIE_BITS) - 1


class Tagged:
    """One hashtag or place (``name`` as the trends name it), within one request."""

    def __init__(self, stores: Stores, viewer_id: int | None, name: str, counted: bool) -> None:
        """``counted``: the counters may be asked for what pages show of posts."""
        self._stores, self._viewer_id, self._name, self._counted = stores, viewer_id, name, counted
        self._presenter = Presenter(stores)

    async def newest(self, before: int | None, limit: int) -> Page[Post]:
        """The newest posts below ``before``, newest first. Raises ``StoreAway``."""

        async def older(below: int, count: int) -> list[int]:
            return [one.post_id for one in await self._stores.tagged_posts.newest(self._name, below, count)]

        found: Page[Post] = Page([], MAX_ID if before is None else before)
        for _ in range(LOOKED_THROUGH):
            if found.shown or found.after is None:
                break
            # A list without a part in Redis is one whose floor is at its top.
            found = await page([], MAX_ID - 1, found.after, limit, older=older, look=self._look)
        return found

    async def top(self, below: int | None, limit: int) -> Page[Post]:
        """Of the newest ``TOP_OF``, those first that most people liked, commented and shared. ``below`` is the place of
        the last one that was shown: who gains likes between two pages is neither repeated nor pushes others out.
        Raises ``StoreAway``."""
        ids = [one.post_id for one in await self._stores.tagged_posts.newest(self._name, MAX_ID, TOP_OF)]
        counts = await self._stores.counters.posts(ids, None) if ids else {}
        places = sorted(((place_of(post_id, counts[post_id]), post_id) for post_id in ids), reverse=True)
        places = [one for one in places if below is None or one[0] < below]
        shown: list[Post] = []
        while places:
            some, places = places[: limit - len(shown) + _SPARE], places[limit - len(shown) + _SPARE :]
            seen = await self._look([post_id for _, post_id in some])
            for n, (place, post_id) in enumerate(some):
                if post_id in seen:
                    shown.append(seen[post_id])
                    if len(shown) == limit:
                        return Page(shown, place if places or n + 1 < len(some) else None)
        return Page(shown, None)

    async def _look(self, ids: Sequence[int]) -> dict[int, Post]:
        """Those that the viewer may see in a list, and that still name it."""
        posts = await self._presenter.public_posts(self._viewer_id, ids, self._counted)
        return {n: post for n, post in posts.items() if self._name in names_of(post.hashtags, post.place)}


def place_of(post_id: int, counts: PostCounts) -> int:
    """Where a post stands among the top ones, the higher the better: a comment weighs as much as two likes, a share as
    much as four; equal ones in an order that stays."""
    score = counts.likes + 2 * counts.comments + 4 * counts.shares
    return min(score, _MOST_SCORE) << _TIE_BITS | post_id & (1 << _TIE_BITS) - 1
