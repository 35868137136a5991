"""Which faults a run of chaos injects, in which order and for how long: everything that the seed decides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

SECONDS_EACH = 12.0
"""A fault, its recovery and the pause before it, as planned for; slower ones make the run longer."""
PAUSE_SECONDS = (0.5, 2.0)


class NotFired(Exception):
    """The fault could not be shown to have taken effect."""


class Skipped(Exception):
    """This machine does not permit the fault."""


class Kind(NamedTuple):
    """One kind of fault: what is done to what, and for how long, in seconds; 0 for what is over at once."""

    deed: str
    target: str
    least: float = 0.0
    most: float = 0.0

    @property
    def name(self) -> str:
        """As reports show it."""
        return f"{self.deed} {self.target}"


_STORES = ("kafka", "redis", "cassandra", "clickhouse", "objects")
KINDS = (
    Kind("kill", "worker"),
    Kind("freeze", "worker", 7, 9),  # longer than its group waits for it: it wakes as a zombie
    Kind("strike", "workers", 3, 5),
    Kind("storm", "workers", 8, 10),
    *(Kind("kill", program) for program in (*_STORES, "api")),
    *(Kind("freeze", program, 2, 5) for program in (*_STORES, "api")),
    *(Kind("cut", link, 2, 5) for link in _STORES),
    *(Kind("silence", link, 3, 6) for link in ("kafka", "redis", "cassandra")),
    *(Kind("slow", link, 4, 7) for link in ("kafka", "redis", "cassandra", "objects")),
    Kind("flush", "redis"),
    Kind("roll-back", "redis"),
    Kind("poison", "log"),
    Kind("oversize", "log"),
    Kind("remove", "objects", 3, 6),
    Kind("fill", "objects", 3, 6),
    Kind("misclock", "gateway", 5, 8),
)
NAMES = tuple(kind.name for kind in KINDS)
CLUSTER_KINDS = (
    Kind("kill", "broker", 12, 14),  # for longer than the others wait for it
    Kind("kill", "redis-master"),
    Kind("freeze", "redis-master", 2, 4),  # after its replica has taken over: it wakes as a zombie
    Kind("kill", "cassandra-node", 12, 15),
    Kind("move", "buckets"),
    Kind("kill", "worker"),
    Kind("roll", "workers"),
)
"""Where every store is several nodes."""
CLUSTER_SECONDS_EACH = 40.0
"""As ``SECONDS_EACH``: the next node is not touched before the one before is back in full."""


@dataclass(frozen=True)
class Fault:
    """One fault of the plan. ``seconds`` is how long it lasts, ``pause`` how long the world is left alone before it."""

    number: int
    deed: str
    target: str
    seconds: float
    pause: float
    seed: int
    """Decides what the plan leaves open, such as which worker."""

    @property
    def name(self) -> str:
        """Its kind's name."""
        return f"{self.deed} {self.target}"


def plan(minutes: float, seed: int, only: Collection[str] = (), *, clusters: bool = False) -> list[Fault]:
    """The faults of a run: every kind once, in an order of the seed's, then every kind again, for ``minutes``.

    ``only`` names the kinds to take; all, without any. Those of ``clusters`` are others. Raises ``ValueError`` for a
    name that is no kind's, and for a time that is none.
    """
    if minutes <= 0:
        raise ValueError(f"chaos lasts some minutes, not {minutes}")
    every = CLUSTER_KINDS if clusters else KINDS
    names = [kind.name for kind in every]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise ValueError(f"there is no fault {', '.join(unknown)}; there are {', '.join(names)}")
    kinds = [kind for kind in every if not only or kind.name in only]
    chance = Random(seed)  # noqa: S311 - a plan that can be had again, no secret
    faults: list[Fault] = []
    wanted = max(1, round(minutes * 60 / (CLUSTER_SECONDS_EACH if clusters else SECONDS_EACH)))
    while len(faults) < wanted:
        for kind in chance.sample(kinds, len(kinds)):
            seconds = round(chance.uniform(kind.least, kind.most), 2)
            pause = round(chance.uniform(*PAUSE_SECONDS), 2)
            faults.append(Fault(len(faults), kind.deed, kind.target, seconds, pause, chance.getrandbits(32)))
    return faults[:wanted]
