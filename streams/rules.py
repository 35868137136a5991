"""Who may see what: asked at read time, on every path, whatever the views hold at that moment.

The facts are loaded in one place (``sinks.relations``), for all the people of an answer at once. Whoever was not asked
for is unknown, and asking the rules about them is a ``KeyError``: nothing is shown for want of a fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

Status = Literal["processing", "published", "rejected"]
View = Literal["open", "private", "hidden"]


class Post(Protocol):
    """What the rules look at."""

    @property
    def author_id(self) -> int: ...
    @property
    def published_at(self) -> int | None: ...
    @property
    def rejected_code(self) -> str | None: ...
    @property
    def deleted(self) -> bool: ...


class Standing(NamedTuple):
    """What is known of an account, whoever asks."""

    private: bool = False
    """Only approved followers see the posts."""
    gone: bool = False
    """Deactivated or erased: nobody else finds it."""


class Relation(NamedTuple):
    """What stands between a viewer and somebody else."""

    follows: bool = False
    """The viewer follows them, and if they are private, they let the viewer."""
    requested: bool = False
    """The viewer asked to follow them, and waits."""
    blocks: bool = False
    """The viewer blocks them."""
    blocked: bool = False
    """They block the viewer."""
    mutes: bool = False
    """The viewer mutes them."""


NO_RELATION = Relation()


class Facts(NamedTuple):
    """What one viewer (None for a stranger) has to do with some people, and how these stand."""

    viewer_id: int | None
    standings: Mapping[int, Standing]
    """Of everybody who was asked for."""
    relations: Mapping[int, Relation]
    """Only of those with whom there is any."""

    def standing(self, user_id: int) -> Standing:
        """How ``user_id`` stands; raises ``KeyError`` for somebody who was not asked for."""
        return self.standings[user_id]

    def relation(self, user_id: int) -> Relation:
        """What the viewer has to do with ``user_id``; raises ``KeyError`` for somebody who was not asked for."""
        self.standings[user_id]  # noqa: B018 (unknown is not the same as unrelated)
        return self.relations.get(user_id, NO_RELATION)


# -- people -----------------------------------------------------------------------------------------------------------


def view_of(facts: Facts, user_id: int) -> View:
    """How much of ``user_id`` the viewer may see: all; only that there is such a person, and their name and counts;
    or not even that (then every answer is what it would be if there were no such person)."""
    standing, relation = facts.standing(user_id), facts.relation(user_id)
    if user_id == facts.viewer_id:
        return "open"
    if standing.gone or relation.blocks or relation.blocked:
        return "hidden"
    return "private" if standing.private and not relation.follows else "open"


def may_meet(facts: Facts, user_id: int) -> bool:
    """Whether the viewer may know of ``user_id``: profile, name in lists, comments, notices."""
    return view_of(facts, user_id) != "hidden"


def may_see_posts(facts: Facts, author_id: int) -> bool:
    """Whether the viewer may see what ``author_id`` posts, and whom they follow."""
    return view_of(facts, author_id) == "open"


def met(facts: Facts, user_ids: Iterable[int]) -> list[int]:
    """Those of ``user_ids`` whom the viewer may know of, in their order."""
    return [user_id for user_id in user_ids if may_meet(facts, user_id)]


def may_notify(facts: Facts, actor_id: int) -> bool:
    """Whether what ``actor_id`` does is told to the viewer, the one who would be notified."""
    return may_meet(facts, actor_id) and not facts.relation(actor_id).mutes


def keeps_pictures(standing: Standing) -> bool:
    """Whether pictures of somebody who stands so have addresses that expire soon, and that no cache shares."""
    return standing.private or standing.gone


def follow_counts(follow_offset: int, approved: bool, privacy: Sequence[tuple[int, bool]]) -> bool:
    """Whether a follow lets the follower see what a private person posts, by the log's order alone.

    ``privacy``: (offset, private) of the followee's changes, newest first, in the same partition as the follow. A
    Followed said by the follower can cross a PrivacyChanged(private) on its way: behind it, it is no more than a
    request, which the saga will make of it. It counts if it was said before the followee became private, or if they
    approved it, or are public.
    """
    if approved:
        return True
    private_since: int | None = None
    for offset, private in privacy:
        if not private:
            break
        private_since = offset
    return private_since is None or follow_offset < private_since


# -- posts ------------------------------------------------------------------------------------------------------------


def status_of(post: Post) -> Status:
    """Where a post that is not deleted stands."""
    if post.published_at is not None:
        return "published"
    return "processing" if post.rejected_code is None else "rejected"


def is_public(post: Post) -> bool:
    """Whether others than its author could see the post at all: it is published and not deleted."""
    return post.published_at is not None and not post.deleted


def may_open(post: Post, facts: Facts) -> bool:
    """Whether the viewer may open the post's page, and whatever hangs on it: likes, comments, counts. Its author also
    before it is published. Where not, there is no such post for them."""
    if post.author_id == facts.viewer_id:
        return not post.deleted
    return is_public(post) and may_see_posts(facts, post.author_id)


def in_list(post: Post, facts: Facts) -> bool:
    """Whether a list of posts may show it: a profile, a tag, what somebody saved."""
    return is_public(post) and may_see_posts(facts, post.author_id)


def in_feed(post: Post, facts: Facts) -> bool:
    """Whether the viewer's feed may show the post."""
    relation = facts.relation(post.author_id)
    return in_list(post, facts) and relation.follows and not relation.mutes


# -- stories ----------------------------------------------------------------------------------------------------------


class Story(Protocol):
    """What the rules look at. ``expires_at`` is in ms; None for what stands in a highlight and has no end."""

    @property
    def author_id(self) -> int: ...
    @property
    def published_at(self) -> int | None: ...
    @property
    def expires_at(self) -> int | None: ...
    @property
    def deleted(self) -> bool: ...


def may_open_story(story: Story, facts: Facts, now: int) -> bool:
    """Whether the viewer may open the story at ``now`` in ms: nobody once it is over, whatever a store still holds; its
    author also before it is published."""
    if story.deleted or (story.expires_at is not None and story.expires_at <= now):
        return False
    if story.author_id == facts.viewer_id:
        return True
    return story.published_at is not None and may_see_posts(facts, story.author_id)


def in_tray(author_id: int, facts: Facts) -> bool:
    """Whether the viewer's tray may show the stories of ``author_id``."""
    relation = facts.relation(author_id)
    return may_see_posts(facts, author_id) and relation.follows and not relation.mutes
