"""follows: `followers` and `following`, both ways round, from the topic `graph`."""

from __future__ import annotations

from agents.group import table_group
from streams.follows import FOLLOWS as VIEW

GROUP = table_group(VIEW)
