"""Every view group, by name."""

from __future__ import annotations

from agents import (
    accounts,
    affinity,
    comments,
    counters,
    erasure,
    facts,
    follows,
    home_feed,
    likes,
    media,
    notices,
    notifications,
    posts,
    publisher,
    push,
    saga,
    saves,
    search,
    seen_posts,
    stories,
    story_tray,
    story_views,
    tagged_posts,
    trending,
    user_posts,
)
from agents.group import Group

_MODULES = (
    *(accounts, follows, posts, user_posts, notifications, home_feed, likes, comments, saves, counters),
    *(stories, story_views, story_tray, trending, affinity, tagged_posts, seen_posts),
    search,
    *(media, publisher, notices, saga, erasure, push, facts),
)
GROUPS: dict[str, Group] = {module.GROUP.name: module.GROUP for module in _MODULES}
