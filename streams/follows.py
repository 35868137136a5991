"""Follows: who follows whom, as rows of ``followers`` (by the followed) and ``following`` (by the follower).

A relation: the last event in the log wins. Both rows come from the one record, which stands in the partition of the
person followed, so the two tables cannot disagree for longer than a micro-batch takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import Followed, Unfollowed
from streams.records import Record
from streams.views import Delete, Mark, Refused, Upsert, View


def project(batch: Sequence[Record]) -> list[Upsert | Delete]:
    """Two writes for each follow and each unfollow. Raises ``Refused`` for someone who follows themselves."""
    writes: list[Upsert | Delete] = []
    for tp, offset, _, event in batch:
        if not isinstance(event, Followed | Unfollowed):
            continue
        if event.follower_id == event.followee_id:
            raise Refused(f"person {event.follower_id} cannot follow themselves")
        mark = Mark(tp, offset)
        key = {"followee_id": event.followee_id, "follower_id": event.follower_id}
        for table in ("followers", "following"):
            if isinstance(event, Followed):
                writes.append(Upsert(mark, table, key, {"followed_at": event.at}))
            else:
                writes.append(Delete(mark, table, key))
    return writes


FOLLOWS: View[Upsert | Delete] = View("follows", ("graph",), project)
