from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import CollectionDeleted, CollectionMade, CollectionRenamed, Event, PostSaved, PostUnsaved
from streams.saves import SAVES
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables


def keeping(kind: type[PostSaved] | type[PostUnsaved], post: int, user: int, collection: int, at: int) -> Event:
    return kind(event_id=1, at=at, actor_id=user, post_id=post, author_id=1, collection_id=collection)


def collecting(kind: type[Any], collection: int, name: bytes, at: int) -> Event:
    base = {"event_id": 1, "at": at, "actor_id": 2, "collection_id": collection, "owner_id": 2}
    made: Event = kind(**base) if kind is CollectionDeleted else kind(**base, name=name)
    return made


histories = st.lists(
    st.builds(
        keeping,
        st.sampled_from([PostSaved, PostSaved, PostUnsaved]),
        st.integers(1, 3),
        st.integers(2, 3),
        st.integers(0, 2),
        st.integers(0, 9),
    )
    | st.builds(
        collecting,
        st.sampled_from([CollectionMade, CollectionRenamed, CollectionDeleted]),
        st.integers(1, 3),
        st.binary(min_size=1, max_size=2),
        st.integers(0, 9),
    ),
    max_size=25,
)


def read(tables: MemoryTables) -> dict[str, Any]:
    return {
        "kept": {(r["user_id"], r["post_id"], r["collection_id"]): r["saved_at"] for r in tables.rows("saves")},
        "collections": {
            row["collection_id"]: (row["name"], row["made_at"])
            for row in tables.rows("collections")
            if not row.get("deleted") and "made_at" in row
        },
    }


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """Of saves the last in the log wins, and an unsave empties all collections of what came before it; the deletion of
    a collection is final."""
    kept: dict[tuple[int, int, int], int] = {}
    names: dict[int, bytes] = {}
    made: dict[int, int] = {}
    gone: set[int] = set()
    for event in events:
        match event:
            case PostSaved():
                for collection in (0, event.collection_id):
                    kept[event.actor_id, event.post_id, collection] = event.at
            case PostUnsaved():
                for user, post, collection in list(kept):
                    if (user, post) == (event.actor_id, event.post_id) and event.collection_id in (0, collection):
                        del kept[user, post, collection]
            case CollectionMade() | CollectionRenamed():
                names[event.collection_id] = event.name
                if isinstance(event, CollectionMade):
                    made[event.collection_id] = event.at
            case CollectionDeleted():
                gone.add(event.collection_id)
    collections = {number: (names[number], at) for number, at in made.items() if number not in gone}
    check_laws(SAVES, events, rng, read, {"kept": kept, "collections": collections})
