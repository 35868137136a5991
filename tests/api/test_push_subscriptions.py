"""Devices that pushes go to: made, listed, deleted, never shown whole, and gone with their session."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sinks.push_subscriptions import DEVICES
from sinks.web_push import from_base64url
from tests.api.gateway import PASSWORD, Gateway, Person
from tests.sinks.push_services import Device

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUTE = "/api/v1/me/push-subscriptions"


async def subscribe(gateway: Gateway, person: Person, device: Device, **other: Any) -> httpx.Response:
    return await gateway.client.post(ROUTE, json=device.given | other, headers=person.headers)


async def listed(gateway: Gateway, person: Person, **params: Any) -> dict[str, Any]:
    answer = await gateway.client.get(ROUTE, params=params, headers=person.headers)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def again(gateway: Gateway, person: Person) -> Person:
    """The same person in a session of their own."""
    login = {"username": person.username, "password": PASSWORD}
    tokens = (await gateway.client.post("/api/v1/sessions", json=login)).json()
    return person._replace(headers={"Authorization": f"Bearer {tokens['access_token']}"})


async def test_devices_are_listed_and_deleted(gateway: Gateway) -> None:
    ada = await gateway.person()
    key = (await gateway.client.get("/api/v1/push-key")).json()["public_key"]
    assert len(from_base64url(key)) == 65
    devices = [Device(f"https://push{n}.example/secret{n}") for n in range(3)]
    made = [await subscribe(gateway, ada, device) for device in devices]
    assert [answer.status_code for answer in made] == [201] * 3
    assert (await subscribe(gateway, ada, devices[0])).json()["id"] == made[0].json()["id"]
    page = await listed(gateway, ada, limit=2)
    rest = await listed(gateway, ada, cursor=page["next_cursor"])
    assert rest["next_cursor"] is None
    shown = page["items"] + rest["items"]
    assert {one["host"] for one in shown} == {"push0.example", "push1.example", "push2.example"}
    assert {one["id"] for one in shown} == {answer.json()["id"] for answer in made}
    assert "secret" not in str(shown)
    for expected in (204, 404):
        answer = await gateway.client.delete(f"{ROUTE}/{made[1].json()['id']}", headers=ada.headers)
        assert answer.status_code == expected
    assert len((await listed(gateway, ada))["items"]) == 2
    # Nothing of it is in the log, and nobody reads it in the table.
    assert not any(b"secret0" in str(event).encode() for event in gateway.said)
    rows = await gateway.stores.cassandra.execute("SELECT sealed FROM push_subscriptions")
    assert rows and not any(b"example" in row.sealed for row in rows)


async def test_a_device_ends_with_its_session(gateway: Gateway) -> None:
    ada = await gateway.person()
    elsewhere = await again(gateway, ada)
    here, there = Device("https://push.example/here"), Device("https://push.example/there")
    await subscribe(gateway, ada, here)
    await subscribe(gateway, elsewhere, there)
    assert sorted(one["current"] for one in (await listed(gateway, ada))["items"]) == [False, True]
    # The browser of the one goes over to the other session: it is one device.
    await subscribe(gateway, elsewhere, here)
    assert [one["current"] for one in (await listed(gateway, ada))["items"]] == [False, False]
    await gateway.client.delete("/api/v1/sessions", headers=elsewhere.headers)
    assert (await listed(gateway, ada))["items"] == []
    await subscribe(gateway, ada, here)
    await gateway.client.delete("/api/v1/sessions/all", headers=ada.headers)
    assert await gateway.stores.push.of(int(ada.id)) == []
    assert await gateway.stores.push.subscribed([int(ada.id)]) == set()


async def test_what_is_no_device_is_refused(gateway: Gateway) -> None:
    ada = await gateway.person()
    device = Device("https://push.example/a")
    for other, kind in (
        ({"endpoint": "ftp://push.example"}, "invalid-push-endpoint"),
        ({"keys": device.given["keys"] | {"auth": "AAAA"}}, "invalid-push-keys"),
        ({"keys": {"p256dh": "AAAA"}}, "invalid-request"),
        ({"user_id": "1"}, "invalid-request"),
    ):
        answer = await subscribe(gateway, ada, device, **other)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, kind)
    for n in range(DEVICES):
        assert (await subscribe(gateway, ada, Device(f"https://push.example/{n}"))).status_code == 201
    answer = await subscribe(gateway, ada, device)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (409, "too-many-devices")
    assert (await subscribe(gateway, ada, Device("https://push.example/3"))).status_code == 201
