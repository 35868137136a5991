"""The groups of agents that write events into the log instead of a view, and the topics that each reads."""

from __future__ import annotations

EMITTERS: dict[str, tuple[str, ...]] = {
    "media": ("media",),
    "publisher": ("posts", "media", "stories"),
    "notices": ("engagement", "graph", "posts", "stories"),
    "saga": ("graph", "engagement", "accounts", "posts", "media", "stories"),
    "erasure": ("accounts", "media"),
}
"""`verify` checks them for what they owe; they cannot be replayed, since that would say everything twice."""

PUSHERS = ("push",)
"""Their effect is on people's devices. It cannot be looked at, and a replay would push once more what was pushed."""
