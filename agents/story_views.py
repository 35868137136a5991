"""story_views: who saw and answered which story, from the topic `stories`."""

from __future__ import annotations

from agents.group import table_group
from streams.story_views import STORY_VIEWS as VIEW

GROUP = table_group(VIEW)
