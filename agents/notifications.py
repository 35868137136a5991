"""notifications: what a person should know, by recipient."""

from __future__ import annotations

from agents.group import table_group
from streams.notifications import NOTIFICATIONS as VIEW

GROUP = table_group(VIEW)
