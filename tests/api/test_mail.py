"""Handing over mail by TLS and with a password, against a mail server on this machine."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest

from api.outbox import Outbox
from jobs.services import certificates
from sinks.mail import Mail, Mailer, MailUndelivered
from tests.api.mail_server import MailServer, mail_server

USER, PASSWORD = "house@mail.example", "p@ss: of/a house"  # noqa: S105
LOGIN = (USER, PASSWORD)
IN_AN_ADDRESS = "house%40mail.example:p%40ss%3A%20of%2Fa%20house"
MAIL = Mail("ada@mail.example", "Verify your address", "a token")


class Trust(NamedTuple):
    """A CA, and what a server shows that has a certificate of it."""

    ca: Path
    shown: ssl.SSLContext


def _trust(folder: Path) -> Trust:
    certificates.ensure(folder, ["mail"])
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(folder / "mail.pem")
    return Trust(folder / "ca.pem", shown)


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return _trust(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return _trust(tmp_path_factory.mktemp("other"))


def mailer(server: MailServer, ca: Path | None, *, kind: str = "smtp", login: str = IN_AN_ADDRESS) -> Mailer:
    user = f"{login}@" if login else ""
    return Mailer(f"{kind}://{user}127.0.0.1:{server.port}", "House <house@mail.example>", ca)


async def undelivered(sending: Mailer) -> MailUndelivered:
    """Why a mail was not taken; that says nothing of whose it was, and no password."""
    with pytest.raises(MailUndelivered) as failed:
        await sending.send(MAIL)
    said = f"{failed.value!r} {failed.value.__cause__!r}"
    assert "ada" not in said and PASSWORD not in said
    return failed.value


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
async def test_a_mail_goes_by_tls_after_a_login(trust: Trust, kind: str) -> None:
    async with mail_server(tls=trust.shown, begins_with_tls=kind == "smtps", login=LOGIN) as server:
        await mailer(server, trust.ca, kind=kind).send(MAIL)
    assert (server.recipients, server.logins) == ([MAIL.to], [LOGIN])
    assert server.mails[0].get_content().strip() == MAIL.text
    begins = ["EHLO", "STARTTLS", "EHLO", "AUTH"] if kind == "smtp" else ["EHLO", "AUTH"]
    assert server.verbs[: len(begins)] == begins


async def test_tls_is_taken_where_it_is_offered_without_a_login_too(trust: Trust) -> None:
    async with mail_server(tls=trust.shown) as server:
        await mailer(server, trust.ca, login="").send(MAIL)
    assert len(server.mails) == 1 and server.verbs[:3] == ["EHLO", "STARTTLS", "EHLO"]


async def test_a_password_is_never_said_in_clear(trust: Trust) -> None:
    async with mail_server(login=LOGIN) as server:  # offers to take it in clear
        failed = await undelivered(mailer(server, trust.ca))
    assert failed.final and "without TLS no password is sent" in str(failed)
    assert (server.logins, server.mails, server.verbs) == ([], [], ["EHLO"])


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
async def test_a_certificate_of_anybody_elses_is_refused(trust: Trust, other: Trust, kind: str) -> None:
    """Of another CA; and where none is named, of any that the system does not know."""
    async with mail_server(tls=other.shown, begins_with_tls=kind == "smtps", login=LOGIN) as server:
        for ca in (trust.ca, None):
            failed = await undelivered(mailer(server, ca, kind=kind))
            assert not failed.final and "certificate is refused" in str(failed)
    assert (server.logins, server.mails) == ([], [])


async def test_a_certificate_of_another_host_is_refused(trust: Trust) -> None:
    async with mail_server(tls=trust.shown, login=LOGIN, host="127.0.0.2") as server:
        sending = Mailer(f"smtp://{IN_AN_ADDRESS}@127.0.0.2:{server.port}", "house@mail.example", trust.ca)
        failed = await undelivered(sending)
    assert not failed.final and "127.0.0.2" in str(failed)
    assert (server.logins, server.mails) == ([], [])


async def test_a_wrong_password_is_said_clearly_and_not_tried_again(
    trust: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    """Trying again would change nothing, and hold up the mails behind it: this one is asked for again by its owner."""
    async with mail_server(tls=trust.shown, login=LOGIN) as server:
        outbox = Outbox(mailer(server, trust.ca, login="house%40mail.example:guessed"), first_pause=0)
        with caplog.at_level(logging.WARNING):
            async with outbox.at_work():
                assert outbox.post(_written)
                await outbox.settled()
    said = "a mail was given up: the mail server refuses the user or the password of SMTP_URL (535)"
    assert [record.getMessage() for record in caplog.records] == [said]
    assert (server.logins, server.mails) == ([(USER, "guessed")], [])


async def test_a_login_that_is_put_off_loses_no_mail(trust: Trust) -> None:
    async with mail_server(tls=trust.shown, login=LOGIN) as server:
        server.logins_put_off, server.put_off = 2, 1
        outbox = Outbox(mailer(server, trust.ca), first_pause=0)
        async with outbox.at_work():
            assert outbox.post(_written) and outbox.post(_written)
            await outbox.settled()
    assert server.recipients == [MAIL.to] * 2 == [mail["To"] for mail in server.mails]
    assert server.logins == [LOGIN] * 5


async def test_a_server_that_lets_nobody_log_in_is_named(trust: Trust) -> None:
    async with mail_server(tls=trust.shown) as server:
        failed = await undelivered(mailer(server, trust.ca))
    assert failed.final and "offers no way to log in" in str(failed)
    assert server.mails == []


def test_what_cannot_be_said_or_trusted_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ASCII") as failed:
        Mailer("smtp://house:p%C3%A4ss@mail.example", "house@mail.example")
    assert "pä" not in str(failed.value)
    with pytest.raises(OSError, match="No such file"):
        Mailer("smtp://mail.example", "house@mail.example", tmp_path / "none.pem")


async def _written() -> Mail:
    return MAIL
