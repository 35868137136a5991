"""A log with poison of both kinds: all that is good lands, all poison is listed, what is repaired counts once."""

from __future__ import annotations

import asyncio
import base64
import random
from pathlib import Path
from typing import Any

import pytest

from jobs.provision import provision
from jobs.verify import Report, verify
from schemas.codec import encode
from schemas.events import Event, Followed, PostPublished, Unfollowed
from schemas.ids import snowflake
from schemas.readable import fields_of
from sinks.dead_letters_reader import DeadLetterLog
from sinks.generations import GenerationLog
from sinks.producer import Outgoing, Producer
from tests.agents.workers import worker_processes
from tests.e2e.conftest import SLOW, forget, settings_of_a_world
from tests.jobs.dlq_worlds import DlqWorld, json_lines, objects
from tests.jobs.test_verify_fold import SOURCE, rendered
from tests.services import empty_redis

AT = 1_700_000_000_000
PEOPLE = [snowflake(AT, 1, n) for n in range(30)]
EVENTS = 2000
EVERY = 100
"""Of so many records one is undecodable and another one refused: 1 % of each kind."""
VIEWS = ("follows", "posts", "user_posts", "home_feed")
GROUPS = (*VIEWS, "media", "publisher", "notices", "saga", "erasure")


def events(chance: random.Random) -> list[Event]:
    """Follows, unfollows and posts of a few people."""
    said: list[Event] = []
    for number in range(EVENTS):
        one, other = chance.sample(PEOPLE, 2)
        base: dict[str, Any] = {"event_id": snowflake(AT, 4, number % 4096), "at": AT + number, "actor_id": one}
        if number % 3 == 0:
            post, media = snowflake(AT + number, 2, 0), rendered(snowflake(AT + number, 5, 0))
            said.append(PostPublished(**base, post_id=post, author_id=one, media=[media], source=SOURCE))
        else:
            kind = chance.choice([Followed, Followed, Followed, Unfollowed])
            said.append(kind(**base, follower_id=one, followee_id=other))
    return said


def spoiled(event: Event, number: int) -> Outgoing:
    """``event`` as bytes that nobody can decode, in one way or another."""
    value = encode(event)
    match number % 4:
        case 0:
            return Outgoing(event.TOPIC, event.key, b"not avro at all")
        case 1:
            return Outgoing(event.TOPIC, event.key, value[:-3])
        case 2:
            return Outgoing(event.TOPIC, b"somebody else", value)
        case _:
            return Outgoing(event.TOPIC, event.key, b"\0" + (99999).to_bytes(4, "big") + value[5:])


REASONS = (
    "first byte is 110, not 0",
    "the bytes end before the event does",
    "the key of this",
    "schema id 99999 is not in the lock",
)


async def test_poison_is_passed_over_listed_repaired_and_counts_once(
    kafka_bootstrap: str, redis_url: str, cassandra_hosts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty_redis(redis_url) as own_redis_url, worker_processes(tmp_path) as workers:
        settings = settings_of_a_world(
            kafka_bootstrap, own_redis_url, cassandra_hosts, tmp_path, pull_threshold=8, feed_cap=10, feed_slack=3
        )
        await asyncio.to_thread(provision, settings)
        world = DlqWorld(settings, monkeypatch)

        async def checked() -> Report:
            report = await asyncio.to_thread(verify, settings, VIEWS, patience=SLOW, quiet=True)
            assert report.differences == 0, "\n".join(report.lines(20))
            return report

        async def run(*words: Any, given: str | None = None) -> Any:
            return await asyncio.to_thread(world.run, *words, given=given)

        async def letters(*words: Any) -> list[dict[str, Any]]:
            return objects(await run("list", *words, "--json"))

        async def in_the_log() -> int:
            return len(await asyncio.to_thread(world.log, "graph", "posts"))

        # -- said, with poison in it
        outgoing: list[Outgoing] = []
        meant: dict[int, Event] = {}
        refused = 0
        for number, event in enumerate(events(random.Random(7))):
            if number % EVERY == 50:
                meant[len(outgoing)] = event
                outgoing.append(spoiled(event, len(meant)))
            else:
                outgoing.append(Outgoing(event.TOPIC, event.key, encode(event)))
            if number % EVERY == 80:
                self = PEOPLE[number % len(PEOPLE)]
                narcissus = Followed(event_id=self, at=AT, actor_id=self, follower_id=self, followee_id=self)
                outgoing.append(Outgoing("graph", narcissus.key, encode(narcissus)))
                refused += 1
        worker = workers.start(settings, *GROUPS)
        async with Producer(settings) as producer:
            written = await producer.write(outgoing)
        places = {(tp.topic, tp.partition, offset): meant.get(n) for n, (tp, offset) in enumerate(written)}

        # -- applied, but for the poison, and all of that is listed
        report = await checked()
        assert report.undecodable == len(meant) == refused == EVENTS // EVERY
        assert all(found.checked > 0 for found in report.views.values())
        undecodable = await letters("--kind", "undecodable")
        assert {(one["topic"], one["partition"], one["offset"]) for one in undecodable} == {
            place for place, event in places.items() if event is not None
        }
        assert {next((r for r in REASONS if r in one["error"]), one["error"]) for one in undecodable} == set(REASONS)
        assert all(one["tries"] >= 2 for one in undecodable), "several groups met each of them"
        for view in ("follows", "home_feed"):
            found = await letters("--view", view)
            assert len(found) == refused
            assert all("cannot follow themselves" in one["error"] for one in found)
        assert len(await letters()) == len(meant) + 2 * refused

        # -- nothing good is produced twice
        said = await in_the_log()
        left = await run("redrive", "--json")
        assert left.exit_code == 1 and {one["outcome"] for one in objects(left)} == {"left"}
        assert await in_the_log() == said == len(outgoing)

        # -- repaired by a program between two pipes
        listed = await run("list", "--kind", "undecodable", "--json")
        shown = objects(await run("show", "--from", "-", "--json", given=listed.stdout))
        for n, line in enumerate(shown):
            repaired = places[line["topic"], line["partition"], line["offset"]]
            assert repaired is not None
            if n % 2:
                line |= {"type": type(repaired).__name__, "event": fields_of(repaired)}
            else:
                line |= {"event": None, "value": base64.b64encode(encode(repaired)).decode()}
        done = await run("redrive", "--from", "-", given=json_lines(shown))
        assert done.exit_code == 0, done.stderr
        assert await in_the_log() == said + len(meant)
        again = await checked()
        assert again.events >= report.events + len(meant), "and what the repaired follows are told of"
        assert await letters("--kind", "undecodable") == []

        # -- and once more: nothing is appended
        repeated = await run("redrive", "--from", "-", given=json_lines(shown))
        assert repeated.exit_code == 1 and "already" in repeated.stderr
        assert await in_the_log() == said + len(meant)
        # The one kind is repaired; the other still taints the views that refused it, until somebody says otherwise.
        book = await asyncio.to_thread(DeadLetterLog(settings).read, GenerationLog(settings).read())
        assert [len(book.refusals(view)) for view in VIEWS] == [refused, 0, 0, refused]
        assert (await run("purge", "--kind", "refused", "--yes")).exit_code == 0
        assert await letters() == []
        assert len(await letters("--resolved")) == len(meant) + 2 * refused
        assert (await checked()).events == again.events
        assert worker.process.poll() is None, "no poison may end the worker"
        await forget(settings)
