"""What readers ask of the search index: found in order, page after page. Rules are whoever asks's to apply.

The gateway opens the folder that the agent writes, and sees each commit within ``RELOAD_SECONDS``.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tantivy import Index, Query

from sinks.errors import StoreAway
from sinks.search_index import FOLDER, HELD, PLACES, SCHEMA, held, open_index
from sinks.search_rows import SearchRows
from sinks.search_tiers import (
    FRIENDS,
    Hit,
    addresses,
    all_of,
    around,
    beginning,
    below,
    between,
    hits_of,
    places_of,
    tiers_of_names,
    tiers_of_people,
    walk,
)
from streams.records import TopicPartition
from streams.search import asked, distance_km, words

RELOAD_SECONDS = 0.1
_NEAR_AT_MOST = 5000
_KM_A_DEGREE = 111.2
_LEAST_OF_A_BEGINNING = 3
"""Letters that the last word of a caption's query has to have to be taken for the beginning of one."""


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
                self._index, self._inode = open_index(self._folder), inode
            self._index.reload()
        except (OSError, ValueError) as error:
            self._index = None
            raise StoreAway(f"no search index can be read in {self._folder}: is its agent at work?") from error
        self._looked = now
        return self._index

    def _people(self, query: str, friends: Sequence[int], after: int | None, limit: int) -> list[Hit]:
        searcher = self._opened().searcher()
        return walk(searcher, tiers_of_people(searcher, query, friends), after, limit)

    def _names(self, query: str, kind: str, after: int | None, limit: int) -> list[Hit]:
        return walk(self._opened().searcher(), tiers_of_names(query, kind), after, limit)

    def _posts(self, query: str, after: int | None, limit: int) -> list[Hit]:
        wanted = words(query, 16)
        if not wanted:
            return []
        clauses = [Query.term_query(SCHEMA, "caption", word, "basic") for word in wanted]
        if len(wanted[-1]) >= _LEAST_OF_A_BEGINNING and not query[-1:].isspace():
            clauses[-1] = Query.fuzzy_term_query(SCHEMA, "caption", wanted[-1], 0, True, True)
        if after is not None:
            clauses.append(below(after))
        return hits_of(self._opened().searcher(), 0, all_of(clauses), limit)

    def _said(self, keys: Collection[str]) -> dict[str, str]:
        searcher = self._opened().searcher()
        return {
            key: str(searcher.doc(address).get_first("said"))
            for key in dict.fromkeys(keys)
            for address in addresses(searcher, Query.term_query(SCHEMA, "key", key, "basic"), 1)
        }

    def _located(self, keys: Collection[str]) -> dict[str, tuple[float, float]]:
        searcher = self._opened().searcher()
        located: dict[str, tuple[float, float]] = {}
        for key in keys:
            found = addresses(searcher, Query.term_query(SCHEMA, "key", key, "basic"), 1)
            for place in places_of(searcher, found):
                located[key] = place
        return located

    def _near(self, latitude: float, longitude: float, km: float, query: str) -> list[NearPlace]:
        wanted = asked(query)
        if query and not wanted:
            return []
        searcher = self._opened().searcher()
        clauses = [between("latitude", latitude, km / _KM_A_DEGREE, 90.0)]
        across = max(math.cos(math.radians(min(abs(latitude) + km / _KM_A_DEGREE, 90.0))), 1e-9)
        clauses.append(around(longitude, km / _KM_A_DEGREE / across))
        if wanted:
            clauses.append(beginning(PLACES, wanted))
        found = addresses(searcher, all_of(clauses), _NEAR_AT_MOST)
        places = [
            (distance_km(latitude, longitude, *place), place, address)
            for place, address in zip(places_of(searcher, found), found, strict=True)
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


def city_of(said: str) -> dict[str, object]:
    """``id``, ``name``, ``country`` and ``population`` of a place of the operator's file, from what is kept of it."""
    found: dict[str, object] = json.loads(said)
    return found


def counted(said: str) -> tuple[int, list[int]]:
    """Public posts, and authors of some, of a hashtag or place, from what is kept of it."""
    posts, *authors = json.loads(said)
    return posts, authors
