"""Notices and notifications: what the log asks for, what was said, and what the rows hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    NoticeWithdrawn,
    NotificationPreferencesChanged,
    NotificationsSeen,
    Notified,
    PostEdited,
    PostLiked,
    PostPublished,
    PostUnliked,
    StoryReacted,
    StoryReactionWithdrawn,
    Unfollowed,
    UploadFailed,
)


class Subject(NamedTuple):
    """One thing that one person may be told of another."""

    recipient: int
    kind: str
    target: int
    actor: int
    comment: int = 0

    @property
    def group(self) -> tuple[int, str, int]:
        """Whom it is told to, of which kind, about what."""
        return self.recipient, self.kind, self.target


class Said(NamedTuple):
    """Where the last notice of a subject stands, and when it happened."""

    position: int
    at: int
    post: int
    code: str | None = None
    reason: str | None = None


@dataclass
class NoticeFold:
    """The log, as far as notices go."""

    asked: set[Subject] = field(default_factory=set)
    """What stands by what people did."""
    standing: dict[Subject, Said] = field(default_factory=dict)
    """What stands by what was said in `notifications`."""
    groups: dict[tuple[int, str, int], Said] = field(default_factory=dict)
    """The last notice of each group."""
    days: dict[tuple[int, int, tuple[int, str, int]], int] = field(default_factory=dict)
    """(recipient, day, group) → position of its last notice of that day."""
    recents: dict[tuple[tuple[int, str, int], int], tuple[int, int, int]] = field(default_factory=dict)
    """(group, position) → (actor, comment, time)."""
    sources: dict[tuple[int, str, int], tuple[int, int]] = field(default_factory=dict)
    """(recipient, source topic, partition) → offset and number of the last event that came of it."""
    hushed: set[Subject] = field(default_factory=set)
    """Of being named by a post: what was said last is that it is over. The row stays, since readers ask the post."""
    replies: dict[tuple[int, int], set[Subject]] = field(default_factory=dict)
    """(recipient, comment) → all that was ever asked or said of replies to it."""
    again: list[str] = field(default_factory=list)
    """What was said a second time."""
    seen: dict[tuple[int, int], int] = field(default_factory=dict)
    """(person, position) → time."""
    preferences: dict[int, tuple[list[str], list[str]]] = field(default_factory=dict)

    def take(self, event: Event, offset: int) -> None:
        """Fold one event, which stands at ``offset`` of its partition."""
        match event:
            case Notified():
                self._once(event)
                subject = Subject(event.recipient_id, event.kind, event.target, event.actor_id, event.comment)
                self._told(subject, Said(offset, event.at, event.post))
            case UploadFailed():
                subject = Subject(event.recipient_id, "upload_failed", event.media_id, event.recipient_id)
                self._told(subject, Said(offset, event.at, event.post_id, event.code, event.reason))
            case NoticeWithdrawn():
                self._once(event)
                subject = Subject(event.recipient_id, event.kind, event.target, event.actor_id, event.comment)
                if subject.kind == "tag" or (subject.kind == "mention" and subject.comment == 0):
                    self.hushed.add(subject)
                else:
                    for one in self._meant(subject):
                        self.standing.pop(one, None)
            case NotificationsSeen():
                self.seen[event.viewer_id, event.position] = event.at
            case NotificationPreferencesChanged():
                self.preferences[event.recipient_id] = (sorted(event.silenced), sorted(event.unpushed))
            case _:
                self._ask(event)

    def _once(self, event: Notified | NoticeWithdrawn) -> None:
        source = event.source
        key, place = (event.recipient_id, source.topic, source.partition), (source.offset, source.n)
        if place <= self.sources.get(key, (-1, 0)):
            self.again.append(f"{source.topic}-{source.partition}@{source.offset}")
        self.sources[key] = max(place, self.sources.get(key, place))

    def _told(self, subject: Subject, said: Said) -> None:
        self._note(subject)
        self.standing[subject] = said
        self.hushed.discard(subject)
        self.groups[subject.group] = said
        self.days[subject.recipient, said.at // 86_400_000, subject.group] = said.position
        self.recents[subject.group, said.position] = (subject.actor, subject.comment, said.at)

    def _ask(self, event: Event) -> None:
        match event:
            case PostLiked():
                self._stands(Subject(event.author_id, "like", event.post_id, event.actor_id))
            case PostUnliked():
                self.asked.discard(Subject(event.author_id, "like", event.post_id, event.actor_id))
            case StoryReacted(author_id=owner, story_id=story):
                self._stands(Subject(owner, "story_reaction", story, event.actor_id))
            case StoryReactionWithdrawn(author_id=owner, story_id=story):
                self.asked.discard(Subject(owner, "story_reaction", story, event.actor_id))
            case CommentAdded(author_id=owner, post_id=post, comment_id=comment, actor_id=who):
                others = set(event.mentions) - {owner, event.parent_author_id}
                for person in others:
                    self._stands(Subject(person, "mention", post, who, comment))
                if event.parent_id and event.parent_author_id:
                    self._stands(Subject(event.parent_author_id, "reply", event.parent_id, who, comment))
                if owner != event.parent_author_id or not event.parent_id:
                    self._stands(Subject(owner, "comment", post, who, comment))
            case CommentDeleted(post_id=post, comment_id=comment, commenter_id=who):
                self.asked.discard(Subject(event.author_id, "comment", post, who, comment))
                self.asked.discard(Subject(event.parent_author_id, "reply", event.parent_id, who, comment))
                self.asked -= {Subject(person, "mention", post, who, comment) for person in event.mentions}
                if event.replied:
                    self.asked -= self.replies.get((who, comment), set())
            case PostPublished(post_id=post):
                for person in event.tagged:
                    self._stands(Subject(person, "tag", post, event.author_id))
                for person in set(event.mentions).difference(event.tagged):
                    self._stands(Subject(person, "mention", post, event.author_id))
            case PostEdited(post_id=post):
                lists = (event.unmentioned, "mention"), (event.untagged, "tag")
                self.asked -= {Subject(one, kind, post, event.author_id) for people, kind in lists for one in people}
                for one in event.newly_mentioned:
                    self._stands(Subject(one, "mention", post, event.author_id))
                for one in event.newly_tagged:
                    self._stands(Subject(one, "tag", post, event.author_id))
            case Followed(follower_id=a, followee_id=b):
                if event.actor_id == a and event.source == "":
                    self._stands(Subject(b, "follow", 0, a))
                else:
                    self.asked.discard(Subject(b, "request", 0, a))
                    self._stands(Subject(a, "approval", 0, b))
            case Unfollowed(follower_id=a, followee_id=b):
                gone = Subject(b, "follow", 0, a), Subject(b, "request", 0, a), Subject(a, "approval", 0, b)
                self.asked.difference_update(gone)
            case FollowerRemoved(follower_id=a, followee_id=b):
                gone = Subject(b, "follow", 0, a), Subject(b, "request", 0, a), Subject(a, "approval", 0, b)
                self.asked.difference_update(gone)
            case FollowRequested(follower_id=a, followee_id=b, follows=False):
                self._stands(Subject(b, "request", 0, a))
            case FollowRejected(follower_id=a, followee_id=b):
                self.asked.discard(Subject(b, "request", 0, a))

    def _stands(self, subject: Subject) -> None:
        if subject.recipient != subject.actor:
            self._note(subject)
            self.asked.add(subject)

    def _note(self, subject: Subject) -> None:
        if subject.kind == "reply":
            self.replies.setdefault((subject.recipient, subject.target), set()).add(subject)

    def _meant(self, withdrawn: Subject) -> Iterable[Subject]:
        """What a withdrawal takes back: of replies without a comment all those to one."""
        if withdrawn.kind == "reply" and withdrawn.comment == 0:
            return self.replies.get((withdrawn.recipient, withdrawn.target), ())
        return (withdrawn,)

    def unpaid(self) -> list[tuple[str, str]]:
        """What the emitter of notices owes: (what it is about, why it is wrong)."""
        said = {subject for subject in self.standing if subject.kind != "upload_failed"} - self.hushed
        late = [(_name(one), "is to be told, and nothing says so") for one in sorted(self.asked - said)]
        late += [(where, "what it asks for is said a second time") for where in self.again]
        return late + [(_name(one), "is told, though it is undone or never was") for one in sorted(said - self.asked)]


def _name(subject: Subject) -> str:
    return f"{subject.kind} of {subject.target} by {subject.actor} to {subject.recipient}"
