"""Insights: what came of one's posts, for oneself alone; and a ClickHouse that is away takes nothing else with it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sinks.clickhouse import ClickHouse
from sinks.fact_migrations import migrate
from sinks.facts import FactSink
from sinks.insights import InsightReader
from sinks.topics import Topics
from streams.facts import FACTS
from streams.records import Span
from tests.api.gateway import Gateway, Person
from tests.api.test_likes import published
from tests.api.test_stories import published as story_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def facts(gateway: Gateway) -> AsyncIterator[FactSink]:
    """The sink of the facts, and its tables."""
    settings = gateway.settings
    async with await ClickHouse.connect(settings, make_database=True) as clickhouse:
        await migrate(clickhouse, 1)
        yield FactSink(clickhouse, 1, Topics(settings).ids())
        await clickhouse.command(f"DROP DATABASE {settings.clickhouse_database} SYNC")


async def count(gateway: Gateway, facts: FactSink) -> None:
    """Bring the facts to the log's end."""
    records = sorted(gateway.listener.records, key=lambda record: (record.tp, record.offset))
    ends = Topics(gateway.settings).ends()
    fences = await facts.fences(list(ends))
    await facts.apply(FACTS.project(records), {tp: Span(fences[tp], end) for tp, end in ends.items()})


async def ask(gateway: Gateway, who: Person, path: str) -> Any:
    answer = await gateway.client.get(f"/api/v1{path}", headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_came_of_ones_posts_is_counted_and_says_how_fresh_it_is(gateway: Gateway, facts: FactSink) -> None:
    author, fan, other = [await gateway.person() for _ in range(3)]
    await gateway.catch_up()
    post = await published(gateway, author)
    await gateway.catch_up()
    await count(gateway, facts)
    before = (await ask(gateway, author, "/me/insights"))["complete_until"]
    assert before is not None

    async def do(who: Person, method: str, path: str, **given: Any) -> None:
        answer = await gateway.client.request(method, f"/api/v1{path}", headers=who.headers, **given)
        assert answer.is_success, answer.text

    for who in (fan, other):
        await do(who, "PUT", f"/users/{author.id}/follow")
        await do(who, "POST", f"/posts/{post}/like")
        sight = {"post_id": post, "dwell_ms": 1500, "surface": "feed", "rank": 0}
        await do(who, "POST", "/activity", json={"posts": [sight]})
    await do(fan, "POST", "/activity", json={"posts": [sight]})
    await do(other, "DELETE", f"/posts/{post}/like")
    await do(other, "DELETE", f"/users/{author.id}/follow")
    await do(fan, "POST", f"/posts/{post}/save")
    await do(fan, "POST", f"/posts/{post}/share")
    await do(fan, "POST", f"/posts/{post}/comments", json={"text": "what a light"})

    late = await ask(gateway, author, "/me/insights")
    assert late["total"]["likes"] == 0
    assert late["complete_until"] is None or late["complete_until"] < late["until"]

    await count(gateway, facts)
    found = await ask(gateway, author, "/me/insights?days=7")
    counts = {"reach": 2, "impressions": 3, "dwell_ms": 4500, "likes": 1, "comments": 1, "saves": 1, "shares": 1}
    wanted = counts | {"engagement_rate": 2.0}
    assert found["total"] == wanted
    assert found["posts"] == [{"post_id": post, "counts": wanted}]
    assert (found["followers"], found["followers_gained"], found["followers_lost"]) == (1, 1, 0)
    assert found["complete_until"] == found["until"]
    assert (await ask(gateway, author, f"/posts/{post}/insights"))["counts"] == wanted
    nothing = dict.fromkeys(wanted, 0) | {"engagement_rate": None}
    assert (await ask(gateway, fan, "/me/insights"))["total"] == nothing

    hours = await ask(gateway, author, "/me/insights/hours")
    assert [one["hour"] for one in hours["hours"]] == list(range(24))
    busy = [one for one in hours["hours"] if one["impressions"]]
    assert sum(one["impressions"] for one in busy) == 3 and sum(one["likes"] for one in hours["hours"]) == 1
    assert hours["best"] == [one["hour"] for one in busy if one["engagement_rate"]]
    assert hours["complete_until"] == hours["until"]
    assert (await ask(gateway, fan, "/me/insights/hours"))["best"] == []

    growth = await ask(gateway, author, "/me/insights/followers?days=7")
    assert len(growth["days"]) == 8 and growth["days"][0]["followers"] == 0
    assert growth["days"][-1]["followers"] == sum(one["gained"] - one["lost"] for one in growth["days"]) == 1
    assert growth["days"][-1]["day"] == growth["until"][:10] and growth["complete_until"] == growth["until"]
    answer = await gateway.client.get(f"/api/v1/posts/{post}/insights", headers=fan.headers)
    assert answer.status_code == 403


async def test_stories_are_counted_for_their_author(gateway: Gateway, facts: FactSink) -> None:
    author, fan, other = [await gateway.person() for _ in range(3)]
    await gateway.catch_up()
    story = await story_of(gateway, author)
    for who, completed in ((fan, True), (fan, False), (other, False)):
        for method, path, body in (
            ("POST", "views", {"watched_ms": 900, "completed": completed}),
            ("PUT", "reaction", {"reaction": "\N{FIRE}"}),
        ):
            path = f"/api/v1/stories/{story}/{path}"
            answer = await gateway.client.request(method, path, headers=who.headers, json=body)
            assert answer.is_success, answer.text
    await gateway.client.delete(f"/api/v1/stories/{story}/reaction", headers=other.headers)
    late = await ask(gateway, author, "/me/insights/stories")
    assert late["complete_until"] is None or late["complete_until"] < late["until"]

    await count(gateway, facts)
    found = await ask(gateway, author, "/me/insights/stories")
    wanted = {"views": 3, "reach": 2, "completed": 1, "completion_rate": 0.5, "reactions": 1}
    assert found["total"] == wanted and found["stories"] == [{"story_id": str(story), "counts": wanted}]
    assert found["complete_until"] == found["until"]
    nothing = dict.fromkeys(wanted, 0) | {"completion_rate": None}
    assert (await ask(gateway, fan, "/me/insights/stories"))["total"] == nothing


async def test_without_clickhouse_insights_alone_have_to_wait(gateway: Gateway) -> None:
    me = await gateway.person()
    await gateway.catch_up()
    kept = gateway.stores.insights
    nowhere = gateway.settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:1"})
    try:
        gateway.app.state.stores = dataclasses.replace(gateway.stores, insights=InsightReader(nowhere, lambda: 1))
        answer = await gateway.client.get("/api/v1/me/insights", headers=me.headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await gateway.client.get("/api/v1/me", headers=me.headers)).status_code == 200
    finally:
        gateway.app.state.stores = gateway.stores
    assert gateway.stores.insights is kept
