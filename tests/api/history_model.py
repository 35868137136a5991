"""What ought to be after any history of people's doings: sets and plain rules, written apart from the product.

People, posts, comments and collections are ids. Every deed says which status it has to be answered with; what people
are then shown is in ``history_reads``. ``None`` is a stranger without an account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PINNED_AT_MOST = 3
Two = tuple[str, str]
Viewer = str | None


class Said(NamedTuple):
    """A comment that was not deleted; its ``parent`` may have been."""

    post: str
    by: str
    parent: str
    mentions: tuple[str, ...]


class Group(NamedTuple):
    """What ``recipient`` is told together."""

    recipient: str
    kind: str
    target: str
    post: str


class Model:
    """The state, and what each deed makes of it."""

    def __init__(self, people: list[str]) -> None:
        self.people = people
        self.private: set[str] = set()
        self.away: set[str] = set()
        self.erased: set[str] = set()
        self.follows: set[Two] = set()
        self.asks: set[Two] = set()
        self.blocks: set[Two] = set()
        self.mutes: set[Two] = set()
        self.likes: set[Two] = set()
        """(person, post), as all pairs of a person and a post."""
        self.shares: set[Two] = set()
        self.saves: set[Two] = set()
        self.posts: dict[str, str] = {}
        """Post → author, of those that stand."""
        self.named: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        """Post → whom its caption mentions, and who is tagged."""
        self.comments: dict[str, Said] = {}
        self.pins: set[str] = set()
        self.disabled: set[str] = set()
        self.collections: dict[str, str] = {}
        """Collection → owner, of those that stand."""
        self.collected: set[Two] = set()
        """(collection, post)."""
        self.causes: dict[Group, dict[tuple[str, str], int]] = {}
        """Group → (actor, comment) → when, counted."""
        self.told_last: dict[Group, int] = {}
        self.seen_up_to: dict[str, int] = {}
        self.silenced: set[Two] = set()
        """(person, kind)."""
        self.clock = 0

    # -- who may what -------------------------------------------------------------------------------------------------

    def hidden(self, a: Viewer, b: str) -> bool:
        """Whether ``a`` is to find no trace of ``b``."""
        return a != b and (b in self.away | self.erased or bool({(a, b), (b, a)} & self.blocks))

    def open(self, a: Viewer, b: str) -> bool:
        """Whether ``a`` sees what ``b`` posts."""
        return a == b or (not self.hidden(a, b) and (b not in self.private or (a, b) in self.follows))

    def opens(self, a: Viewer, post: str) -> bool:
        return post in self.posts and self.open(a, self.posts[post])

    def stands(self, comment: str) -> bool:
        said = self.comments.get(comment)
        return said is not None and said.post in self.posts and (not said.parent or said.parent in self.comments)

    def opens_comment(self, a: Viewer, comment: str) -> bool:
        """Whether ``a`` finds the comment; under one's own post one finds all."""
        if not self.stands(comment):
            return False
        said = self.comments[comment]
        if not self.opens(a, said.post):
            return False
        return a == self.posts[said.post] or not any(self.hidden(a, one) for one in self.writers(comment))

    def writers(self, comment: str) -> list[str]:
        """Who wrote it, and what it replies to."""
        said = self.comments[comment]
        return [said.by, *([self.comments[said.parent].by] if said.parent else [])]

    def under(self, post: str, parent: str = "") -> Iterator[str]:
        """The comments that stand directly under ``parent``, or under the post."""
        return (one for one, said in self.comments.items() if (said.post, said.parent) == (post, parent))

    def comment_count(self, post: str) -> int:
        return sum(said.post == post and self.stands(one) for one, said in self.comments.items())

    # -- deeds between two people -------------------------------------------------------------------------------------

    def do(self, what: str, a: str, b: str) -> int:
        """Something that ``a`` does to the person ``b``."""
        if self.hidden(a, b) and not (what in ("block", "unblock", "mute", "unmute") and (a, b) in self.blocks):
            return 404
        match what:
            case "follow":
                self._follow(a, b)
            case "unfollow":
                self._end(a, b)
            case "approve" | "reject":
                if (b, a) not in self.asks:
                    return 404
                if what == "approve":
                    self._approve(b, a)
                else:
                    self.asks.discard((b, a))
                    self.untell(Group(a, "request", "", ""), b)
            case "remove":
                self._end(b, a)
            case "block":
                self.blocks.add((a, b))
                self._end(a, b)
                self._end(b, a)
                for liker, post in [one for one in self.likes if {one[0], self.posts.get(one[1])} == {a, b}]:
                    self._unlike(liker, post)
            case "unblock":
                self.blocks.discard((a, b))
            case "mute":
                self.mutes.add((a, b))
            case "unmute":
                self.mutes.discard((a, b))
        return 200

    def _follow(self, a: str, b: str) -> None:
        if b not in self.private:
            self.follows.add((a, b))
            self.tell(Group(b, "follow", "", ""), a)
            return
        if (a, b) in self.follows:
            return
        self.asks.add((a, b))
        self.tell(Group(b, "request", "", ""), a)

    def _approve(self, a: str, b: str) -> None:
        self.asks.discard((a, b))
        self.follows.add((a, b))
        self.untell(Group(b, "request", "", ""), a)
        self.tell(Group(a, "approval", "", ""), b)

    def _end(self, a: str, b: str) -> None:
        self.follows.discard((a, b))
        self.asks.discard((a, b))
        self.untell(Group(b, "follow", "", ""), a)
        self.untell(Group(b, "request", "", ""), a)
        self.untell(Group(a, "approval", "", ""), b)

    def change_privacy(self, a: str, private: bool) -> None:
        (self.private.add if private else self.private.discard)(a)
        if not private:
            for follower, _ in sorted(two for two in self.asks if two[1] == a):
                self._approve(follower, a)

    def erase(self, a: str, newcomer: str) -> None:
        """``a`` is gone, with all they did and all that was done to them; somebody new is there."""
        self.people[self.people.index(a)] = newcomer
        self.erased.add(a)
        for b in {one for two in self.follows | self.asks if a in two for one in two} - {a}:
            self._end(a, b)
            self._end(b, a)
        for post in [post for liker, post in self.likes if liker == a and post in self.posts]:
            self._unlike(a, post)
        for pairs in (self.blocks, self.mutes):
            pairs -= {two for two in pairs if a in two}
        for of_posts in (self.likes, self.shares, self.saves):
            of_posts -= {one for one in of_posts if one[0] == a}
        self.comments = {one: said for one, said in self.comments.items() if said.by != a}
        self.posts = {post: author for post, author in self.posts.items() if author != a}
        self.collections = {one: owner for one, owner in self.collections.items() if owner != a}

    # -- deeds on posts -----------------------------------------------------------------------------------------------

    def publish(self, a: str, post: str, mentions: tuple[str, ...], tagged: tuple[str, ...]) -> None:
        self.posts[post] = a
        self.named[post] = (mentions, tagged)
        for person in dict.fromkeys((*tagged, *mentions)):
            self.tell(Group(person, "tag" if person in tagged else "mention", post, post), a)

    def on_post(self, what: str, a: str, post: str) -> int:
        """Something that ``a`` does to a post."""
        if what == "unsave" and (a, post) in self.saves:
            self._unsave(a, post)
            return 200
        if not self.opens(a, post):
            return 404
        author = self.posts[post]
        if what in ("delete", "disable", "enable") and a != author:
            return 403
        match what:
            case "like":
                self.likes.add((a, post))
                self.tell(Group(author, "like", post, post), a)
            case "unlike":
                self._unlike(a, post)
            case "share":
                self.shares.add((a, post))
            case "save":
                self.saves.add((a, post))
            case "disable":
                self.disabled.add(post)
            case "enable":
                self.disabled.discard(post)
            case "delete":
                del self.posts[post]
                return 204
        return 200

    def _unlike(self, a: str, post: str) -> None:
        self.likes.discard((a, post))
        self.untell(Group(self.posts[post], "like", post, post), a)

    def _unsave(self, a: str, post: str) -> None:
        self.saves.discard((a, post))
        own = {collection for collection, owner in self.collections.items() if owner == a}
        self.collected -= {(collection, post) for collection in own}

    def collect(self, what: str, a: str, post: str, collection: str) -> int:
        """Put a post into a collection ("save"), or take it out ("unsave")."""
        kept = what == "unsave" and (a, post) in self.saves
        if not (kept or self.opens(a, post)) or self.collections.get(collection) != a:
            return 404
        if what == "save":
            self.saves.add((a, post))
            self.collected.add((collection, post))
        else:
            self.collected.discard((collection, post))
        return 200

    def drop_collection(self, a: str, collection: str) -> int:
        if self.collections.get(collection) != a:
            return 404
        del self.collections[collection]
        return 204

    # -- deeds on comments --------------------------------------------------------------------------------------------

    def may_comment(self, a: str, post: str, parent: str) -> int:
        if not self.opens(a, post):
            return 404
        if parent:
            if not self.stands(parent) or self.comments[parent].post != post:
                return 404
            if any(self.hidden(a, one) for one in self.writers(parent)):
                return 404
            if self.comments[parent].parent:
                return 422
        return 403 if post in self.disabled else 201

    def comment(self, a: str, comment: str, post: str, parent: str, mentions: tuple[str, ...]) -> None:
        self.comments[comment] = Said(post, a, parent, mentions)
        told = {self.posts[post]: Group(self.posts[post], "comment", post, post)}
        if parent:
            by = self.comments[parent].by
            told[by] = Group(by, "reply", parent, post)
        for person in mentions:
            told.setdefault(person, Group(person, "mention", post, post))
        for group in told.values():
            self.tell(group, a, comment)

    def on_comment(self, what: str, a: str, comment: str) -> int:
        """Delete, pin or unpin."""
        if not self.opens_comment(a, comment):
            return 404
        said = self.comments[comment]
        author = self.posts[said.post]
        if a != author and (what != "delete" or a != said.by):
            return 403
        match what:
            case "delete":
                del self.comments[comment]
                return 204
            case "pin":
                if said.parent or len({*self.pinned(said.post)} - {comment}) >= PINNED_AT_MOST:
                    return 409
                self.pins.add(comment)
            case "unpin":
                self.pins.discard(comment)
        return 200

    def pinned(self, post: str) -> Iterator[str]:
        return (one for one in self.under(post) if one in self.pins)

    # -- what people are told -----------------------------------------------------------------------------------------

    def tell(self, group: Group, actor: str, comment: str = "") -> None:
        if group.recipient != actor:
            self.clock += 1
            self.causes.setdefault(group, {})[actor, comment] = self.told_last[group] = self.clock

    def untell(self, group: Group, actor: str) -> None:
        self.causes.get(group, {}).pop((actor, ""), None)
