"""The search index against the log: who and what can be found, and what the index says of it.

Documents hold personal text as digests; here these are made from the log's events, opened with the same keys, and by
counting anew. Some people are looked for as well, as a reader would.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncIterator, Iterator

from jobs.verify_differences import Differences
from jobs.verify_fold import Fold
from sinks.person_keys import PersonKeys
from sinks.sealing import opened
from sinks.search_reader import SearchReader
from sinks.search_tiers import EXACT

_LOOKED_FOR = 500
_KEYS_AT_ONCE = 5000
_NEWEST, _AUTHORS = 64, 8


async def compare(fold: Fold, reader: SearchReader, keys: PersonKeys) -> Differences:
    """Every document. Raises ``StoreAway``."""
    opening = _Opening(keys)
    wanted = {f"u:{user_id}": said async for user_id, said, _ in opening.people(fold)}
    wanted |= {f"p:{post_id}": said async for post_id, said in opening.posts(fold)}
    wanted |= dict(_names(fold))
    stored = await asyncio.to_thread(lambda: [one for one in reader.everything() if not one[0].startswith("g:")])
    found = Differences(checked=len(wanted))
    index = dict(stored)
    if len(index) != len(stored):
        found.add(("search", "twice"), f"{len(stored) - len(index):,} documents stand in the index twice")
    for key in wanted.keys() | index.keys():
        if wanted.get(key) != index.get(key):
            found.add(("search", _subject(key)), f"{key} {_unlike(key in wanted, key in index)}")
    await _look_for(fold, reader, opening, found)
    return found


def _unlike(wanted: bool, there: bool) -> str:
    if wanted and there:
        return "does not say in the index what the log says"
    return "is missing in the index" if wanted else "can be found, and by the log it cannot"


def _subject(key: str) -> int | str:
    return int(key[2:]) if key[:2] in ("u:", "p:") else key


async def _look_for(fold: Fold, reader: SearchReader, opening: _Opening, found: Differences) -> None:
    """Some people by their usernames."""
    every = max(len(fold.accounts) // _LOOKED_FOR, 1)
    n = 0
    async for user_id, _, username in opening.people(fold):
        n += 1
        if n % every == 0 and len(username) <= 20:
            hits = await reader.people(username, [], None, 5)
            if (EXACT, f"u:{user_id}") not in {(hit.tier, hit.key) for hit in hits}:
                found.add(("search", user_id, "by name"), f"u:{user_id} is not found by the username")


class _Opening:
    def __init__(self, keys: PersonKeys) -> None:
        self._keys = keys

    async def people(self, fold: Fold) -> AsyncIterator[tuple[int, str, str]]:
        """Id, what the index has to say, username."""
        followers: dict[int, int] = {}
        for _, followee, _ in fold.follows():
            followers[followee] = followers.get(followee, 0) + 1
        ids = [user_id for user_id in fold.accounts if not _is_gone(fold, user_id)]
        for start in range(0, len(ids), _KEYS_AT_ONCE):
            some = ids[start : start + _KEYS_AT_ONCE]
            keys = await self._keys.get_many(some)
            for user_id in some:
                account = fold.accounts[user_id]
                username = opened(keys, user_id, account.username)
                if username:
                    name = opened(keys, user_id, account.name)
                    popular = min(int(2 * math.log2(followers.get(user_id, 0) + 1)), 255)
                    yield user_id, _digest(username, name, str(int(bool(account.verified))), str(popular)), username

    async def posts(self, fold: Fold) -> AsyncIterator[tuple[int, str]]:
        """Id, what the index has to say."""
        ids = [n for n, post in fold.posts.items() if post.is_shown and not _is_gone(fold, post.author_id)]
        for start in range(0, len(ids), _KEYS_AT_ONCE):
            some = ids[start : start + _KEYS_AT_ONCE]
            keys = await self._keys.get_many({fold.posts[post_id].author_id for post_id in some})
            for post_id in some:
                post = fold.posts[post_id]
                caption = opened(keys, post.author_id, post.caption)
                if caption:
                    yield post_id, _digest(str(post.author_id), caption)


def _names(fold: Fold) -> Iterator[tuple[str, str]]:
    """Hashtags and places of posts that anybody may see."""
    posts: dict[str, list[int]] = {}
    for post_id, post in fold.posts.items():
        changes = fold.graph.privacy.get(post.author_id)
        private = bool(changes and changes[-1][0])
        if post.is_shown and post.tags and not private and not _is_gone(fold, post.author_id):
            _, _, hashtags, place = post.tags
            for name in {*(f"t:{tag}" for tag in hashtags), *([f"l:{place}"] if place else [])}:
                posts.setdefault(name, []).append(post_id)
    for name, ids in posts.items():
        newest = sorted(ids, reverse=True)[:_NEWEST]
        authors = list(dict.fromkeys(fold.posts[post_id].author_id for post_id in newest))[:_AUTHORS]
        yield name, json.dumps([len(ids), *authors])


def _is_gone(fold: Fold, user_id: int) -> bool:
    account = fold.accounts.get(user_id)
    return account is not None and bool(account.deactivated or account.erased)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()
