"""Every view group, by name."""

from __future__ import annotations

from agents import (
    accounts,
    comments,
    counters,
    follows,
    home_feed,
    likes,
    media,
    notifications,
    posts,
    publisher,
    user_posts,
)
from agents.group import Group

GROUPS: dict[str, Group] = {
    module.GROUP.name: module.GROUP
    for module in (
        *(accounts, follows, posts, user_posts, notifications),
        *(home_feed, likes, comments, counters),
        *(media, publisher),
    )
}
