"""tagged_posts: which posts have named a hashtag or a place, from the topic `posts`."""

from __future__ import annotations

from agents.group import table_group
from streams.tagged_posts import TAGGED_POSTS as VIEW

GROUP = table_group(VIEW)
