"""What ``bench trending`` replays: a log of who turned to whom, as actions on posts, and two forgeries among them.

Each account that others turn to is taken for a post of its author: a retweet for a share, a reply for a comment, a
mention for a like. The forgeries: one person who shares one post again and again, and a post that as many like as
a list needs, by clocks that are a year fast.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs import interaction_logs
from jobs.interaction_logs import Numbers
from schemas.events import CommentAdded, Event, PostLiked, PostShared
from schemas.ids import MIN_ID
from streams.records import Record, TopicPartition

FLOOD, FUTURE = 900_000_001, 900_000_002
"""The forged posts, numbered as accounts are."""
_FLOODER, _EARLY = 910_000_000, 920_000_000
_YEAR_MS = 365 * 86_400_000
_FLOOD_EVERY, _EARLY_PEOPLE = 10_000, 3
KINDS = ("RT", "RE", "MT")
_MEANT = {
    "RT": "rt retweet share shared repost reshare quote forward purchase transaction buy",
    "RE": "re reply comment commented answer message a2q c2q c2a",
    "MT": "mt mention like liked favorite favourite save view click pv cart fav addtocart follow rating",
}
_KIND_OF = {word: kind for kind, words in _MEANT.items() for word in words.split()}
_OWN_IDS, _FURTHER_IDS = 900_000_000, 1_000_000_000
"""Below those of the forgeries, and above them."""
_LATEST = 4e9
"""Seconds: the year 2096."""


class Interaction(NamedTuple):
    """``person`` turned to the post of ``author`` at ``at`` (ms), by a clock that is ``fast`` by so many ms."""

    at: int
    person: int
    author: int
    kind: str
    fast: int = 0


def read(path: Path, most: int | None = None) -> list[Interaction]:
    """The first ``most`` lines of a log with times that ``jobs/interaction_logs.py`` reads, in their order; what is of
    no kind is a mention. Raises ``ValueError`` for anything else, and ``OSError``."""
    found: list[Interaction] = []
    ids = Numbers(_OWN_IDS, _FURTHER_IDS)
    for row in interaction_logs.read(path, most):
        where = f"{path}, line {row.line}"
        if row.at is None or not 0 < row.at < _LATEST:
            raise ValueError(f"{where}: it says no time, without which nothing trends: userA userB unixtime [RT|MT|RE]")
        if (kind := _KIND_OF.get("mt" if row.kind is None else row.kind.lower())) is None:
            raise ValueError(f"{where}: {row.kind!r} is no kind known: it has to read userA userB unixtime RT|MT|RE")
        found.append(Interaction(int(row.at * 1000), ids.of(row.user), ids.of(row.item), kind))
    return sorted(found)


def made(seed: int = 1, *, people: int = 2000, hours: int = 48) -> list[Interaction]:
    """A log of the same kind: steady authors by Zipf's law, and after three quarters of the time a burst about one who
    was hardly turned to before."""
    chance, start = random.Random(seed), 1_341_100_800_000  # noqa: S311
    authors = list(range(1, 201))
    weights = [1 / n for n in authors]
    found = [
        Interaction(start + chance.randrange(hours * 3_600_000), chance.randrange(1000, 1000 + people), author, kind)
        for author, kind in zip(
            chance.choices(authors, weights, k=hours * 200),
            chance.choices(KINDS, k=hours * 200),
            strict=True,
        )
    ]
    rise = start + hours * 2_700_000
    for n in range(hours * 60):
        after = int(3_600_000 * (1 - math.log(1 - chance.random())) * (n % 7) / 7)
        found.append(Interaction(rise + after, chance.randrange(1000, 1000 + people), 150, "RT"))
    return sorted(one for one in found if one.at < start + hours * 3_600_000)


def forged(first: int, last: int) -> list[Interaction]:
    """The forgeries, begun at ``first``: the flood goes on until ``last``."""
    flood = [Interaction(at, _FLOODER, FLOOD, "RT") for at in range(first, last, _FLOOD_EVERY)]
    early = [Interaction(first + 1000 * n, _EARLY + n, FUTURE, "MT", _YEAR_MS) for n in range(_EARLY_PEOPLE)]
    return sorted(flood + early)


def post_of(author: int) -> int:
    """The id of the post that stands for an account."""
    return MIN_ID + author


def records(log: Sequence[Interaction], partitions: int) -> Iterator[Record]:
    """The log as the broker would have it: each post in its partition, and the log's own times as the broker's."""
    ends = [-1] * partitions
    for one in log:
        partition = one.author % partitions
        ends[partition] += 1
        yield Record(TopicPartition("engagement", partition), ends[partition], one.at, _event(one))


def _event(one: Interaction) -> Event:
    post = post_of(one.author)
    if one.kind == "RE":
        return CommentAdded(
            event_id=post,
            at=one.at,
            actor_id=MIN_ID + one.person,
            post_id=post,
            author_id=post,
            comment_id=post,
            text=b"",
        )
    kind = PostShared if one.kind == "RT" else PostLiked
    return kind(event_id=post, at=one.at + one.fast, actor_id=MIN_ID + one.person, post_id=post, author_id=post)
