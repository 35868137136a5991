"""What a feed shows of posts, as JSON: made once of each row, and ended for each viewer.

Most of a post's JSON is the same for all who may see it, and stays so until its row, its author's, the author's privacy
or the period of its pictures' addresses changes; see ``sinks.remembered`` for when a row is read anew. Counts, what the
viewer did, and people whom a post names are asked each time; so are the rules.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import msgspec

from api.presenting import Presenter, person_of
from api.stores import Stores
from sinks.accounts import AccountRow
from sinks.counters_reader import PostCounts
from sinks.errors import StoreAway
from sinks.posts import PostRow
from sinks.remembered import Kept
from streams.rules import in_feed, is_public, keeps_pictures

OWN = {"mentions", "tagged", "like_count", "liked_by_me", "comment_count", "share_count", "saved_by_me"}
"""What of a post is another thing for each viewer, or changes by the second."""
_NOBODY = b',"mentions":[],"tagged":[]'
_UNCOUNTED = b',"like_count":null,"liked_by_me":null,"comment_count":null,"share_count":null,"saved_by_me":null}'
_COUNTED = b',"like_count":%d,"liked_by_me":%b,"comment_count":%d,"share_count":%d,"saved_by_me":%b}'


class FeedCards:
    """Posts for one viewer's feed, within one request."""

    def __init__(self, stores: Stores, viewer_id: int, counted: bool) -> None:
        """``counted``: the counters may be asked."""
        self._stores, self._viewer_id, self._counted = stores, viewer_id, counted
        self._presenter = Presenter(stores)

    async def look(self, post_ids: Sequence[int]) -> dict[int, bytes]:
        """The JSON of those of ``post_ids`` that the feed may show now. Raises ``StoreAway``."""
        counting = asyncio.create_task(self._counts(post_ids))
        try:
            heads, named = await self._shown(post_ids)
        except BaseException:
            counting.cancel()
            raise
        counts = await counting
        return {post_id: head + _ending(counts.get(post_id), named.get(post_id)) for post_id, head in heads.items()}

    async def _shown(self, post_ids: Sequence[int]) -> tuple[dict[int, bytes], dict[int, dict[str, list[object]]]]:
        """Of each post that may be shown what is the same for all, and whom it names."""
        remembered = self._stores.remembered
        applied = await remembered.applied()
        posts = await remembered.posts(post_ids, applied)
        authors = {kept.row.author_id for kept in posts.values() if is_public(kept.row)}
        facts, people = await remembered.about(self._viewer_id, authors, applied)
        shown = {post_id: kept for post_id, kept in posts.items() if is_public(kept.row) and in_feed(kept.row, facts)}
        keys = await self._stores.keys.get_many({kept.row.author_id for kept in shown.values()})
        heads = {}
        for post_id, kept in shown.items():
            author_id = kept.row.author_id
            public = not keeps_pictures(facts.standing(author_id))
            heads[post_id] = self._head(kept, people[author_id], keys, public)
        return heads, await self._named(shown)

    def _head(
        self, kept: Kept[PostRow], author: Kept[AccountRow | None], keys: dict[int, bytes], public: bool
    ) -> bytes:
        settings = self._stores.settings
        seconds = settings.public_media_seconds if public else settings.private_media_seconds
        if author.made is None:
            author.made = person_of(kept.row.author_id, author.row, keys)
        # A row that was read anew has nothing made of it; an author's who was, is another object.
        of = (author.made, public, int(time.time()) // seconds)
        if kept.made is None or kept.made[0][0] is not of[0] or kept.made[0][1:] != of[1:]:
            post = self._presenter.post(kept.row, author.made, keys, None, {}, public=public)
            kept.made = of, post.model_dump_json(exclude=OWN).encode()[:-1]
        return bytes(kept.made[1])

    async def _named(self, shown: Mapping[int, Kept[PostRow]]) -> dict[int, dict[str, list[object]]]:
        """Of each post that names anybody those of whom the viewer may know."""
        naming = {post_id: kept.row for post_id, kept in shown.items() if kept.row.mentions or kept.row.tagged}
        if not naming:
            return {}
        asked = {user_id for row in naming.values() for user_id in (*row.mentions, *row.tagged)}
        people = await self._presenter.people(self._viewer_id, asked)
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
    liked, saved = _word(counts.likes.viewer), _word(counts.saved)
    return people + _COUNTED % (counts.likes.total, liked, counts.comments, counts.shares, saved)


def _word(true: bool) -> bytes:
    return b"true" if true else b"false"


def page_of(shown: Sequence[bytes], next_cursor: str | None) -> bytes:
    """The JSON of ``models.Posts``."""
    after = b"null" if next_cursor is None else msgspec.json.encode(next_cursor)
    return b'{"items":[%b],"next_cursor":%b}' % (b",".join(shown), after)
