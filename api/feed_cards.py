"""What a feed shows of posts, as JSON: made once of each row, and ended for each viewer.

Most of a post's JSON is the same for all who may see it, and stays so until its row, its author's, the author's privacy
or the period of its pictures' addresses changes; see ``sinks.remembered`` for when a row is read anew. Counts, what the
viewer did, and people whom a post names are asked each time; so are the rules.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from api.models import Person
from api.presenting import Presenter, person_of
from api.stores import Stores
from sinks.accounts import AccountRow
from sinks.counters_reader import PostCounts
from sinks.errors import StoreAway
from sinks.posts import PostRow
from sinks.remembered import Kept
from sinks.standing import Standing, standing
from streams.rules import Facts, in_feed, is_public, keeps_pictures, met

OWN = {"mentions", "tagged", "like_count", "liked_by_me", "comment_count", "share_count", "saved_by_me"}
"""What of a post is another thing for each viewer, or changes by the second."""
_NOBODY = b',"mentions":[],"tagged":[]'
_UNCOUNTED = b',"like_count":null,"liked_by_me":null,"comment_count":null,"share_count":null,"saved_by_me":null}'
_COUNTED = b',"like_count":%d,"liked_by_me":%b,"comment_count":%d,"share_count":%d,"saved_by_me":%b}'

_For = tuple[Kept[AccountRow | None], bool, int]
"""The author, whether anybody may see their pictures, and the period of these pictures' addresses."""


class FeedCards:
    """Posts for one viewer's feed, within one request."""

    def __init__(self, stores: Stores, viewer_id: int, counted: bool, whole: bool = True) -> None:
        """``counted``: the counters may be asked. Unless ``whole``, posts of which nothing can be known while Cassandra
        is away are ``missing``, and the others are shown from what the gateway remembers."""
        self._stores, self._viewer_id, self._counted, self._whole = stores, viewer_id, counted, whole
        self._presenter = Presenter(stores)
        # Asked for while the feed is read; good for all of the request.
        self._applied = stores.remembered.asked()
        self.missing = 0
        """How many posts were left out because Cassandra is away; the rules may say that they are hidden anyway."""

    async def look(self, post_ids: Sequence[int]) -> dict[int, bytes]:
        """The JSON of those of ``post_ids`` that the feed may show now. Raises ``StoreAway``."""
        counting = asyncio.create_task(self._counts(post_ids))
        try:
            heads, named = await self._heads(post_ids)
        except BaseException:
            counting.cancel()
            raise
        counts = await counting
        return {post_id: head + _ending(counts.get(post_id), named.get(post_id)) for post_id, head in heads.items()}

    async def _heads(self, post_ids: Sequence[int]) -> tuple[dict[int, bytes], dict[int, dict[str, list[object]]]]:
        try:
            return await self._shown(post_ids)
        except StoreAway:
            if self._whole:
                raise
        return await self._remembered(post_ids)

    async def _remembered(self, post_ids: Sequence[int]) -> tuple[dict[int, bytes], dict[int, dict[str, list[object]]]]:
        """The same as ``_shown``, of what stands without Cassandra."""
        stands = await standing(self._stores.remembered, self._stores.log_since)
        posts = stands.posts(post_ids)
        facts, people = stands.about(self._viewer_id, {kept.row.author_id for kept in posts.values()})
        keys = self._stores.keys.remembered(people)
        known = {post_id: kept for post_id, kept in posts.items() if kept.row.author_id in keys}
        self.missing += len(post_ids) - len(known)
        shown = {post_id: kept for post_id, kept in known.items() if is_public(kept.row) and in_feed(kept.row, facts)}
        heads, anew = self._made(shown, people, facts)
        heads |= {post_id: self._head(shown[post_id], whose, keys) for post_id, whose in anew.items()}
        rows = {post_id: kept.row for post_id, kept in shown.items()}
        return heads, self._naming(rows, self._met(stands, rows.values()))

    def _met(self, stands: Standing, rows: Iterable[PostRow]) -> dict[int, Person]:
        """Those whom ``rows`` name and of whom is known that the viewer may know of them."""
        facts, people = stands.about(
            self._viewer_id, {user_id for row in rows for user_id in (*row.mentions, *row.tagged)}
        )
        keys = self._stores.keys.remembered(people)
        return {
            user_id: person_of(user_id, people[user_id].row, keys) for user_id in met(facts, people) if user_id in keys
        }

    async def _shown(self, post_ids: Sequence[int]) -> tuple[dict[int, bytes], dict[int, dict[str, list[object]]]]:
        """Of each post that may be shown what is the same for all, and whom it names."""
        remembered = self._stores.remembered
        applied = await asyncio.shield(self._applied)
        posts = await remembered.posts(post_ids, applied)
        authors = {kept.row.author_id for kept in posts.values() if is_public(kept.row)}
        facts, people = await remembered.about(self._viewer_id, authors, applied)
        shown = {post_id: kept for post_id, kept in posts.items() if is_public(kept.row) and in_feed(kept.row, facts)}
        heads, anew = self._made(shown, people, facts)
        if anew:
            keys = await self._stores.keys.get_many({shown[post_id].row.author_id for post_id in anew})
            heads |= {post_id: self._head(shown[post_id], whose, keys) for post_id, whose in anew.items()}
        return heads, await self._named(shown)

    def _made(
        self, shown: Mapping[int, Kept[PostRow]], people: Mapping[int, Kept[AccountRow | None]], facts: Facts
    ) -> tuple[dict[int, bytes], dict[int, _For]]:
        """What was made before of each post, and those of which it is to be made anew."""
        now = int(time.time())
        settings = self._stores.settings
        periods = (now // settings.private_media_seconds, now // settings.public_media_seconds)
        heads: dict[int, bytes] = {}
        anew: dict[int, _For] = {}
        for post_id, kept in shown.items():
            author = people[kept.row.author_id]
            public = not keeps_pictures(facts.standing(kept.row.author_id))
            for_whom = (author.made, public, periods[public])
            if kept.made is None or author.made is None or kept.made[0] != for_whom:
                anew[post_id] = (author, public, periods[public])
                heads[post_id] = b""  # in its place
            else:
                heads[post_id] = kept.made[1]
        return heads, anew

    def _head(self, kept: Kept[PostRow], of: _For, keys: dict[int, bytes]) -> bytes:
        author, public, period = of
        if author.made is None:
            author.made = person_of(kept.row.author_id, author.row, keys)
        post = self._presenter.post(kept.row, author.made, keys, None, {}, public=public)
        head = post.model_dump_json(exclude=OWN).encode()[:-1]
        # A row that was read anew has nothing made of it.
        kept.made = (author.made, public, period), head
        return head

    async def _named(self, shown: Mapping[int, Kept[PostRow]]) -> dict[int, dict[str, list[object]]]:
        """Of each post that names anybody those of whom the viewer may know."""
        naming = {post_id: kept.row for post_id, kept in shown.items() if kept.row.mentions or kept.row.tagged}
        if not naming:
            return {}
        asked = {user_id for row in naming.values() for user_id in (*row.mentions, *row.tagged)}
        return self._naming(naming, await self._presenter.people(self._viewer_id, asked))

    def _naming(
        self, naming: Mapping[int, PostRow], people: Mapping[int, Person]
    ) -> dict[int, dict[str, list[object]]]:
        plain = {user_id: person.model_dump(mode="json") for user_id, person in people.items()}

        def those(user_ids: Sequence[int]) -> list[object]:
            return [plain[user_id] for user_id in user_ids if user_id in plain]

        return {
            post_id: {"mentions": those(row.mentions), "tagged": those(row.tagged)} for post_id, row in naming.items()
        }

    async def _counts(self, post_ids: Sequence[int]) -> Mapping[int, PostCounts]:
        """Empty while the counters are away or coming back: no number is better than a wrong one."""
        if not self._counted:
            return {}
        try:
            return await self._stores.counters.posts(post_ids, self._viewer_id)
        except StoreAway:
            return {}


def _ending(counts: PostCounts | None, named: Mapping[str, list[object]] | None) -> bytes:
    """The rest of a post's JSON: ``OWN``."""
    people = _NOBODY if named is None else b"," + msgspec.json.encode(named)[1:-1]
    if counts is None:
        return people + _UNCOUNTED
    likes, liked, saved, comments, shares = counts
    return people + _COUNTED % (likes, _word(liked), comments, shares, _word(saved))


def _word(true: bool) -> bytes:
    return b"true" if true else b"false"


def page_of(shown: Sequence[bytes], next_cursor: str | None) -> bytes:
    """The JSON of ``models.Posts``."""
    after = b"null" if next_cursor is None else msgspec.json.encode(next_cursor)
    return b'{"items":[%b],"next_cursor":%b}' % (b",".join(shown), after)
