"""What a person is shown of their notifications: groups of the view, after the rules, as models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import NamedTuple

from api.models import Person
from api.models_notifications import Notification
from api.presenting import Presenter, moment
from api.stores import Stores
from sinks.audience import RuledAudience
from sinks.notifications import GroupRow, Standing
from streams.notifications import STORY_REACTION, UPLOAD_FAILED

_TEXTS = {
    "like": "liked your photo",
    "comment": "commented on your photo",
    "reply": "replied to your comment",
    "mention": "mentioned you",
    "tag": "tagged you in a photo",
    "follow": "started following you",
    "request": "asked to follow you",
    "approval": "accepted your request to follow them",
    "story_reaction": "reacted to your story",
}


class Shown(NamedTuple):
    """A group that is shown, and what of it."""

    group: GroupRow
    standing: Standing


class Activity:
    """One person's notifications, within one request."""

    def __init__(self, stores: Stores, recipient_id: int) -> None:
        self._stores = stores
        self._recipient_id = recipient_id
        self.audience = RuledAudience(recipient_id, stores.relations, stores.posts, stores.comments, stores.stories)
        """Whom and what this person may be told of."""

    async def page(self, before: tuple[int, int], limit: int) -> tuple[list[Shown], bool]:
        """The newest ``limit`` that are shown of those before the place ``before``; whether there may be more."""
        found: list[Shown] = []
        while True:
            groups = await self._stores.notifications.groups(self._recipient_id, before, limit + 1)
            shown = {one.group.group_id: one for one in await self._shown(groups)}
            found += (shown[group.group_id] for group in groups if group.group_id in shown)
            if len(found) > limit or len(groups) <= limit:
                return found[:limit], len(found) > limit
            before = groups[-1].place

    async def seen(self) -> int:
        """The position up to which everything was seen; -1 for nothing."""
        return await self._stores.notifications.seen(self._recipient_id)

    async def unseen(self, seen: int) -> int:
        """How many of all groups that are shown hold something new after ``seen``.

        Counted from the same rows as the pages, so that it equals what they show.
        """
        groups = await self._stores.notifications.since(self._recipient_id, seen)
        return sum(one.standing.position > seen for one in await self._shown(groups))

    async def models(self, shown: Collection[Shown], seen: int) -> list[Notification]:
        """What goes out."""
        actors = {actor for one in shown for actor in one.standing.actors}
        people = await Presenter(self._stores).people(self._recipient_id, actors)
        return [_model(one, people, seen) for one in shown]

    async def _shown(self, groups: Iterable[GroupRow]) -> list[Shown]:
        """Those of ``groups`` of which something stands that this person may be told, by all the rules."""
        preferences = await self._stores.notifications.preferences(self._recipient_id)
        asked = [group for group in groups if group.kind not in preferences.silenced]
        posts = {group.post for group in asked if group.post and group.kind != UPLOAD_FAILED}
        stories = {group.target for group in asked if group.kind == STORY_REACTION}
        ids = {group.group_id: (group.kind, group.post) for group in asked}
        standing, open_posts, open_stories = await asyncio.gather(
            self._stores.notifications.standing(self._recipient_id, ids, self.audience),
            self.audience.open_posts(posts),
            self.audience.open_stories(stories, self._stores.clock()),
        )
        return [
            Shown(group, stands)
            for group in asked
            if (stands := standing[group.group_id]).total
            and (group.post not in posts or group.post in open_posts)
            and (group.kind != STORY_REACTION or group.target in open_stories)
        ]


def sentence(kind: str, actors: Collection[Person], total: int) -> str:
    """What ``total`` people did, of whom ``actors`` are the newest."""
    names = [actor.name or actor.username or "Somebody" for actor in actors][: 3 if total == 3 else 2]
    others = total - len(names)
    if others > 0:
        names.append(f"{others:,} {'other' if others == 1 else 'others'}")
    if not names:  # they went away between two reads
        names = ["Somebody"]
    who = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{who} {_TEXTS[kind]}."


def _model(shown: Shown, people: dict[int, Person], seen: int) -> Notification:
    group, standing = shown
    failed = group.kind == UPLOAD_FAILED
    actors = [] if failed else [people[actor] for actor in standing.actors if actor in people]
    text = f"Your upload failed. {group.reason or ''}".strip()
    return Notification.model_validate(
        {
            "id": str(group.group_id),
            "kind": group.kind,
            "text": text if failed else sentence(group.kind, actors, standing.total),
            "actors": actors,
            "actor_count": 0 if failed else standing.total,
            "at": moment(standing.at),
            "seen": standing.position <= seen,
            "post_id": str(group.post) if group.post else None,
            "comment_id": str(standing.comment) if standing.comment else None,
            "story_id": str(group.target) if group.kind == STORY_REACTION else None,
            "media_id": str(group.target) if failed else None,
            "code": group.code,
            "reason": group.reason,
        }
    )
