"""A simulated world: the same seed gives the same events, to the byte.

Pure: no store, no clock. First come the accounts, then the follows of the graph, then what people do
(``jobs.world_doings``). A picture goes one of two ways. An ``Upload`` goes the whole way: its original has to be
stored, and the media agent renders it. A ``Reuse`` is a media whose renditions exist already, those of a template.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import NamedTuple

from jobs.graphs import Graph
from jobs.photos import Photo
from schemas.events import (
    AccountRegistered,
    Event,
    Followed,
    UploadCompleted,
)
from schemas.ids import snowflake
from sinks.object_store import original_key
from sinks.sealing import seal

DAY_MS = 86_400_000
DEFAULT_UNTIL_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z: fixed, so that a seed alone gives the same events, and in every broker's past."""

SHARES = {
    "seen": 0.7,
    "visit": 0.012,
    "search": 0.006,
    "notices": 0.006,
    "preference": 0.002,
    "like": 0.1,
    "unlike": 0.008,
    "comment": 0.025,
    "uncomment": 0.004,
    "pin": 0.003,
    "save": 0.01,
    "unsave": 0.004,
    "collection": 0.004,
    "share": 0.004,
    "story": 0.006,
    "story_view": 0.025,
    "story_reaction": 0.005,
    "story_delete": 0.001,
    "highlight": 0.005,
    "post": 0.02,
    "edit": 0.006,
    "delete": 0.006,
    "follow": 0.01,
    "unfollow": 0.006,
    "toggle": 0.006,
    "privacy": 0.002,
    "answer": 0.003,
    "block": 0.002,
    "mute": 0.001,
    "profile": 0.008,
}
"""Of the events, what people look at among them: seven posts are seen for each like, four likes given for each comment.
Unless the number of posts is given; the other shares then share the rest."""
STORY_UPLOADS = 0.1
"""Of the uploads, those that are made for a story."""
ERASED_AT_MOST = 0.05
"""Of a world's people; the more events, the more of them go."""
_WORDS = "dawn harbour fern alley copper winter lantern tide meadow signal orchard glass ember north rain"


class Upload(NamedTuple):
    """A picture that goes the whole way: store ``photo`` at ``event.original_key``, then write ``event``."""

    event: UploadCompleted
    photo: Photo


class Reuse(NamedTuple):
    """A media with the renditions of template number ``template``."""

    event_id: int
    at: int
    media_id: int
    owner_id: int
    template: int


Step = Event | Upload | Reuse


def event_of(step: Event | Upload) -> Event:
    """The event that a step is, or writes."""
    return step.event if isinstance(step, Upload) else step


@dataclass(frozen=True)
class Plan:
    """What a world is made of: ``until`` is its end in ms since 1970, ``whole_way`` how many posts and stories have an
    upload."""

    seed: int
    events: int
    posts: int | None = None
    whole_way: int = 200
    days: float = 3.0
    until: int = DEFAULT_UNTIL_MS

    def counts(self) -> dict[str, int]:
        """How many events of each kind, all that a world says: uploads (``upload`` for a post, ``story_upload`` for a
        story) and views count as well. Raises ``ValueError`` where they do not fit."""
        posts = round(self.events * SHARES["post"]) if self.posts is None else self.posts
        whole = min(self.whole_way, posts, max(self.events - posts, 0))
        rest = self.events - posts - whole
        if rest < 0:
            raise ValueError(f"{posts} posts are more than {self.events} events")
        others = {kind: share for kind, share in SHARES.items() if kind != "post"}
        found = {kind: int(rest * share / sum(others.values())) for kind, share in others.items()}
        found["seen"] += rest - sum(found.values())
        of_stories = min(round(whole * STORY_UPLOADS), found["story"])
        return {"post": posts, "upload": whole - of_stories, "story_upload": of_stories, **found}


class World:
    """One world. Read ``accounts``, ``templates`` and ``follows`` in this order, each once and to its end; then
    ``jobs.world_doings.doings``."""

    def __init__(self, graph: Graph, photos: Sequence[Photo], plan: Plan) -> None:
        self.graph, self.photos, self.plan = graph, photos, plan
        self.random = Random(plan.seed)  # noqa: S311 - a world that can be made again, not a secret
        self._start = plan.until - int(plan.days * DAY_MS)
        # Worlds of different seeds share a log: the gateway number keeps their ids apart.
        self.ids = Ids(512 + self.random.randrange(512), self._start - DAY_MS // 4 + self.random.randrange(10_000))
        self._salt = b"shutterlog world %d" % plan.seed
        self.people: list[int] = [self.ids.next() for _ in range(graph.people)]
        """The user id of each person of the graph."""
        self.names = {user: f"sim{plan.seed}_{number}" for number, user in enumerate(self.people)}
        """What each person goes by."""
        ranks = list(range(1, graph.people + 1))
        self.random.shuffle(ranks)
        self._activity = list(accumulate(rank**-0.8 for rank in ranks))
        self.erased: set[int] = set()
        """Numbers of people who are gone for good, and do nothing any more."""

    def person_key(self, user_id: int) -> bytes:
        """The 32-byte key of a simulated person."""
        return blake2b(b"key %d" % user_id, key=self._salt[:64], digest_size=32).digest()

    def accounts(self) -> Iterator[AccountRegistered]:
        """Everybody registers, in the quarter of a day before the world's start."""
        for user in self.people:
            self.ids.reach(self.ids.at + 1)
            event_id, at = self.ids.next(), self.ids.at
            yield AccountRegistered(
                event_id=event_id,
                at=at,
                actor_id=user,
                user_id=user,
                username=self.sealed(user, event_id, "username", self.names[user]),
                name=self.sealed(user, event_id, "name", self.words(2).title()),
            )

    def templates(self) -> Iterator[Upload]:
        """One upload of each photo, by the first people: their renditions serve the ``Reuse`` steps."""
        for number, photo in enumerate(self.photos):
            yield self.upload(self.people[number % len(self.people)], photo)

    def follows(self) -> Iterator[Followed]:
        """The graph, in its order."""
        people = self.people
        for a, b in zip(self.graph.followers.tolist(), self.graph.followees.tolist(), strict=True):
            self.ids.reach(self.ids.at + 1)
            event_id, at = self.ids.next(), self.ids.at
            follower = people[a]
            yield Followed(event_id=event_id, at=at, actor_id=follower, follower_id=follower, followee_id=people[b])

    def sealed(self, user_id: int, event_id: int, field: str, text: str) -> bytes:
        """``text`` under the person's key; the nonce belongs to this field of this event and to nothing else."""
        nonce = blake2b(f"{field} {event_id}".encode(), key=self._salt[:64], digest_size=12).digest()
        return seal(self.person_key(user_id), user_id, text, nonce=nonce)

    def words(self, count: int) -> str:
        """``count`` words."""
        return " ".join(self.random.choices(_WORDS.split(), k=count))

    def said(self, least: int, most: int, hashtags: Sequence[str], mentions: Sequence[int]) -> str:
        """``least`` to ``most`` words, then the tags and the people that they are about."""
        tags, names = (f"#{tag}" for tag in hashtags), (f"@{self.names[user]}" for user in mentions)
        return " ".join((self.words(self.random.randint(least, most)), *tags, *names))

    def number_of(self, user_id: int) -> int:
        """The number of the person with this id."""
        return bisect_left(self.people, user_id)

    def someone(self) -> int:
        """The number of a person who is not erased, active people more often."""
        while True:
            number = bisect(self._activity, self.random.random() * self._activity[-1], hi=len(self._activity) - 1)
            if number not in self.erased:
                return number

    def may_erase(self, number: int) -> bool:
        """Whether this person may go: not those whose pictures others show, and few of all."""
        return number >= len(self.photos) and len(self.erased) < len(self.people) * ERASED_AT_MOST

    def upload(self, owner: int, photo: Photo) -> Upload:
        """``owner``, a user id, uploads ``photo`` now."""
        media_id, event_id, at = self.ids.next(), self.ids.next(), self.ids.at
        event = UploadCompleted(
            event_id=event_id,
            at=at,
            actor_id=owner,
            media_id=media_id,
            owner_id=owner,
            original_key=original_key(owner, at, media_id),
            content_type=photo.content_type,
            size=len(photo.body),
            sha256=photo.sha256,
        )
        return Upload(event, photo)


class Ids:
    """Snowflakes and the time, which never goes back."""

    def __init__(self, node: int, at: int) -> None:
        self.at = at
        self._node, self._sequence = node, -1

    def next(self) -> int:
        """The next id, at the time ``at``."""
        self._sequence += 1
        if self._sequence > 4095:
            self.at, self._sequence = self.at + 1, 0
        return snowflake(self.at, self._node, self._sequence)

    def reach(self, at: int) -> None:
        """Let it be ``at``, if it is not later already."""
        if at > self.at:
            self.at, self._sequence = at, -1
