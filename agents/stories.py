"""stories: stories and highlights, from the topic `stories`."""

from __future__ import annotations

from agents.group import table_group
from streams.stories import STORIES as VIEW

GROUP = table_group(VIEW)
