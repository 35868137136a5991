from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    Event,
    MediaPurged,
    MediaRejected,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostRejected,
    PostSubmitted,
    RenderedMedia,
    RenditionsReady,
    UploadCompleted,
)
from streams.posts import POSTS, project
from streams.records import Record, TopicPartition
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables
from tests.streams.post_events import media_event, media_events, picture, post_event, post_events

Rows = dict[int, dict[str, Any]]


def read(tables: MemoryTables) -> tuple[Rows, Rows]:
    posts = {row.pop("post_id"): row for row in tables.rows("posts")}
    for row in posts.values():
        if "media" in row:
            row["media"] = msgspec.json.decode(row["media"], type=list[RenderedMedia])
    media = {row.pop("media_id"): row for row in tables.rows("media")}
    for row in media.values():
        if "rendered" in row:
            row["rendered"] = msgspec.json.decode(row["rendered"], type=RenderedMedia)
    return posts, media


def folded(events: list[Event]) -> tuple[Rows, Rows]:
    posts: Rows = {}
    media: Rows = {}
    for event in events:
        if isinstance(event, UploadCompleted | RenditionsReady | MediaRejected | MediaPurged):
            row = media.setdefault(event.media_id, {"owner_id": event.owner_id})
        elif isinstance(event, PostSubmitted | PostPublished | PostRejected | PostEdited | PostDeleted):
            row = posts.setdefault(event.post_id, {"author_id": event.author_id})
        match event:
            case UploadCompleted():
                row["uploaded_at"] = event.at
            case RenditionsReady():
                row["rendered"] = event.media
            case MediaRejected():
                row["code"], row["reason"] = event.code, event.reason
            case PostSubmitted():
                row["media_ids"], row["submitted_at"] = event.media_ids, event.at
                row |= tags_of(event)
            case PostPublished():
                row["published_at"], row["media"] = event.at, event.media
            case PostRejected():
                row["rejected_code"], row["rejected_reason"] = event.code, event.reason
            case PostEdited():
                row["edited_at"] = event.at
                row |= tags_of(event)
            case PostDeleted():
                for name in ("caption", "mentions", "tagged", "hashtags", "place", "media"):
                    row.pop(name, None)
                row["deleted"] = True
            case MediaPurged():
                row.pop("rendered", None)
                row["code"], row["reason"] = "purged", "The file was removed."
    return posts, media


def tags_of(event: PostSubmitted | PostEdited) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ("caption", "mentions", "tagged", "hashtags", "place")}


@at_leisure
@given(st.lists(st.one_of(post_events, media_events), max_size=30), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    check_laws(POSTS, events, rng, read, folded(events))


def records(*events: Event, first: int = 0) -> list[Record]:
    tp = TopicPartition("posts", 0)
    return [Record(tp, offset, event.at, event) for offset, event in enumerate(events, first)]


def test_publication_leaves_an_edit_that_crossed_it() -> None:
    tables = MemoryTables()
    events = [
        post_event(PostSubmitted, 1, 1, "a"),
        post_event(PostEdited, 1, 2, "b"),
        post_event(PostPublished, 1, 3, "c"),
    ]
    tables.apply(project(records(*events)))
    assert tables.rows("posts")[0]["caption"] == b"b"


def test_deletion_is_final_even_before_the_others() -> None:
    tables = MemoryTables()
    kinds = (PostDeleted, PostSubmitted, PostEdited, PostPublished)
    tables.apply(project(records(*(post_event(kind, 1, n, "a") for n, kind in enumerate(kinds)))))
    assert tables.rows("posts")[0]["deleted"] is True


def test_duplicates_of_a_publication_converge_whatever_comes_last() -> None:
    first, second = records(post_event(PostPublished, 1, 10, "a"), post_event(PostPublished, 1, 20, "a"))
    for order in ([first, second], [second, first], [first, second, first]):
        tables = MemoryTables()
        for record in order:
            tables.apply(project([record]))
        assert tables.rows("posts")[0]["published_at"] == 20


def test_a_media_refused_and_rendered_keeps_both_in_either_order() -> None:
    found = []
    for kinds in ([MediaRejected, RenditionsReady], [RenditionsReady, MediaRejected]):
        tables = MemoryTables()
        tables.apply(project(records(*(media_event(kind, 5, 9, "a") for kind in kinds))))
        found.append(read(tables)[1])
    assert found[0] == found[1] == {5: {"owner_id": 7, "code": "a", "reason": "a", "rendered": picture(5, 9)}}
