"""The programs that run under the supervisor; the table of agents is here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

AGENTS: Mapping[str, tuple[str, ...]] = {
    "views-0": (
        *("accounts", "follows", "posts", "user_posts", "notifications"),
        *("stories", "story_views", "story_tray", "tagged_posts", "seen_posts"),
    ),
    "home_feed-0": ("home_feed",),
    "home_feed-1": ("home_feed",),
    "engagement-0": ("likes", "comments", "saves", "counters", "trending", "affinity"),
    "media-0": ("media",),
    "publisher-0": ("publisher",),
    "notices-0": ("notices",),
    "saga-0": ("saga", "erasure"),
    "push-0": ("push",),
    "facts-0": ("facts",),
    "search-0": ("search",),
}
"""Each agent program, by its slot's name, and the view groups that it runs."""

SERVICE_PRIORITY, AGENT_PRIORITY, API_PRIORITY = 10, 50, 60


@dataclass(frozen=True)
class Program:
    """One supervised program."""

    name: str
    command: list[str]
    priority: int = SERVICE_PRIORITY
    environment: dict[str, str] = field(default_factory=dict)
    stop_seconds: int = 20
    start_seconds: int = 1
    """How long it has to run before it counts as running."""

    @property
    def is_app(self) -> bool:
        """Whether it is one of ours, and not a service that ours stand on."""
        return self.priority > SERVICE_PRIORITY

    def to_json(self) -> dict[str, Any]:
        """As kept in the stack's record."""
        return asdict(self)


def agent_programs(environment: Mapping[str, str], slots: Mapping[str, tuple[str, ...]] = AGENTS) -> list[Program]:
    """One program per slot."""
    return [
        Program(
            name=slot,
            command=[sys.executable, "-m", "agents", *groups],
            priority=AGENT_PRIORITY,
            environment={**environment, "SHUTTERLOG_SLOT": slot},
            start_seconds=3,
        )
        for slot, groups in slots.items()
    ]


def api_program(environment: Mapping[str, str]) -> Program:
    """The gateway."""
    return Program(
        name="api",
        command=[sys.executable, "-m", "api"],
        priority=API_PRIORITY,
        environment=dict(environment),
        stop_seconds=10,
    )
