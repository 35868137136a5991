"""The trends as the log says them, in plain Python, and the view against that.

Only what a reader can be shown at the newest day of the log is compared: what is over may or may not have left Redis.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from jobs.verify_differences import Differences
from schemas.events import CommentAdded, Event, PostLiked, PostSaved, PostSeen, PostShared
from sinks.trending_reader import Held, TrendScan

_DAY, _STEP = 86_400_000, 300_000
_FINE_DAYS, _DAYS, _AUTHORS = 2, 8, 8
_AT_ONCE = 1000
Who = dict[int, tuple[int, int]]
"""Person → weight of the heaviest that they did that day, and minus the step of the day at which they first did."""


@dataclass
class TrendFold:
    """Who turned to what on which day: day → item → person."""

    days: dict[int, dict[str, Who]] = field(default_factory=dict)
    authors: dict[int, dict[str, set[int]]] = field(default_factory=dict)

    def take(self, event: Event, timestamp: int) -> None:
        """Fold one event, which the broker took at ``timestamp``."""
        match event:
            case PostSeen():
                person, weight, tags = event.viewer_id, int(event.dwell_ms >= 1000), event.hashtags
            case PostLiked():
                person, weight, tags = event.actor_id, 4, event.hashtags
            case CommentAdded():
                person, weight, tags = event.actor_id, 8, event.post_hashtags
            case PostSaved():
                person, weight, tags = event.actor_id, 12, event.hashtags
            case PostShared():
                person, weight, tags = event.actor_id, 16, event.hashtags
            case _:
                return
        if not weight or person == event.author_id:
            return
        day, rest = divmod(max(min(event.at, timestamp), 0), _DAY)
        if day not in self.days:
            self.days[day], self.authors[day] = {}, {}
            for old in [one for one in self.days if one <= max(self.days) - 2 * _DAYS]:
                del self.days[old], self.authors[old]  # as old as nobody can be shown
            if day not in self.days:
                return
        about = {f"p:{event.post_id}"} | {f"t:{tag}" for tag in tags}
        if event.place:
            about.add(f"l:{event.place}")
        did = (weight, -(rest // _STEP))
        for name in about:
            who = self.days[day].setdefault(name, {})
            who[person] = max(did, who.get(person, did))
            if not name.startswith("p"):
                self.authors[day].setdefault(name, set()).add(event.author_id)

    @property
    def newest(self) -> int:
        """The newest day of the log; -1 for an empty one."""
        return max(self.days, default=-1)

    def items(self) -> dict[str, int]:
        """What a reader can be shown at the newest day: item → its own newest day."""
        found: dict[str, int] = {}
        for day in sorted(self.days):
            if day > self.newest - _DAYS:
                found.update(dict.fromkeys(self.days[day], day))
        return found

    def of(self, name: str, newest: int) -> dict[int, Who]:
        """The days that are kept of an item."""
        days = range(newest - _DAYS + 1, newest + 1)
        return {day: self.days[day][name] for day in days if name in self.days.get(day, ())}


class TrendComparison:
    """Compares everything; ``moved`` hears (done, of) in items."""

    def __init__(self, fold: TrendFold, least: int, moved: Callable[[int, int], None]) -> None:
        self._fold, self._least, self._moved = fold, least, moved
        self._found = Differences()

    async def run(self, scan: TrendScan) -> Differences:
        """What differs. Raises ``StoreAway``."""
        expected, fold = self._fold.items(), self._fold
        newest = await scan.newest()
        there = {name for name, day in newest.items() if day > fold.newest - _DAYS}
        for name in there - expected.keys():
            self._tell(name, "", f"{name} is there, and nobody turned to it")
        for _, name in sorted(await scan.listed()):
            if name not in newest:
                self._tell(name, "list", f"{name} stands in a list, and nothing else is there of it")
        missing = set(expected)
        done = 0
        async for name, held in scan.held(sorted(there & expected.keys())):
            missing.discard(name)
            self._item(name, expected[name], held)
            done += 1
            if not done % _AT_ONCE:
                self._moved(done, len(expected))
        for name in missing:
            self._found.checked += 1
            self._tell(name, "", f"{name} is missing")
        return self._found

    def _item(self, name: str, newest: int, held: Held) -> None:
        days = self._fold.of(name, newest)
        self._found.checked += 1
        says = {day: {person: 288 * w + 287 + step for person, (w, step) in who.items()} for day, who in days.items()}
        if held.who != says:
            unlike = [day for day in says.keys() | held.who.keys() if says.get(day) != held.who.get(day)]
            self._tell(name, "who", f"{name}: who did what on the days {sorted(unlike)} is not what the log says")
        for window, kept, steps in (("1h", _FINE_DAYS, 288), ("24h", _DAYS, 12)):
            counts: Counter[int] = Counter()
            for day, who in days.items():
                for weight, step in who.values() if day > newest - kept else ():
                    counts[day * steps + -step * steps // 288] += weight
            self._window(name, window, counts, {p for day in days if day > newest - kept for p in days[day]}, held)
        if held.trend.people != {day: len(who) for day, who in days.items()}:
            self._tell(name, "people", f"{name}: people by day are {held.trend.people}")
        if not name.startswith("p"):
            some = {day: sorted(self._fold.authors[day][name], key=str)[:_AUTHORS] for day in days}
            if held.authors != some:
                self._tell(name, "authors", f"{name}: the authors asked about it are not those that the log says")

    def _window(self, name: str, window: str, counts: Counter[int], people: set[int], held: Held) -> None:
        stored = dict(held.trend.hour if window == "1h" else held.trend.day)
        if stored != counts:
            self._tell(name, window, f"{name}: counts of {window} sum up to {sum(stored.values())}, the log's to "
                       f"{counts.total()}")  # fmt: skip
        score = held.scores.get(window)
        if (score is not None) != (len(people) >= self._least):
            what = "stands" if score is not None else "does not stand"
            self._tell(name, (window, "list"), f"{name} {what} in the list of {window}, with {len(people)} people")
        elif score is not None:
            top = max(counts)
            wanted = math.log2(sum(n * 2.0 ** ((k - top) / 12) for k, n in counts.items())) + top / 12
            if not math.isclose(score, wanted, rel_tol=1e-12):
                self._tell(name, (window, "score"), f"{name}: its score of {window} is {score}, not {wanted}")

    def _tell(self, name: str, what: Hashable, sentence: str) -> None:
        about: int | str = int(name[2:]) if name.startswith("p:") and name[2:].isdecimal() else name
        self._found.add((about, what), sentence)
