"""likes: who likes which post, by the post, from the topic `engagement`."""

from __future__ import annotations

from agents.group import table_group
from streams.likes import LIKES as VIEW

GROUP = table_group(VIEW)
