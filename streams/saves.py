"""Saves: the posts that each person keeps, and their collections of them. Nobody else sees either.

``saves`` is a relation of a person, a post and a collection, 0 for the saved posts as such: whatever is in a collection
is among those too. All that is said of one post stands in one partition, so that unsaving a post takes it out of every
collection that it came into before, and out of none that it came into since. A collection is an entity: its deletion
is final, and hides what is in it; the posts stay saved.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import CollectionDeleted, CollectionMade, CollectionRenamed, PostSaved, PostUnsaved
from streams.records import Record
from streams.views import Delete, Mark, Upsert, View


def project(batch: Sequence[Record]) -> list[Upsert | Delete]:
    """The writes of each save, each unsave and each event of a collection."""
    writes: list[Upsert | Delete] = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case PostSaved():
                for collection in dict.fromkeys((0, event.collection_id)):
                    key = {"user_id": event.actor_id, "post_id": event.post_id, "collection_id": collection}
                    writes.append(Upsert(mark, "saves", key, {"saved_at": event.at}))
            case PostUnsaved():
                key = {"user_id": event.actor_id, "post_id": event.post_id}
                if event.collection_id:
                    key["collection_id"] = event.collection_id
                writes.append(Delete(mark, "saves", key))
            case CollectionMade() | CollectionRenamed() | CollectionDeleted():
                key = {"owner_id": event.owner_id, "collection_id": event.collection_id}
                match event:
                    case CollectionMade():
                        writes.append(Upsert(mark, "collections", key, {"name": event.name, "made_at": event.at}))
                    case CollectionRenamed():
                        writes.append(Upsert(mark, "collections", key, {"name": event.name}))
                    case CollectionDeleted():
                        writes.append(Upsert(mark, "collections", key, {"name": None, "deleted": True}))
    return writes


SAVES: View[Upsert | Delete] = View("saves", ("engagement",), project)
