"""`explain-feed`: a sentence for each case, from real stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.explain_feed import UnknownPerson, explain
from jobs.explain_report import Reason, Report
from jobs.provision import provision
from schemas.events import (
    Event,
    Followed,
    MediaRejected,
    PostDeleted,
    PostPublished,
    PostRejected,
    PostSubmitted,
    Unfollowed,
    UploadCompleted,
)
from schemas.ids import snowflake
from sinks.cassandra import Cassandra
from sinks.producer import Producer
from sinks.redis import connect
from sinks.settings import Settings
from sinks.usernames import Usernames
from streams.records import TopicPartition
from tests.jobs.test_verify import AT, PEOPLE, POSTS_OF, Scene, apply_all, history
from tests.jobs.test_verify_fold import SOURCE, rendered

WAITING, REFUSED = snowflake(AT + 50, 7, 1), snowflake(AT + 51, 7, 2)
MEDIA = [snowflake(AT, 7, n) for n in range(2)]
READER, AUTHOR = PEOPLE[1], PEOPLE[2]
BASE: dict[str, Any] = {"event_id": snowflake(AT, 8, 0), "at": AT, "actor_id": AUTHOR}


def unpublished() -> list[Event]:
    """One post waits for its renditions, another was rejected."""
    upload: dict[str, Any] = {**BASE, "owner_id": AUTHOR}
    said: dict[str, Any] = {"original_key": "k", "content_type": "image/jpeg", "size": 1, "sha256": "0"}
    refusal: dict[str, Any] = {"code": "truncated", "reason": "The file ends too early.", "source": SOURCE}
    return [
        UploadCompleted(**upload, media_id=MEDIA[0], **said),
        PostSubmitted(**BASE, post_id=WAITING, author_id=AUTHOR, media_ids=[MEDIA[0]], caption=b"c"),
        MediaRejected(**upload, media_id=MEDIA[1], **refusal),
        PostSubmitted(**BASE, post_id=REFUSED, author_id=AUTHOR, media_ids=[MEDIA[1]], caption=b"c"),
        PostRejected(**BASE, post_id=REFUSED, author_id=AUTHOR, media_id=MEDIA[1], **refusal),
    ]


@pytest.fixture
async def scene(settings: Settings) -> AsyncIterator[Scene]:
    small = settings.model_copy(update={"partitions": 2, "buckets": 3, "feed_cap": 8, "feed_slack": 2})
    await asyncio.to_thread(provision, small)
    async with Producer(small) as producer:
        await producer.produce_many([*history(), *unpublished()])
    client = connect(small.redis_url)
    async with await Cassandra.connect(small) as cassandra:
        await Usernames(cassandra).reserve("bea", READER, AT)
        await apply_all(small, cassandra, client)
        yield Scene(small, cassandra, client)
        await cassandra.change_schema(f"DROP KEYSPACE {small.cassandra_keyspace}")
    await client.aclose()


async def explained(scene: Scene, who: int | str, post_id: int | None = None) -> Report:
    return await asyncio.to_thread(explain, scene.settings, str(who), post_id)


async def one(scene: Scene, who: int | str, post_id: int) -> Reason:
    (reason,) = (await explained(scene, who, post_id)).reasons
    assert reason.post_id == post_id
    return reason


async def where(scene: Scene, kind: type[Event], **fields: int) -> str:
    """Where the log says so, read apart from what is tested."""
    from schemas.codec import decode
    from tests.jobs.backup_worlds import raw_log

    found = [
        f"{tp}@{kept.offset}"
        for tp, records in (await asyncio.to_thread(raw_log, scene.settings, [kind.TOPIC])).items()
        for kept in records
        if isinstance(event := decode(kept.value), kind) and all(getattr(event, n) == v for n, v in fields.items())
    ]
    return found[-1]


async def test_each_case_has_its_sentence(scene: Scene) -> None:
    # A whole page: the newest in the list, the rest below its floor, and nothing to complain of.
    report = await explained(scene, "Bea")
    assert report.user_id == READER and report.floor > 0 and report.differences == 0
    shown = {reason.post_id: reason for reason in report.reasons if reason.shown}
    expected = [post for person in PEOPLE if person != READER for n, post in enumerate(POSTS_OF[person]) if n != 1]
    assert list(shown) == sorted(expected, reverse=True)
    for post, reason in shown.items():
        assert reason.author_id is not None
        followed = await where(scene, Followed, follower_id=READER, followee_id=reason.author_id)
        published = await where(scene, PostPublished, post_id=post)
        assert f"followed since {followed}; published at {published}" in reason.sentence
        assert reason.why == ("pushed" if post > report.floor else "cassandra")
    assert {reason.why for reason in shown.values()} == {"pushed", "cassandra"}

    deleted = await one(scene, READER, POSTS_OF[AUTHOR][1])
    assert deleted.why == "deleted" and not deleted.shown
    assert deleted.sentence.endswith(f"deleted at {await where(scene, PostDeleted, author_id=AUTHOR)}")
    waiting = await one(scene, READER, WAITING)
    assert waiting.why == "processing"
    assert f"not published yet: waiting for the renditions of media {MEDIA[0]}" in waiting.sentence
    assert f"submitted at {await where(scene, PostSubmitted, post_id=WAITING)}" in waiting.sentence
    refused = await one(scene, READER, REFUSED)
    rejected = await where(scene, PostRejected, post_id=REFUSED)
    assert (refused.why, refused.sentence) == (
        "rejected",
        f"by {AUTHOR}; rejected at {rejected}: truncated, The file ends too early.",
    )
    stopped = await one(scene, PEOPLE[0], POSTS_OF[PEOPLE[1]][0])
    unfollowed = await where(scene, Unfollowed, follower_id=PEOPLE[0])
    assert (stopped.why, stopped.sentence) == (
        "not_followed",
        f"by {PEOPLE[1]}, who is not followed: unfollowed at {unfollowed}",
    )
    own = await one(scene, READER, POSTS_OF[READER][0])
    assert own.why == "not_followed" and own.sentence.endswith("and was never followed")
    nowhere = await one(scene, READER, snowflake(AT, 9, 9))
    assert (nowhere.why, nowhere.sentence) == ("unknown", "there is no such post in the log")
    with pytest.raises(UnknownPerson, match="nobody has the username 'nobody'"):
        await explained(scene, "nobody")


async def test_a_post_that_is_wrongly_absent_is_a_difference(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    post = max(post for person in PEOPLE if person != READER for post in POSTS_OF[person])
    await scene.redis.lrem(await scene.key("h", READER), 0, str(post))
    report = await explained(scene, READER)
    assert report.differences == 1
    (reason,) = [reason for reason in report.reasons if reason.why == "difference"]
    assert reason.post_id == post
    assert "SHOULD BE THERE AND IS NOT: run `shutterlog verify home_feed`" in reason.sentence
    assert (await one(scene, READER, post)).why == "difference"
    for name in ("kafka_bootstrap", "cassandra_hosts", "cassandra_keyspace", "redis_url", "topic_prefix"):
        monkeypatch.setenv(name.upper(), str(getattr(scene.settings, name)))
    monkeypatch.setenv("PARTITIONS", "2")
    monkeypatch.setenv("BUCKETS", "3")
    result = await asyncio.to_thread(CliRunner().invoke, app, ["explain-feed", str(READER), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["differences"] == 1


async def test_a_view_that_is_late_is_no_difference(scene: Scene) -> None:
    # The log and Cassandra have it; Redis has not come so far.
    post, media = snowflake(AT + 60, 7, 3), rendered(MEDIA[0])
    async with Producer(scene.settings) as producer:
        tp, offset = await producer.produce(
            PostPublished(**BASE, post_id=post, author_id=AUTHOR, media=[media], source=SOURCE)
        )
    not_known = await one(scene, READER, post)
    assert not_known.why == "late"
    assert f"at {tp}@{offset}; posts is late: it stands at {tp}@{offset - 1}" in not_known.sentence
    cql = "INSERT INTO posts_1 (post_id, author_id, published_at) VALUES (?, ?, ?) USING TIMESTAMP ?"
    await scene.cassandra.execute(cql, (post, AUTHOR, AT, offset + 1))
    late = await one(scene, READER, post)
    assert late.why == "late"
    assert f"published at {tp}@{offset}; home_feed is late: it stands at {tp}@{offset - 1}" in late.sentence


async def test_pulled_and_hidden_posts(scene: Scene) -> None:
    newest = max(POSTS_OF[AUTHOR])
    own = await scene.key("h", READER)
    prefix = own.rpartition("h:")[0]
    await scene.redis.lrem(own, 0, str(newest))
    await scene.redis.sadd(f"{prefix}pulled", str(AUTHOR))
    pulled = await one(scene, READER, newest)
    assert pulled.why == "pulled" and pulled.shown
    assert pulled.sentence.endswith("it is pulled from the author's timeline, since many follow them")
    # Unfollowed: the follows view knows, the list still has a post.
    theirs = max(POSTS_OF[PEOPLE[1]])
    await scene.redis.lpush(await scene.key("h", PEOPLE[0]), str(theirs))
    hidden = await one(scene, PEOPLE[0], theirs)
    assert hidden.why in ("hidden", "not_followed") and not hidden.shown
    assert "unfollowed at graph-" in hidden.sentence
    assert TopicPartition("graph", 0).topic in hidden.sentence
