"""What comes in as JSON of what people look at."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.ids import MAX_ID

SIGHTS_AT_MOST = 100
LONGEST_DWELL_MS = 3_600_000
_Id = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$"), Field(examples=["1000000000000000001"])]
_At = Annotated[
    AwareDatetime | None,
    Field(description="When, with its zone; left out: now. Later than now counts as now; a day ago is too long ago."),
]


class _Sight(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SeenPost(_Sight):
    """A post that was before one's eyes."""

    post_id: _Id
    dwell_ms: int = Field(ge=0, le=LONGEST_DWELL_MS, description="For how long, in ms; an hour at most.")
    surface: Literal["feed", "profile", "explore", "post"] = Field(description="Where it was seen.")
    rank: int = Field(default=0, ge=0, le=100_000, description="Its place in the page, from 0.")
    exposure: str | None = Field(
        default=None,
        max_length=170,
        description="`Feed-Exposure` of the page that it was seen on, as it came, where there was one.",
        examples=["order-1/ranked/20260102T030405-0123456789ab"],
    )
    at: _At = None


class VisitedProfile(_Sight):
    """A profile that one looked at."""

    user_id: _Id
    at: _At = None


class Sights(BaseModel):
    """What one looked at lately: 1 to 100 posts and profiles together."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "posts": [{"post_id": "1000000000000000003", "dwell_ms": 2400, "surface": "feed", "rank": 0}],
                "profiles": [{"user_id": "1000000000000000001"}],
            }
        },
    )
    posts: list[SeenPost] = Field(default=[], max_length=SIGHTS_AT_MOST)
    profiles: list[VisitedProfile] = Field(default=[], max_length=SIGHTS_AT_MOST)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not 1 <= len(self.posts) + len(self.profiles) <= SIGHTS_AT_MOST:
            raise ValueError(f"`posts` and `profiles` hold 1 to {SIGHTS_AT_MOST} items together")
        return self


def number_of(text: str) -> int:
    """The id that ``text`` is; 0, which is nobody's, for digits beyond the range of ids."""
    number = int(text)
    return number if number <= MAX_ID else 0
