"""Erasing oneself, at the gateway and at the command line; what then follows is ``tests/e2e/test_erasure.py``."""

from __future__ import annotations

import asyncio

import pytest

from jobs.accounts import AccountUnknown, erase
from schemas.events import AccountErased
from tests.api.gateway import PASSWORD, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_erases_themselves_is_out_at_once_and_not_to_be_seen(gateway: Gateway) -> None:
    person, other = await gateway.person("Ada"), await gateway.person("Bob")
    post = await gateway.post(person, "mine")
    await gateway.publish(person, post)
    await gateway.catch_up()
    wrong = await gateway.client.request("DELETE", "/api/v1/me", json={"password": "wrong"}, headers=person.headers)
    assert (wrong.status_code, wrong.json()["type"].rpartition(":")[2]) == (403, "wrong-password")
    assert not isinstance(gateway.said[-1], AccountErased)
    body = {"password": PASSWORD}
    answer = await gateway.client.request("DELETE", "/api/v1/me", json=body, headers=person.headers)
    assert (answer.status_code, answer.json()["id"]) == (202, person.id)
    assert answer.headers["consistency-token"]
    assert isinstance(gateway.said[-1], AccountErased)
    assert (await gateway.client.get("/api/v1/me", headers=person.headers)).status_code == 401
    login = {"username": person.username, "password": PASSWORD}
    assert (await gateway.client.post("/api/v1/sessions", json=login)).status_code == 401
    token = {"refresh_token": person.refresh_token}
    assert (await gateway.client.post("/api/v1/sessions/refresh", json=token)).status_code == 401
    await gateway.catch_up()
    for path in (f"/users/{person.id}", f"/users/by-name/{person.username}", f"/posts/{post}"):
        assert (await gateway.client.get(f"/api/v1{path}", headers=other.headers)).status_code == 404, path


async def test_operators_erase_by_name_or_id_or_nobody(gateway: Gateway) -> None:
    one, other = await gateway.person(), await gateway.person()
    settings = gateway.settings
    with pytest.raises(AccountUnknown, match="nobody goes by"):
        await asyncio.to_thread(erase, settings, [one.username, "nobodyatall"])
    assert "would erase" in (await asyncio.to_thread(erase, settings, [one.username], dry_run=True))[0]
    assert (await gateway.client.get("/api/v1/me", headers=one.headers)).status_code != 401
    lines = await asyncio.to_thread(erase, settings, [one.username, other.id])
    assert [line.split()[0] for line in lines] == [one.id, other.id]
    login = {"username": one.username, "password": PASSWORD}
    assert (await gateway.client.post("/api/v1/sessions", json=login)).status_code == 401
