"""saves: who keeps which post, and in which collections, from the topic `engagement`."""

from __future__ import annotations

from agents.group import table_group
from streams.saves import SAVES as VIEW

GROUP = table_group(VIEW)
