"""What the gateway does not do while more is asked of it than it can do: explore first, feeds last.

The decision is pure: of a class of requests, and of the pressure, which is 1 at the limit. A class is shed from its own
multiple of the limit on, so whatever the load, the classes below it are shed too, and nothing is under the limit.
"""

from __future__ import annotations

from enum import IntEnum

LAG_LOOKS = 5
"""Looks at the event loop of which the best one counts: one that stood still for a moment is no load."""


class Class(IntEnum):
    """Classes of requests; the lowest is shed first."""

    EXPLORE = 0
    SEARCH = 1
    READS = 2
    WRITES = 3
    FEEDS = 4
    ALWAYS = 5
    """Never shed: what says how the gateway is, and streams, which stay for hours."""


MULTIPLES = {Class.EXPLORE: 1.0, Class.SEARCH: 1.25, Class.READS: 1.75, Class.WRITES: 2.5, Class.FEEDS: 4.0}
"""How many times the limit there has to be before a class is shed."""
WAITS = {Class.EXPLORE: 5, Class.SEARCH: 5, Class.READS: 3, Class.WRITES: 2, Class.FEEDS: 1}
"""Seconds after which a client may ask again."""
READ_CLASSES = {
    "/api/v1/explore": Class.EXPLORE,
    "/api/v1/trending": Class.EXPLORE,
    "/api/v1/me/insights": Class.EXPLORE,
    "/api/v1/search": Class.SEARCH,
    "/api/v1/hashtags": Class.SEARCH,
    "/api/v1/places": Class.SEARCH,
    "/api/v1/feed": Class.FEEDS,
    "/api/v1/stories/feed": Class.FEEDS,
    "/api/v1/live": Class.ALWAYS,
    "/healthz": Class.ALWAYS,
    "/readyz": Class.ALWAYS,
}
"""Of reads, by what their paths are or go on from; all others are ``READS``, and what is no read is one of
``WRITES``."""
_DEEPEST = max(path.count("/") for path in READ_CLASSES)


def class_of(method: str, path: str) -> Class:
    """The class of a request."""
    if method not in ("GET", "HEAD"):
        return Class.WRITES
    parts = path.split("/", _DEEPEST + 1)[: _DEEPEST + 1]
    while parts:
        found = READ_CLASSES.get("/".join(parts))
        if found is not None:
            return found
        parts.pop()
    # Of one post, what came of it is the last part.
    return Class.EXPLORE if path.endswith("/insights") else Class.READS


def admits(wanted: Class, pressure: float) -> bool:
    """Whether a request of this class is done at this pressure: the larger one of requests under way and of the event
    loop's lag, each as a part of its limit."""
    return wanted is Class.ALWAYS or pressure < MULTIPLES[wanted]


class Load:
    """How much the gateway has to do. What changes with every request is two numbers."""

    __slots__ = ("_in_flight_limit", "_lag_limit", "_lags", "in_flight", "lag")

    def __init__(self, in_flight_limit: int, lag_limit: float) -> None:
        """Limits in requests under way, and in seconds."""
        self._in_flight_limit, self._lag_limit = in_flight_limit, lag_limit
        self._lags = [0.0] * LAG_LOOKS
        self.in_flight = 0
        self.lag = 0.0
        """Seconds by which the event loop is late, at the best of the last looks."""

    def looked(self, lag: float) -> None:
        """The event loop was late by ``lag`` seconds."""
        self._lags = [*self._lags[1:], lag]
        self.lag = min(self._lags)

    @property
    def is_light(self) -> bool:
        """Whether nothing is shed: asked before anything else, with every request."""
        return self.in_flight < self._in_flight_limit and self.lag < self._lag_limit

    @property
    def pressure(self) -> float:
        """1 at the limit."""
        return max(self.in_flight / self._in_flight_limit, self.lag / self._lag_limit)
