"""The erased, by the fold of the log: nothing that they did may stand, and nothing may be left of them outside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from jobs.verify_differences import Differences
from jobs.verify_fold import Fold
from sinks.cassandra import Cassandra, in_chunks
from sinks.erasure import SCANNED, Leftovers
from sinks.object_store import ObjectStore
from sinks.sessions import Sessions

_BY_PERSON = ("person_keys", "credentials", "push_subscriptions", "person_sessions")


def erased(fold: Fold) -> set[int]:
    """Everybody who is erased."""
    return {user_id for user_id, account in fold.accounts.items() if account.erased}


def standing(fold: Fold) -> Iterator[tuple[str, str]]:
    """(who, why) for everybody who is erased, and of whom the log leaves anything standing."""
    gone = erased(fold)
    if not gone:
        return
    found: Counter[tuple[int, str]] = Counter()
    for person, what in chain(_of_graph(fold), _of_posts(fold), _of_stories(fold)):
        if person in gone:
            found[person, what] += 1
    for user_id in gone:
        account = fold.accounts[user_id]
        if account.name is not None or account.username is not None or account.picture is not None:
            found[user_id, "profile"] += 1
    for (user_id, what), count in sorted(found.items()):
        yield f"person {user_id}", f"erased, and {count:,} of theirs stands in the log: {what}"


def _of_graph(fold: Fold) -> Iterator[tuple[int, str]]:
    for follower, followee, _ in fold.follows():
        yield follower, "follow"
        yield followee, "follower"
    for follower, followee in fold.graph.requests:
        yield follower, "request"
        yield followee, "request of others"
    for user_id, _, other in fold.graph.ties:
        yield user_id, "block or mute"
        yield other, "block or mute of others"


def _of_posts(fold: Fold) -> Iterator[tuple[int, str]]:
    said = fold.engagement
    yield from ((liker, "like") for likers in fold.likes.values() for liker in likers)
    yield from ((user, "save") for (user, _), kept in said.saves.items() if kept)
    yield from ((user, "share") for users in said.shares.values() for user in users)
    yield from ((one.user_id, "comment") for one in said.comments.values() if one.said and not one.wiped)
    yield from ((owner, "collection") for (owner, _), (_, _, gone) in said.collections.items() if not gone)
    for post in fold.posts.values():
        if not (post.deleted and post.wiped and post.unpictured):
            yield post.author_id, "post"
    yield from ((media.owner_id, "media") for media in fold.media.values() if not media.purged or media.shown)


def _of_stories(fold: Fold) -> Iterator[tuple[int, str]]:
    said = fold.stories
    for story in said.stories.values():
        if story.deleted is None or story.published is not None:
            yield story.author_id, "story"
    yield from ((viewer, "story view") for _, viewer in said.views)
    yield from ((viewer, "story reaction") for _, viewer in said.reactions)
    yield from ((author, "highlight") for (author, _), (_, _, gone) in said.highlights.items() if not gone)
    yield from ((event.author_id, "highlighted story") for event in said.kept.values())


async def leftovers(fold: Fold, cassandra: Cassandra, objects: ObjectStore) -> Differences:
    """What gateways keep of the erased, and their files. Raises ``StoreAway``."""
    gone = erased(fold)
    differences = Differences(checked=len(gone))
    if not gone:
        return differences
    for table in _BY_PERSON:
        for row in await in_chunks(cassandra, f"SELECT user_id FROM {table} WHERE user_id IN ?", gone):  # noqa: S608
            differences.add((table, row.user_id), f"person {row.user_id} is erased, and has a row in {table}")
    kept_of = Leftovers(cassandra, Sessions(cassandra, seconds=1))
    for kept in SCANNED:
        for row in await kept_of.found(kept, gone):
            owner = getattr(row, kept.owner)
            differences.add((kept.table, row[0]), f"person {owner} is erased, and has a row in {kept.table}")
    for user_id in sorted(gone):
        async for key in objects.list_keys(str(user_id)):
            differences.add(("object", key), f"person {user_id} is erased, and {key} is in the object store")
    shown = {one.key for media in fold.media.values() if media.shown for one in media.shown.renditions}
    hidden = {one.key for media in fold.media.values() if media.rendered for one in media.rendered.renditions} - shown
    for key in sorted(hidden):
        if await objects.exists(key):
            differences.add(("object", key), f"{key} is in the object store, and only files that are gone had it")
    return differences
