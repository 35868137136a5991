"""Trends: the laws of views, with forgetting; what counts; how it is scored."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import CommentAdded, Event, PostLiked, PostSaved, PostSeen, PostShared, PostUnliked
from streams.records import Record, TopicPartition
from streams.trending import STEPS_A_DAY, bucket_of_name, project, value_of, weight_and_step
from streams.trending_scores import DAY, HOUR, KEPT_DAYS, Trend, decayed, ranked, score, standing
from tests.streams.laws import Log, at_leisure, deliveries, log_of
from tests.streams.memory_trends import Item, MemoryTrends

DAY_MS, STEP_MS = 86_400_000, 300_000
AUTHOR = 90


def acting(kind: type[Event], post: int, person: int, at: int, tags: Sequence[str] = (), place: str = "") -> Event:
    base: dict[str, Any] = {"event_id": 1, "at": at, "actor_id": person, "post_id": post, "author_id": AUTHOR + post}
    base |= {"place": place}
    if kind is PostSeen:
        base["hashtags"] = list(tags)
        return PostSeen(**base, viewer_id=person, dwell_ms=1500, surface="feed", rank=1)
    if kind is CommentAdded:
        return CommentAdded(**base, comment_id=7, text=b"", post_hashtags=list(tags), hashtags=["mine"])
    base["hashtags"] = list(tags)
    return kind(**base)


WEIGHTS: dict[type[Event], int] = {PostSeen: 1, PostLiked: 4, CommentAdded: 8, PostSaved: 12, PostShared: 16}
KINDS = list(WEIGHTS)


def made(seed: int) -> list[tuple[Event, int]]:
    """Up to 60 events, some by a clock that is fast, and when the broker took them: over days that are forgotten, and
    over days that are not."""
    chance = random.Random(seed)
    history: list[tuple[Event, int]] = []
    for _ in range(chance.randrange(60)):
        at = chance.choice([chance.randrange(1, 46), chance.randrange(28, 41)]) * DAY_MS
        at += chance.randrange(STEPS_A_DAY) * STEP_MS
        tags = chance.sample(["dusk", "dawn"], chance.randrange(3))
        about = chance.randrange(1, 4), chance.randrange(1, 5), at + chance.choice([0, 0, 0, DAY_MS, 400 * DAY_MS])
        history.append((acting(chance.choice(KINDS), *about, tags, chance.choice(["", "Oslo"])), at))
    return history


def logged(history: Sequence[tuple[Event, int]]) -> Log:
    """The log of ``history``, by the broker's clock."""
    times = {id(event): at for event, at in history}
    log = log_of([event for event, _ in history])
    return {tp: [record._replace(timestamp=times[id(record.event)]) for record in log[tp]] for tp in log}


def folded(history: Sequence[tuple[Event, int]], least: int = 2) -> dict[str, Item]:
    """What a reader at the newest day should get, from the set of events alone."""
    best: dict[str, dict[int, dict[int, tuple[int, int]]]] = {}
    authors: dict[tuple[str, int], set[int]] = {}
    for event, stamped in history:
        day, rest = divmod(min(event.at, stamped), DAY_MS)
        heavier = (WEIGHTS[type(event)], -(rest // STEP_MS))
        tags = event.post_hashtags if isinstance(event, CommentAdded) else event.hashtags  # type: ignore[attr-defined]
        post, place = event.post_id, event.place  # type: ignore[attr-defined]
        for name in {f"p:{post}", *(f"t:{tag}" for tag in tags), *([f"l:{place}"] if place else [])}:
            who = best.setdefault(name, {}).setdefault(day, {})
            who[event.actor_id] = max(heavier, who.get(event.actor_id, heavier))
            authors.setdefault((name, day), set()).add(AUTHOR + post)
    today = max((day for days in best.values() for day in days), default=0)
    found: dict[str, Item] = {}
    for name, days in best.items():
        newest = max(days)
        if newest <= today - KEPT_DAYS:
            continue
        kept = {day: who for day, who in days.items() if day > newest - KEPT_DAYS}
        counts: dict[str, dict[int, int]] = {"1h": {}, "24h": {}}
        for window, days_kept, steps in (("1h", 2, 288), ("24h", 8, 12)):
            for day, who in kept.items():
                for weight, step in who.values() if day > newest - days_kept else ():
                    k = day * steps + -step * steps // 288
                    counts[window][k] = counts[window].get(k, 0) + weight
        people = {window: {p for day in kept if day > newest - n for p in kept[day]} for window, n in LISTED}
        found[name] = Item(
            Trend(newest, counts["1h"], counts["24h"], {day: len(who) for day, who in kept.items()}),
            {day: {p: value_of(w, -step) for p, (w, step) in who.items()} for day, who in kept.items()},
            {day: [] if name[0] == "p" else sorted(authors[name, day]) for day in kept},
            {window for window, some in people.items() if len(some) >= least},
        )
    return found


LISTED = (("1h", 2), ("24h", 8))


@at_leisure
@given(st.integers(0, 2**32 - 1))
def test_laws(seed: int) -> None:
    """Rebuilt in one go, topic by topic either way round, or delivered in any way: what can be seen is the fold's."""
    rng, history = random.Random(seed), made(seed)
    log = logged(history)
    expected = folded(history)
    today = max((min(event.at, at) // DAY_MS for event, at in history), default=0)
    for order in (sorted(log), sorted(log, reverse=True)):
        rebuilt = MemoryTrends()
        for tp in order:
            for record in log[tp]:
                rebuilt.apply(project([record]))
        assert rebuilt.read(today) == expected
    live = MemoryTrends()
    for batch in deliveries(log, rng):
        live.apply(project(batch))
    assert live.read(today) == expected


@pytest.mark.parametrize("rule", ["", "forgetting"])
def test_the_laws_need_forgetting_by_the_items_own_days(rule: str) -> None:
    """What an item let go when it moved on must not be taken later, in another order."""
    old, new = [(acting(PostLiked, 1, n, day * DAY_MS), day * DAY_MS) for n, day in ((1, 20), (2, 31))]
    seen = []
    for history in ([old, new], [new, old]):
        trends = MemoryTrends(without=frozenset({rule}))
        for record in flat(history):
            trends.apply(project([record]))
        seen.append(trends.read(31) == folded(history))
    assert seen == [not rule] * 2


def test_what_is_over_for_all_is_removed_and_never_missed() -> None:
    """An item that is let go, then comes back by a late event and by a new one."""
    days = (1, 30, 16, 31, 24)
    history = [
        (acting(PostLiked, post, n, day * DAY_MS), day * DAY_MS)
        for n, (day, post) in enumerate(zip(days, (1, 2, 1, 1, 1), strict=True))
    ]
    trends = MemoryTrends(least=1)
    for record in flat(history):
        trends.apply(project([record]))
    assert trends.removed == 1
    assert trends.read(31) == folded(history, least=1)
    assert trends.items["p:1"].keys() == {31, 24}


def flat(history: Sequence[tuple[Event, int]]) -> list[Record]:
    tp = TopicPartition("engagement", 0)
    return [Record(tp, n, at, event) for n, (event, at) in enumerate(history)]


def test_a_person_counts_once_with_what_weighs_most() -> None:
    kinds: list[type[Event]] = [PostSeen, PostLiked, PostShared, PostShared, CommentAdded]
    steps = [3, 9, 7, 5, 1]
    history = [
        (acting(kind, 1, 1, DAY_MS + step * STEP_MS), 2 * DAY_MS) for kind, step in zip(kinds, steps, strict=True)
    ]
    trends = MemoryTrends()
    trends.apply(project(flat(history)))
    assert trends.read(1)["p:1"].trend == Trend(1, {STEPS_A_DAY + 5: 16}, {12: 16}, {1: 1})


def test_own_actions_glances_and_what_is_taken_back_count_nothing() -> None:
    own = acting(PostLiked, 1, AUTHOR + 1, DAY_MS)
    seen = acting(PostSeen, 1, 1, DAY_MS)
    assert isinstance(seen, PostSeen)
    glance = msgspec.structs.replace(seen, dwell_ms=999)
    assert len(project(flat([(seen, DAY_MS)]))) == 1
    back = PostUnliked(event_id=1, at=DAY_MS, actor_id=1, post_id=1, author_id=2)
    assert project(flat([(own, DAY_MS), (glance, DAY_MS), (back, DAY_MS)])) == []


def test_a_comments_own_tags_are_not_the_posts() -> None:
    comment = acting(CommentAdded, 1, 2, DAY_MS, ["dusk", "dusk"], "Oslo")
    assert [act.name for act in project(flat([(comment, DAY_MS)]))] == ["p:1", "t:dusk", "l:Oslo"]


def test_a_clock_in_the_future_gains_nothing() -> None:
    (early,) = project(flat([(acting(PostLiked, 1, 2, 400 * DAY_MS), DAY_MS)]))
    (late,) = project(flat([(acting(PostLiked, 1, 2, DAY_MS), 400 * DAY_MS)]))
    assert early.day == late.day == 1


@given(st.sampled_from([1, 4, 8, 12, 16]), st.integers(0, 287), st.sampled_from([1, 4, 8, 12, 16]), st.integers(0, 287))
def test_values_order_by_weight_then_by_earliness(weight: int, step: int, other: int, then: int) -> None:
    assert weight_and_step(value_of(weight, step)) == (weight, step)
    assert (value_of(weight, step) > value_of(other, then)) == ((weight, -step) > (other, -then))


def test_scores_keep_their_order_for_ever_and_never_overflow() -> None:
    now = 30_000 * STEPS_A_DAY
    old, new = {now: 1000, now - 40: 7}, {now + 36: 130}
    assert score(new) > score(old)  # three half-lives later an eighth will do
    for at in (now + 36, now + 100, now + 250):
        assert decayed(new, HOUR, at) > decayed(old, HOUR, at)
    assert math.isfinite(score({20_000 * STEPS_A_DAY: 10**9}))
    assert math.isclose(2 ** (score({24: 8, 12: 8}) - 2), 12)


def test_what_comes_after_the_moment_does_not_count() -> None:
    at = 100 * STEPS_A_DAY
    counts = {at - 12: 8, at: 4, at + 1: 1000}
    assert decayed(counts, HOUR, at) == 8
    assert decayed({at // 24: 4, at // 24 + 1: 1000}, DAY, at) == 4


def test_size_alone_does_not_win() -> None:
    """Steady and large, against small and suddenly tenfold; and a tie, by name."""
    at = 1000 * STEPS_A_DAY
    steady = dict.fromkeys(range(at - 7 * STEPS_A_DAY, at + 1), 1000)
    burst = dict.fromkeys(steady, 10) | dict.fromkeys(range(at - 11, at + 1), 100)

    def trend(fine: dict[int, int]) -> Trend:
        day: dict[int, int] = {}
        for step, n in fine.items():
            day[step // 24] = day.get(step // 24, 0) + n
        return Trend(at // STEPS_A_DAY, fine, day, {})

    trends = {"t:large": trend(steady), "t:b": trend(burst), "t:a": trend(burst)}
    assert [name for name, _ in ranked(trends, HOUR, at)] == ["t:a", "t:b", "t:large"]
    large = standing(trends["t:large"], HOUR, at)
    assert large.hour > 10 * standing(trends["t:a"], HOUR, at).hour
    for later in (0, 11, 20, 23, 287):  # whichever part of the day's steps is over
        now = {step + later: n for step, n in steady.items()}
        for window in (HOUR, DAY):
            usual = standing(trend(now), window, at + later)
            assert math.isclose(usual.expected, usual.hour if window is HOUR else usual.day, rel_tol=0.01)
            assert abs(usual.corrected) < 3


def test_what_is_over_stands_in_no_list() -> None:
    trend = Trend(10, {10 * STEPS_A_DAY: 4}, {120: 4}, {10: 1})
    assert ranked({"t:a": trend}, HOUR, 10 * STEPS_A_DAY) and not ranked({"t:a": trend}, HOUR, 9 * STEPS_A_DAY)
    assert not ranked({"t:a": trend}, DAY, 18 * STEPS_A_DAY)


def test_names_are_spread_over_buckets() -> None:
    counts = [0] * 16
    for n in range(16_000):
        counts[bucket_of_name(f"p:{1_000_000_000_000_000_000 + n * 4096}", 16)] += 1
    assert min(counts) > 700 and max(counts) < 1300
