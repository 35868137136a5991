"""What is limited, for whom, and how every answer says what is left."""

from __future__ import annotations

import io
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio
from fastapi import Request

from api.limits import address_of, limit_fields, tell_limit
from sinks.throttles import Allowance, Spent
from tests.api.gateway import PASSWORD, Gateway, Person, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")
STATE = re.compile(r'"(?P<name>[a-z-]+)";r=(?P<left>\d+);t=(?P<reset>\d+)')
POLICY = re.compile(r'"(?P<name>[a-z-]+)";q=(?P<burst>\d+);w=(?P<window>\d+)')


@asynccontextmanager
async def clients(gateway: Gateway) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """Clients at addresses of a test's own, since buckets of addresses outlast it."""
    made: dict[str, httpx.AsyncClient] = {}

    def at(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(gateway.app, raise_app_exceptions=False, client=(address, 1))
        return made.setdefault(address, httpx.AsyncClient(transport=transport, base_url="http://gateway"))

    try:
        yield at
    finally:
        for client in made.values():
            await client.aclose()


def left(answer: httpx.Response) -> dict[str, int]:
    """What an answer says is left of each limit; the older fields say the same of the nearest."""
    said = {one["name"]: int(one["left"]) for one in STATE.finditer(answer.headers["ratelimit"])}
    policies = [one["name"] for one in POLICY.finditer(answer.headers["ratelimit-policy"])]
    assert policies == list(said) and all(len(answer.headers.get_list(name)) == 1 for name in ("ratelimit",))
    assert int(answer.headers["ratelimit-remaining"]) == min(said.values())
    return said


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


class Class(NamedTuple):
    """A class of requests: the limit's name, the setting that it begins with, the problem, and one such request."""

    name: str
    setting: str
    problem: str
    status: int
    ask: Callable[[httpx.AsyncClient, Person, str], Awaitable[httpx.Response]]


async def _register(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    # The name is taken, so that nobody is registered: what is refused for it was counted before.
    return await client.post("/api/v1/accounts", json={"username": person.username, "password": PASSWORD})


async def _fail(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    return await client.post("/api/v1/sessions", json={"username": person.username, "password": "wrong password"})


async def _refresh(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    token = person.refresh_token.partition(".")[0] + ".wrong"
    return await client.post("/api/v1/sessions/refresh", json={"refresh_token": token})


async def _follow(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    return await client.post(f"/api/v1/posts/{post}/like", headers=person.headers)


async def _upload(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    files = {"file": ("a.png", io.BytesIO(picture()), "image/png")}
    return await client.post("/api/v1/media", files=files, headers=person.headers)


async def _comment(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    body = {"text": "What a fine light there is upon that engine, and how quiet it is in there!"}
    return await client.post(f"/api/v1/posts/{post}/comments", json=body, headers=person.headers)


async def _report(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    return await client.post("/api/v1/activity", json={"profiles": [{"user_id": person.id}]}, headers=person.headers)


async def _rename(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    body = {"username": f"{person.username}.{time.time_ns() % 10**6}"}
    return await client.put("/api/v1/me/username", json=body, headers=person.headers)


async def _export(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    return await client.get("/api/v1/me/export", headers=person.headers)


async def _prove(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    body = {"password": "wrong password", "new_password": PASSWORD}
    return await client.put("/api/v1/me/password", json=body, headers=person.headers)


async def _read(client: httpx.AsyncClient, person: Person, post: str) -> httpx.Response:
    return await client.get(f"/api/v1/posts/{post}", headers=person.headers)


CLASSES = (
    Class("registrations", "registration", "too-many-registrations", 409, _register),
    Class("logins", "login", "too-many-logins", 401, _fail),
    Class("logins", "login_address", "too-many-logins", 401, _fail),
    Class("logins", "login_name", "too-many-logins", 401, _fail),
    Class("refreshes", "refresh", "too-many-refreshes", 401, _refresh),
    Class("address-refreshes", "address_refresh", "too-many-refreshes", 401, _refresh),
    Class("writes", "write", "too-many-writes", 200, _follow),
    Class("address-writes", "address_write", "too-many-writes-from-address", 200, _follow),
    Class("address-writes", "address_write", "too-many-writes-from-address", 204, _report),
    Class("uploads", "upload", "too-many-uploads", 201, _upload),
    Class("comments", "comment", "too-many-comments", 201, _comment),
    Class("activity", "activity", "too-much-activity", 204, _report),
    Class("usernames", "username", "too-many-usernames", 200, _rename),
    Class("exports", "export", "too-many-exports", 200, _export),
    Class("proofs", "login", "too-many-logins", 403, _prove),
    Class("reads", "read", "too-many-reads", 200, _read),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def post(gateway: Gateway) -> str:
    """A post that everybody sees."""
    author = await gateway.person()
    post_id = await gateway.post(author)
    await gateway.publish(author, post_id)
    await gateway.catch_up()
    return post_id


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: f"{one.setting}-{one.ask.__name__}")
async def test_every_class_says_what_is_left_and_when_to_come_again(
    gateway: Gateway, post: str, monkeypatch: pytest.MonkeyPatch, one: Class
) -> None:
    """With one request allowed: it counts, and the next is refused, by this class and by no other."""
    person = await gateway.person()
    if one.ask is _rename or one.ask is _export:
        await gateway.catch_up()
    async with clients(gateway) as at:
        client = at(f"203.0.113.{CLASSES.index(one)}")
        monkeypatch.setattr(gateway.settings, f"{one.setting}_burst", 1)
        monkeypatch.setattr(gateway.settings, f"{one.setting}_per_second", 0.001)
        first = await one.ask(client, person, post)
        if one.ask is _rename:
            await gateway.catch_up()
        second = await one.ask(client, person, post)
    assert (first.status_code, left(first)[one.name] in (0, 2)) == (one.status, True), first.text
    assert (second.status_code, kind(second), left(second)[one.name]) == (429, one.problem, 0)
    assert f'"{one.name}";q=1;w=1000' in second.headers["ratelimit-policy"]
    assert second.headers["ratelimit-limit"] == "1"
    assert 900 < int(second.headers["retry-after"]) <= 1000
    assert 900 < int(second.headers["ratelimit-reset"]) <= 1000


async def test_one_address_writes_so_much_and_another_goes_on(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [await gateway.person() for _ in range(4)]
    monkeypatch.setattr(gateway.settings, "address_write_burst", 3)
    monkeypatch.setattr(gateway.settings, "address_write_per_second", 0.001)
    monkeypatch.setattr(gateway.settings, "write_burst", 2)
    monkeypatch.setattr(gateway.settings, "write_per_second", 0.001)

    async def write(client: httpx.AsyncClient, person: Person) -> tuple[int, str]:
        path = f"/api/v1/users/{people[-1].id}/follow"
        answer = await client.put(path, headers=person.headers)
        return answer.status_code, kind(answer) if answer.is_error else ""

    async with clients(gateway) as at:
        shared = at("2001:db8:0:1::1")
        # Who is refused alone takes nothing from the others.
        alone = [await write(shared, people[0]) for _ in range(6)]
        assert alone == [(200, "")] * 2 + [(429, "too-many-writes")] * 4
        assert await write(at("2001:db8:0:1:ffff::2"), people[1]) == (200, "")
        assert await write(shared, people[2]) == (429, "too-many-writes-from-address")
        assert await write(at("2001:db8:0:2::1"), people[2]) == (200, "")


async def log_in(client: httpx.AsyncClient, person: Person, password: str = PASSWORD) -> int:
    body = {"username": person.username, "password": password}
    return (await client.post("/api/v1/sessions", json=body)).status_code


async def test_an_address_that_tries_many_names_has_to_wait(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [await gateway.person() for _ in range(6)]
    monkeypatch.setattr(gateway.settings, "login_address_burst", 3)
    monkeypatch.setattr(gateway.settings, "login_address_per_second", 0.001)
    async with clients(gateway) as at:
        inside = at("198.51.100.1")
        assert await log_in(inside, people[0]) == 201
        guesses = [await log_in(inside, person, "password1234") for person in people[1:3]]
        assert guesses == [401] * 2
        # An account of one's own wins no more tries.
        assert await log_in(inside, people[5]) == 201
        assert await log_in(inside, people[3], "password1234") == 401
        # A name of nobody's is counted alike.
        nobody = {"username": "nobody.at.all.here", "password": PASSWORD}
        assert (await inside.post("/api/v1/sessions", json=nobody)).status_code == 429
        assert await log_in(inside, people[4]) == 429
        # Elsewhere they come in, and so does who was here before.
        assert await log_in(at("198.51.100.2"), people[4]) == 201
        assert await log_in(inside, people[0]) == 201


async def test_who_comes_in_is_counted_as_no_failure(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.settings, "login_address_burst", 2)
    monkeypatch.setattr(gateway.settings, "login_address_per_second", 0.001)
    async with clients(gateway) as at:
        seen = [await log_in(at("198.51.100.30"), await gateway.person()) for _ in range(4)]
    assert seen == [201] * 4


async def test_a_name_that_many_addresses_try_stays_open_to_its_owner(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await gateway.person()
    monkeypatch.setattr(gateway.settings, "login_name_burst", 4)
    monkeypatch.setattr(gateway.settings, "login_name_per_second", 0.001)
    async with clients(gateway) as at:
        home, moved = at("192.0.2.1"), at("192.0.2.2")
        assert await log_in(home, person) == 201
        guesses = [await log_in(at(f"192.0.2.{number}"), person, "password1234") for number in range(100, 106)]
        assert guesses == [401] * 4 + [429] * 2
        # At an address that is new they wait too, or the limit would tell a good password from a bad one.
        assert await log_in(moved, person) == 429
        assert await log_in(home, person) == 201
        assert await log_in(home, person, "password1234") == 401
        # A session that goes on at an address makes it known.
        refreshed = await moved.post("/api/v1/sessions/refresh", json={"refresh_token": person.refresh_token})
        assert refreshed.status_code == 200
        assert await log_in(moved, person) == 201
        # Where they registered they are known from the first.
        assert await log_in(gateway.client, person) == 201


async def test_a_session_and_an_address_refresh_so_often(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    person, other = await gateway.person(), await gateway.person()
    monkeypatch.setattr(gateway.settings, "refresh_burst", 2)
    monkeypatch.setattr(gateway.settings, "refresh_per_second", 0.001)

    async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
        return await client.post("/api/v1/sessions/refresh", json={"refresh_token": token})

    async with clients(gateway) as at:
        token, seen = person.refresh_token, list[int]()
        for number in range(3):
            answer = await refresh(at(f"192.0.2.{10 + number}"), token)
            seen.append(answer.status_code)
            token = answer.json().get("refresh_token", token)
        assert seen == [200, 200, 429]
        # What was refused used nothing up: the token is still good, and no sign of a thief.
        monkeypatch.setattr(gateway.settings, "refresh_per_second", 10**6)
        assert (await refresh(at("192.0.2.10"), token)).status_code == 200
        monkeypatch.setattr(gateway.settings, "address_refresh_burst", 1)
        monkeypatch.setattr(gateway.settings, "address_refresh_per_second", 0.001)
        shared = at("192.0.2.20")
        assert [(await refresh(shared, one)).status_code for one in ("none", other.refresh_token)] == [401, 429]


def _request(host: str) -> Request:
    return Request({"type": "http", "headers": [], "state": {}, "client": (host, 1)})


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (":nonsense", ":nonsense"),
    ],
)
async def test_an_address_of_ipv6_is_its_network(host: str, address: str) -> None:
    assert address_of(_request(host)) == address


async def test_of_several_limits_the_nearest_is_told_in_the_older_fields() -> None:
    request = _request("203.0.113.7")
    tell_limit(request, "wide", Allowance(100, 10), Spent(0, 40))
    tell_limit(request, "empty", Allowance(5, 1), Spent(0, 0))
    tell_limit(request, "refusing", Allowance(20, 0.5), Spent(2, 0))
    tell_limit(request, "wide", Allowance(100, 10), Spent(0, 39))
    assert dict(limit_fields(request.state.limits)) == {
        b"ratelimit-policy": b'"wide";q=100;w=10, "empty";q=5;w=5, "refusing";q=20;w=40',
        b"ratelimit": b'"wide";r=39;t=7, "empty";r=0;t=5, "refusing";r=0;t=40',
        b"ratelimit-limit": b"20",
        b"ratelimit-remaining": b"0",
        b"ratelimit-reset": b"40",
    }
