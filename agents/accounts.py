"""accounts: the profile rows of `accounts`, from the topic of that name."""

from __future__ import annotations

from agents.group import table_group
from streams.accounts import ACCOUNTS as VIEW

GROUP = table_group(VIEW)
