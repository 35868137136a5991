"""Registration and profiles."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from schemas.events import AccountRegistered, ProfileChanged
from sinks.errors import StoreAway
from sinks.sealing import unseal
from sinks.usernames import RESERVATION_MS
from streams.usernames import skeleton
from tests.api.gateway import PASSWORD, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


def registration(username: str, **changes: Any) -> dict[str, Any]:
    return {"username": username, "password": PASSWORD, "name": "Ada"} | changes


async def test_registering_says_it_sealed(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/v1/accounts", json=registration("Ada.Sealed"))
    assert answer.status_code == 201
    account = answer.json()
    assert (account["username"], account["name"]) == ("ada.sealed", "Ada")
    event = gateway.said[-1]
    assert isinstance(event, AccountRegistered)
    assert str(event.user_id) == account["id"]
    assert b"Ada" not in event.name and b"ada" not in event.username
    key = (await gateway.stores.keys.get_many([event.user_id]))[event.user_id]
    assert unseal(key, event.user_id, event.username) == "ada.sealed"
    record = gateway.listener.records[-1]
    assert answer.headers["consistency-token"] == f"{record.tp}-{record.offset}"


async def test_a_username_belongs_to_one_person(gateway: Gateway) -> None:
    answers = await asyncio.gather(
        *(gateway.client.post("/api/v1/accounts", json=registration(name)) for name in ("twice", "TWICE", "Twice"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith(":username-taken")


@pytest.mark.parametrize("username", ["ab", "a" * 31, "with space", "näme", "a/b", "1234567", "", "straße"])
async def test_other_usernames_are_refused(gateway: Gateway, username: str) -> None:
    answer = await gateway.client.post("/api/v1/accounts", json=registration(username))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.username"


async def test_a_refused_registration_does_not_show_the_password(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/v1/accounts", json=registration("x", password="hunter2 secret"))
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
async def test_text_that_no_store_takes_is_refused(gateway: Gateway, name: str) -> None:
    # As escapes, which is the only way in which a lone surrogate can come.
    body = json.dumps(registration("odd.text", name=name))
    answer = await gateway.client.post("/api/v1/accounts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


async def test_a_retry_gives_the_same_account(gateway: Gateway) -> None:
    key = {"Idempotency-Key": "r-1"}
    first = await gateway.client.post("/api/v1/accounts", json=registration("retried"), headers=key)
    again = await gateway.client.post("/api/v1/accounts", json=registration("retried"), headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    other = await gateway.client.post(
        "/api/v1/accounts", json=registration("retried", password="another password"), headers=key
    )
    assert other.status_code == 422
    assert other.json()["type"].endswith(":idempotency-key-reused")
    without = await gateway.client.post("/api/v1/accounts", json=registration("retried"))
    assert without.status_code == 409
    same_key_of_another = await gateway.client.post("/api/v1/accounts", json=registration("retried.not"), headers=key)
    assert same_key_of_another.status_code == 201


async def test_a_retry_finishes_what_a_lost_log_interrupted(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"Idempotency-Key": "r-2"}

    async def away(_: object) -> None:
        raise StoreAway("Kafka is away")

    with monkeypatch.context() as broken:
        broken.setattr(gateway.listener, "produce_many", away)
        lost = await gateway.client.post("/api/v1/accounts", json=registration("lost.log"), headers=key)
    assert lost.status_code == 503
    assert int(lost.headers["retry-after"]) >= 1
    login = {"username": "lost.log", "password": PASSWORD}
    early = await gateway.client.post("/api/v1/sessions", json=login)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (409, "registration-unfinished")
    assert (
        await gateway.client.post("/api/v1/accounts", json=registration("lost.log"), headers=key)
    ).status_code == 201
    assert (await gateway.client.post("/api/v1/sessions", json=login)).status_code == 201


async def test_an_unconfirmed_reservation_expires(gateway: Gateway) -> None:
    now = int(time.time() * 1000)
    await gateway.stores.usernames.reserve("left.alone", 17, now - 1000)
    assert (await gateway.client.post("/api/v1/accounts", json=registration("left.alone"))).status_code == 409
    await gateway.stores.usernames.reserve("long.ago", 18, now - RESERVATION_MS - 1000)
    assert (await gateway.client.post("/api/v1/accounts", json=registration("long.ago"))).status_code == 201
    assert (await gateway.client.post("/api/v1/accounts", json=registration("long.ago"))).status_code == 409


async def test_an_expired_reservation_of_a_registered_account_is_confirmed_instead(gateway: Gateway) -> None:
    person = await gateway.person()
    await gateway.catch_up()
    old = int(time.time() * 1000) - RESERVATION_MS - 1000
    for table, key in (("usernames", "username"), ("username_skeletons", "skeleton")):
        await gateway.stores.cassandra.execute(
            f"UPDATE {table} SET reserved_at = {old} WHERE {key} = ? IF EXISTS",  # noqa: S608
            (person.username if key == "username" else skeleton(person.username),),
        )
    await gateway.stores.cassandra.execute(
        "UPDATE usernames SET confirmed = false WHERE username = ? IF EXISTS", (person.username,)
    )
    assert (await gateway.client.post("/api/v1/accounts", json=registration(person.username))).status_code == 409
    name = await gateway.stores.usernames.find(person.username)
    assert name is not None and name.confirmed and name.user_id == int(person.id)


async def test_a_profile_by_name_and_by_id(gateway: Gateway) -> None:
    person = await gateway.person("Grace")
    assert (await gateway.client.get(f"/api/v1/users/{person.id}")).status_code == 404
    await gateway.catch_up()
    by_id = (await gateway.client.get(f"/api/v1/users/{person.id}")).json()
    by_name = (await gateway.client.get(f"/api/v1/users/{person.username.upper()}")).json()
    assert by_id == by_name
    assert (by_id["name"], by_id["bio"], by_id["followers"], by_id["following"]) == ("Grace", "", 0, 0)
    assert by_id["registered_at"].endswith("Z")


@pytest.mark.parametrize("user", ["nobody.here", "0", "9" * 30, "a", "%00", "1_0"])
async def test_nobody_is_not_found(gateway: Gateway, user: str) -> None:
    answer = await gateway.client.get(f"/api/v1/users/{user}")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


async def test_changes_of_a_profile_add_up(gateway: Gateway) -> None:
    person = await gateway.person("Old name")
    # The view does not know the account yet, and one's own page does not pretend otherwise.
    early = await gateway.client.get("/api/v1/me", headers=person.headers)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (503, "not-yet-consistent")
    await gateway.catch_up()
    first = await gateway.client.patch("/api/v1/me", json={"name": "New name"}, headers=person.headers)
    assert (first.status_code, first.json()["name"]) == (200, "New name")
    # Without waiting for the view this would bring the old name back.
    second = await gateway.client.patch("/api/v1/me", json={"bio": "Engines"}, headers=person.headers)
    assert second.status_code == 503
    await gateway.catch_up()
    second = await gateway.client.patch("/api/v1/me", json={"bio": "Engines"}, headers=person.headers)
    assert (second.json()["name"], second.json()["bio"]) == ("New name", "Engines")
    assert isinstance(gateway.said[-1], ProfileChanged)
    await gateway.catch_up()
    mine = (await gateway.client.get("/api/v1/me", headers=person.headers)).json()
    assert (mine["name"], mine["bio"], mine["id"]) == ("New name", "Engines", person.id)


async def test_unknown_fields_are_refused(gateway: Gateway) -> None:
    person = await gateway.person()
    answer = await gateway.client.patch("/api/v1/me", json={"admin": True}, headers=person.headers)
    assert answer.status_code == 422
