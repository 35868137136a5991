"""What goes out as JSON. Ids are strings, since JavaScript cannot hold 63 bits; times are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(json_schema_extra={"examples": ["1000000000000000001"]})]


def example(example: dict[str, Any]) -> ConfigDict:
    """What the OpenAPI document shows of a model."""
    return ConfigDict(json_schema_extra={"example": example})


PERSON = {"id": "1000000000000000001", "username": "ada", "name": "Ada", "verified": True}
_PICTURE = {
    "media_id": "1000000000000000002",
    "width": 4000,
    "height": 3000,
    "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    "average_color": "#6b7f8a",
    "renditions": [
        {
            "name": 1080,
            "width": 1080,
            "height": 810,
            "bytes": 182_044,
            "url": "https://…/media/r/ab/ab12….jpg?for=public&expires=…&signature=…",
        }
    ],
}
POST = {
    "id": "1000000000000000003",
    "author": PERSON,
    "status": "published",
    "caption": "The engine at dusk",
    "media_ids": ["1000000000000000002"],
    "media": [_PICTURE],
    "submitted_at": "2026-01-02T03:04:05.678Z",
    "published_at": "2026-01-02T03:04:06.012Z",
    "edited_at": None,
    "code": None,
    "reason": None,
    "like_count": 42,
    "liked_by_me": True,
    "mentions": [],
    "tagged": [PERSON],
    "hashtags": ["dusk"],
    "place": "London",
    "liked_by_followed": [],
    "comment_count": 7,
    "share_count": 2,
    "saved_by_me": False,
}
_COMMENT = {
    "id": "1000000000000000005",
    "post_id": "1000000000000000003",
    "parent_id": None,
    "author": PERSON,
    "text": "What a light! @grace",
    "mentions": [{"id": "1000000000000000004", "username": "grace", "name": "Grace"}],
    "at": "2026-01-02T03:05:00.000Z",
    "pinned": False,
    "reply_count": 1,
}


class Account(BaseModel):
    """A registered account."""

    model_config = example(
        {"id": "1000000000000000001", "username": "ada", "name": "Ada", "registered_at": "2026-01-02T03:04:05.678Z"}
    )

    id: Id
    username: str
    name: str
    registered_at: datetime


class Tokens(BaseModel):
    """A session's tokens. The refresh token is good once: each refresh gives the next one."""

    model_config = example(
        {
            "access_token": "eyJhbGciOiJIUzI1NiIs….…",
            "token_type": "Bearer",
            "expires_in": 900,
            "refresh_token": "q1w2e3….…",
            "user_id": "1000000000000000001",
        }
    )

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds for which the access token is good.")
    refresh_token: str
    user_id: Id


class Person(BaseModel):
    """A person, in lists and beside posts. Empty where the account is not known here (yet)."""

    model_config = example(PERSON)

    id: Id
    username: str
    name: str
    verified: bool = Field(default=False, description="Whether it is known that they are who they say they are.")


class Ties(BaseModel):
    """What you have to do with somebody."""

    follow: bool = Field(description="Whether you follow them.")
    requested: bool = Field(description="Whether you asked to, and wait.")
    mute: bool
    followed_by: bool = Field(description="Whether they follow you.")


class Profile(Person):
    """A person's page."""

    model_config = example(
        PERSON
        | {
            "bio": "Pictures of engines.",
            "links": ["https://engines.example"],
            "picture": _PICTURE,
            "registered_at": "2026-01-02T03:04:05.678Z",
            "private": False,
            "followers": 12,
            "following": 7,
            "posts": 31,
            "you": {"follow": True, "requested": False, "mute": False, "followed_by": False},
        }
    )

    bio: str
    links: list[str] = Field(default=[], description="Web addresses of their own choice: nobody has checked them.")
    picture: Picture | None = None
    registered_at: datetime
    private: bool = Field(description="Whether only approved followers see the posts.")
    followers: int
    following: int
    posts: int = Field(description="Published and not deleted.")
    you: Ties | None = Field(description="What you have to do with this person; null for yourself and strangers.")


class People(BaseModel):
    """A page of people."""

    model_config = example({"items": [PERSON], "next_cursor": "DeC2s6dkAAE"})

    items: list[Person]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class Follow(BaseModel):
    """Whether you follow this person, from now on, or have asked to."""

    model_config = example({"user_id": "1000000000000000001", "following": True, "requested": False})

    user_id: Id
    following: bool
    requested: bool = Field(default=False, description="The account is private: you follow once they approve.")


class Follower(BaseModel):
    """Whether this person follows you, from now on."""

    model_config = example({"user_id": "1000000000000000001", "follows_you": True})

    user_id: Id
    follows_you: bool


class Block(BaseModel):
    """Whether you block this person, from now on."""

    model_config = example({"user_id": "1000000000000000001", "blocked": True})

    user_id: Id
    blocked: bool


class Mute(BaseModel):
    """Whether you mute this person, from now on."""

    model_config = example({"user_id": "1000000000000000001", "muted": True})

    user_id: Id
    muted: bool


class Privacy(BaseModel):
    """Whether you are private, from now on."""

    model_config = example({"private": True})

    private: bool


class Media(BaseModel):
    """An upload's state."""

    model_config = example(
        {"media_id": "1000000000000000002", "status": "processing", "picture": None, "code": None, "reason": None}
    )

    media_id: Id
    status: Literal["processing", "ready", "rejected"]
    picture: Picture | None = None
    code: str | None = Field(default=None, description="Why it was rejected, for machines.")
    reason: str | None = Field(default=None, description="Why it was rejected and what to do, for people.")


class Rendition(BaseModel):
    """One size of a picture."""

    name: int = Field(description="Nominal bound in pixels.")
    width: int
    height: int
    bytes: int
    url: str = Field(description="Signed; it expires. What it names never changes: keep it as long as you need it.")


class Picture(BaseModel):
    """A picture with its renditions; width and height are the upright original's."""

    model_config = example(_PICTURE)

    media_id: Id
    width: int
    height: int
    blurhash: str
    average_color: str = Field(examples=["#6b7f8a"])
    renditions: list[Rendition]


class Post(BaseModel):
    """A post. Only its author sees one that is not published."""

    model_config = example(POST)

    id: Id
    author: Person
    status: Literal["processing", "published", "rejected"]
    caption: str
    media_ids: list[Id]
    media: list[Picture] = Field(description="The pictures, once the post is published.")
    submitted_at: datetime | None
    published_at: datetime | None
    edited_at: datetime | None
    code: str | None = Field(default=None, description="Why it was rejected, for machines.")
    reason: str | None = Field(default=None, description="Why it was rejected and what to do, for people.")
    mentions: list[Person] = Field(description="Whom the caption names: those of whom you may know.")
    tagged: list[Person] = Field(description="Who is seen in the pictures: those of whom you may know.")
    hashtags: list[str] = Field(description="The tags in the caption, folded.")
    place: str
    like_count: int | None = Field(description="How many like it; null for a moment in which nobody can say.")
    liked_by_me: bool | None = Field(description="Whether you do; null together with `like_count`.")
    liked_by_followed: list[Person] = Field(
        default=[], description="On a post's own page: up to three of those whom you follow who like it."
    )
    comment_count: int | None = Field(description="Comments and replies; null together with `like_count`.")
    share_count: int | None = Field(description="How many shared it; null together with `like_count`.")
    saved_by_me: bool | None = Field(description="Whether you keep it; null together with `like_count`.")


class Like(BaseModel):
    """Whether you like this post, from now on."""

    model_config = example({"post_id": "1000000000000000003", "liked": True})

    post_id: Id
    liked: bool


class Comment(BaseModel):
    """A comment on a post, or a reply to one."""

    model_config = example(_COMMENT)

    id: Id
    post_id: Id
    parent_id: Id | None = Field(description="The comment that it replies to; null for none.")
    author: Person
    text: str
    mentions: list[Person] = Field(description="Whom it names: those of whom you may know.")
    at: datetime | None
    pinned: bool
    reply_count: int | None = Field(description="Replies to it; null for a moment in which nobody can say.")


class Comments(BaseModel):
    """A page of comments."""

    model_config = example({"items": [_COMMENT], "pinned": [], "disabled": False, "next_cursor": "DeC2s6dkAAU"})

    items: list[Comment]
    pinned: list[Comment] = Field(description="On the first page, what stands above the others; not among `items`.")
    disabled: bool = Field(description="Whether the post's author lets nobody comment any more.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class Pin(BaseModel):
    """Whether this comment is pinned, from now on."""

    model_config = example({"comment_id": "1000000000000000005", "pinned": True})

    comment_id: Id
    pinned: bool


class Commenting(BaseModel):
    """Whether this post may be commented, from now on."""

    model_config = example({"post_id": "1000000000000000003", "disabled": True})

    post_id: Id
    disabled: bool


class Save(BaseModel):
    """Whether you keep this post, from now on."""

    model_config = example({"post_id": "1000000000000000003", "saved": True, "collection_id": None})

    post_id: Id
    saved: bool
    collection_id: Id | None = Field(description="The collection that it is in, from now on, where one was named.")


class Share(BaseModel):
    """A post to be passed on."""

    model_config = example({"post_id": "1000000000000000003", "url": "https://…/api/v1/posts/1000000000000000003"})

    post_id: Id
    url: str = Field(description="Whoever may see the post finds it here.")


class Collection(BaseModel):
    """A collection of saved posts, which only its owner sees."""

    model_config = example({"id": "1000000000000000006", "name": "Light", "made_at": "2026-01-02T03:04:05.678Z"})

    id: Id
    name: str
    made_at: datetime | None


class Collections(BaseModel):
    """One's collections."""

    model_config = example(
        {
            "items": [{"id": "1000000000000000006", "name": "Light", "made_at": "2026-01-02T03:04:05.678Z"}],
            "next_cursor": None,
        }
    )

    items: list[Collection]
    next_cursor: str | None = Field(description="Always null: all of them are on one page.")


class PostAccepted(BaseModel):
    """The post is in the log; it is published as soon as its media are ready."""

    model_config = example({"id": "1000000000000000003", "status": "processing"})

    id: Id
    status: Literal["processing"] = "processing"


class CaptionChanged(BaseModel):
    """The caption is in the log."""

    model_config = example({"id": "1000000000000000003", "caption": "The engine at dawn"})

    id: Id
    caption: str


class Posts(BaseModel):
    """A page of posts, newest first."""

    model_config = example({"items": [POST], "next_cursor": "DeC2s6dkAAM"})

    items: list[Post]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class Liveness(BaseModel):
    """The gateway runs."""

    model_config = example({"status": "ok"})

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether each store answers."""

    model_config = example(
        {"ready": True, "stores": {"kafka": True, "cassandra": True, "redis": True, "objects": True}}
    )

    ready: bool
    stores: dict[str, bool]
