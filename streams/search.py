"""Search: what is known of people, of who follows them, and of posts, as far as it takes to find them; and how what
is written and what is asked for are compared.

Rows, as of the views in Cassandra: each column is what one kind of event said last, each is owned by one topic, and
deletion is final. Names and captions stay sealed in them; the sink opens them for the index that it makes of the rows.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Event,
    Followed,
    FollowerRemoved,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostSubmitted,
    PrivacyChanged,
    ProfileChanged,
    Unfollowed,
    UsernameChanged,
)
from streams.records import Record
from streams.views import Delete, Mark, Refused, Upsert, View

LONGEST = 20
"""Letters of a word that count when it is compared by its beginning."""
WORDS_OF_A_NAME, WORDS_OF_A_CAPTION = 16, 200
"""Words that can be found; what comes after them cannot."""
RANK_BITS = 48
"""A rank is a level, and below it as many bits that only tell things of one level apart."""
TOP_LEVEL = 255
BADGE_LEVELS = 6
"""What a badge is worth: as much as eight times the followers."""

_WORD = re.compile(r"\w+")
_ASKED = re.compile(r"\w[\w.]*")
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
"""Written without spaces between words, so that each stands for itself."""


def project(batch: Sequence[Record]) -> list[Upsert | Delete]:
    """The rows of ``people``, ``followers`` and ``posts`` that each event changes. Raises ``Refused`` for someone who
    follows themselves."""
    writes: list[Upsert | Delete] = []
    for tp, offset, _, event in batch:
        writes += _rows(Mark(tp, offset), event)
    return writes


def _rows(mark: Mark, event: Event) -> Iterator[Upsert | Delete]:
    match event:
        case Followed() | Unfollowed() | FollowerRemoved():
            if event.follower_id == event.followee_id:
                raise Refused(f"person {event.follower_id} cannot follow themselves")
            pair = {"followee_id": event.followee_id, "follower_id": event.follower_id}
            if isinstance(event, Followed):
                yield Upsert(mark, "followers", pair, {})
            else:
                yield Delete(mark, "followers", pair)
        case PostSubmitted() | PostPublished() | PostEdited() | PostDeleted():
            yield Upsert(mark, "posts", {"post_id": event.post_id}, {"author_id": event.author_id} | _of_post(event))
        case _:
            columns = _of_person(event)
            if columns:
                user_id = event.user_id  # type: ignore[attr-defined]  # as every event has that says something of one
                yield Upsert(mark, "people", {"user_id": user_id}, columns)


def _of_person(event: Event) -> dict[str, Any]:
    match event:
        case AccountRegistered():
            return {"username": event.username, "name": event.name}
        case ProfileChanged():
            return {"name": event.name}
        case UsernameChanged():
            return {"username": event.username}
        case BadgeChanged():
            return {"verified": event.verified}
        case AccountDeactivated() | AccountReactivated():
            return {"deactivated": isinstance(event, AccountDeactivated)}
        case AccountErased():
            return {"erased": True}
        case PrivacyChanged():
            return {"private": event.private}
        case _:
            return {}


def _of_post(event: PostSubmitted | PostPublished | PostEdited | PostDeleted) -> dict[str, Any]:
    match event:
        case PostSubmitted() | PostEdited():
            return {"caption": event.caption, "hashtags": event.hashtags, "place": event.place}
        case PostPublished():
            return {"published": True}
        case PostDeleted():
            return {"deleted": True}


SEARCH: View[Upsert | Delete] = View("search", ("accounts", "graph", "posts"), project)


# -- comparing --------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """``text`` without what people leave out when they type: case, width, accents."""
    if text.isascii():
        return text.lower()
    spelt = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in spelt if not unicodedata.combining(letter))


def words(text: str, most: int) -> list[str]:
    """The words of ``text``, plain, in their order, each once, ``most`` of them; ideographs each for itself."""
    found: dict[str, None] = {}
    for word in _WORD.findall(plain(text)):
        for part in _IDEOGRAPH.sub(lambda match: f" {match[0]} ", word).split():
            found[part] = None
            if len(found) == most:
                return list(found)
    return list(found)


def words_of_a_person(username: str, name: str) -> list[str]:
    """What a person is found by the beginning of: the username, also without its dots and lines, and from each of
    its parts on; and each word of the name."""
    whole = plain(username)
    parts = [part for part in re.split(r"[._]+", whole) if part]
    named = words(name, WORDS_OF_A_NAME)
    return list(dict.fromkeys([whole, "".join(parts), *parts, *named, "".join(named)]))


def words_of_a_name(text: str) -> list[str]:
    """What a hashtag or place is found by the beginning of: all of it, and each of its words."""
    whole = plain(text)
    return list(dict.fromkeys([whole, *words(text, WORDS_OF_A_NAME)]))


def asked(query: str) -> list[str]:
    """The words of what somebody looks for, plain and cut to ``LONGEST``; a dot or line within one stays, since
    usernames have them."""
    return [word.rstrip(".")[:LONGEST] for word in _ASKED.findall(plain(query))][:WORDS_OF_A_NAME]


def typos(word: str) -> int:
    """How many letters of ``word`` may be wrong, missing, too many or swapped: of few letters none, or anybody would
    be meant."""
    return 0 if len(word) < 4 else 1 if len(word) < 8 else 2


# -- ranking ----------------------------------------------------------------------------------------------------------


class City(NamedTuple):
    """A place that an operator's file names. Degrees; ``others`` are its names in other words."""

    id: int
    name: str
    others: tuple[str, ...]
    latitude: float
    longitude: float
    country: str
    population: int


def level(count: int) -> int:
    """Popularity in steps of a factor of the square root of two: what a count is ranked by, so that it is not written
    anew for each follower."""
    return min(int(2 * math.log2(count + 1)), TOP_LEVEL)


def rank(of_level: int, number: int) -> int:
    """What things are ordered by, highest first: by level, then in an order that is nobody's, but always the same."""
    mixed = (number ^ (number >> 31)) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
    return min(of_level, TOP_LEVEL) << RANK_BITS | (mixed ^ mixed >> 29) & (1 << RANK_BITS) - 1


def distance_km(latitude: float, longitude: float, other: float, other_longitude: float) -> float:
    """Along the earth's surface, between two places in degrees (haversine; a sphere of 6,371 km)."""
    one, two = math.radians(latitude), math.radians(other)
    across = math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    chord = math.sin((two - one) / 2) ** 2 + math.cos(one) * math.cos(two) * across
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(chord)))
