"""seen_posts: what each person had before their eyes lately, from the topic `activity`."""

from __future__ import annotations

from agents.group import table_group
from streams.seen_posts import SEEN_POSTS as VIEW

GROUP = table_group(VIEW)
