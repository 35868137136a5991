"""Attacks on the gateway that no other test tries. The others: signed addresses and traversal in ``test_files.py``, JWT
confusion in ``test_access_tokens.py`` and ``test_sessions.py``, whose is what (IDOR) in ``test_authorisation.py``,
where pushes may go (SSRF) in ``tests/sinks/test_push_channel.py``."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import re

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.app import ROUTERS
from schemas.events import AccountRegistered, ProfileChanged, UploadCompleted
from sinks.object_store import ObjectStore
from tests.api.gateway import PASSWORD, Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_body_refuses_fields_that_it_does_not_know() -> None:
    """Mass assignment: a new body that lets fields through fails here."""
    found = set()
    for module in ROUTERS:
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            for parameter in inspect.signature(route.endpoint, eval_str=True).parameters.values():
                kind = parameter.annotation
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    found.add(kind)
    assert len(found) > 10
    assert [kind.__name__ for kind in found if kind.model_config.get("extra") != "forbid"] == []


async def test_nobody_makes_themselves_more_than_they_are(gateway: Gateway) -> None:
    person = await gateway.person("Ada")
    said = len(gateway.said)
    for field in ({"role": "operator"}, {"verified": True}, {"user_id": "1"}, {"erased": False}):
        body = {"username": "someoneelse", "password": PASSWORD, "name": "x", **field}
        assert (await gateway.client.post("/api/v1/accounts", json=body)).status_code == 422, field
        changed = await gateway.client.patch("/api/v1/me", json={"name": "x", **field}, headers=person.headers)
        assert changed.status_code == 422, field
    assert not [one for one in gateway.said[said:] if isinstance(one, AccountRegistered | ProfileChanged)]


async def test_a_token_whose_header_or_claims_were_changed_is_refused(gateway: Gateway) -> None:
    person, other = await gateway.person(), await gateway.person()
    head, claims, signature = person.headers["Authorization"].removeprefix("Bearer ").split(".")

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    opened = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged = [
        *(f"{part({'alg': name, 'typ': 'JWT'})}.{claims}." for name in ("none", "None", "NONE", "nOnE")),
        f"{part({'alg': 'none'})}.{claims}.{signature}",
        f"{part({'alg': 'HS256', 'kid': '../../dev/null'})}.{claims}.{signature}",
        f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': ''}})}.{claims}.{signature}",
        f"{part({'alg': 'RS256'})}.{claims}.{signature}",
        f"{head}.{part({**opened, 'sub': other.id})}.{signature}",
        f"{head}.{part({**opened, 'role': 'operator'})}.{signature}",
        f"{head}.{part({**opened, 'exp': opened['exp'] + 10**6})}.{signature}",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        person.refresh_token,
    ]
    for token in forged:
        answer = await gateway.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token


async def test_a_link_is_kept_and_never_followed(gateway: Gateway) -> None:
    """SSRF: what people link to, in their profile and in what they write, nobody here connects to."""
    met: list[int] = []
    server = await asyncio.start_server(lambda reader, writer: met.append(1), "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/latest/meta-data"
        person = await gateway.person("Ada")
        await gateway.catch_up()
        answer = await gateway.client.patch("/api/v1/me", json={"links": [address]}, headers=person.headers)
        assert answer.json()["links"] == [address]
        await gateway.post(person, f"look at {address}")
        await gateway.catch_up()
        page = await gateway.client.get(f"/api/v1/users/{person.id}", headers=person.headers)
        assert page.json()["links"] == [address]
        for unfit in ("file:///etc/passwd", "gopher://127.0.0.1/", "javascript:alert(1)", "http://a:b@example.com/"):
            body = {"links": [unfit]}
            assert (await gateway.client.patch("/api/v1/me", json=body, headers=person.headers)).status_code == 422
    assert met == []


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..\\..\\x.png", "/etc/passwd", "a/b/c.png", "x\x00.png"])
async def test_the_name_of_a_file_says_nothing_about_where_it_is_kept(gateway: Gateway, name: str) -> None:
    person = await gateway.person()
    form = {"file": (name, picture(), "image/png")}
    answer = await gateway.client.post("/api/v1/media", files=form, headers=person.headers)
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 201:
        event = gateway.said[-1]
        assert isinstance(event, UploadCompleted)
        assert re.fullmatch(rf"{person.id}/\d{{4}}/\d\d/{event.media_id}/original", event.original_key)


@pytest.mark.parametrize("folder", ["", ".", "..", "../x", "a/b", "/", "a\x00"])
async def test_a_folder_to_be_deleted_is_one_segment(gateway: Gateway, folder: str) -> None:
    objects: ObjectStore = gateway.stores.objects
    with pytest.raises(ValueError, match="no folder"):
        await objects.delete_folder(folder)
