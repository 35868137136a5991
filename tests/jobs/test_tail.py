"""`tail` on a real log: what it shows, what it filters, where it begins and ends."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.tail import TailRefused, Wanted, conditions, for_people, tail
from schemas.codec import encode
from schemas.events import Followed, PostPublished, PostSubmitted
from sinks.generations import GenerationLog, Generations
from sinks.partitioning import partition_of
from sinks.producer import Outgoing, Producer
from sinks.settings import Settings
from tests.jobs.backup_worlds import drop, live, raw_log, small
from tests.jobs.test_verify import PEOPLE, POSTS_OF, history


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[Settings]:
    world = small(settings)
    await live(world)
    yield world
    await drop(world)


async def seen(settings: Settings, *args: Any, **options: Any) -> list[dict[str, Any]]:
    return await asyncio.to_thread(lambda: list(tail(settings, Wanted(*args, **options))))


async def test_records_are_shown_decoded_and_filtered(world: Settings) -> None:
    lines = await seen(world, "posts")
    raw = {tp: {kept.offset: kept for kept in records} for tp, records in raw_log(world, ["posts"]).items()}
    assert len(lines) == sum(map(len, raw.values()))
    for tp, records in raw.items():
        mine = [line for line in lines if line["partition"] == tp.partition]
        assert [line["offset"] for line in mine] == list(records), "each partition in its order"
    submitted = next(line for line in lines if line["type"] == "PostSubmitted")
    event = submitted["event"]
    assert event["post_id"] in map(str, POSTS_OF[int(event["author_id"])])
    assert submitted["key"] == event["author_id"]
    assert event["at"] == "2023-11-14T22:13:20.000Z" and event["at_ms"] == 1_700_000_000_000
    assert base64.b64decode(event["caption"]) == b"c"
    assert '"caption": {"sealed": 1}' in for_people(submitted)
    assert json.loads(json.dumps(submitted)) == submitted
    poison = [line for line in lines if "undecodable" in line]
    assert any("headers" in line and line["headers"]["repairs"] == "posts-0@3" for line in poison)
    assert all(line["undecodable"] in for_people(line) for line in poison)

    # Filters: each alone, and together.
    published = await seen(world, "posts", types=["PostPublished"])
    assert {line["type"] for line in published} == {"PostPublished"}
    assert len(published) == sum(isinstance(event, PostPublished) for event in history())
    author = PEOPLE[2]
    theirs = await seen(world, "posts", key=str(author), types=["PostSubmitted"])
    assert {line["event"]["author_id"] for line in theirs} == {str(author)}
    assert len(theirs) == len(POSTS_OF[author])
    one = str(POSTS_OF[author][3])
    found = await seen(world, "posts", where=conditions([f"post_id={one}", f"author_id={author}"]))
    assert [line["type"] for line in found] == ["PostSubmitted", "PostPublished", "PostEdited"]
    media = published[0]["event"]["media"][0]["media_id"]
    assert len(await seen(world, "media", where={"media.media_id": media})) == 1
    assert await seen(world, "posts", partition=0, types=["PostSubmitted"], where={"author_id": "1"}) == []


async def test_it_begins_and_ends_where_it_is_told(world: Settings) -> None:
    partition = partition_of(str(PEOPLE[0]).encode(), 2)
    every = await seen(world, "posts", partition=partition)
    some = await seen(world, "posts", "3", "6", partition=partition)
    assert [line["offset"] for line in some] == [3, 4, 5]
    assert await seen(world, "posts", "end") == []
    assert await seen(world, "posts", "beginning", "beginning") == []
    assert await seen(world, "posts", limit=0) == []
    assert await seen(world, "posts", partition=partition, limit=2) == every[:2]
    later = every[-1]["timestamp"]
    assert [line["offset"] for line in await seen(world, "posts", later, partition=partition)] == [
        line["offset"] for line in every if line["timestamp_ms"] >= every[-1]["timestamp_ms"]
    ]
    assert await seen(world, "posts", "2999-01-01") == []
    assert await seen(world, "posts", "", "2001-01-01T00:00:00+02:00") == []


async def test_dead_letters_and_generations(world: Settings) -> None:
    good = encode(next(event for event in history() if isinstance(event, Followed)))
    async with Producer(world) as producer:
        await producer.write([Outgoing("graph.dlq", b"1", good, {"view": b"follows", "error": b"why"})])
    await asyncio.to_thread(GenerationLog(world).write, Generations(view="posts"))
    (dead,) = await seen(world, "graph.dlq")
    assert dead["dead"] == {"view": "follows", "error": "why"}
    assert dead["type"] == "Followed"
    (poison,) = await seen(world, "posts.dlq")
    assert poison["undecodable"] and poison["dead"]["offset"] == "3"
    (pointer,) = await seen(world, "generations")
    assert pointer["key"] == pointer["value"]["view"] == "posts"
    assert '"live"' in for_people(pointer)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted("likes"), "there is no topic 'likes'"),
        (Wanted("posts", types=["Liked"]), "there is no event 'Liked'"),
        (Wanted("posts", partition=16), "has the partitions 0 to 15"),
        (Wanted("posts", follow=True, end="end"), "--follow goes on"),
        (Wanted("posts", limit=-1), "--limit"),
    ],
)
def test_what_makes_no_sense_is_refused(wanted: Wanted, sentence: str) -> None:
    with pytest.raises(TailRefused, match=sentence):
        list(tail(Settings(), wanted))
    with pytest.raises(TailRefused, match="no event has a field likes"):
        conditions(["likes=3"])
    with pytest.raises(TailRefused, match="FIELD=VALUE"):
        conditions(["post_id"])


async def test_a_time_that_is_none_is_refused(world: Settings) -> None:
    with pytest.raises(TailRefused, match="'yesterday' is no offset"):
        await seen(world, "posts", "yesterday")


def command(settings: Settings, *args: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TOPIC_PREFIX": settings.topic_prefix,
        "PARTITIONS": str(settings.partitions),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "tail", *args],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell without job control starts what is in the background deaf to SIGINT, and so all that this starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


async def test_a_closed_pipe_is_a_clean_end(world: Settings) -> None:
    async with Producer(world) as producer:
        many = [event for event in history() if isinstance(event, PostSubmitted)] * 200
        await producer.produce_many(many)
    process = command(world, "posts", "--json")
    assert process.stdout is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["topic"] == "posts"
    process.stdout.close()
    with process.stderr as said:
        assert process.wait(60) == 0, said.read()
        assert said.read() == ""


async def test_follow_goes_on_until_it_is_stopped(world: Settings) -> None:
    process = command(world, "graph", "-f", "--from", "beginning")
    try:
        await follow_and_stop(world, process)
    finally:
        process.kill()
        process.communicate()


async def follow_and_stop(world: Settings, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None and process.stderr is not None
    follows = [event for event in history() if isinstance(event, Followed)]
    before = len(await seen(world, "graph"))
    for _ in range(before):
        assert await asyncio.to_thread(process.stdout.readline)
    async with Producer(world) as producer:
        tp, offset = await producer.produce(follows[0])
    assert (await asyncio.to_thread(process.stdout.readline)).startswith(f"{tp}@{offset} ")
    process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(process.wait, 30) == 0, process.stderr.read()
