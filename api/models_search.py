"""What was found, as JSON."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.models import PERSON, POST, Person, Post, example

_CURSOR = "Give it as `cursor` for the next page; null at the end. A page may be shorter than asked before that."
_FOUND_PERSON = {**PERSON, "you_follow": False, "mutuals": 3}
_FOUND_HASHTAG = {"name": "dusk", "posts": 57, "trend": 41.7}
_FOUND_PLACE = {
    "name": "London",
    "posts": 12,
    "trend": None,
    "country": "GB",
    "latitude": 51.50853,
    "longitude": -0.12574,
    "population": 8961989,
    "distance_km": 0.9,
}


class FoundPerson(Person):
    """A person who was found."""

    model_config = example(_FOUND_PERSON)

    you_follow: bool
    mutuals: int = Field(description="How many of those whom you follow follow them; 0 where you may not see who does.")


class FoundPeople(BaseModel):
    """A page of people, the likeliest first."""

    model_config = example({"items": [_FOUND_PERSON], "next_cursor": None})

    items: list[FoundPerson]
    next_cursor: str | None = Field(description=_CURSOR)


class FoundHashtag(BaseModel):
    """A hashtag that was found."""

    model_config = example(_FOUND_HASHTAG)

    name: str = Field(description="Without its sign.")
    posts: int = Field(description="Posts with it of people who are not private.")
    trend: float | None = Field(
        description="How far it is above what is usual for it in this hour, as in `/trending`; null while nobody knows."
    )


class FoundHashtags(BaseModel):
    """A page of hashtags, the most used first."""

    model_config = example({"items": [_FOUND_HASHTAG], "next_cursor": None})

    items: list[FoundHashtag]
    next_cursor: str | None = Field(description=_CURSOR)


class FoundPlace(FoundHashtag):
    """A place that was found: one that posts name, one on this server's map, or both."""

    model_config = example(_FOUND_PLACE)

    name: str = Field(description="As posts name it.")
    country: str | None = Field(description="Two letters (ISO 3166); null for what is on no map.")
    latitude: float | None = Field(description="Degrees north.")
    longitude: float | None = Field(description="Degrees east.")
    population: int | None
    distance_km: float | None = Field(description="From where you asked for it.")


class FoundPlaces(BaseModel):
    """A page of places: the most used or largest first, or the nearest."""

    model_config = example({"items": [_FOUND_PLACE], "next_cursor": None})

    items: list[FoundPlace]
    next_cursor: str | None = Field(description=_CURSOR)


class FoundPosts(BaseModel):
    """A page of posts, the newest first."""

    model_config = example({"items": [POST], "next_cursor": None})

    items: list[Post]
    next_cursor: str | None = Field(description=_CURSOR)
