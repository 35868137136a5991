"""Events as JSON and back: nothing is lost, and what says no event is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from schemas.events import Event, Followed, PostPublished, RenderedMedia, Rendition, Source
from schemas.ids import MIN_ID
from schemas.readable import NotAnEvent, event_of, fields_of
from tests.schemas.samples import events

FOLLOWED = Followed(
    event_id=MIN_ID, at=5, actor_id=MIN_ID + 1, trace_id="42", follower_id=MIN_ID + 1, followee_id=MIN_ID + 2
)
PICTURE = RenderedMedia(MIN_ID, 4, 3, "b", "#fff", [Rendition(150, 4, 3, "k", 10)])


@given(events())
def test_what_is_written_is_read(event: Event) -> None:
    name = type(event).__name__
    assert event_of(name, json.loads(json.dumps(fields_of(event)))) == event


def test_ids_are_strings_and_the_rest_is_as_it_is() -> None:
    published = PostPublished(
        event_id=MIN_ID,
        at=5,
        actor_id=MIN_ID,
        post_id=MIN_ID,
        author_id=MIN_ID,
        media=[PICTURE],
        source=Source("posts", 1, 7, 0),
    )
    fields = fields_of(published)
    assert (fields["post_id"], fields["at"], fields["source"]["offset"]) == (str(MIN_ID), 5, 7)
    assert fields["media"][0]["media_id"] == str(MIN_ID)
    assert fields_of(FOLLOWED)["trace_id"] == "42"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"follower": 1}, "Followed has no field follower$"),
        ({"follower_id": None}, "Expected `int`, got `null` - at `\\$.follower_id`"),
        ({"follower_id": "bob"}, "Expected `int`, got `str`"),
        ({"follower_id": 1.7e18}, "write ids as strings"),
        ({"at": "soon"}, "at `\\$.at`"),
    ],
)
def test_what_says_no_event_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotAnEvent, match=reason):
        event_of("Followed", fields_of(FOLLOWED) | change)


def test_missing_fields_foreign_classes_and_nested_fields_are_said() -> None:
    fields = fields_of(FOLLOWED)
    del fields["followee_id"]
    with pytest.raises(NotAnEvent, match="missing required field `followee_id`"):
        event_of("Followed", fields)
    with pytest.raises(NotAnEvent, match="no event 'Followd'; there are AccountRegistered, "):
        event_of("Followd", {})
    with pytest.raises(NotAnEvent, match="has no field source.nn"):
        given_fields = {"media_id": MIN_ID, "owner_id": 1, "code": "c", "reason": "r"}
        base = {"event_id": 1, "at": 1, "actor_id": 1}
        source = {"topic": "t", "partition": 0, "offset": 0, "n": 0, "nn": 1}
        event_of("MediaRejected", base | given_fields | {"source": source})
    with pytest.raises(NotAnEvent, match="base64"):
        event_of(
            "AccountRegistered",
            {"event_id": 1, "at": 1, "actor_id": 1, "user_id": 1, "username": "not base64!", "name": ""},
        )
