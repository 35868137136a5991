"""A real Prometheus with the rules that are shipped, which watches a gateway while faults are put into it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import start_http_server

from api.metrics import REGISTRY, answered
from api.shedding import Class
from sinks.sessions import Sessions
from tests.agents.workers import until
from tests.api.gateway import Gateway, Person
from tests.prometheus import FOLDER, Prometheus, alerts_of, running

pytestmark = pytest.mark.asyncio(loop_scope="session")


def counted(status: int, of: Class) -> float:
    labels = {"class": of.name.lower(), "status": str(status)}
    return REGISTRY.get_sample_value("shutterlog_gateway_requests_total", labels) or 0.0


def timed(of: Class) -> float:
    labels = {"class": of.name.lower()}
    return REGISTRY.get_sample_value("shutterlog_gateway_request_seconds_count", labels) or 0.0


async def test_requests_are_counted_by_class_and_status(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    me = await gateway.person()
    before = {one: counted(*one) for one in ((200, Class.FEEDS), (404, Class.READS), (500, Class.FEEDS))}
    feeds = timed(Class.FEEDS)
    assert (await gateway.client.get("/api/v1/feed", headers=me.headers)).status_code == 200
    assert (await gateway.client.get("/api/v1/posts/1", headers=me.headers)).status_code == 404
    assert (await gateway.client.get("/healthz")).status_code == 200
    assert timed(Class.FEEDS) == feeds + 1
    with monkeypatch.context() as patched:
        patched.setattr(Sessions, "is_open", mistaken)
        assert (await gateway.client.get("/api/v1/feed", headers=me.headers)).status_code == 500
    assert {one: counted(*one) for one in before} == {one: count + 1 for one, count in before.items()}
    assert (await gateway.client.get("/api/v1/feed")).status_code == 401
    assert timed(Class.FEEDS) == feeds + 1, "an answer 4xx or 5xx says nothing of how fast feeds are"
    assert counted(200, Class.ALWAYS) == 0


@pytest.mark.parametrize("of", [Class.FEEDS, Class.READS])
@pytest.mark.parametrize(
    ("status", "is_timed"),
    [(200, True), (304, True), (400, False), (401, False), (404, False), (429, False), (500, False), (503, False)],
)
async def test_what_was_refused_is_counted_and_not_timed(of: Class, status: int, is_timed: bool) -> None:
    requests, seconds = counted(status, of), timed(of)
    answered(of, status, 0.001)
    assert counted(status, of) == requests + 1
    assert timed(of) == seconds + is_timed


@pytest_asyncio.fixture(loop_scope="session")
async def prometheus(tmp_path: Path) -> AsyncIterator[Prometheus]:
    server, thread = start_http_server(0, "127.0.0.1", REGISTRY)
    watching = running(tmp_path, gateways=server.server_port)
    try:
        yield await asyncio.to_thread(watching.__enter__)
    finally:
        await asyncio.to_thread(watching.__exit__, None, None, None)
        server.shutdown()
        thread.join()
        server.server_close()


async def mistaken(*_: Any) -> bool:
    raise RuntimeError("a fault that a test has put here")


async def slow(*_: Any) -> bool:
    await asyncio.sleep(0.25)
    return True


async def test_faults_of_a_gateway_fire_the_alerts_of_their_objectives(
    gateway: Gateway, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = await gateway.person()
    await gateway.catch_up()

    async def paged(slo: str, ask: Callable[[Person], Awaitable[int]], status: int) -> list[Any]:
        """Ask until whoever watches over ``slo`` is paged; all that fires then."""
        firing: list[Any] = []

        async def fires() -> bool:
            assert set(await asyncio.gather(*(ask(me) for _ in range(3)))) == {status}
            firing[:] = await asyncio.to_thread(prometheus.firing)
            return bool(alerts_of(firing, alertname="BudgetBurnsFast", slo=slo, severity="page", window="1h"))

        await until(f"the page of {slo}", fires)
        return firing

    async def feed(person: Person) -> int:
        return (await gateway.client.get("/api/v1/feed", headers=person.headers)).status_code

    async def upload(_: Person) -> int:
        return (await gateway.upload(await gateway.person())).status_code

    async def is_well() -> bool:
        assert await feed(me) == 200
        found = await asyncio.to_thread(prometheus.values, 'slo:bad:ratio5m{slo=~"availability|errors"}')
        return [value for _, value in found] == [0, 0]

    await until("Prometheus has seen requests, all of them well", is_well)
    assert await asyncio.to_thread(prometheus.firing) == []

    folder = gateway.settings.shutterlog_home / "data" / "media"
    folder.rename(folder.with_name("elsewhere"))
    try:
        firing = await paged("availability", upload, 503)
    finally:
        folder.with_name("elsewhere").rename(folder)
    assert not alerts_of(firing, slo="errors"), "who cannot reach a store makes no mistake"

    with monkeypatch.context() as patched:
        patched.setattr(Sessions, "is_open", slow)
        firing = await paged("feed_latency", feed, 200)
        assert not alerts_of(firing, slo="errors")
        patched.setattr(Sessions, "is_open", mistaken)
        await paged("errors", feed, 500)

    rules = (await asyncio.to_thread(prometheus.ask, "/api/v1/rules"))["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}
    for panel in json.loads((FOLDER / "grafana" / "shutterlog.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            await asyncio.to_thread(prometheus.values, target["expr"])
