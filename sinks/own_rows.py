"""Everything that the views hold of one person, for the export of their data.

``OWN``, ``WITH_OTHERS`` and ``LEFT_OUT`` name every table there is. Where none is by person, the whole table is
scanned, which reads as much as it is long: that is for a rare wish, never for a page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from sinks.cassandra import Cassandra
from sinks.view_tables import TABLES, table_name
from streams.follows import BLOCKS, MUTES

OWN: Mapping[str, tuple[str, str]] = {
    "posts": ("user_posts", "author_id"),
    "following": ("following", "follower_id"),
    "followers": ("followers", "followee_id"),
    "follow_requests_sent": ("requested", "follower_id"),
    "follow_requests_received": ("requests", "followee_id"),
    "blocks": ("ties", "user_id"),
    "mutes": ("ties", "user_id"),
    "privacy_changes": ("privacy", "user_id"),
    "usernames": ("usernames", "user_id"),
    "likes": ("likes", "user_id"),
    "comments": ("comments", "user_id"),
    "uploads": ("media", "owner_id"),
    "posts_seen": ("seen_posts", "viewer_id"),
    "saves": ("saves", "user_id"),
    "collections": ("collections", "owner_id"),
    "stories": ("user_stories", "author_id"),
    "highlights": ("highlights", "author_id"),
    "highlight_stories": ("highlight_stories", "author_id"),
    "stories_seen": ("stories_seen", "viewer_id"),
    "notifications": ("notification_groups", "recipient_id"),
    "notifications_seen": ("notification_seen", "recipient_id"),
    "notification_preferences": ("notification_preferences", "recipient_id"),
}
"""Part of an export → its table, and the column that names the person; tables of no view have no generation."""
WITH_OTHERS: Mapping[str, str] = {
    "accounts": "account",
    "credentials": "account",
    "person_sessions": "sessions",
    "push_subscriptions": "push_subscriptions",
    "posts": "posts",
    "stories": "stories",
    "kept_stories": "stories",
    "story_reactions": "story_reactions",
}
"""Tables of which an export has what it needs by other readers → the part it is in."""
_COPY = "holds nothing of a person that an exported part does not"
_AGENTS = "an agent's memory of events, of whose every one a view has the row"
_SECRET = "lets whoever has it in, or read"  # noqa: S105
LEFT_OUT: Mapping[str, str] = {
    "tagged_posts": _COPY,
    "comment_places": _COPY,
    "notification_days": _COPY,
    "notification_recents": _COPY,
    "notification_causes": "what others did, which is theirs; its groups are exported",
    "story_views": "who saw a story, which is theirs: it is in their own export; gone after two days",
    "comment_pins": "of a post, and of no person",
    "comment_switches": "of a post, and of no person",
    "sessions": "hashes of tokens; when and where one is logged in is exported",
    "person_keys": _SECRET,
    "mail_tokens": _SECRET,
    "email_owners": "a keyed hash of the address, which is exported",
    "username_skeletons": "made of usernames, which are exported",
    "uploads": _COPY,
    "submissions": _COPY,
    "idempotency": "hashes of requests, gone after three days",
    "push_claims": "which notices were pushed last; the notices are exported",
    "publishing_media": _AGENTS,
    "publishing_removed": _AGENTS,
    "saga_privacy": _AGENTS,
    "saga_pairs": _AGENTS,
    "saga_waiting": _AGENTS,
    "saga_likes": _AGENTS,
    "saga_deeds": _AGENTS,
    "saga_erased": "of those who have no account any more",
    "rendition_uses": "of pictures, whose originals are exported",
    "rendition_keys": "of pictures, whose originals are exported",
    "fences": "of views, and of no person",
    "view_leases": "of views, and of no person",
    "replay_poison": "of views, and of no person",
    "verifications": "of views, and of no person",
}
"""Tables that an export leaves out, and why."""
VIEWS_LEFT_OUT: Mapping[str, str] = {
    "home_feed": "what others posted, by whom one follows, which is exported",
    "counters": "numbers of posts, and likes, which are exported",
    "story_tray": "what others posted, by whom one follows",
    "trending": "days on which one turned to a post or hashtag, by likes, comments and posts seen, which are exported",
    "affinity": "sums of what one did about others, by likes, comments and saves, which are exported",
    "search": "names and captions, which are exported",
    "facts": "ids and times of events, whose rows are exported",
}
"""Views that are in no table of Cassandra, and why an export leaves them out."""
_KINDS = {"blocks": BLOCKS, "mutes": MUTES}
"""Parts of ``OWN`` that are one kind of their table's rows. Of ``ties``, by whom one is blocked is nobody's to know."""


class OwnRows:
    """Rows of one person, as dictionaries of columns."""

    def __init__(self, cassandra: Cassandra, generations: Mapping[str, int]) -> None:
        """``generations`` names the live generation of each view; 1 where it does not."""
        self._cassandra = cassandra
        self._generations = generations

    async def rows(self, part: str, user_id: int) -> AsyncIterator[dict[str, Any]]:
        """Those of ``part`` (see ``OWN``), page by page, in no order. Raises ``StoreAway``."""
        table, column = OWN[part]
        declared = TABLES.get(table)
        name = table_name(table, self._generations.get(declared.view, 1)) if declared else table
        cql = f"SELECT * FROM {name} WHERE {column} = ?"  # noqa: S608 (names of ours)
        params = [user_id]
        if part in _KINDS:
            cql += " AND kind = ?"
            params.append(_KINDS[part])
        if declared is None or declared.key[0] != column:
            cql += " ALLOW FILTERING"
        async for page in self._cassandra.pages(cql, params):
            for row in page:
                yield row._asdict()
