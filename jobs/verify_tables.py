"""The views in Cassandra, row by row against the fold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from jobs.verify_differences import Differences, compare
from jobs.verify_engagement import Comment
from jobs.verify_fold import Fold
from jobs.verify_notifications import notifications
from jobs.verify_stories import SOON_MS, stories, story_views
from sinks.cassandra import Cassandra
from sinks.generations import now_ms
from sinks.scans import COLUMNS, media_list_of, media_of, scan_table
from sinks.view_tables import TABLES

Key = tuple[int, ...]
Values = tuple[object, ...]
_SEEN_MS = 30 * 86_400_000


async def accounts(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Who is registered, and what their profile says."""
    differences = Differences()
    expected: dict[Key, Values] = {
        (user_id,): (
            account.username,
            account.name,
            account.bio,
            account.registered_at,
            account.links,
            account.picture,
            account.deactivated,
            account.role,
            account.verified,
            account.erased,
        )
        for user_id, account in fold.accounts.items()
    }

    def values(row: Any) -> Values:
        said = (row.username, row.name, row.bio, row.registered_at, row.links, media_list_of(row.picture))
        return (*said, row.deactivated, row.role, row.verified, row.erased)

    rows = _rows(cassandra, generation, "accounts", values)
    await compare(differences, "accounts", COLUMNS["accounts"], expected, rows)
    return differences


async def follows(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Follows and requests both ways, ties, and each person's changes of privacy."""
    differences, graph = Differences(), fold.graph

    async def table(name: str, expected: dict[Key, Values]) -> None:
        await compare(differences, name, COLUMNS[name], expected, _rows(cassandra, generation, name))

    pairs = {(a, b): since for a, b, since in fold.follows()}
    await table("following", {pair: (since, (pair in graph.approved) or None) for pair, since in pairs.items()})
    await table("followers", {(b, a): (since,) for (a, b), since in pairs.items()})
    await table("requested", {pair: (since,) for pair, since in graph.requests.items()})
    await table("requests", {(b, a): (since,) for (a, b), since in graph.requests.items()})
    await table("ties", {key: (since,) for key, since in graph.ties.items()})
    await _privacy(differences, fold, cassandra, generation)
    return differences


async def _privacy(differences: Differences, fold: Fold, cassandra: Cassandra, generation: int) -> None:
    """Rows are named by the offsets of their records: what counts is each person's changes, in their order."""
    held: dict[int, list[tuple[int, bool, int]]] = {}
    async for row in scan_table(cassandra, "privacy", generation):
        held.setdefault(row.user_id, []).append((row.changed_offset, row.private, row.changed_at))

    async def changes() -> AsyncIterator[tuple[Key, Values]]:
        for user_id, rows in held.items():
            yield (user_id,), (tuple((private, at) for _, private, at in sorted(rows)),)

    expected: dict[Key, Values] = {(user_id,): (tuple(told),) for user_id, told in fold.graph.privacy.items()}
    await compare(differences, "privacy", ("changes",), expected, changes())


async def posts(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Posts and media, every column."""
    differences = Differences()
    expected: dict[Key, Values] = {
        (post_id,): (
            post.author_id,
            post.media_ids,
            None if post.wiped else post.caption,
            *(post.tags if post.tags and not post.wiped else (None, None, None, None)),
            post.submitted_at,
            post.edited_at,
            post.published_at,
            None if post.unpictured else post.media,
            *(post.rejected or (None, None)),
            post.deleted,
        )
        for post_id, post in fold.posts.items()
    }

    def post_values(row: Any) -> Values:
        ids = None if row.media_ids is None else list(row.media_ids)
        lists = (None if part is None else list(part) for part in (row.mentions, row.tagged, row.hashtags))
        said = (
            row.caption,
            *lists,
            row.place,
            row.submitted_at,
            row.edited_at,
            row.published_at,
            media_list_of(row.media),
        )
        return (row.author_id, ids, *said, row.rejected_code, row.rejected_reason, bool(row.deleted))

    await compare(differences, "posts", COLUMNS["posts"], expected, _rows(cassandra, generation, "posts", post_values))
    expected = {
        (media_id,): (media.owner_id, media.uploaded_at, media.shown, *(media.rejected or (None, None)))
        for media_id, media in fold.media.items()
    }

    def media_values(row: Any) -> Values:
        return (row.owner_id, row.uploaded_at, media_of(row.rendered), row.code, row.reason)

    await compare(differences, "media", COLUMNS["media"], expected, _rows(cassandra, generation, "media", media_values))
    return differences


async def user_posts(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Which posts each profile shows; rows that readers pass over count as absent."""
    differences = Differences()
    shown = fold.shown_by_author()
    expected: dict[Key, Values] = {(author, post): (True,) for author, ids in shown.items() for post in ids}

    async def shown_rows() -> AsyncIterator[tuple[Key, Values]]:
        async for row in scan_table(cassandra, "user_posts", generation):
            if row.published and not row.deleted:
                yield (row.author_id, row.post_id), (True,)

    await compare(differences, "user_posts", ("shown",), expected, shown_rows())
    return differences


async def tagged_posts(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Which posts ever named what; whether they still do, readers ask of the posts themselves."""
    differences = Differences()
    expected: dict[tuple[str, int], Values] = {
        (name, post_id): (post.author_id,) for post_id, post in fold.posts.items() for name in post.ever_named
    }

    async def rows() -> AsyncIterator[tuple[tuple[str, int], Values]]:
        async for row in scan_table(cassandra, "tagged_posts", generation):
            yield (row.name, row.post_id), (row.author_id,)

    await compare(differences, "tagged_posts", COLUMNS["tagged_posts"], expected, rows())
    return differences


async def seen_posts(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """What everybody saw lately; what is about to end may or may not be there any more."""
    differences, horizon = Differences(), now_ms() + SOON_MS
    expected: dict[Key, Values] = {key: (at, at + _SEEN_MS) for key, at in fold.seen.items() if at + _SEEN_MS > horizon}

    async def rows() -> AsyncIterator[tuple[Key, Values]]:
        async for row in scan_table(cassandra, "seen_posts", generation):
            if row.expires_at > horizon:
                yield (row.viewer_id, row.post_id), (row.seen_at, row.expires_at)

    await compare(differences, "seen_posts", COLUMNS["seen_posts"], expected, rows())
    return differences


async def likes(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Who likes what. The rows of deleted posts stay, and nobody is shown them."""
    differences = Differences()
    expected: dict[Key, Values] = {
        (post, user): (at,) for post, likers in fold.likes.items() for user, at in likers.items()
    }
    await compare(differences, "likes", COLUMNS["likes"], expected, _rows(cassandra, generation, "likes"))
    return differences


async def comments(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Comments and where they stand, what is pinned, and which posts may not be commented."""
    differences, said = Differences(), fold.engagement

    def comment_values(row: Any) -> Values:
        lists = (None if column is None else list(column) for column in (row.mentions, row.hashtags))
        return (row.user_id, row.text, row.commented_at, *lists, row.spam, bool(row.deleted))

    def expected_of(one: Comment) -> Values:
        if one.said is None:
            return (None, None, None, None, None, None, one.deleted)
        words = one.said
        text, mentions, tags = (None, None, None) if one.wiped else (words.text, words.mentions, words.hashtags)
        return (one.user_id, text, words.at, mentions, tags, words.spam, one.deleted)

    expected: dict[str, dict[Key, Values]] = {
        "comments": {(c.post_id, c.parent_id, number): expected_of(c) for number, c in said.comments.items()},
        "comment_places": {
            (number,): (c.post_id, c.parent_id, c.author_id, c.user_id) for number, c in said.comments.items()
        },
        "comment_pins": {key: (at,) for key, at in said.pins.items()},
        "comment_switches": {(post,): (disabled,) for post, disabled in said.disabled.items()},
    }
    for table, rows in expected.items():
        found = _rows(cassandra, generation, table, comment_values if table == "comments" else None)
        await compare(differences, table, COLUMNS[table], rows, found)
    return differences


async def saves(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """What people keep, and their collections."""
    differences, said = Differences(), fold.engagement
    expected: dict[Key, Values] = {
        (user, post, collection): (at,) for (user, post), kept in said.saves.items() for collection, at in kept.items()
    }
    await compare(differences, "saves", COLUMNS["saves"], expected, _rows(cassandra, generation, "saves"))
    expected = dict(said.collections.items())

    def values(row: Any) -> Values:
        return (row.name, row.made_at, bool(row.deleted))

    rows = _rows(cassandra, generation, "collections", values)
    await compare(differences, "collections", COLUMNS["collections"], expected, rows)
    return differences


TABLE_VIEWS: dict[str, Callable[[Fold, Cassandra, int], Awaitable[Differences]]] = {
    "accounts": accounts,
    "follows": follows,
    "posts": posts,
    "user_posts": user_posts,
    "notifications": notifications,
    "tagged_posts": tagged_posts,
    "seen_posts": seen_posts,
    "likes": likes,
    "comments": comments,
    "saves": saves,
    "stories": lambda fold, cassandra, generation: stories(fold.stories, cassandra, generation),
    "story_views": lambda fold, cassandra, generation: story_views(fold.stories, cassandra, generation),
}


async def _rows(
    cassandra: Cassandra, generation: int, table: str, values: Callable[[Any], Values] | None = None
) -> AsyncIterator[tuple[Key, Values]]:
    width = len(TABLES[table].key)
    async for row in scan_table(cassandra, table, generation):
        yield tuple(row[:width]), tuple(row[width:]) if values is None else values(row)
