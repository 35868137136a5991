"""What was known when a post was shown: the views that rank feeds, folded in memory beside the events themselves.

The projections are those of the views, so what a model learns from is what a gateway will ask it with. Events have to
come by time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from schemas.events import CommentAdded, Event, PostLiked, PostSaved, PostSeen, PostShared, PostSubmitted
from streams import affinity, trending
from streams.affinity import Pair, Turned
from streams.ranking import DWELL_MS, HEADS, STILL, Candidate, counted, near
from streams.records import Record, TopicPartition
from streams.trending import STEP_MS, STEPS_A_DAY, weight_and_step
from streams.trending_scores import DAY, HOUR, decayed

_NOWHERE = TopicPartition("past", 0)
_DAY_MS = 86_400_000
HORIZON_MS = _DAY_MS
"""What a viewer did with a post counts as an answer to its being shown for so long."""
SURFACE = "feed"


class Shown(NamedTuple):
    """A post before somebody's eyes: when, to whom, what was ``counted`` of it then, and what came of it."""

    at: int
    viewer_id: int
    post: Candidate
    counted: list[float]
    done: list[bool]
    """By ``HEADS``."""


def candidate_of(post: PostSubmitted) -> Candidate:
    """What ranking asks of a post."""
    naming = bool(post.mentions or post.tagged)
    return Candidate(post.post_id, post.author_id, len(post.media_ids), len(post.hashtags), bool(post.place), naming)


class Past:
    """Affinity and the trends of posts, as they were at the last event."""

    def __init__(self, least_people: int) -> None:
        """``least_people``: as the trends have it, fewer than that make no velocity."""
        self._least = least_people
        self._steps: dict[tuple[int, int], dict[int, int]] = {}
        self._since: dict[tuple[int, int], int] = {}
        self._days: dict[str, dict[int, dict[int, int]]] = {}
        """Post → day → person → value."""
        self._counts: dict[str, tuple[Counter[int], Counter[int]]] = defaultdict(lambda: (Counter(), Counter()))

    def take(self, event: Event) -> None:
        """Fold one event."""
        record = Record(_NOWHERE, 0, event.at, event)
        for write in affinity.project([record]):
            pair = write.viewer, write.author
            if isinstance(write, Turned):
                steps = self._steps.setdefault(pair, {})
                steps[write.step] = steps.get(write.step, 0) + write.weight
            else:
                self._since[pair] = write.since
        for act in trending.project([record]):
            if act.name.startswith("p:"):
                self._act(act)

    def _act(self, act: trending.Act) -> None:
        who = self._days.setdefault(act.name, {}).setdefault(act.day, {})
        before = who.get(act.person, -1)
        if act.value <= before:
            return
        who[act.person] = act.value
        for value, sign in ((before, -1), (act.value, 1)):
            if value >= 0:
                weight, step = weight_and_step(value)
                step += act.day * STEPS_A_DAY
                for window, counts in zip((HOUR, DAY), self._counts[act.name], strict=True):
                    counts[step // window.scale] += sign * weight

    def counted(self, viewer_id: int, post: Candidate, at: int, shown_at: int = 0) -> list[float]:
        """See ``streams.ranking.counted``."""
        pair = self._steps.get((viewer_id, post.author_id), {})
        to = near(Pair(self._since.get((viewer_id, post.author_id), 0), pair), at)
        return counted(post, to, self._velocity(f"p:{post.post_id}", at // STEP_MS), at, shown_at)

    def _velocity(self, name: str, step: int) -> tuple[float, float]:
        days = self._days.get(name)
        if days is None:
            return STILL
        hour, day = (
            decayed(counts, window, step) if self._has_people(days, window.days) else 0.0
            for window, counts in zip((HOUR, DAY), self._counts[name], strict=True)
        )
        return hour, day

    def _has_people(self, days: Mapping[int, Mapping[int, int]], kept: int) -> bool:
        newest = max(days)
        some = [who for day, who in days.items() if day > newest - kept]
        return any(len(who) >= self._least for who in some) or len({one for who in some for one in who}) >= self._least


def shown(events: Iterable[Event], since: int, least_people: int) -> Iterator[Shown]:
    """The first time each viewer had each post in their feed, from ``since`` on (ms): with what was known as it came
    before their eyes, and with what they did until ``HORIZON_MS`` later. Last times without an answer yet are left out:
    those within ``HORIZON_MS`` of the last event.

    ``events`` need not be sorted; all of them are kept.
    """
    told = list(events)
    posts = {event.post_id: candidate_of(event) for event in told if isinstance(event, PostSubmitted)}
    answers = _answers(told)
    last = max((event.at for event in told), default=0)
    # A sight is said when it ends: what it rests on is what was known when it began. It comes before whatever else
    # happened in that millisecond.
    moments: list[tuple[int, int, int]] = []
    for n, event in enumerate(told):
        moments.append((event.at, 1, n))
        if isinstance(event, PostSeen) and event.surface == SURFACE:
            moments.append((event.at - event.dwell_ms, 0, n))
    past = Past(least_people)
    known: set[tuple[int, int]] = set()
    for at, what, n in sorted(moments):
        event = told[n]
        if what:
            past.take(event)
            continue
        assert isinstance(event, PostSeen)  # noqa: S101 (nothing else was put there)
        name = event.viewer_id, event.post_id
        post = posts.get(event.post_id)
        if post is None or name in known or post.author_id == event.viewer_id:
            continue
        known.add(name)
        if since <= at <= last - HORIZON_MS:
            then = [answers.get((*name, head), ()) for head in HEADS[:-1]]
            done = [*(any(at <= one <= at + HORIZON_MS for one in times) for times in then), event.dwell_ms > DWELL_MS]
            yield Shown(at, event.viewer_id, post, past.counted(event.viewer_id, post, at, event.rank), done)


def _answers(events: Iterable[Event]) -> dict[tuple[int, int, str], list[int]]:
    """(viewer, post, head) → when."""
    found: dict[tuple[int, int, str], list[int]] = {}
    of = {PostLiked: "like", CommentAdded: "comment", PostSaved: "save", PostShared: "share"}
    for event in events:
        head = of.get(type(event))
        if head:
            found.setdefault((event.actor_id, event.post_id, head), []).append(event.at)  # type: ignore[attr-defined]
    return found
