"""Attacks on the gateway that no other test tries. The others: signed addresses and traversal in ``test_files.py``, JWT
confusion in ``test_access_tokens.py`` and ``test_sessions.py``, whose is what (IDOR) in ``test_authorisation.py``,
where pushes may go (SSRF) in ``tests/sinks/test_push_channel.py``."""

from __future__ import annotations

import asyncio
import base64
import hmac
import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials
from jwt import PyJWK
from pydantic import BaseModel

from api.app import ROUTERS
from api.bodies_activity import SeenPost
from api.bodies_notifications import PreferenceChange
from api.bodies_push import PushKeys
from api.bodies_stories import StickerDraft, Watched
from schemas.events import AccountRegistered, ProfileChanged, UploadCompleted
from sinks.object_store import ObjectStore
from tests.api.gateway import PASSWORD, Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """Every model that ``kind`` is made of: in ``Annotated``, unions, lists, mappings, fields, and dependencies."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models_in(field.annotation)
    elif isinstance(kind, Depends) and kind.dependency:
        yield from models_of(kind.dependency)
    for part in (*get_args(kind), *getattr(kind, "__metadata__", ())):
        yield from models_in(part)


def models_of(call: Callable[..., Any]) -> Iterator[type[BaseModel]]:
    """Every model that FastAPI makes of a request for ``call``."""
    for parameter in inspect.signature(call, eval_str=True).parameters.values():
        yield from models_in(parameter.annotation)
        yield from models_in(parameter.default)


async def test_every_body_refuses_fields_that_it_does_not_know() -> None:
    """Mass assignment: a new body, or a part of one, that lets fields through fails here."""
    found = set[type[BaseModel]]()
    for module in ROUTERS:
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            # Tokens come in a header, and FastAPI's own model of that.
            taken = set(models_of(route.endpoint)) - {HTTPAuthorizationCredentials}
            assert taken or route.body_field is None, f"the body of {route.path} is of no model"
            found |= taken
    assert {StickerDraft, Watched, PushKeys, PreferenceChange, SeenPost} <= found
    assert len(found) > 25
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


async def test_a_token_whose_header_or_claims_were_changed_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    person, other = await gateway.person(), await gateway.person()
    await gateway.catch_up()
    head, claims, signature = person.headers["Authorization"].removeprefix("Bearer ").split(".")

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def signed(key: bytes, **header: object) -> str:
        """A token with the person's claims that is right by ``key``, for a verifier that asks the header for it."""
        said = f"{part({'alg': 'HS256', 'typ': 'JWT', **header})}.{claims}"
        mac = hmac.digest(key, said.encode(), "sha256")
        return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    opened = json.loads(base64.urlsafe_b64decode(claims + "=="))
    own = os.urandom(32)
    file = tmp_path / "key"
    file.write_bytes(own)
    jwk = {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(own).rstrip(b"=").decode()}
    assert PyJWK(jwk).key == file.read_bytes() == own

    async def answer(token: str) -> int:
        return (await gateway.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code

    # What is signed so is taken, where the key is the gateway's.
    assert await answer(signed(gateway.settings.jwt_secret.encode())) == 200
    forged = [
        *(f"{part({'alg': name, 'typ': 'JWT'})}.{claims}." for name in ("none", "None", "NONE", "nOnE")),
        f"{part({'alg': 'none'})}.{claims}.{signature}",
        signed(b"", kid="/dev/null"),
        signed(b"", kid="../" * 30 + "dev/null"),
        signed(own, kid=str(file)),
        signed(own, kid=f"file://{file}", jku=f"file://{file}"),
        signed(b"ours", kid="ours"),
        signed(own, jwk=jwk),
        signed(own, jwk=jwk, kid="own"),
        signed(b"", jwk={"kty": "oct", "k": ""}),
        f"{part({'alg': 'RS256'})}.{claims}.{signature}",
        f"{head}.{part({**opened, 'sub': other.id})}.{signature}",
        f"{head}.{part({**opened, 'role': 'operator'})}.{signature}",
        f"{head}.{part({**opened, 'exp': opened['exp'] + 10**6})}.{signature}",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        person.refresh_token,
    ]
    answers = [(token, await answer(token)) for token in forged]
    assert [(token, status) for token, status in answers if status != 401] == []


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
