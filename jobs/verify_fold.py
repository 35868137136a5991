"""What the log says, folded in plain Python: written apart from the projections, so that the two can disagree.

One entry point, ``Fold.take``, is given every record of the log in the order of each partition. What is kept is small:
a million follows fit in some hundred megabytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.verify_affinity import AffinityFold
from jobs.verify_engagement import Engagement
from jobs.verify_graph import GRAPH, GraphFold
from jobs.verify_notices import NoticeFold
from jobs.verify_stories import StoryFold
from jobs.verify_trending import TrendFold
from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Event,
    MediaPurged,
    MediaRejected,
    NoticeWithdrawn,
    NotificationPreferencesChanged,
    NotificationsSeen,
    Notified,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostRejected,
    PostSeen,
    PostSubmitted,
    PostUnliked,
    ProfileChanged,
    ProfileVisited,
    RenderedMedia,
    RenditionsReady,
    RoleChanged,
    Searched,
    UploadCompleted,
    UploadFailed,
    UsernameChanged,
)

AccountEvent = (
    AccountRegistered
    | ProfileChanged
    | UsernameChanged
    | AccountDeactivated
    | AccountReactivated
    | RoleChanged
    | BadgeChanged
    | AccountErased
)


@dataclass(slots=True)
class Account:
    """A person. None for what no event has said."""

    username: bytes | None = None
    name: bytes | None = None
    bio: bytes | None = None
    registered_at: int | None = None
    links: bytes | None = None
    picture: list[RenderedMedia] | None = None
    deactivated: bool | None = None
    role: str | None = None
    verified: bool | None = None
    erased: bool | None = None


@dataclass(slots=True)
class Post:
    """A post, whatever has been said of it. Times in ms."""

    author_id: int
    media_ids: list[int] | None = None
    caption: bytes | None = None
    tags: tuple[list[int], list[int], list[str], str] | None = None
    """Mentions, people seen, hashtags, place."""
    submitted_at: int | None = None
    edited_at: int | None = None
    published_at: int | None = None
    media: list[RenderedMedia] | None = None
    rejected: tuple[str, str] | None = None
    deleted: bool = False
    ever_named: frozenset[str] = frozenset()
    wiped: bool = False
    """Deleted after its words were said last."""
    unpictured: bool = False
    """Deleted after it was published last."""

    @property
    def names(self) -> set[str]:
        """The hashtags and the place that it names now, as "t:dusk" and "l:London"."""
        if self.tags is None:
            return set()
        *_, hashtags, place = self.tags
        return {f"t:{tag}" for tag in hashtags} | ({f"l:{place}"} if place else set())

    @property
    def is_shown(self) -> bool:
        """Whether readers may see it: published, and never deleted."""
        return self.published_at is not None and not self.deleted


@dataclass(slots=True)
class Media:
    """A picture. ``uploaded_at`` is None for renditions that came without an upload."""

    owner_id: int
    uploaded_at: int | None = None
    rendered: RenderedMedia | None = None
    rejected: tuple[str, str] | None = None
    purged: bool = False
    shown: RenderedMedia | None = None
    """``rendered``, unless it was purged since."""


@dataclass(slots=True)
class Notice:
    """A notification of a refused upload."""

    at: int
    post_id: int
    code: str
    reason: str


@dataclass
class Fold:
    """The state that the log gives."""

    accounts: dict[int, Account] = field(default_factory=dict)
    graph: GraphFold = field(default_factory=GraphFold)
    posts: dict[int, Post] = field(default_factory=dict)
    media: dict[int, Media] = field(default_factory=dict)
    notices: dict[tuple[int, int], Notice] = field(default_factory=dict)
    """(recipient, media) → what they were told of it."""
    likes: dict[int, dict[int, int]] = field(default_factory=dict)
    """Post → who likes it → time of the event that says so; of deleted posts too."""
    engagement: Engagement = field(default_factory=Engagement)
    """What people did with posts besides liking them."""
    stories: StoryFold = field(default_factory=StoryFold)
    told: NoticeFold = field(default_factory=NoticeFold)
    trends: TrendFold = field(default_factory=TrendFold)
    affinity: AffinityFold = field(default_factory=AffinityFold)
    like_authors: dict[int, int] = field(default_factory=dict)
    """Post → its author, as likes say."""
    seen: dict[tuple[int, int], int] = field(default_factory=dict)
    """(viewer, post) → time of the event that says last that they saw it."""
    counts: Counter[str] = field(default_factory=Counter)
    """Records by the name of their event."""

    def take(self, event: Event, offset: int = 0, timestamp: int | None = None) -> None:
        """Fold one event, which stands at ``offset`` and which the broker took at ``timestamp`` (its own time without).
        Those with one key have to come in the order of the log."""
        self.counts[type(event).__name__] += 1
        self.trends.take(event, event.at if timestamp is None else timestamp)
        self.affinity.take(event, event.at if timestamp is None else timestamp)
        self.told.take(event, offset)
        match event:
            case _ if isinstance(event, GRAPH):
                self.graph.take(event)
            case PostLiked():
                self.likes.setdefault(event.post_id, {})[event.actor_id] = event.at
                self.like_authors[event.post_id] = event.author_id
            case PostUnliked():
                self.likes.get(event.post_id, {}).pop(event.actor_id, None)
            case _ if isinstance(event, AccountEvent):
                self._take_account(event)
            case UploadFailed():
                notice = Notice(event.at, event.post_id, event.code, event.reason)
                self.notices[event.recipient_id, event.media_id] = notice
            case UploadCompleted() | RenditionsReady() | MediaRejected() | MediaPurged():
                self._take_media(event)
            case PostSubmitted() | PostPublished() | PostEdited() | PostRejected() | PostDeleted():
                self._take_post(event)
            case Notified() | NoticeWithdrawn() | NotificationPreferencesChanged() | NotificationsSeen():
                pass  # all there is to them is in ``told``
            case PostSeen():
                self.seen[event.viewer_id, event.post_id] = event.at
            case ProfileVisited() | Searched():
                pass  # of no view that is compared here
            case _ if self.engagement.take(event) or self.stories.take(event):
                pass
            case _:
                raise TypeError(f"verify does not know what {type(event).__name__} means")

    def _take_account(self, event: AccountEvent) -> None:
        if isinstance(event, RoleChanged) and event.role not in {"person", "moderator", "operator"}:
            return  # the view refuses it
        account = self.accounts.setdefault(event.user_id, Account())
        match event:
            case AccountRegistered():
                account.username, account.name, account.registered_at = event.username, event.name, event.at
            case ProfileChanged():
                account.name, account.bio = event.name, event.bio
                account.links, account.picture = event.links, event.picture
            case UsernameChanged():
                account.username = event.username
            case AccountDeactivated():
                account.deactivated = True
            case AccountReactivated():
                account.deactivated = False
            case RoleChanged():
                account.role = event.role
            case BadgeChanged():
                account.verified = event.verified
            case AccountErased():
                self.accounts[event.user_id] = Account(erased=True)

    def _take_media(self, event: UploadCompleted | RenditionsReady | MediaRejected | MediaPurged) -> None:
        media = self.media.setdefault(event.media_id, Media(event.owner_id))
        match event:
            case UploadCompleted():
                media.uploaded_at = event.at
            case RenditionsReady():
                media.rendered = media.shown = event.media
            case MediaRejected():
                media.rejected = (event.code, event.reason)
            case MediaPurged():
                media.purged, media.shown = True, None
                media.rejected = ("purged", "The file was removed.")

    def _take_post(self, event: PostSubmitted | PostPublished | PostEdited | PostRejected | PostDeleted) -> None:
        post = self.posts.setdefault(event.post_id, Post(event.author_id))
        match event:
            case PostSubmitted():
                post.media_ids, post.caption, post.submitted_at = event.media_ids, event.caption, event.at
                post.tags = (event.mentions, event.tagged, event.hashtags, event.place)
                post.ever_named = post.ever_named | post.names
                post.wiped = False
            case PostPublished():
                post.published_at, post.media, post.unpictured = event.at, event.media, False
            case PostEdited():
                post.caption, post.edited_at = event.caption, event.at
                post.tags = (event.mentions, event.tagged, event.hashtags, event.place)
                post.ever_named = post.ever_named | post.names
                post.wiped = False
            case PostRejected():
                post.rejected = (event.code, event.reason)
            case PostDeleted():
                post.deleted = post.wiped = post.unpictured = True

    # -- conclusions ----------------------------------------------------------------------------------------------

    @property
    def following(self) -> dict[int, dict[int, int]]:
        """Follower → followee → time of the event that says so."""
        return self.graph.following

    def follows(self) -> Iterator[tuple[int, int, int]]:
        """(follower, followee, since) of everybody."""
        for follower, followees in self.following.items():
            for followee, since in followees.items():
                yield follower, followee, since

    def followers(self) -> dict[int, set[int]]:
        """Followee → followers."""
        found: dict[int, set[int]] = {}
        for follower, followee, _ in self.follows():
            found.setdefault(followee, set()).add(follower)
        return found

    def shown_by_author(self) -> dict[int, list[int]]:
        """Author → the posts that readers may see, newest first."""
        found: dict[int, list[int]] = {}
        for post_id in sorted(self.posts, reverse=True):
            post = self.posts[post_id]
            if post.is_shown:
                found.setdefault(post.author_id, []).append(post_id)
        return found


def feed(fold: Fold, shown: dict[int, list[int]], user_id: int) -> list[int]:
    """The whole home feed of one person, newest first: every shown post of everybody they follow."""
    ids = [post for author in fold.following.get(user_id, ()) for post in shown.get(author, ())]
    ids.sort(reverse=True)
    return ids
