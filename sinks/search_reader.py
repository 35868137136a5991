"""What readers ask of the search index: found in order, page after page. Rules are whoever asks's to apply.

The gateway opens the folder that the agent writes, and sees each commit within ``RELOAD_SECONDS``.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tantivy import DocAddress, FieldType, Index, Occur, Query, Searcher

from sinks.errors import StoreAway
from sinks.search_index import FOLDER, HELD, PEOPLE, PLACES, SCHEMA, held, open_index
from sinks.search_rows import SearchRows
from streams.records import TopicPartition
from streams.search import LONGEST, RANK_BITS, TOP_LEVEL, asked, distance_km, typos, words

RELOAD_SECONDS = 0.1
FRIENDS = 300
"""Followees who are looked for first, at most."""
EXACT, FRIEND, BEGINS, ONE_TYPO, TWO_TYPOS = range(5)
"""How something was found, the closest first."""
PHRASE = FRIEND
"""Of several words: a hashtag or place that begins with them as they are."""
TIER_SHIFT = RANK_BITS + TOP_LEVEL.bit_length()
"""A place in a list is its tier and below it its rank."""
_NEAR_AT_MOST = 5000
_KM_A_DEGREE = 111.2
_LEAST_OF_A_BEGINNING = 3
"""Letters that the last word of a caption's query has to have to be taken for the beginning of one."""


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


class NearPlace(NamedTuple):
    """A place of the operator's file; ``km`` from where it was asked for."""

    said: str
    latitude: float
    longitude: float
    km: float


class SearchReader:
    """Reads one generation of the index. Raises ``StoreAway`` where there is none to read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: Index | None = None
        self._inode = -1
        self._looked = -math.inf
        self._rows: SearchRows | None = None

    async def fence(self, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` everything can be found; -1 for nothing."""
        return (await asyncio.to_thread(self.fences)).get(tp, -1)

    def fences(self) -> dict[TopicPartition, int]:
        """The same of every partition. Blocks."""
        return {tp: applied for tp, (applied, _) in held(self._opened(anew=True)).items()}

    async def people(self, query: str, friends: Sequence[int], after: int | None, limit: int) -> list[Hit]:
        """People whose username or name begins with what is asked, every word of it: first who has exactly this
        username, then of ``friends``, then others, then those that are a typo away. ``key`` is ``u:`` and the id."""
        return await asyncio.to_thread(self._people, query, friends[:FRIENDS], after, limit)

    async def names(self, kind: str, query: str, after: int | None, limit: int) -> list[Hit]:
        """Hashtags or places (``HASHTAGS``, ``PLACES``), the most used first, then those that are a typo away. ``key``
        is ``t:`` or ``l:`` and the name, or ``g:`` and the number of a place of the operator's file."""
        return await asyncio.to_thread(self._names, query, kind, after, limit)

    async def posts(self, query: str, after: int | None, limit: int) -> list[Hit]:
        """Posts whose caption has all words, the last of which may be a beginning; the newest first, by ``rank``, which
        is the post's id."""
        return await asyncio.to_thread(self._posts, query, after, limit)

    async def said(self, keys: Collection[str]) -> dict[str, str]:
        """What the index keeps of those of ``keys`` that it has."""
        return await asyncio.to_thread(self._said, keys)

    async def located(self, keys: Collection[str]) -> dict[str, tuple[float, float]]:
        """Where those places of the operator's file are, in degrees."""
        return await asyncio.to_thread(self._located, keys)

    async def near(self, latitude: float, longitude: float, km: float, query: str = "") -> list[NearPlace]:
        """Places of the operator's file within ``km``, the nearest first; with a ``query``, those of them that it
        finds."""
        return await asyncio.to_thread(self._near, latitude, longitude, km, query)

    async def followed_by(self, user_ids: Collection[int], followers: Collection[int]) -> dict[int, int]:
        """How many of ``followers`` follow each of ``user_ids``, as far as the rows of this generation have come."""
        return await asyncio.to_thread(self._followed_by, user_ids, followers)

    def everything(self) -> Iterator[tuple[str, str]]:
        """Key and ``said`` of every document, the offsets' aside, in no order. Blocks; for jobs that compare."""
        searcher = self._opened(anew=True).searcher()
        hits = searcher.search(Query.all_query(), max(searcher.num_docs, 1), count=False).hits
        for _, address in hits:
            document = searcher.doc(address)
            if (key := str(document.get_first("key"))) != HELD:
                yield key, str(document.get_first("said"))

    # -- blocking -----------------------------------------------------------------------------------------------------

    def _opened(self, *, anew: bool = False) -> Index:
        now = time.monotonic()
        if self._index is not None and not anew and now < self._looked + RELOAD_SECONDS:
            return self._index
        try:
            inode = os.stat(self._folder / FOLDER).st_ino
            if self._index is None or inode != self._inode:
                self._index, self._inode, self._rows = open_index(self._folder), inode, None
            self._index.reload()
        except (OSError, ValueError) as error:
            self._index = None
            raise StoreAway(f"no search index can be read in {self._folder}: is its agent at work?") from error
        self._looked = now
        return self._index

    def _people(self, query: str, friends: Sequence[int], after: int | None, limit: int) -> list[Hit]:
        asked_words = asked(query)
        if not asked_words:
            return []
        extra: list[tuple[int, Query]] = []
        if len(asked_words) == 1:
            extra.append((EXACT, Query.term_query(SCHEMA, "whole", asked_words[0], "basic")))
        if friends:
            of_friends = Query.term_set_query(SCHEMA, "id", list(friends))
            extra.append((FRIEND, _all([_begins(PEOPLE, asked_words), of_friends])))
        return self._tiers(asked_words, PEOPLE, after, limit, extra)

    def _names(self, query: str, kind: str, after: int | None, limit: int) -> list[Hit]:
        wanted = asked(query)
        phrase = " ".join(wanted)[:LONGEST]
        extra = [(PHRASE, _begins(kind, [phrase]))] if len(wanted) > 1 else []
        return self._tiers(wanted, kind, after, limit, extra)

    def _tiers(
        self,
        wanted: Sequence[str],
        kind: str,
        after: int | None,
        limit: int,
        extra: Sequence[tuple[int, Query]] = (),
    ) -> list[Hit]:
        """Tier after tier; none shows what an earlier one did, so a page begins anywhere without knowing the others."""
        if not wanted:
            return []
        searcher = self._opened().searcher()
        tiers = [*extra, (BEGINS, _begins(kind, wanted))]
        for tier, most in ((ONE_TYPO, 1), (TWO_TYPOS, 2)):
            if max(map(typos, wanted)) >= most:
                tiers.append((tier, _misspelt(kind, wanted, most)))
        first, below = (-1, None) if after is None else (after >> TIER_SHIFT, after & (1 << TIER_SHIFT) - 1)
        found: list[Hit] = []
        for n, (tier, query) in enumerate(tiers):
            if tier < first or len(found) >= limit:
                continue
            # What begins so is among what is misspelt by nothing: the last one before holds all others before it.
            others = [one for _, one in tiers[:n]] if tier <= BEGINS else [tiers[n - 1][1]]
            clauses = [(Occur.Must, query), *((Occur.MustNot, one) for one in others)]
            if tier == first:
                clauses.append((Occur.Must, _below(below)))
            found += _hits(searcher, tier, Query.boolean_query(clauses), limit - len(found))
        return found

    def _posts(self, query: str, after: int | None, limit: int) -> list[Hit]:
        wanted = words(query, 16)
        if not wanted:
            return []
        clauses = [Query.term_query(SCHEMA, "caption", word, "basic") for word in wanted]
        if len(wanted[-1]) >= _LEAST_OF_A_BEGINNING and not query[-1:].isspace():
            clauses[-1] = Query.fuzzy_term_query(SCHEMA, "caption", wanted[-1], 0, True, True)
        if after is not None:
            clauses.append(_below(after))
        return _hits(self._opened().searcher(), 0, _all(clauses), limit)

    def _said(self, keys: Collection[str]) -> dict[str, str]:
        searcher = self._opened().searcher()
        return {
            key: str(searcher.doc(address).get_first("said"))
            for key in dict.fromkeys(keys)
            for address in _addresses(searcher, Query.term_query(SCHEMA, "key", key, "basic"), 1)
        }

    def _located(self, keys: Collection[str]) -> dict[str, tuple[float, float]]:
        searcher = self._opened().searcher()
        found: dict[str, tuple[float, float]] = {}
        for key in keys:
            addresses = _addresses(searcher, Query.term_query(SCHEMA, "key", key, "basic"), 1)
            for latitude, longitude in _places(searcher, addresses):
                found[key] = latitude, longitude
        return found

    def _near(self, latitude: float, longitude: float, km: float, query: str) -> list[NearPlace]:
        wanted = asked(query)
        if query and not wanted:
            return []
        searcher = self._opened().searcher()
        clauses = [_between("latitude", latitude, km / _KM_A_DEGREE, 90.0)]
        across = max(math.cos(math.radians(min(abs(latitude) + km / _KM_A_DEGREE, 90.0))), 1e-9)
        clauses.append(_around(longitude, km / _KM_A_DEGREE / across))
        if wanted:
            clauses.append(_begins(PLACES, wanted))
        addresses = _addresses(searcher, _all(clauses), _NEAR_AT_MOST)
        places = [
            (distance_km(latitude, longitude, *place), place, address)
            for place, address in zip(_places(searcher, addresses), addresses, strict=True)
        ]
        near = sorted((one for one in places if one[0] <= km), key=lambda one: (one[0], one[1]))
        return [NearPlace(str(searcher.doc(one[2]).get_first("said")), *one[1], one[0]) for one in near]

    def _followed_by(self, user_ids: Collection[int], followers: Collection[int]) -> dict[int, int]:
        self._opened()
        try:
            rows = SearchRows(self._folder, read_only=True)
        except OSError as error:
            raise StoreAway(f"the rows of search cannot be read in {self._folder}") from error
        try:
            return rows.followed_by(user_ids, followers)
        finally:
            rows.close()


def _begins(kind: str, asked_words: Iterable[str]) -> Query:
    return _all([Query.term_query(SCHEMA, kind, word, "basic") for word in asked_words])


def _misspelt(kind: str, asked_words: Iterable[str], most: int) -> Query:
    """Each word within as many edits as its length allows, ``most`` at most, of a beginning."""
    each = []
    for word in asked_words:
        edits = min(typos(word), most)
        if edits:
            each.append(Query.fuzzy_term_query(SCHEMA, kind, word, edits, True, False))
        else:
            each.append(Query.term_query(SCHEMA, kind, word, "basic"))
    return _all(each)


def _all(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Must, query) for query in queries])


def _below(rank: int | None) -> Query:
    return Query.range_query(SCHEMA, "rank", FieldType.Unsigned, None, rank, True, False)


def _between(field: str, middle: float, reach: float, most: float) -> Query:
    low, high = max(middle - reach, -most), min(middle + reach, most)
    return Query.range_query(SCHEMA, field, FieldType.Float, low, high)


def _around(longitude: float, reach: float) -> Query:
    """The earth is round: what lies beyond 180 degrees comes in on the other side."""
    if reach >= 180:
        return Query.all_query()
    parts = [_between("longitude", longitude, reach, 180.0)]
    if longitude - reach < -180:
        parts.append(_between("longitude", longitude + 360, reach, 180.0))
    if longitude + reach > 180:
        parts.append(_between("longitude", longitude - 360, reach, 180.0))
    return Query.boolean_query([(Occur.Should, part) for part in parts])


def _hits(searcher: Searcher, tier: int, query: Query, limit: int) -> list[Hit]:
    found = searcher.search(query, limit, count=False, order_by_field="rank").hits
    hits = []
    for rank, address in found:
        document = searcher.doc(address)
        hits.append(Hit(tier, int(rank), str(document.get_first("key")), str(document.get_first("said"))))
    return hits


def _addresses(searcher: Searcher, query: Query, limit: int) -> list[DocAddress]:
    return [address for _, address in searcher.search(query, limit, count=False).hits]


def _places(searcher: Searcher, addresses: list[DocAddress]) -> list[tuple[float, float]]:
    latitudes = searcher.fast_field_values("latitude", addresses)
    longitudes = searcher.fast_field_values("longitude", addresses)
    return [(float(one or 0), float(other or 0)) for one, other in zip(latitudes, longitudes, strict=True)]


def city_of(said: str) -> dict[str, object]:
    """``id``, ``name``, ``country`` and ``population`` of a place of the operator's file, from what is kept of it."""
    found: dict[str, object] = json.loads(said)
    return found


def counted(said: str) -> tuple[int, list[int]]:
    """Public posts, and authors of some, of a hashtag or place, from what is kept of it."""
    posts, *authors = json.loads(said)
    return posts, authors
