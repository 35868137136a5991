"""ClickHouse goes away under load and comes back: insights alone wait, and every event is a fact once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from jobs.provision import provision
from jobs.services.home import Home
from jobs.services.supervisor import Supervisor
from jobs.verify import verify
from sinks.clickhouse import ClickHouse
from sinks.settings import Settings
from tests.agents.workers import until, worker_processes
from tests.api.gateway import Gateway, Person, open_gateway
from tests.e2e.conftest import SLOW, forget, settings_of_a_world
from tests.services import empty_redis, with_key

GROUPS = ("accounts", "follows", "posts", "user_posts", "home_feed", "likes", "counters", "facts")
INSIGHTS = ("/me/insights", *(f"/me/insights/{what}" for what in ("followers", "hours", "stories")))


async def ask(gateway: Gateway, who: Person, path: str, method: str = "GET") -> httpx.Response:
    return await gateway.client.request(method, f"/api/v1{path}", headers=who.headers)


async def told(gateway: Gateway, author: Person, likes: int) -> None:
    """Wait until insights are whole, and say how many likes stand."""

    async def whole() -> bool:
        answer = await ask(gateway, author, "/me/insights")
        assert answer.status_code in (200, 503), answer.text
        found = answer.json()
        return answer.status_code == 200 and found["complete_until"] == found["until"]

    await until("insights are whole", whole, SLOW)
    assert (await ask(gateway, author, "/me/insights")).json()["total"]["likes"] == likes


async def test_while_clickhouse_is_away_only_insights_wait_and_facts_catch_up(
    kafka_bootstrap: str,
    redis_url: str,
    cassandra_hosts: str,
    tmp_path: Path,
    own_services: Callable[..., Settings],
) -> None:
    own = own_services("clickhouse")
    home = Home.at(own.shutterlog_home)
    supervisor = Supervisor(home)
    with empty_redis(redis_url) as own_redis_url, worker_processes(tmp_path) as workers:
        settings = settings_of_a_world(
            kafka_bootstrap,
            own_redis_url,
            cassandra_hosts,
            tmp_path,
            clickhouse_url=with_key(own.clickhouse_url, home),
            consistency_wait_seconds=SLOW,
            idle_call_seconds=0.3,
            facts_batch_seconds=0.2,
        )
        await asyncio.to_thread(provision, settings)
        worker = workers.start(settings, *GROUPS)
        await worker.says("metrics on port", seconds=SLOW)
        async with open_gateway(settings) as gateway:
            author, *fans = [await gateway.person() for _ in range(4)]
            post = str(gateway.stores.snowflakes.next())
            await gateway.publish(author, post)

            async def shown() -> bool:
                return (await ask(gateway, fans[0], f"/posts/{post}")).status_code == 200

            await until("the post is there", shown, SLOW)
            assert (await ask(gateway, fans[0], f"/posts/{post}/like", "POST")).status_code == 200
            await told(gateway, author, 1)

            await asyncio.to_thread(supervisor.stop_program, "clickhouse")

            async def gone() -> bool:
                return (await ask(gateway, author, "/me/insights")).status_code == 503

            await until("ClickHouse is away", gone, SLOW)
            for fan in fans:
                for path, method in ((f"/posts/{post}/like", "POST"), (f"/users/{author.id}/follow", "PUT")):
                    answer = await ask(gateway, fan, path, method)
                    assert answer.status_code == 200, answer.text
                # With the token of the follow, which alone the feed has to show.
                found = await gateway.client.get(
                    "/api/v1/feed", headers=fan.headers | {"Consistency-Token": answer.headers["Consistency-Token"]}
                )
                assert (found.status_code, [one["id"] for one in found.json()["items"]]) == (200, [post])
            assert (await ask(gateway, fans[1], f"/posts/{post}/like", "DELETE")).status_code == 200
            for path in (*INSIGHTS, f"/posts/{post}/insights"):
                answer = await ask(gateway, author, path)
                assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json"), path
            await worker.says("holding its partitions", seconds=SLOW)

            await asyncio.to_thread(supervisor.start_program, "clickhouse")
            await told(gateway, author, 2)
            # Ended in the midst of inserts, too, and started again by its supervisor.
            pid = supervisor.states()["clickhouse"].pid
            assert pid is not None
            for n in range(40):
                assert (await ask(gateway, fans[n % 3], f"/posts/{post}/like", "POST")).status_code == 200
                if n == 20:
                    os.kill(pid, signal.SIGKILL)
            await told(gateway, author, 3)
        report = await asyncio.to_thread(verify, settings, ("facts",), patience=20, quiet=True)
        assert report.differences == 0, "\n".join(report.lines(20))
        assert report.views["facts"].checked == report.views["facts"].notes["rows"] == report.events > 50
        async with await ClickHouse.connect(settings) as clickhouse:
            ((rows, places),) = await clickhouse.query(
                "SELECT count(), uniqExact(_partition, _offset) FROM engagement_1"
            )
        assert rows == places == 1 + 3 + 1 + 40
        assert worker.process.poll() is None
        await forget(settings)
