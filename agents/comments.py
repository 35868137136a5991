"""comments: what was commented under which post, from the topic `engagement`."""

from __future__ import annotations

from agents.group import table_group
from streams.comments import COMMENTS as VIEW

GROUP = table_group(VIEW)
