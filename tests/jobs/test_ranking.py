"""Learning to rank, in a small world in which it is known what people like."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import bench_ranking
from jobs.ranking_evaluation import ndcg
from jobs.ranking_past import HORIZON_MS, Past, Shown, shown
from jobs.ranking_world import BEGIN, DAY_MS, Plan, RankingWorld
from jobs.train_ranking import TooFew, events_of, learn, train
from schemas.events import Event, PostLiked, PostSeen, PostSubmitted
from schemas.ids import snowflake
from sinks.affinity import AffinityReader, AffinitySink
from sinks.clickhouse import ClickHouse
from sinks.fact_migrations import migrate
from sinks.facts import FactSink
from sinks.ranking_models import current_version, load, models_folder
from sinks.redis import connect
from sinks.settings import Settings
from sinks.trending import TrendSink
from sinks.trending_reader import TrendReader
from streams.affinity import AFFINITY
from streams.facts import FACTS
from streams.ranking import FEATURES, HEADS, features, shaped, values
from streams.records import Record, Span, TopicPartition
from streams.trending import STEP_MS, TRENDING

PLAN = Plan(viewers=32, authors=20, follows=10, days=6, a_day=3.0, page=20)
LEAST = 2
VIEWER, AUTHOR = 10**18 + 1, 10**18 + 2


@pytest.fixture(scope="module")
def world() -> RankingWorld:
    return RankingWorld(PLAN)


@pytest.fixture(scope="module")
def rows(world: RankingWorld) -> list[Shown]:
    return list(shown(world.events, 0, LEAST))


def test_a_model_knows_better_than_the_clock_what_people_like(world: RankingWorld, rows: list[Shown]) -> None:
    learnt = learn(rows)
    said = learnt.evaluation["ndcg_at_25"]
    assert said["sittings"] > 20 and said["ranked"] > said["chronological"] + 0.05
    assert all(learnt.evaluation["heads"][head]["auc"] > 0.6 for head in HEADS)
    past = Past(LEAST)
    for event in world.events:
        past.take(event)
    ours, latest = [], []
    for viewer in range(PLAN.viewers):
        posts = world.candidates(viewer, world.now, 500)
        gains = [world.worth(viewer, post, world.now) for post in posts]
        raw = [past.counted(world.viewers[viewer], post, world.now) for post in posts]
        ours.append(ndcg(gains, values(learnt.network.probabilities(shaped(raw)))) or 0)
        latest.append(ndcg(gains, [post.post_id for post in posts]) or 0)
    assert np.mean(ours) > np.mean(latest) + 0.1, (np.mean(ours), np.mean(latest))


def test_the_same_facts_and_seed_give_the_same_model(rows: list[Shown]) -> None:
    first, again, other = (learn(rows[:700], seed=seed).network.onnx() for seed in (1, 1, 2))
    assert first == again != other


def test_of_too_little_nothing_is_learnt(rows: list[Shown]) -> None:
    with pytest.raises(TooFew, match="499 impressions"):
        learn(rows[:499])


async def test_what_is_learnt_from_is_what_gateways_will_see(world: RankingWorld, settings: Settings) -> None:
    """The features of the past, folded in memory, are those that the views give."""
    redis = connect(settings.redis_url)
    ids = {topic: "x" for view in (AFFINITY, TRENDING) for topic in view.sources}
    views: list[tuple[Any, Any]] = [
        (AFFINITY, AffinitySink(redis, ids, generation=1, buckets=3)),
        (TRENDING, TrendSink(redis, ids, generation=1, buckets=3, least_people=LEAST)),
    ]
    for view, sink in views:
        records = [Record(TopicPartition(e.TOPIC, 0), n, e.at, e) for n, e in enumerate(world.events)]
        own = [record for record in records if record.tp.topic in view.sources]
        spans = {TopicPartition(topic, 0): Span(-1, len(records)) for topic in view.sources}
        await sink.apply(view.project(own), spans)
    past = Past(LEAST)
    for event in world.events:
        past.take(event)
    affinity = AffinityReader(redis, generation=1, buckets=3)
    trends = TrendReader(redis, generation=1, buckets=3)
    moving = 0
    for viewer in range(5):
        posts = world.candidates(viewer, world.now, 500)
        pairs = await affinity.of(world.viewers[viewer], sorted({post.author_id for post in posts}))
        velocities = await trends.velocities([post.post_id for post in posts], world.now // STEP_MS)
        seen = features(posts, pairs, velocities, world.now)
        learnt = shaped([past.counted(world.viewers[viewer], post, world.now) for post in posts])
        np.testing.assert_allclose(seen, learnt, rtol=1e-4, atol=1e-5)
        moving += len(velocities)
    assert moving > 100
    await redis.aclose()


def sight(at: int, dwell: int, post: int, surface: str = "feed") -> PostSeen:
    given: dict[str, Any] = {"post_id": post, "author_id": AUTHOR, "viewer_id": VIEWER, "rank": 3}
    return PostSeen(event_id=1, at=at, actor_id=VIEWER, dwell_ms=dwell, surface=surface, **given)


def test_what_came_after_a_post_was_shown_is_no_feature_of_it() -> None:
    post = snowflake(BEGIN, 1, 1)
    about: dict[str, Any] = {"event_id": 1, "actor_id": VIEWER, "post_id": post, "author_id": AUTHOR}
    made = PostSubmitted(**about | {"at": BEGIN}, media_ids=[1], caption=b"")
    events: list[Event] = [
        *(made, sight(BEGIN + 9_000, 4_000, post), PostLiked(**about, at=BEGIN + 6_000)),
        *(sight(BEGIN + 20_000, 9_000, post), sight(BEGIN + 30_000, 100, post + 1)),
        sight(BEGIN + 3 * DAY_MS, 1, post, "explore"),
    ]
    (one,) = shown(events, 0, 1)
    assert (one.at, one.viewer_id, one.post.post_id) == (BEGIN + 5_000, VIEWER, post)
    assert dict(zip(HEADS, one.done, strict=True)) == {
        **{"like": True, "comment": False, "save": False, "share": False, "dwell": True}
    }
    known = dict(zip(FEATURES, one.counted, strict=True))
    assert (known["affinity"], known["velocity_1h"], known["shown_at"]) == (0, 0, 3)
    assert not list(shown(events[:4], 0, 1)), f"what may still be answered within {HORIZON_MS} ms is left out"
    late = PostLiked(**about, at=BEGIN + 2 * DAY_MS)
    (other,) = shown([made, sight(BEGIN + 9_000, 1_000, post), late], 0, 1)
    assert other.done == [False] * len(HEADS)


def test_ndcg() -> None:
    assert ndcg([0, 0], [1, 2]) is None
    assert ndcg([3, 2, 1], [9, 8, 7]) == 1
    assert ndcg([0, 1], [2, 1]) == pytest.approx(1 / np.log2(3))
    assert ndcg([0] * 25 + [1], list(range(26, 0, -1))) == 0


async def test_training_reads_the_facts_and_publishes(
    world: RankingWorld, settings: Settings, clickhouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings.model_copy(
        update={
            "clickhouse_url": clickhouse_url,
            "clickhouse_database": settings.cassandra_keyspace,
            "models_root": tmp_path,
            "trending_least_people": LEAST,
        }
    )
    monkeypatch.setattr("jobs.train_ranking.live_facts", lambda settings: 1)
    monkeypatch.setattr("jobs.train_ranking.now_ms", lambda: world.now)
    async with await ClickHouse.connect(given, make_database=True) as clickhouse:
        await migrate(clickhouse, 1)
        offsets: dict[TopicPartition, int] = {}
        records = []
        for event in world.events:
            tp = TopicPartition(event.TOPIC, 0)
            offsets[tp] = offsets.get(tp, -1) + 1
            records.append(Record(tp, offsets[tp], event.at, event))
        sink = FactSink(clickhouse, 1, dict.fromkeys(("graph", "posts", "engagement", "activity"), "x"))
        await sink.apply(FACTS.project(records), {tp: Span(-1, last) for tp, last in offsets.items()})
        told = await events_of(given, BEGIN)
        assert [event.at for event in told] == [event.at for event in world.events]
        expected = sorted(shown(world.events, BEGIN, LEAST))
        assert sorted(shown(told, BEGIN, LEAST)) == expected
        tried = await asyncio.to_thread(train, given, days=6, dry_run=True)
        assert tried["version"] is None and current_version(models_folder(given)) is None
        made = await asyncio.to_thread(train, given, days=6)
        model = load(models_folder(given), made["version"])
        assert (
            model.manifest.trained_on == tried["trained_on"] and current_version(models_folder(given)) == model.version
        )
        await clickhouse.command(f"DROP DATABASE {given.clickhouse_database} SYNC")


def test_the_bench_in_small(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    found = bench_ranking.run(PLAN._replace(viewers=25, days=5), times=5)
    assert {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"} <= set(found)
    good: Any = found["ndcg_at_25"]
    assert good["ranked"] > good["chronological"]
