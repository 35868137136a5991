"""What a page looks at of a feed is the beginning of all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sinks.home_feed_reader import Entries, newest_of

ids = st.integers(1, 60)
entries = st.builds(
    lambda floor, posts: Entries(False, floor, [], sorted(posts, reverse=True)),
    st.integers(0, 20),
    st.lists(ids, max_size=30),
)


@given(lists=st.lists(entries, min_size=1, max_size=4), before=ids, count=st.integers(1, 12))
def test_the_newest_are_where_the_whole_begins(lists: list[Entries], before: int, count: int) -> None:
    whole, some = newest_of(lists, 61, None), newest_of(lists, before, count)
    assert whole.floor == max(one.floor for one in lists)
    assert whole.ids == sorted({post for one in lists for post in one.posts if post > whole.floor}, reverse=True)
    assert some.floor >= whole.floor
    assert some.ids == [post for post in whole.ids if some.floor < post < before]
    below = [post for post in whole.ids if post < before]
    if all(len(set(one.posts)) == len(one.posts) for one in lists):
        assert len(some.ids) >= min(count, len(below)), "a page needs no more round trips than there are posts left out"
