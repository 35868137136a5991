from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.explore import FRESH_MS, SAVED, SIMILAR, TRENDING, About, Candidate, Pick, arrange, counted
from tests.streams.laws import at_leisure

NOW = 10 * FRESH_MS
lists = st.lists(st.integers(1, 60), unique=True, max_size=30).map(lambda ids: [Candidate(one, one) for one in ids])
worlds = st.dictionaries(st.integers(1, 60), st.builds(About, st.integers(1, 12), st.integers(0, NOW)))


@at_leisure
@given(lists, lists, lists, worlds, st.sets(st.integers(1, 12)), st.integers(1, 20))
def test_one_post_of_each_author_known_ones_only_and_the_same_whatever_comes_first(
    trending: list[Candidate],
    saved: list[Candidate],
    similar: list[Candidate],
    posts: dict[int, About],
    followed: set[int],
    most: int,
) -> None:
    sources = {TRENDING: trending, SAVED: saved, SIMILAR: similar}
    picks = arrange(sources, posts, followed, NOW, most)
    authors = [posts[pick.post_id].author_id for pick in picks]
    assert len(set(authors)) == len(authors) <= most
    for pick in picks:
        assert Candidate(pick.post_id, pick.people) in sources[pick.source]
    whole = arrange(dict(reversed(sources.items())), posts, followed, NOW)
    assert whole[:most] == picks
    there = {posts[one.post_id].author_id for some in sources.values() for one in some if one.post_id in posts}
    assert {posts[pick.post_id].author_id for pick in whole} == there


def test_two_sources_the_new_and_the_unknown_come_first() -> None:
    posts = {n: About(n, NOW) for n in range(1, 9)}
    assert arrange({TRENDING: [Candidate(1), Candidate(2)], SIMILAR: [Candidate(2)]}, posts, (), NOW)[0].post_id == 2
    equal = {SAVED: [Candidate(3, 12)], SIMILAR: [Candidate(4)]}
    assert arrange(equal, posts, (), NOW) == [Pick(3, SAVED, 12), Pick(4, SIMILAR, 0)]
    assert [pick.post_id for pick in arrange(equal, posts, {3}, NOW)] == [4, 3]
    old = {**posts, 3: About(3, 0)}
    assert [pick.post_id for pick in arrange(equal, old, (), NOW)] == [4, 3]


def test_few_people_are_not_told_of() -> None:
    keepers = {7: {1, 2}, 8: {1}, 9: {1, 2}, 6: {1, 2, 3}}
    assert counted(keepers, 2) == [Candidate(6, 3), Candidate(9, 2), Candidate(7, 2)]
