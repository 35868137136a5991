"""The saga: what an event of one person's entails in another aggregate, said as events of its own.

It settles ``graph``. That topic is keyed by the person followed, so all that is said of one followee stands in one
order, and what it *means* is a function of that order (``Pair``): a request to a public person is a follow; a follow of
a private one is a request; an approval of what was withdrawn is nothing; who follows and asks goes on following, and
there is nothing to reject; with a block between them, nobody follows anybody. Views are simpler: the last event of a
pair wins. Where the two would differ, because an event was on its way while a block or a change of privacy passed it,
the saga says an event more, and the views agree again. Until then ``streams.rules`` keeps from readers what they may
not see.

What the saga says changes no meaning. But it can be overtaken: where a person said something of the pair after the
record that it answers, it says what that person meant, once more.

It also undoes likes between people of whom one blocks the other: ``PostUnliked`` in ``engagement``. A like and a block
stand in two topics; whoever sees one stores it before it looks for the other, so that at least one sees both. And it
takes back whatever a person did who is erased, in every topic: see ``streams.deeds``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from schemas.events import (
    Blocked,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    PostLiked,
    PostUnliked,
    PrivacyChanged,
    Unblocked,
    Unfollowed,
)
from streams.causes import Cause
from streams.records import Record
from streams.views import Mark, View

State = Literal["none", "asks", "follows"]
Key = tuple[int, int]
"""(followee, follower)."""
PairEvent = Followed | Unfollowed | FollowRequested | FollowRejected | FollowerRemoved


class Seen(NamedTuple):
    """A record that the saga looks at."""

    cause: Cause
    event: Event

    @property
    def mark(self) -> Mark:
        """Where in the log it stands."""
        return self.cause.mark


@dataclass(frozen=True, slots=True)
class Pair:
    """What is meant between a followee and somebody else, up to the record at ``offset``."""

    offset: int = -1
    said: int = -1
    """The offset of the last record in which a person changed it."""
    state: State = "none"
    blocks: int = 0
    """1: the followee blocks the other; 2: the other blocks the followee."""


@dataclass
class Known:
    """What is stored of the people in one batch, as of before it; ``decide`` carries it on."""

    privacy: dict[int, dict[int, bool]] = field(default_factory=dict)
    """Person → offset → private, of each change."""
    pairs: dict[Key, Pair] = field(default_factory=dict)
    """Of all pairs of whom a person said anything: who asks may follow since before the other went private."""
    waiting: dict[int, set[int]] = field(default_factory=dict)
    """Followee → who asks them; only of those who become public in the batch."""

    def private_at(self, user_id: int, offset: int) -> bool:
        """Whether the person is private for a record at ``offset``."""
        earlier = [at for at in self.privacy.get(user_id, ()) if at < offset]
        return self.privacy[user_id][max(earlier)] if earlier else False


@dataclass
class Decided:
    """What a batch comes to: ``say`` in this order, then store the rest."""

    say: list[Event] = field(default_factory=list)
    pairs: dict[Key, Pair] = field(default_factory=dict)
    answered: set[Key] = field(default_factory=set)
    """Those of ``pairs`` who asked, and do not any more."""


def project(records: Sequence[Record]) -> list[Seen]:
    """What the saga looks at: all of it, since nearly all of it is somebody's deed."""
    return [Seen(Cause.of(record), record.event) for record in records]


PAIR_EVENTS = (Followed, Unfollowed, FollowRequested, FollowRejected, FollowerRemoved)


def key_of(event: Event) -> Key | None:
    """The pair that an event is about, seen from under its key."""
    if isinstance(event, PAIR_EVENTS):
        return None if event.followee_id == event.follower_id else (event.followee_id, event.follower_id)
    if isinstance(event, Blocked | Unblocked):
        other = event.blocked_id if event.user_id == event.blocker_id else event.blocker_id
        return None if other == event.user_id else (event.user_id, other)
    return None


def decide(seen: Iterable[Seen], known: Known) -> Decided:
    """What to say, and what to store, of the events of ``graph`` in ``seen``, which come in the log's order.

    A pair that is stored as of a later record has been through all of this: what that record entails is said already.
    """
    decided = Decided()
    for one in seen:
        event, offset = one.event, one.mark.offset
        saying = _Saying(one.cause)
        if isinstance(event, PrivacyChanged):
            if not event.private:
                for follower in sorted(known.waiting.get(event.user_id, ())):
                    key = (event.user_id, follower)
                    pair = known.pairs.get(key, Pair(state="asks"))
                    if pair.offset < offset and pair.state == "asks":
                        decided.pairs[key] = known.pairs[key] = replace(
                            pair, offset=offset, said=offset, state="follows"
                        )
                        decided.answered.add(key)
                        saying.follow(key)
            known.privacy.setdefault(event.user_id, {})[offset] = event.private
        elif (about := key_of(event)) is not None:
            pair = known.pairs.get(about, Pair())
            private = known.private_at(about[0], offset)
            # The saga's own word makes nobody known who was not.
            if pair.offset < offset and (about in known.pairs or not source_of(event)):
                after = _settle(pair, event, offset, private, saying, about)
                decided.pairs[about] = known.pairs[about] = after
                if after.state == "asks":
                    known.waiting.setdefault(about[0], set()).add(about[1])
                elif pair.state == "asks":
                    decided.answered.add(about)
        decided.say += saying.events
    return decided


def source_of(event: Event) -> str:
    """What the saga answered with ``event``; empty for what a person said."""
    source: str = getattr(event, "source", "")
    return source


def _settle(pair: Pair, event: Event, offset: int, private: bool, saying: _Saying, key: Key) -> Pair:
    """The pair after ``event``; ``saying`` hears what has to be said for views to agree."""
    if isinstance(event, PAIR_EVENTS):
        if source_of(event):
            _check_overtaken(pair, event, saying, key)
            return replace(pair, offset=offset)
        return replace(pair, offset=offset, said=offset, state=_meant(pair, event, private, saying, key))
    assert isinstance(event, Blocked | Unblocked)  # noqa: S101 (as key_of has it)
    flag = 1 if event.blocker_id == key[0] else 2
    if isinstance(event, Unblocked):
        return replace(pair, offset=offset, blocks=pair.blocks & ~flag)
    saying.end(key)
    return Pair(offset=offset, said=offset, state="none", blocks=pair.blocks | flag)


def _meant(pair: Pair, event: PairEvent, private: bool, saying: _Saying, key: Key) -> State:
    """What a person's word comes to."""
    if isinstance(event, FollowRejected) and pair.state == "follows":
        return "follows"
    if not isinstance(event, Followed | FollowRequested):
        return "none"
    if pair.blocks:
        saying.end(key)
        return "none"
    if isinstance(event, Followed) and event.actor_id == event.followee_id:
        if pair.state == "none":  # nobody asks any more: it was withdrawn meanwhile
            saying.end(key)
            return "none"
        return "follows"
    if isinstance(event, FollowRequested):
        return _asked(pair, event, private, saying, key)
    if not private:
        return "follows"
    if pair.state == "follows":  # since before the other went private, and readers go by the last Followed
        saying.follow(key)
        return "follows"
    saying.demote(key)
    return "asks"


def _asked(pair: Pair, event: FollowRequested, private: bool, saying: _Saying, key: Key) -> State:
    """What a request comes to."""
    if pair.state == "follows":
        if not event.follows:  # the followee was told of a request
            saying.reject(key)
        return "follows"
    if not private:
        saying.follow(key)
        return "follows"
    if event.follows:  # they ceased to meanwhile, and nobody took it for a request
        saying.ask(key)
    return "asks"


def _check_overtaken(pair: Pair, event: PairEvent, saying: _Saying, key: Key) -> None:
    """Say the pair's meaning once more where a person spoke between what the saga answered and its answer."""
    answered = int(source_of(event).split("-")[2])
    if pair.said <= answered:
        return
    literal = {Followed: "follows", FollowRequested: "asks"}.get(type(event), "none")
    if pair.state == literal or (isinstance(event, FollowRejected) and pair.state == "follows"):
        return
    if pair.state == "follows":
        saying.follow(key)
    elif pair.state == "asks":
        saying.demote(key)
    else:
        saying.end(key)


class _Saying:
    """Makes the events that one record causes."""

    def __init__(self, cause: Cause) -> None:
        self._cause = cause
        self.events: list[Event] = []

    def follow(self, key: Key) -> None:
        """The follower follows, by the followee's leave: it counts also where they go private before it is said."""
        self._say(Followed, key, key[0])

    def reject(self, key: Key) -> None:
        """There is no request."""
        self._say(FollowRejected, key, key[0])

    def ask(self, key: Key) -> None:
        """The follower asks to follow."""
        self._say(FollowRequested, key, key[1])

    def end(self, key: Key) -> None:
        """Nobody follows, or asks to."""
        self._say(Unfollowed, key, key[1])

    def demote(self, key: Key) -> None:
        """The follow is a request."""
        self._say(FollowerRemoved, key, key[0])
        self.ask(key)

    def _say(self, made: type[PairEvent], key: Key, actor_id: int) -> None:
        cause, n = self._cause, len(self.events)
        source = cause.source(n)
        self.events.append(
            made(
                event_id=cause.event_id(n, key[1]),
                at=cause.at,
                actor_id=actor_id,
                trace_id=cause.trace_id,
                follower_id=key[1],
                followee_id=key[0],
                source=f"{source.topic}-{source.partition}-{source.offset}-{source.n}",
            )
        )


def unliked(cause: Cause, author_id: int, liker_id: int, posts: Iterable[int]) -> Iterator[PostUnliked]:
    """One like taken back for each of ``posts``, caused by a block or by the like itself."""
    for n, post_id in enumerate(sorted(posts)):
        yield PostUnliked(
            event_id=cause.event_id(n, post_id),
            at=cause.at,
            actor_id=liker_id,
            trace_id=cause.trace_id,
            post_id=post_id,
            author_id=author_id,
        )


Likes = Mapping[Key, set[int]]
"""(author, liker) → posts."""


def undone(seen: Iterable[Seen], blocked: Mapping[Key, Pair], likes: Likes) -> list[Event]:
    """The likes to take back: of every block in ``seen``, those in ``likes``; of every like in ``seen``, where a block
    stands in ``blocked``."""
    found: list[Event] = []
    for one in seen:
        if isinstance(one.event, Blocked) and (key := key_of(one.event)) is not None:
            found += unliked(one.cause, key[0], key[1], likes.get(key, ()))
        elif isinstance(one.event, PostLiked):
            key = (one.event.author_id, one.event.actor_id)
            if (pair := blocked.get(key)) is not None and pair.blocks:
                found += unliked(one.cause, *key, [one.event.post_id])
    return found


SOURCES = ("graph", "engagement", "accounts", "posts", "media", "stories")
SAGA: View[Seen] = View(name="saga", sources=SOURCES, project=project)
"""The emitter of what one aggregate's events entail in others. No fold: a replay never runs it."""
