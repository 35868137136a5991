"""posts: `posts` and `media`, as post pages show them."""

from __future__ import annotations

from agents.group import table_group
from streams.posts import POSTS as VIEW

GROUP = table_group(VIEW)
