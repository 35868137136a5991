"""What comes in as JSON of push subscriptions."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_SUBSCRIPTION: dict[str, Any] = {
    "endpoint": "https://push.example/send/f1GAbK5nZ3E",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


class PushKeys(BaseModel):
    """What messages to a browser are sealed with, base64url."""

    model_config = ConfigDict(extra="forbid")

    p256dh: str = Field(min_length=1, max_length=100)
    auth: str = Field(min_length=1, max_length=40)


class NewPushSubscription(BaseModel):
    """A browser's `PushSubscription`, as its `toJSON()` gives it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _SUBSCRIPTION})

    endpoint: str = Field(min_length=1, max_length=1024, description="Where the push service takes messages: https.")
    keys: PushKeys
    expirationTime: float | None = Field(  # noqa: N815 (a browser's name)
        default=None, description="Taken since browsers send it, and not used: an expired endpoint says so by itself."
    )
