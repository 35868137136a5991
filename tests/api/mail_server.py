"""A mail server for tests: enough of SMTP (RFC 5321) for one client at a time to hand over mails, or be refused."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage


class MailServer:
    """What came, and how many of the next mails are put off."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.put_off = 0
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        say("220 test")
        while line := (await reader.readline()).decode().strip():
            verb = line.upper().split(":")[0]
            if verb == "DATA":
                say("354 go on")
                await writer.drain()
                body = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(body.removesuffix(b".\r\n"), policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                self.mails.append(message)
                say("250 taken")
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
async def mail_server() -> AsyncIterator[MailServer]:
    """A server on a free port of this machine."""
    server = MailServer()
    listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
