"""A mail server for tests: enough of SMTP (RFC 5321) for one client at a time to hand over mails, or be refused; with
STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4954) where a test asks for them."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage


class MailServer:
    """What came, and how many of the next mails are put off."""

    def __init__(self, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        """``tls`` is offered by STARTTLS. With ``login`` nobody else hands over a mail."""
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.verbs: list[str] = []
        """First word of each line that came, but for those of mails."""
        self.logins: list[tuple[str, str]] = []
        """What came as user and password, right or wrong."""
        self.put_off = 0
        self.logins_put_off = 0
        self.port = 0
        self._tls, self._login = tls, login

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        secured, known = False, self._login is None
        say("220 test")
        while line := (await reader.readline()).decode().strip():
            verb = line.upper().split(":")[0]
            self.verbs.append(verb.split()[0])
            if verb.startswith("EHLO"):
                offered = ["test"] + ["STARTTLS"] * (self._tls is not None and not secured)
                # In clear as well: it is the client who must not.
                offered += ["AUTH PLAIN"] * (self._login is not None)
                for word in offered:
                    say(f"250-{word}")
                say("250 well")
            elif verb == "STARTTLS" and self._tls is not None:
                say("220 go on")
                await writer.drain()
                try:
                    await writer.start_tls(self._tls)
                except (ssl.SSLError, ConnectionError):
                    break  # the client does not trust it
                secured = True
            elif verb.startswith("AUTH PLAIN"):
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self.logins.append((user, password))
                if self.logins_put_off:
                    self.logins_put_off -= 1
                    say("454 later")
                else:
                    known = (user, password) == self._login
                    say("235 welcome" if known else f"535 no {user} with such a password")
            elif verb == "DATA":
                say("354 go on")
                await writer.drain()
                body = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(body.removesuffix(b".\r\n"), policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                self.mails.append(message)
                say("250 taken")
            elif verb == "MAIL FROM" and not known:
                say("530 log in")
            elif verb == "RCPT TO" and self.put_off:
                self.put_off -= 1
                say("451 later")
            elif verb == "RCPT TO":
                self.recipients.append(line.partition("<")[2].partition(">")[0])
                say("250 known")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 well")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    begins_with_tls: bool = False,
    login: tuple[str, str] | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[MailServer]:
    """A server on a free port of this machine. ``tls`` is offered, or, with ``begins_with_tls``, there from the
    first."""
    server = MailServer(None if begins_with_tls else tls, login)
    listening = await asyncio.start_server(server._serve, host, 0, ssl=tls if begins_with_tls else None)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
