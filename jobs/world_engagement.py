"""What people do with posts besides liking them while a simulated world runs: comments, saves, shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from jobs.world import World
from jobs.world_follows import Follows
from jobs.world_likes import Post, about
from schemas.events import (
    CollectionDeleted,
    CollectionMade,
    CollectionRenamed,
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
    Event,
    PostSaved,
    PostShared,
    PostUnsaved,
)

REPLY_SHARE = 0.3
MENTION_SHARE = 0.12
"""Comments that name somebody: the author, somebody whom the writer follows, who commented the post before."""
COLLECTED_SHARE = 0.7
"""Saves into a collection, by those who have one."""
CROSSED_SHARE = 0.02
"""Comments and saves that come after the deletion of their post, or a second time after their own."""
_FRESH = 50
_REMEMBERED = 400


class Comment(NamedTuple):
    """A comment of the world; ``parent`` is 0 for none."""

    comment_id: int
    post: Post
    user: int
    parent: int
    parent_user: int
    mentions: tuple[int, ...] = ()


class Engagement:
    """Most comments are on the newest posts and reply to the newest comments, so that some cross their deletion."""

    def __init__(self, world: World, follows: Follows) -> None:
        self._world, self._random, self._ids = world, world.random, world.ids
        self._follows = follows
        self._comments: list[Comment] = []
        """The newest that stand."""
        self._gone: list[CommentAdded] = []
        self._saved: list[tuple[int, Post]] = []
        self._pinned: list[Comment] = []
        self._collections: list[tuple[int, int]] = []
        """(collection, owner) of the newest."""

    def event(self, kind: str, user: int, alive: Sequence[Post], dead: Sequence[Post]) -> Event | None:
        """What ``user`` does of ``kind``; None where there is nothing to do it to."""
        match kind:
            case "comment":
                return self._comment(user, alive, dead)
            case "uncomment":
                return self._uncomment()
            case "pin":
                return self._pin(alive)
            case "unsave":
                return self._unsave()
            case "collection":
                return self._collection(user)
        post = self._post(alive, dead)
        if post is None:
            return None
        if kind == "share":
            return PostShared(**self._by(user, post), **about(post))
        own = [one for one, owner in self._collections if owner == user]
        into = self._random.choice(own) if own and self._random.random() < COLLECTED_SHARE else 0
        self._saved.append((user, post))
        return PostSaved(**self._by(user, post), **about(post), collection_id=into)

    def _by(self, user: int, post: Post) -> dict[str, Any]:
        event_id = self._ids.next()
        return {
            "event_id": event_id,
            "at": self._ids.at,
            "actor_id": user,
            "post_id": post.post_id,
            "author_id": post.author,
        }

    def _post(self, alive: Sequence[Post], dead: Sequence[Post]) -> Post | None:
        random = self._random
        if dead and random.random() < CROSSED_SHARE:
            return random.choice(dead)
        if not alive:
            return None
        newest = random.random() < 0.7
        return alive[-1 - random.randrange(min(_FRESH, len(alive)))] if newest else random.choice(alive)

    def _comment(self, user: int, alive: Sequence[Post], dead: Sequence[Post]) -> Event | None:
        random = self._random
        if self._gone and random.random() < CROSSED_SHARE:
            again = random.choice(self._gone)  # a client that tries again what is deleted by now
            event_id = self._ids.next()
            return msgspec.structs.replace(again, event_id=event_id, at=self._ids.at)
        above = [one for one in self._comments[-_FRESH:] if not one.parent] if random.random() < REPLY_SHARE else []
        parent = random.choice(above) if above else None
        post = parent.post if parent else self._post(alive, dead)
        if post is None:
            return None
        base = self._by(user, post)
        comment_id = base["event_id"]
        above_it = (parent.comment_id, parent.user) if parent else (0, 0)
        mentions = self._mentioned(user, post)
        made = Comment(comment_id, post, user, *above_it, tuple(mentions))
        self._comments.append(made)
        del self._comments[:-_REMEMBERED]
        text = self._world.said(1, 8, (), mentions)
        return CommentAdded(
            **base,
            comment_id=comment_id,
            parent_id=made.parent,
            parent_author_id=made.parent_user,
            mentions=mentions,
            post_hashtags=list(post.hashtags),
            place=post.place,
            text=self._world.sealed(user, comment_id, "comment", text),
        )

    def _mentioned(self, user: int, post: Post) -> list[int]:
        """One or two people, each once; in no comment without a mention."""
        random = self._random
        if random.random() >= MENTION_SHARE:
            return []
        near = [post.author]
        friend = self._follows.friend(self._world.number_of(user))
        if friend is not None:
            near.append(self._world.people[friend])
        commenters = [one.user for one in self._comments if one.post.post_id == post.post_id]
        if commenters:
            near.append(random.choice(commenters))
        return list(dict.fromkeys(random.choices(near, k=random.choice((1, 1, 2)))))

    def _uncomment(self) -> Event | None:
        if not self._comments:
            return None
        one = self._comments.pop(self._random.randrange(len(self._comments)))
        by = one.user if self._random.random() < 0.7 else one.post.author
        if len(self._gone) < _REMEMBERED:
            text = self._world.sealed(one.user, one.comment_id, "comment again", "again")
            place: dict[str, Any] = {
                "comment_id": one.comment_id,
                "parent_id": one.parent,
                "parent_author_id": one.parent_user,
            }
            self._gone.append(CommentAdded(**self._by(one.user, one.post), **place, text=text))
        replies = [other for other in self._comments if other.parent == one.comment_id]
        return CommentDeleted(
            **self._by(by, one.post),
            **about(one.post),
            comment_id=one.comment_id,
            parent_id=one.parent,
            parent_author_id=one.parent_user,
            commenter_id=one.user,
            mentions=list(dict.fromkeys(person for said in (one, *replies) for person in said.mentions)),
            replied=bool(replies),
        )

    def _pin(self, alive: Sequence[Post]) -> Event | None:
        random = self._random
        above = [one for one in self._comments if not one.parent]
        which = random.random()
        if which < 0.5 and above:
            one = random.choice(above)
            self._pinned.append(one)
            return CommentPinned(**self._by(one.post.author, one.post), comment_id=one.comment_id)
        if which < 0.7 and self._pinned:
            one = self._pinned.pop()
            return CommentUnpinned(**self._by(one.post.author, one.post), comment_id=one.comment_id)
        if not alive:
            return None
        post = random.choice(alive)
        return (CommentsDisabled if which < 0.85 else CommentsEnabled)(**self._by(post.author, post))

    def _collection(self, user: int) -> Event:
        which = self._random.random()
        if which < 0.4 and self._collections:
            place = self._random.randrange(len(self._collections))
            collection, owner = self._collections[place]
        else:
            collection, owner, place = 0, user, -1
        event_id = self._ids.next()
        by: dict[str, Any] = {"event_id": event_id, "at": self._ids.at, "actor_id": owner, "owner_id": owner}
        if collection and which < 0.15:
            del self._collections[place]
            return CollectionDeleted(**by, collection_id=collection)
        name = self._world.sealed(owner, event_id, "collection", self._world.words(1))
        if collection:
            return CollectionRenamed(**by, collection_id=collection, name=name)
        self._collections.append((event_id, owner))
        del self._collections[:-_REMEMBERED]
        return CollectionMade(**by, collection_id=event_id, name=name)

    def _unsave(self) -> Event | None:
        if not self._saved:
            return None
        user, post = self._saved.pop(self._random.randrange(len(self._saved)))
        return PostUnsaved(**self._by(user, post), **about(post))
