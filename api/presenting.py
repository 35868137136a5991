"""Hydration and presentation: ids become what a person reads, with one round trip per store for each kind of thing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from api import models
from api.media_urls import MediaUrls
from api.stores import Stores
from schemas.events import RenderedMedia
from sinks.accounts import AccountRow
from sinks.comments import CommentRow
from sinks.counters_reader import PostCounts
from sinks.errors import StoreAway
from sinks.posts import MediaRow, PostRow
from sinks.sealing import opened
from streams.rules import Facts, in_list, is_public, keeps_pictures, may_meet, met, status_of

_FOLLOWED_LOOKED_AT, _FOLLOWED_NAMED = 1000, 3


def moment(at_ms: int | None) -> datetime | None:
    """A time as JSON shows it."""
    return None if not at_ms else datetime.fromtimestamp(at_ms / 1000, UTC)


class Presenter:
    """Turns ids into models, for one gateway."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        settings = stores.settings
        base = settings.public_url or f"http://{settings.api_host}:{settings.api_port}"
        self._posts_url = f"{base.rstrip('/')}/api/v1/posts/"
        self._media_urls = MediaUrls(stores.settings)

    async def people(self, viewer_id: int | None, user_ids: Collection[int]) -> dict[int, models.Person]:
        """Those of ``user_ids`` whom the viewer may know of, with empty names where the account is not known."""
        (accounts, keys), facts = await asyncio.gather(
            self._accounts(user_ids), self._stores.relations.facts(viewer_id, user_ids)
        )
        return {user_id: person_of(user_id, accounts.get(user_id), keys) for user_id in met(facts, user_ids)}

    async def let_through(self, user_ids: Collection[int]) -> dict[int, models.Person]:
        """All of ``user_ids``, with empty names where the account is not known: for those of whom the rules said
        elsewhere that whoever reads it may know of them."""
        accounts, keys = await self._accounts(user_ids)
        return {user_id: person_of(user_id, accounts.get(user_id), keys) for user_id in user_ids}

    async def blocked(self, viewer_id: int, user_ids: Collection[int]) -> dict[int, models.Person]:
        """Those of ``user_ids`` whom the viewer blocks, so that they can be unblocked. Who blocks back, or went away,
        is not there for them, and comes without a name."""
        (accounts, keys), facts = await asyncio.gather(
            self._accounts(user_ids), self._stores.relations.facts(viewer_id, user_ids)
        )

        def nameless(user_id: int) -> bool:
            return facts.relation(user_id).blocked or facts.standing(user_id).gone

        return {
            user_id: person_of(user_id, None if nameless(user_id) else accounts.get(user_id), keys)
            for user_id in user_ids
            if facts.relation(user_id).blocks
        }

    async def profile(self, viewer_id: int | None, user_id: int, near: bool = True) -> models.Profile | None:
        """A person's page, as ``viewer_id`` (None for a stranger) sees it; None where there is no such account, or none
        that the viewer may know of. ``near``: the home feed in Redis may be asked."""
        stores = self._stores
        (accounts, keys), (followers, following), posts, facts, follows_back = await asyncio.gather(
            self._accounts([user_id]),
            self._follow_counts(user_id, near),
            stores.posts.count(user_id),
            stores.relations.facts(viewer_id, [user_id]),
            self._follows_back(viewer_id, user_id),
        )
        account = accounts.get(user_id)
        if account is None or not may_meet(facts, user_id):
            return None
        relation = facts.relation(user_id)
        you = models.Ties(
            follow=relation.follows, requested=relation.requested, mute=relation.mutes, followed_by=follows_back
        )
        return models.Profile(
            **person_of(user_id, account, keys).model_dump(),
            bio=opened(keys, user_id, account.bio),
            links=json.loads(opened(keys, user_id, account.links) or "[]"),
            picture=self.picture(account.picture, public=True) if account.picture else None,
            registered_at=datetime.fromtimestamp(account.registered_at / 1000, UTC),
            private=facts.standing(user_id).private,
            followers=followers,
            following=following,
            posts=posts,
            you=None if viewer_id in (None, user_id) else you,
        )

    async def _follows_back(self, viewer_id: int | None, user_id: int) -> bool:
        """Whether ``user_id`` follows the viewer, by the rules too."""
        if viewer_id in (None, user_id):
            return False
        assert viewer_id is not None  # noqa: S101 (said above)
        return (await self._stores.relations.facts(user_id, [viewer_id])).relation(viewer_id).follows

    async def public_posts(
        self, viewer_id: int | None, post_ids: Sequence[int], counted: bool = True
    ) -> dict[int, models.Post]:
        """Those of ``post_ids`` that a list may show to ``viewer_id``."""
        posts = [post for post in (await self._stores.posts.by_ids(post_ids)).values() if is_public(post)]
        shown, facts = await self._posts_and_facts(viewer_id, posts, counted)
        return {post.post_id: shown[post.post_id] for post in posts if in_list(post, facts)}

    async def _follow_counts(self, user_id: int, near: bool) -> tuple[int, int]:
        """Followers and followees: from Redis, or, where it is away or coming back, counted in Cassandra."""
        feed, follows = self._stores.home_feed, self._stores.follows
        if near:
            try:
                return await asyncio.gather(feed.follower_count(user_id), feed.following_count(user_id))
            except StoreAway:
                pass
        return await asyncio.gather(follows.follower_count(user_id), follows.following_count(user_id))

    async def posts(
        self, viewer_id: int | None, rows: Iterable[PostRow], counted: bool = True
    ) -> dict[int, models.Post]:
        """The posts in ``rows``, whoever may see them, with what ``viewer_id`` (None for a stranger) makes of them.

        ``counted``: the counters may be asked.
        """
        return (await self._posts_and_facts(viewer_id, list(rows), counted))[0]

    async def _posts_and_facts(
        self, viewer_id: int | None, posts: Sequence[PostRow], counted: bool
    ) -> tuple[dict[int, models.Post], Facts]:
        authors = {post.author_id for post in posts}
        named = {user_id for post in posts for user_id in (*post.mentions, *post.tagged)}
        (accounts, keys), people, counts, facts = await asyncio.gather(
            self._accounts(authors),
            self._named(viewer_id, named),
            self._counts([post.post_id for post in posts] if counted else [], viewer_id),
            self._stores.relations.facts(viewer_id, authors),
        )
        shown = {
            post.post_id: self.post(
                post,
                person_of(post.author_id, accounts.get(post.author_id), keys),
                keys,
                counts.get(post.post_id),
                people,
                public=is_public(post) and not keeps_pictures(facts.standing(post.author_id)),
            )
            for post in posts
        }
        return shown, facts

    async def liked_by_followed(self, viewer_id: int, post_id: int) -> list[models.Person]:
        """A few of those whom the viewer follows who like the post, by id; of their first 1,000, which is enough to
        name some."""
        following = await self._stores.follows.following(viewer_id, 0, _FOLLOWED_LOOKED_AT)
        if not following:
            return []
        found = await self._stores.likes.among(post_id, following, 2 * _FOLLOWED_NAMED)
        return list((await self._named(viewer_id, found)).values())[:_FOLLOWED_NAMED]

    async def _named(self, viewer_id: int | None, user_ids: Collection[int]) -> dict[int, models.Person]:
        """Those of ``user_ids`` whom the viewer may know of; most posts name nobody, and nothing is asked then."""
        return await self.people(viewer_id, user_ids) if user_ids else {}

    async def _counts(self, post_ids: Sequence[int], viewer_id: int | None) -> dict[int, PostCounts]:
        """Empty while the counters are away or coming back: no number is better than a wrong one."""
        if not post_ids:
            return {}
        try:
            return await self._stores.counters.posts(post_ids, viewer_id)
        except StoreAway:
            return {}

    async def comments(
        self,
        viewer_id: int | None,
        post_id: int,
        rows: Sequence[CommentRow],
        pinned: Collection[int] = (),
        counted: bool = True,
    ) -> list[models.Comment]:
        """The comments in ``rows``, of one post that the viewer sees, by people of whom they may know. ``pinned`` names
        those that are."""
        people = {row.user_id for row in rows}
        named = {user_id for row in rows for user_id in row.mentions}
        (accounts, keys), mentioned, facts, replies = await asyncio.gather(
            self._accounts(people),
            self._named(viewer_id, named),
            self._stores.relations.facts(viewer_id, people),
            self._replies(post_id, [row.comment_id for row in rows if not row.parent_id] if counted else []),
        )
        return [
            models.Comment(
                id=str(row.comment_id),
                post_id=str(post_id),
                parent_id=str(row.parent_id) if row.parent_id else None,
                author=person_of(row.user_id, accounts.get(row.user_id), keys),
                text=opened(keys, row.user_id, row.text),
                mentions=[mentioned[user_id] for user_id in row.mentions if user_id in mentioned],
                at=moment(row.commented_at),
                pinned=row.comment_id in pinned,
                reply_count=0 if row.parent_id else replies.get(row.comment_id),
            )
            for row in rows
            if may_meet(facts, row.user_id)
        ]

    async def _replies(self, post_id: int, comment_ids: Sequence[int]) -> dict[int, int]:
        """Empty while the counters are away or coming back."""
        if not comment_ids:
            return {}
        try:
            return await self._stores.counters.replies(post_id, comment_ids)
        except StoreAway:
            return {}

    def post_url(self, post_id: int) -> str:
        """Where a post is found by whoever may see it."""
        return f"{self._posts_url}{post_id}"

    def media(self, row: MediaRow) -> models.Media:
        """An upload's state."""
        picture = self.picture(row.rendered, public=False) if row.rendered else None
        return models.Media(
            media_id=str(row.media_id), status=row.status, picture=picture, code=row.code, reason=row.reason
        )

    async def _accounts(self, user_ids: Collection[int]) -> tuple[dict[int, AccountRow], dict[int, bytes]]:
        if not user_ids:
            return {}, {}
        asked = list(user_ids)
        return await asyncio.gather(self._stores.accounts.by_ids(asked), self._stores.keys.get_many(asked))

    def post(
        self,
        post: PostRow,
        author: models.Person,
        keys: dict[int, bytes],
        counts: PostCounts | None,
        people: Mapping[int, models.Person],
        *,
        public: bool,
    ) -> models.Post:
        """The post in one row, with what was loaded for it; ``public`` where anybody may see its pictures."""
        return models.Post(
            id=str(post.post_id),
            author=author,
            status=status_of(post),
            caption=opened(keys, post.author_id, post.caption),
            media_ids=[str(media_id) for media_id in post.media_ids],
            media=[self.picture(media, public=public) for media in post.media],
            submitted_at=moment(post.submitted_at),
            published_at=moment(post.published_at),
            edited_at=moment(post.edited_at),
            code=post.rejected_code if post.published_at is None else None,
            reason=post.rejected_reason if post.published_at is None else None,
            mentions=[people[user_id] for user_id in post.mentions if user_id in people],
            tagged=[people[user_id] for user_id in post.tagged if user_id in people],
            hashtags=list(post.hashtags),
            place=post.place,
            like_count=counts.likes if counts else None,
            liked_by_me=counts.liked if counts else None,
            comment_count=counts.comments if counts else None,
            share_count=counts.shares if counts else None,
            saved_by_me=counts.saved if counts else None,
        )

    def picture(self, media: RenderedMedia, *, public: bool, until: int | None = None) -> models.Picture:
        """A picture with the addresses of its renditions; ``public`` where anybody may see it. The addresses end
        at ``until``, in seconds since 1970, at the latest."""
        address = partial(self._media_urls.of, public=public, until=until)
        return models.Picture(
            media_id=str(media.media_id),
            width=media.width,
            height=media.height,
            blurhash=media.blurhash,
            average_color=media.average_color,
            renditions=[
                models.Rendition(name=r.name, width=r.width, height=r.height, bytes=r.bytes, url=address(r.key))
                for r in media.renditions
            ],
        )


def person_of(user_id: int, account: AccountRow | None, keys: dict[int, bytes]) -> models.Person:
    """A person, with empty names where the account is not known or its key gone."""
    if account is None:
        return models.Person(id=str(user_id), username="", name="")
    return models.Person(
        id=str(user_id),
        username=opened(keys, user_id, account.username),
        name=opened(keys, user_id, account.name),
        verified=account.verified,
    )
