"""Usernames that are changed, given up, taken back, and those that only look like one."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import httpx
import pytest

from schemas.events import UsernameChanged
from sinks.sealing import unseal
from streams.usernames import skeleton
from tests.api.gateway import PASSWORD, Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
DAY_MS = 86_400_000
_fresh = (f"ren{time.time_ns()}x{n}" for n in itertools.count())


async def change(gateway: Gateway, person: Person, username: str) -> httpx.Response:
    return await gateway.client.put("/api/v1/me/username", json={"username": username}, headers=person.headers)


async def known(gateway: Gateway) -> Person:
    person = await gateway.person()
    await gateway.catch_up()
    return person


def kind(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def register(gateway: Gateway, username: str) -> httpx.Response:
    return await gateway.client.post("/api/v1/accounts", json={"username": username, "password": PASSWORD})


async def test_a_change_is_said_and_the_old_name_leads_to_the_new(gateway: Gateway) -> None:
    person, new = await known(gateway), next(_fresh)
    answer = await change(gateway, person, new.upper())
    assert (answer.status_code, answer.json()["username"]) == (200, new)
    event = gateway.said[-1]
    assert isinstance(event, UsernameChanged) and person.username.encode() not in event.previous
    key = (await gateway.stores.keys.get_many([int(person.id)]))[int(person.id)]
    assert unseal(key, int(person.id), event.previous) == person.username
    # As long as the view has not seen it, nobody is sent in circles.
    for name in (person.username, new):
        page = await gateway.client.get(f"/api/v1/users/by-name/{name}")
        assert (page.status_code, page.json()["username"]) == (200, person.username)
    await gateway.catch_up()
    for path in ("by-name/" + person.username, person.username, "by-name/" + person.username.upper()):
        moved = await gateway.client.get(f"/api/v1/users/{path}")
        assert (moved.status_code, moved.headers["location"]) == (307, f"/api/v1/users/by-name/{new}")
        assert (await gateway.client.get(moved.headers["location"])).json()["id"] == person.id
    assert (await gateway.client.get(f"/api/v1/users/{person.username}/followers")).status_code == 200
    login = {"username": new, "password": PASSWORD}
    assert (await gateway.client.post("/api/v1/sessions", json=login)).status_code == 201


async def test_the_old_name_is_its_owners_for_a_time(gateway: Gateway) -> None:
    person, new = await known(gateway), next(_fresh)
    assert (await change(gateway, person, new)).status_code == 200
    assert kind(await register(gateway, person.username)) == (409, "username-taken")
    await gateway.catch_up()
    assert (await change(gateway, person, person.username)).status_code == 200
    await gateway.catch_up()
    back = await gateway.client.get(f"/api/v1/users/by-name/{person.username}")
    assert (back.status_code, back.json()["username"]) == (200, person.username)
    assert (await gateway.client.get(f"/api/v1/users/{new}")).headers["location"].endswith(person.username)
    # Months later.
    long_ago = int(time.time() * 1000) - int(gateway.settings.username_kept_days + 1) * DAY_MS
    await gateway.stores.usernames.replace(new, int(person.id), long_ago)
    await gateway.stores.cassandra.execute(
        "UPDATE username_skeletons SET reserved_at = ? WHERE skeleton = ? IF EXISTS", (long_ago, skeleton(new))
    )
    assert (await gateway.client.get(f"/api/v1/users/by-name/{new}")).status_code == 404
    other = await known(gateway)
    assert (await change(gateway, other, new)).status_code == 200
    await gateway.catch_up()
    assert (await gateway.client.get(f"/api/v1/users/by-name/{new}")).json()["id"] == other.id


async def test_of_two_who_want_one_name_one_gets_it(gateway: Gateway) -> None:
    one, other, name = await gateway.person(), await known(gateway), next(_fresh)
    answers = await asyncio.gather(
        change(gateway, one, name), change(gateway, other, name), register(gateway, name), register(gateway, name)
    )
    assert sorted(answer.status_code for answer in answers)[1:] == [409, 409, 409]


@pytest.mark.parametrize("username", ["admin", "Supp0rt", "sh.utter.log", "a b", "ab"])
async def test_names_of_the_house_are_refused(gateway: Gateway, username: str) -> None:
    assert kind(await register(gateway, username)) == (422, "invalid-request")
    person = await known(gateway)
    assert kind(await change(gateway, person, username)) == (422, "invalid-request")


async def test_look_alikes_are_refused_to_others(gateway: Gateway) -> None:
    name = "modern" + next(_fresh)[-20:]
    person = await known(gateway)
    assert (await change(gateway, person, name)).status_code == 200
    for alike in (name.replace("rn", "m"), name.replace("1", "l"), name.replace("0", "o")):
        if alike != name:
            assert kind(await register(gateway, alike)) == (409, "username-alike")
            assert (await gateway.client.get(f"/api/v1/users/by-name/{alike}")).status_code == 404
    await gateway.catch_up()
    own: dict[str, Any] = (await change(gateway, person, name.replace("rn", "m"))).json()
    assert own["username"] == name.replace("rn", "m")


async def test_a_reservation_that_no_event_followed_is_nobodys(gateway: Gateway) -> None:
    person, name = await known(gateway), next(_fresh)
    old = int(time.time() * 1000) - DAY_MS
    await gateway.stores.usernames.reserve(name, int(person.id), old)
    assert kind(await gateway.client.post("/api/v1/sessions", json={"username": name, "password": PASSWORD})) == (
        409,
        "registration-unfinished",
    )
    assert (await change(gateway, await known(gateway), name)).status_code == 200


async def test_changes_have_to_wait_after_some(gateway: Gateway) -> None:
    person = await known(gateway)
    answers = []
    for _ in range(gateway.settings.username_burst + 1):
        answers.append(await change(gateway, person, next(_fresh)))
        await gateway.catch_up()
    assert {answer.status_code for answer in answers[:-1]} == {200}
    assert kind(answers[-1]) == (429, "too-many-usernames")


async def test_a_late_retry_of_a_registration_undoes_nothing(gateway: Gateway) -> None:
    name, new, key = next(_fresh), next(_fresh), {"Idempotency-Key": "late"}
    body = {"username": name, "password": PASSWORD}
    first = await gateway.client.post("/api/v1/accounts", json=body, headers=key)
    await gateway.catch_up()
    tokens = (await gateway.client.post("/api/v1/sessions", json=body)).json()
    person = Person(first.json()["id"], name, {"Authorization": f"Bearer {tokens['access_token']}"}, "")
    assert (await change(gateway, person, new)).status_code == 200
    said = len(gateway.said)
    again = await gateway.client.post("/api/v1/accounts", json=body, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(gateway.said) == said
