"""What a gateway remembers of views and still stands, while Cassandra is away: all of which the log has said nothing
since it was read.

That is a proof and no guess by age: who was blocked, deleted or made private meanwhile, by whichever gateway, is in the
log, and whatever was said under the key of one of the people in question makes what is remembered of them unknown. What
is unknown is not shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sinks.accounts import AccountRow
from sinks.errors import StoreAway
from sinks.log_since import LogSince, Said
from sinks.posts import PostRow
from sinks.remembered import Kept, Remembered
from streams.records import TopicPartition
from streams.rules import Facts

VIEWS_OF = {"posts": "posts", "accounts": "accounts", "graph": "follows"}
"""The topics that decide what is remembered, and the views that were read."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands, as it was found out for one request."""

    remembered: Remembered
    said: Said

    def posts(self, post_ids: Sequence[int]) -> dict[int, Kept[PostRow]]:
        """Those of ``post_ids`` that are known, in their order."""
        found = ((post_id, self.remembered.post(post_id)) for post_id in post_ids)
        return {
            post_id: kept
            for post_id, kept in found
            if kept is not None and self._stands([("posts", kept.row.author_id, kept.fence)])
        }

    def about(self, viewer_id: int, user_ids: Collection[int]) -> tuple[Facts, dict[int, Kept[AccountRow | None]]]:
        """Those of ``user_ids`` of whom is known what the viewer has to do with them, and who they are. The rest are
        in neither, and may not be shown."""
        people: dict[int, Kept[AccountRow | None]] = {}
        for user_id in user_ids:
            kept = self.remembered.person(user_id)
            if kept is not None and self._stands([("accounts", user_id, kept.fence)]):
                people[user_id] = kept
        facts, fences = self.remembered.ties(viewer_id, people)
        standing = {
            user_id
            for user_id, (of_viewer, of_other, of_account) in fences.items()
            if self._stands(
                [("graph", viewer_id, of_viewer), ("graph", user_id, of_other), ("accounts", user_id, of_account)]
            )
        }
        known = {user_id: kept for user_id, kept in people.items() if user_id in standing}
        return Facts(
            viewer_id,
            {user_id: facts.standings[user_id] for user_id in known},
            {user_id: facts.relations[user_id] for user_id in known if user_id in facts.relations},
        ), known

    def _stands(self, known: Iterable[tuple[str, int, int]]) -> bool:
        return all(
            self.said.nothing_since(self.remembered.place(topic, key_id), key_id, fence)
            for topic, key_id, fence in known
        )


async def standing(remembered: Remembered, log: LogSince) -> Standing:
    """What stands now. Raises ``StoreAway`` where nothing was ever remembered, or the log cannot be read."""
    begun = remembered.begun()
    if begun is None:
        raise StoreAway("nothing is remembered")
    places = (TopicPartition(topic, n) for topic in VIEWS_OF for n in range(remembered.partitions))
    return Standing(remembered, await log.after({tp: begun[VIEWS_OF[tp.topic]].get(tp, -1) for tp in places}))
