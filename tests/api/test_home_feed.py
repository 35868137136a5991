"""Pages of the feed, over a skeleton and an archive in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.home_feed import ROUNDS, SPARE, ArchiveAway, page
from schemas.ids import MAX_ID


class Feed:
    """All posts of the followed; those above the floor are in the skeleton, the others in the archive."""

    def __init__(self, posts: Sequence[int], hidden: set[int], floor: int) -> None:
        self.posts = sorted(set(posts), reverse=True)
        self.hidden = hidden
        self.floor = floor
        self.looks = 0

    async def older(self, before: int, limit: int) -> list[int]:
        return [post for post in self.posts if post < before and post <= self.floor][:limit]

    async def look(self, ids: Sequence[int]) -> dict[int, str]:
        self.looks += 1
        return {post: str(post) for post in ids if post not in self.hidden}

    async def read(self, before: int, limit: int) -> tuple[list[int], int | None]:
        skeleton = [post for post in self.posts if post > self.floor]
        found = await page(skeleton, self.floor, before, limit, older=self.older, look=self.look)
        return [int(shown) for shown in found.shown], found.after


posts_of = st.lists(st.integers(1, 400), max_size=150)


@given(posts_of, st.sets(st.integers(1, 400)), st.lists(st.integers(0, 400), min_size=1), st.integers(1, 20))
async def test_a_walk_shows_every_visible_post_once_and_in_order(
    posts: list[int], hidden: set[int], floors: list[int], limit: int
) -> None:
    # The floor rises during the walk, as it does while new posts trim the feed. 0 would promise an empty archive.
    floors = sorted(floors)
    feed = Feed(posts, hidden, floors[0])
    if feed.floor == 0:
        floors = [0]
    walked: list[int] = []
    cursor: int | None = MAX_ID
    pages = 0
    while cursor is not None:
        feed.floor = floors[min(pages, len(floors) - 1)]
        shown, cursor = await feed.read(cursor, limit)
        walked += shown
        pages += 1
    assert walked == [post for post in feed.posts if post not in hidden]


async def test_pages_are_full_where_rules_drop_much() -> None:
    feed = Feed(range(1, 101), {post for post in range(1, 101) if post % 3}, floor=50)
    shown, after = await feed.read(MAX_ID, 10)
    assert shown == list(range(99, 69, -3))
    assert after == 72


async def test_a_page_crosses_the_floor_without_a_seam() -> None:
    feed = Feed(range(1, 41), set(), floor=30)
    assert await feed.read(36, 10) == (list(range(35, 25, -1)), 26)
    assert feed.looks == 1


async def test_the_end_has_no_cursor() -> None:
    feed = Feed(range(1, 11), set(), floor=5)
    assert await feed.read(MAX_ID, 10) == (list(range(10, 0, -1)), None)
    assert await feed.read(1, 10) == ([], None)
    assert await Feed([], set(), floor=0).read(MAX_ID, 10) == ([], None)


async def test_a_page_of_hidden_posts_only_is_short_but_goes_on() -> None:
    hidden = set(range(100, 1000))
    feed = Feed(range(1, 1000), hidden, floor=500)
    shown, after = await feed.read(MAX_ID, 2)
    assert feed.looks == ROUNDS
    assert (shown, after) == ([], 1000 - ROUNDS * (3 + SPARE))


async def test_where_the_archive_is_away_what_is_above_it_is_shown() -> None:
    feed = Feed(range(1, 41), {38}, floor=30)

    async def away(before: int, limit: int) -> list[int]:
        raise ArchiveAway("for the test")

    skeleton = list(range(40, 30, -1))
    found = await page(skeleton, 30, MAX_ID, 20, older=away, look=feed.look)
    assert found.shown == [str(post) for post in range(40, 30, -1) if post != 38]
    assert found.after == 31, "the page says where to go on once it is back"
    with pytest.raises(ArchiveAway):
        await page(skeleton, 30, 31, 20, older=away, look=feed.look)
