"""Verifying an address and setting a new password by mail, over SMTP."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from api.app import create_app
from api.outbox import Outbox
from sinks.emails import Emails
from sinks.mail import Mail, Mailer, MailUndelivered
from tests.api.gateway import PASSWORD, Gateway, Person
from tests.api.mail_server import MailServer, mail_server

pytestmark = pytest.mark.asyncio(loop_scope="session")
NEW = "another fine staple"
SECRET = "of a test, and long enough to be no guess"  # noqa: S105


class Post:
    """The gateway with a mail server."""

    def __init__(
        self, gateway: Gateway, app: FastAPI, client: httpx.AsyncClient, server: MailServer, outbox: Outbox
    ) -> None:
        self.gateway, self.app, self.client, self.server, self._outbox = gateway, app, client, server, outbox

    async def ask(self, method: str, path: str, person: Person | None = None, **body: str) -> tuple[int, str]:
        """Status and kind of problem."""
        answer = await self.client.request(
            method, f"/api/v1{path}", json=body or None, headers=person.headers if person else {}
        )
        return answer.status_code, answer.json()["type"].rpartition(":")[2] if answer.is_error else ""

    async def token(self, to: str) -> str:
        """The token of the last mail, which went to ``to``."""
        await self._outbox.settled()
        assert self.server.recipients[-1] == self.server.mails[-1]["To"] == to
        found = re.search(r"^([\w-]{43})\s*$", self.server.mails[-1].get_content(), re.MULTILINE)
        assert found is not None
        return found[1]

    async def count(self) -> int:
        """Mails so far."""
        await self._outbox.settled()
        return len(self.server.mails)

    async def verified(self, person: Person) -> str:
        """An address of this person, verified."""
        address = f"{person.username}@mail.example"
        assert await self.ask("PUT", "/me/email", person, email=address, password=PASSWORD) == (202, "")
        assert await self.ask("POST", "/email-verifications", token=await self.token(address)) == (204, "")
        return address


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def post(gateway: Gateway) -> AsyncIterator[Post]:
    async with mail_server() as server:
        outbox = Outbox(Mailer(f"smtp://127.0.0.1:{server.port}", "House <house@mail.example>"), first_pause=0.01)
        emails = Emails(gateway.stores.cassandra, SECRET)
        app = create_app(gateway.settings)
        app.state.stores = dataclasses.replace(gateway.stores, emails=emails, outbox=outbox)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with outbox.at_work(), httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield Post(gateway, app, client, server, outbox)


async def test_an_address_is_verified_by_its_mail(post: Post) -> None:
    person = await post.gateway.person()
    address = f"{person.username}@Mail.example"
    assert await post.ask("PUT", "/me/email", person, email=address, password="wrong") == (403, "wrong-password")
    assert await post.ask("PUT", "/me/email", person, email=address, password=PASSWORD) == (202, "")
    token = await post.token(address)
    mine = "/api/v1/me/email"
    assert (await post.client.get(mine, headers=person.headers)).json() == {"email": None}
    assert await post.ask("POST", "/password-resets/confirm", token=token, new_password=PASSWORD) == (
        422,
        "mail-token-invalid",
    )
    assert await post.ask("POST", "/email-verifications", token=token) == (204, "")
    assert (await post.client.get(mine, headers=person.headers)).json() == {"email": address}
    assert await post.ask("POST", "/email-verifications", token=token) == (422, "mail-token-invalid")
    # One address, one account; written otherwise too.
    other = await post.gateway.person()
    assert await post.ask("PUT", "/me/email", other, email=address.lower(), password=PASSWORD) == (202, "")
    taken = await post.ask("POST", "/email-verifications", token=await post.token(address.lower()))
    assert taken == (409, "email-taken")
    # Nowhere in clear: not in the log, and not in Cassandra.
    assert not [event for event in post.gateway.said if person.username.encode() in repr(event).encode()]
    cassandra = post.gateway.stores.cassandra
    for table in ("credentials", "email_owners", "mail_tokens"):
        rows = await cassandra.execute(f"SELECT * FROM {table}")  # noqa: S608
        assert address.lower() not in repr(rows).lower() and token not in repr(rows)


async def test_a_lost_password(post: Post) -> None:
    person = await post.gateway.person()
    address = await post.verified(person)
    assert await post.ask("POST", "/password-resets", email=address.upper()) == (202, "")
    token = await post.token(address.upper())
    assert await post.ask("POST", "/email-verifications", token=token) == (422, "mail-token-invalid")
    assert await post.ask("POST", "/password-resets/confirm", token=token, new_password=NEW) == (204, "")
    assert await post.ask("POST", "/password-resets/confirm", token=token, new_password=NEW) == (
        422,
        "mail-token-invalid",
    )
    assert await post.ask("GET", "/me", person) == (401, "session-ended")
    for password, status in ((PASSWORD, 401), (NEW, 201)):
        assert (await post.ask("POST", "/sessions", username=person.username, password=password))[0] == status


async def test_who_has_their_mail_comes_in_while_others_try_their_name(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await post.gateway.person()
    address = await post.verified(person)
    monkeypatch.setattr(post.gateway.settings, "login_name_burst", 1)
    monkeypatch.setattr(post.gateway.settings, "login_name_per_second", 0.001)
    transport = httpx.ASGITransport(post.app, raise_app_exceptions=False, client=("198.51.100.77", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as elsewhere:

        async def log_in(password: str) -> int:
            body = {"username": person.username, "password": password}
            return (await elsewhere.post("/api/v1/sessions", json=body)).status_code

        assert [await log_in("password1234"), await log_in(PASSWORD)] == [401, 429]
        assert await post.ask("POST", "/password-resets", email=address) == (202, "")
        body = {"token": await post.token(address), "new_password": NEW}
        assert (await elsewhere.post("/api/v1/password-resets/confirm", json=body)).status_code == 204
        assert await log_in(NEW) == 201


async def test_who_is_unknown_hears_the_same_and_nobody_gets_a_mail(post: Post) -> None:
    person = await post.gateway.person()
    address, before = await post.verified(person), await post.count()
    known = await post.client.post("/api/v1/password-resets", json={"email": address})
    assert await post.count() == before + 1
    unknown = await post.client.post("/api/v1/password-resets", json={"email": f"not.{address}"})
    assert (
        (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b'{"status":"accepted"}')
    )
    assert await post.count() == before + 1


async def test_mails_have_to_wait_after_some(post: Post) -> None:
    address = f"nobody{time.time_ns()}@mail.example"
    seen = [await post.ask("POST", "/password-resets", email=address) for _ in range(4)]
    assert seen == [(202, "")] * 3 + [(429, "too-many-mails")]


async def test_an_expired_token_and_a_changed_address(post: Post) -> None:
    person = await post.gateway.person()
    address = await post.verified(person)
    assert await post.ask("POST", "/password-resets", email=address) == (202, "")
    token = await post.token(address)
    emails = Emails(post.gateway.stores.cassandra, SECRET)
    await emails.release(emails.lookup(address), int(person.id))
    refused = await post.ask("POST", "/password-resets/confirm", token=token, new_password="another fine staple")
    assert refused == (422, "mail-token-invalid")
    ttl = await post.gateway.stores.cassandra.execute("SELECT TTL(purpose) AS ttl FROM mail_tokens")
    assert all(row.ttl is not None for row in ttl)


async def test_a_server_that_is_busy_is_asked_again(post: Post) -> None:
    post.server.put_off = 2
    await post.verified(await post.gateway.person())
    assert post.server.put_off == 0


@pytest.mark.parametrize("address", ["", "ada", "ada@", "a da@b.example", "ada@b.example\nBcc: x@y.org", "ä@b.org"])
async def test_what_is_no_address(post: Post, address: str) -> None:
    assert await post.ask("POST", "/password-resets", email=address) == (422, "invalid-request")


async def test_without_a_mail_server(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/v1/password-resets", json={"email": "ada@mail.example"})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "no-mail")


async def test_failures_say_nothing_of_the_address() -> None:
    mailer = Mailer("smtp://127.0.0.1:1", "house@mail.example")
    with pytest.raises(MailUndelivered) as failed:
        await mailer.send(Mail("ada@mail.example", "s", "t"))
    assert "ada" not in str(failed.value) and not failed.value.final
    with pytest.raises(ValueError, match="SMTP_URL"):
        Mailer("http://mail.example", "house@mail.example")
