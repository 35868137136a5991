"""The pages of hashtags and places, as JSON."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.models import POST, Post, example


class TaggedPosts(BaseModel):
    """A page of the posts that name a hashtag or a place, those that you may see."""

    model_config = example({"name": "dusk", "post_count": 1, "items": [POST], "next_cursor": None})

    name: str = Field(description="The hashtag, folded and without its sign, or the place.")
    post_count: int | None = Field(
        description="How many published posts name it, also those that you may not see; null for a moment in which "
        "nobody can say."
    )
    items: list[Post]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")
