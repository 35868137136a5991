"""What a gateway does not do while too much is asked of it: explore first, feeds last, nothing under the limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from api.app import ROUTERS
from api.metrics import REGISTRY
from api.problems import TYPE
from api.shedding import LAG_LOOKS, MULTIPLES, READ_CLASSES, WAITS, Class, Load, admits, class_of
from tests.api.gateway import Gateway

ORDER = [Class.EXPLORE, Class.SEARCH, Class.READS, Class.WRITES, Class.FEEDS]


# -- the decision -----------------------------------------------------------------------------------------------------


def admitted(load: Load) -> list[bool]:
    return [load.is_light or admits(one, load.pressure) for one in ORDER]


@given(st.integers(1, 1000), st.floats(0.01, 10), st.integers(0, 20_000), st.lists(st.floats(0, 100)))
def test_at_any_load_the_classes_are_shed_in_their_order(
    limit: int, lag_limit: float, in_flight: int, lags: list[float]
) -> None:
    load = Load(limit, lag_limit)
    load.in_flight = in_flight
    for lag in lags:
        load.looked(lag)
    done = admitted(load)
    assert done == sorted(done), "what is shed, is shed below as well"
    assert admits(Class.ALWAYS, load.pressure)
    if in_flight < limit and load.lag < lag_limit:
        assert load.is_light and all(done), "nothing is shed under the limit"
    else:
        assert not load.is_light and not done[0]
    if in_flight >= 10 * limit:
        assert not any(done)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_more_load_never_lets_more_through(one: int, other: int) -> None:
    light, heavy = Load(100, 1), Load(100, 1)
    light.in_flight, heavy.in_flight = sorted((one, other))
    assert sum(admitted(heavy)) <= sum(admitted(light))


def test_an_event_loop_that_stood_still_once_is_no_load() -> None:
    load = Load(100, 0.25)
    for lag in (9.0, *[0.0] * LAG_LOOKS):
        load.looked(lag)
        assert load.is_light
    for _ in range(LAG_LOOKS):
        load.looked(0.3)
    assert admitted(load) == [False, True, True, True, True]
    load.looked(0.0)
    assert load.is_light


def test_every_class_has_its_multiple_and_its_wait() -> None:
    assert list(MULTIPLES) == list(WAITS) == ORDER
    assert list(MULTIPLES.values()) == sorted(set(MULTIPLES.values())) and MULTIPLES[Class.EXPLORE] == 1


def test_every_route_is_of_the_class_that_its_name_says() -> None:
    found: dict[Class, set[str]] = {one: set() for one in Class}
    for route in (route for module in ROUTERS for route in module.router.routes):
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            of = class_of(method, route.path)
            assert (of is Class.WRITES) == (method != "GET"), "people's writes outlast others' reads"
            found[of].add(route.path)
    assert found[Class.FEEDS] == {"/api/v1/feed", "/api/v1/stories/feed"}
    assert found[Class.ALWAYS] == {"/api/v1/live", "/healthz", "/readyz"}
    assert found[Class.EXPLORE] >= {"/api/v1/explore", "/api/v1/posts/{post_id}/insights", "/api/v1/trending/places"}
    assert found[Class.SEARCH] >= {"/api/v1/search/people", "/api/v1/hashtags/{hashtag}"}
    assert found[Class.READS] >= {"/api/v1/users/{user}", "/api/v1/stories/{story_id}", "/media/{key:path}"}
    # No line of the table is for a route that is not there any more.
    paths = {route for some in found.values() for route in some}
    assert all(any(path == line or path.startswith(line + "/") for path in paths) for line in READ_CLASSES)
    assert class_of("GET", "/api/v1/feeds") is Class.READS
    assert class_of("GET", "/api/v1/me/insights/") is Class.EXPLORE


# -- the gateway ------------------------------------------------------------------------------------------------------

shared = pytest.mark.asyncio(loop_scope="session")


def shed(one: Class) -> float:
    return REGISTRY.get_sample_value("shutterlog_gateway_shed_total", {"class": one.name.lower()}) or 0.0


@shared
async def test_a_flood_sheds_explore_and_search_and_answers_feeds(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times as many requests at once as the limit, most of them explore and search, the feeds among them."""
    me = await gateway.person()
    await gateway.catch_up()
    load: Load = gateway.app.state.load
    monkeypatch.setattr(load, "_in_flight_limit", 8)
    before = {one: shed(one) for one in ORDER}

    async def ask(path: str) -> tuple[str, Any]:
        return path, await gateway.client.get("/api/v1" + path, headers=me.headers)

    paths = ["/explore", "/search/people?q=ada", "/explore", "/feed", "/search/posts?q=sea"] * 16
    assert len(paths) == 10 * 8
    found: dict[str, Counter[int]] = {}
    for path, answer in await asyncio.gather(*map(ask, paths)):
        found.setdefault(path.partition("?")[0], Counter())[answer.status_code] += 1
        if answer.status_code == 503:
            assert answer.json()["type"] == TYPE + "overloaded"
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["trace-id"] and answer.headers["cache-control"] == "no-store"
    assert found["/feed"] == Counter({200: 16})
    assert found["/explore"][503] > 16 and found["/explore"][200] + found["/explore"][503] == 32
    assert found["/search/people"][503] > 0
    assert shed(Class.EXPLORE) - before[Class.EXPLORE] == found["/explore"][503]
    assert shed(Class.FEEDS) == before[Class.FEEDS]

    assert load.in_flight == 0, "whoever was counted is gone"
    assert (await ask("/explore"))[1].status_code == 200


@shared
async def test_while_writes_are_done_feeds_are_and_health_always_is(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = await gateway.person()
    await gateway.catch_up()
    load: Load = gateway.app.state.load
    media = {"file": ("a.png", b"x" * 40_000, "image/png")}
    for lag, explore, write, feed in ((1.0, 503, 415, 200), (2.5, 503, 503, 200), (4.0, 503, 503, 503)):
        monkeypatch.setattr(type(load), "pressure", lag)
        monkeypatch.setattr(type(load), "is_light", False)
        answers = (
            await gateway.client.get("/api/v1/explore", headers=me.headers),
            await gateway.client.post("/api/v1/media", files=media, headers=me.headers),
            await gateway.client.get("/api/v1/feed", headers=me.headers),
            await gateway.client.get("/healthz"),
        )
        assert [answer.status_code for answer in answers] == [explore, write, feed, 200]
    assert load.in_flight == 0
