"""What goes out as JSON of push subscriptions. Endpoints and keys never do: who has them can push."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from api.models import Id, example

_SUBSCRIPTION = {
    "id": "5470930914329116493",
    "host": "push.example",
    "created_at": "2026-01-02T03:04:05.678Z",
    "current": True,
}


class PushSubscription(BaseModel):
    """One device that notices are pushed to, until its session ends."""

    model_config = example(_SUBSCRIPTION)

    id: Id
    host: str = Field(description="The push service.")
    created_at: datetime
    current: bool = Field(description="Whether it was made in the session that asks.")


class PushSubscriptions(BaseModel):
    """A page of one's devices."""

    model_config = example({"items": [_SUBSCRIPTION], "next_cursor": None})

    items: list[PushSubscription]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class PushKey(BaseModel):
    """By what push services know this server."""

    model_config = example(
        {"public_key": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"}
    )

    public_key: str = Field(description="`applicationServerKey` for `pushManager.subscribe`, base64url.")
