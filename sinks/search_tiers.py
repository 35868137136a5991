"""Queries to the search index, and the tiers in which people, hashtags and places are looked for: closest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tantivy import DocAddress, FieldType, Occur, Query, Searcher

from sinks.search_index import PEOPLE, SCHEMA
from streams.search import LONGEST, RANK_BITS, TOP_LEVEL, asked, plain, typos

FRIENDS = 300
"""Followees who are looked for first, at most."""
EXACT, FRIEND, BEGINS, FRIEND_TYPO, WHOLE_TYPO, ONE_TYPO, WHOLE_TYPOS, TWO_TYPOS = range(8)
"""How something was found, the closest first: the whole of a username or name; a beginning, of somebody's who is
followed, and of others'; with typos, of theirs first; then with one as the whole, with one as a beginning, with two."""
PHRASE = FRIEND
"""Of several words: a hashtag or place that begins with them as they are."""
TIER_SHIFT = RANK_BITS + TOP_LEVEL.bit_length()
"""A place in a list is its tier and below it its rank."""


class Hit(NamedTuple):
    """Something found. ``rank`` orders within a ``tier``, highest first; ``key`` names it and ``said`` is what the
    index keeps of it."""

    tier: int
    rank: int
    key: str
    said: str

    @property
    def position(self) -> int:
        """Where the list goes on after it: a number below 2**63."""
        return self.tier << TIER_SHIFT | self.rank


class Tier(NamedTuple):
    """What ``query`` finds and none of ``without``."""

    tier: int
    query: Query
    without: Sequence[Query]


def walk(searcher: Searcher, tiers: Iterable[Tier], after: int | None, limit: int) -> list[Hit]:
    """Tier after tier, each without what an earlier one shows, so that a page begins anywhere and knows no other."""
    first, rank = (-1, None) if after is None else (after >> TIER_SHIFT, after & (1 << TIER_SHIFT) - 1)
    found: list[Hit] = []
    for tier, query, without in tiers:
        if tier < first:
            continue
        clauses = [(Occur.Must, query), *((Occur.MustNot, one) for one in without)]
        if tier == first:
            clauses.append((Occur.Must, below(rank)))
        found += hits_of(searcher, tier, Query.boolean_query(clauses), limit - len(found))
        if len(found) >= limit:
            break
    return found


def tiers_of_people(searcher: Searcher, query: str, friends: Sequence[int]) -> Iterator[Tier]:
    """Made one by one: whom the first tiers fill the page with needs no typos. The followees who match are looked up
    first, since leaving out a few costs less than leaving out all."""
    wanted = asked(query)
    if not wanted:
        return
    edits = max(map(typos, wanted))
    whole = " ".join(plain(query).split()).lstrip("@")
    exact, begins = Query.term_query(SCHEMA, "whole", whole, "basic"), beginning(PEOPLE, wanted)
    followed = Query.term_set_query(SCHEMA, "id", list(friends)) if friends else Query.empty_query()
    yield Tier(EXACT, exact, [])
    mine = _those(searcher, all_of([begins, followed])) if friends else []
    for one in mine:
        yield Tier(FRIEND, one, [exact])
    yield Tier(BEGINS, begins, [exact, *mine])
    if not edits:
        return
    wholes = [Query.fuzzy_term_query(SCHEMA, "whole", whole, most, True, False) for most in (1, 2)]
    misspelt = [_misspelt(PEOPLE, wanted, most) for most in (1, 2)]
    before = [begins, exact]
    if friends:
        mine = _those(searcher, all_of([followed, any_of([wholes[edits - 1], misspelt[edits - 1]])]))
        for one in mine:
            yield Tier(FRIEND_TYPO, one, before)
        before = [*before, *mine]
    yield Tier(WHOLE_TYPO, wholes[0], before)
    yield Tier(ONE_TYPO, misspelt[0], [*before, wholes[0]])
    if edits > 1:
        yield Tier(WHOLE_TYPOS, wholes[1], [*before, wholes[0], misspelt[0]])
        yield Tier(TWO_TYPOS, misspelt[1], [*before, wholes[1], misspelt[0]])


def tiers_of_names(query: str, kind: str) -> Iterator[Tier]:
    wanted = asked(query)
    if not wanted:
        return
    edits, before = max(map(typos, wanted)), []
    if len(wanted) > 1:
        before = [beginning(kind, [" ".join(wanted)[:LONGEST]])]
        yield Tier(PHRASE, before[0], [])
    for tier, most in ((BEGINS, 0), (ONE_TYPO, 1), (TWO_TYPOS, 2)):
        if most <= edits:
            some = _misspelt(kind, wanted, most)
            yield Tier(tier, some, before)
            before = [*before, some]


def _those(searcher: Searcher, query: Query) -> list[Query]:
    """The people whom ``query`` finds, as a query of its own; none if there are none."""
    ids = searcher.fast_field_values("id", addresses(searcher, query, FRIENDS))
    return [Query.term_set_query(SCHEMA, "id", [int(one) for one in ids if one is not None])] if ids else []


def beginning(kind: str, asked_words: Iterable[str]) -> Query:
    return all_of([Query.term_query(SCHEMA, kind, word, "basic") for word in asked_words])


def _misspelt(kind: str, asked_words: Iterable[str], most: int) -> Query:
    """Each word within as many edits as its length allows, ``most`` at most, of a beginning."""
    each = []
    for word in asked_words:
        edits = min(typos(word), most)
        if edits:
            each.append(Query.fuzzy_term_query(SCHEMA, kind, word, edits, True, False))
        else:
            each.append(Query.term_query(SCHEMA, kind, word, "basic"))
    return all_of(each)


def all_of(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Must, query) for query in queries])


def any_of(queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def below(rank: int | None) -> Query:
    return Query.range_query(SCHEMA, "rank", FieldType.Unsigned, None, rank, True, False)


def between(field: str, middle: float, reach: float, most: float) -> Query:
    low, high = max(middle - reach, -most), min(middle + reach, most)
    return Query.range_query(SCHEMA, field, FieldType.Float, low, high)


def around(longitude: float, reach: float) -> Query:
    """The earth is round: what lies beyond 180 degrees comes in on the other side."""
    if reach >= 180:
        return Query.all_query()
    parts = [between("longitude", longitude, reach, 180.0)]
    if longitude - reach < -180:
        parts.append(between("longitude", longitude + 360, reach, 180.0))
    if longitude + reach > 180:
        parts.append(between("longitude", longitude - 360, reach, 180.0))
    return any_of(parts)


def hits_of(searcher: Searcher, tier: int, query: Query, limit: int) -> list[Hit]:
    found = searcher.search(query, limit, count=False, order_by_field="rank").hits
    hits = []
    for rank, address in found:
        document = searcher.doc(address)
        hits.append(Hit(tier, int(rank), str(document.get_first("key")), str(document.get_first("said"))))
    return hits


def addresses(searcher: Searcher, query: Query, limit: int) -> list[DocAddress]:
    return [address for _, address in searcher.search(query, limit, count=False).hits]


def places_of(searcher: Searcher, addresses: list[DocAddress]) -> list[tuple[float, float]]:
    latitudes = searcher.fast_field_values("latitude", addresses)
    longitudes = searcher.fast_field_values("longitude", addresses)
    return [(float(one or 0), float(other or 0)) for one, other in zip(latitudes, longitudes, strict=True)]
