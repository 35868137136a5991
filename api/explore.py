"""What to explore, for one viewer: candidates of three sources, the rules, one list for some minutes, page by page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from api.consistency import Freshness
from api.models import Post
from api.presenting import Presenter
from api.problems import Problem
from api.stores import Stores
from api.trending import Trends
from sinks.errors import StoreAway
from sinks.explore_lists import Listed
from sinks.posts import PostRow
from streams.explore import SAVED, SIMILAR, TRENDING, About, Candidate, Pick, arrange, counted
from streams.rules import Facts, is_public, may_see_posts
from streams.trending import POSTS, STEP_MS
from streams.trending_scores import DAY

FOLLOWED_ASKED, SAVES_EACH = 500, 30
"""People whom one follows who are asked, by id, and rows of each."""
LEAST_KEEPERS = 2
"""People who must keep a post before it is told of: what one person keeps is theirs alone to know."""
CANDIDATES = 250
"""Of each source."""
_PLACE_BITS = 20
_SPARE = 5
Look = tuple[Post, Pick]


class ExplorePage(NamedTuple):
    """``items`` in their order, the list they are of, and the cursor after them; None at the end."""

    items: list[Look]
    listed: Listed
    after: int | None


class Exploring:
    """One viewer, within one request. Every method raises ``StoreAway``."""

    def __init__(self, stores: Stores, viewer_id: int, fresh: Freshness) -> None:
        self._stores, self._viewer_id, self._fresh = stores, viewer_id, fresh

    async def page(self, cursor: int | None, limit: int, counted_too: bool) -> ExplorePage:
        """At most ``limit`` posts of the list that ``cursor`` is of, or of the current one. Raises ``Problem`` 400 for
        a list that is gone."""
        listed, place = await self._listed(cursor)
        presenter = Presenter(self._stores)
        items: list[Look] = []
        while place < len(listed.picks) and len(items) < limit:
            some = [Pick(*pick) for pick in listed.picks[place : place + limit - len(items) + _SPARE]]
            ids = [pick.post_id for pick in some]
            posts = await presenter.public_posts(self._viewer_id, ids, counted_too)
            shown = await self._unseen({n: int(post.author.id) for n, post in posts.items()})
            for pick in some:
                place += 1
                post = posts.get(pick.post_id)
                if post is not None and pick.post_id in shown and not (post.liked_by_me or post.saved_by_me):
                    items.append((post, pick))
                    if len(items) == limit:
                        break
        more = place < len(listed.picks)
        return ExplorePage(items, listed, listed.made_at // 1000 << _PLACE_BITS | place if more else None)

    async def _listed(self, cursor: int | None) -> tuple[Listed, int]:
        lists = self._stores.explore_lists
        if cursor is not None:
            found = await lists.made_at(self._viewer_id, cursor >> _PLACE_BITS)
            if found is None:
                detail = "This list is gone, or the cursor was not made here. Begin anew without a cursor."
                raise Problem(400, "invalid-cursor", detail)
            return found, cursor & (1 << _PLACE_BITS) - 1
        return await lists.current(self._viewer_id) or await lists.keep(self._viewer_id, await self._made()), 0

    async def _made(self) -> Listed:
        """A new list."""
        now = time.time_ns() // 1_000_000
        trained = await self._stores.explore_model.get()
        trending, (followed, saved) = await asyncio.gather(self._trending(now), self._followed())
        sources: dict[str, Sequence[Candidate]] = {SAVED: saved}
        missing: list[str] = []
        if trending is None:
            missing.append(TRENDING)
        else:
            sources[TRENDING] = trending
        if trained is None:
            missing.append(SIMILAR)
        else:
            recommending = asyncio.to_thread(trained.model.recommend, self._viewer_id, CANDIDATES)
            sources[SIMILAR] = [Candidate(post_id) for post_id in await recommending]
        ids = {one.post_id for some in sources.values() for one in some}
        rows = [row for row in (await self._stores.posts.by_ids(ids)).values() if is_public(row)]
        shown = await self._unseen({row.post_id: row.author_id for row in rows})
        about = {row.post_id: About(row.author_id, _at(row)) for row in rows if row.post_id in shown}
        arranged = arrange(sources, about, set(followed), now)
        picks = [(pick.post_id, pick.source, pick.people) for pick in arranged]
        version, trained_at = (trained.version, trained.at) if trained else ("", 0)
        return Listed(now, picks, missing, version, trained_at, retry=trending is None)

    async def _trending(self, now: int) -> list[Candidate] | None:
        """None while the trends cannot be asked."""
        try:
            ranked = await Trends(self._stores, self._viewer_id, self._fresh).ranked(POSTS, DAY, now // STEP_MS)
        except StoreAway:
            return None
        return [Candidate(int(one.name[2:]), one.people) for one in ranked[:CANDIDATES]]

    async def _followed(self) -> tuple[list[int], list[Candidate]]:
        """Whom the viewer follows, and what several of these keep: those whom the rules let them follow."""
        followed = await self._stores.follows.following(self._viewer_id, 0, FOLLOWED_ASKED)
        facts = await self._stores.relations.facts(self._viewer_id, followed)
        asked = [
            user_id
            for user_id in followed
            if may_see_posts(facts, user_id) and facts.relation(user_id).follows and not facts.relation(user_id).mutes
        ]
        kept = await self._stores.saves.newest_of_each(asked, SAVES_EACH)
        return followed, counted(kept, LEAST_KEEPERS)[:CANDIDATES]

    async def _unseen(self, authors: dict[int, int]) -> set[int]:
        """Those of these posts (post → author) that nobody private wrote, nor the viewer, nor somebody whom they mute,
        and that they have not seen. Whom a block parts is left out by the rules of all lists."""
        now = time.time_ns() // 1_000_000
        facts, seen = await asyncio.gather(
            self._stores.relations.facts(self._viewer_id, set(authors.values())),
            self._stores.seen_posts.among(self._viewer_id, authors, now),
        )
        return {
            post_id
            for post_id, author in authors.items()
            if post_id not in seen and _may_be_explored(author, facts, self._viewer_id)
        }


def _may_be_explored(author_id: int, facts: Facts, viewer_id: int) -> bool:
    return (
        author_id != viewer_id
        and not facts.standing(author_id).private
        and may_see_posts(facts, author_id)
        and not facts.relation(author_id).mutes
    )


def _at(row: PostRow) -> int:
    return row.published_at or row.submitted_at


def told(pick: Pick) -> tuple[Literal["trending", "saved_by_followed", "similar"], int | None, str]:
    """A reason, as people read it."""
    match pick.source:
        case "saved_by_followed":
            return SAVED, pick.people, f"{pick.people} people you follow saved this"
        case "trending":
            return TRENDING, pick.people, f"{pick.people} people turned to this lately"
    return SIMILAR, None, "People who like what you like turned to this"
