"""user_posts: every author's published posts, and where feeds go on past their cap."""

from __future__ import annotations

from agents.group import table_group
from streams.user_posts import USER_POSTS as VIEW

GROUP = table_group(VIEW)
