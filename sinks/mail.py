"""Mail, over SMTP."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

SECONDS = 20.0
"""How long a mail server may take for one step."""


class Mail(NamedTuple):
    """One message to one address."""

    to: str
    subject: str
    text: str


class MailUndelivered(Exception):
    """The mail server did not take a message; ``final`` if it never will. Says nothing of whose it was."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


class Mailer:
    """Hands messages to the mail server of an address such as ``smtp://user:password@host:587``.

    ``smtp`` goes over to TLS where the server offers it, and has to before a password is sent; ``smtps`` begins so. Its
    certificate has to be of ``ca`` (a file of PEM; the system's CAs without one), and to name the host.
    """

    def __init__(self, url: str, sender: str, ca: Path | None = None) -> None:
        """Raises ``ValueError`` for an address that is none of a mail server, and ``OSError`` for a ``ca`` that is no
        certificate, or not there."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("SMTP_URL has to read smtp://host:port or smtps://host:port, user:password@ if needed")
        self._host = parts.hostname
        self._tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 25)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (self._user + self._password).isascii():  # as SMTP says them
            raise ValueError("user and password of SMTP_URL have to be ASCII")
        self._sender = sender
        self._context = ssl.create_default_context(cafile=ca)

    async def send(self, mail: Mail) -> None:
        """Hand over one message, in a thread. Raises ``MailUndelivered``."""
        await asyncio.to_thread(self._send, mail)

    def _send(self, mail: Mail) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, mail.to, mail.subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._host)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        try:
            with self._connected() as server:
                server.send_message(message)
        except smtplib.SMTPAuthenticationError as error:
            # Final unless the server says otherwise: what stands in SMTP_URL is the same at the next try.
            what = f"the mail server refuses the user or the password of SMTP_URL ({error.smtp_code})"
            raise MailUndelivered(what, final=error.smtp_code >= 500) from None
        except smtplib.SMTPResponseException as error:
            raise MailUndelivered(f"the mail server says {error.smtp_code}", final=error.smtp_code >= 500) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise MailUndelivered(f"the mail server says {min(codes)}", final=min(codes) >= 500) from None
        except ssl.SSLCertVerificationError as error:
            what = f"the mail server's certificate is refused: {error.verify_message}"
            raise MailUndelivered(what, final=False) from None
        except smtplib.SMTPNotSupportedError:
            what = "the mail server offers no way to log in that SMTP_URL could be used with"
            raise MailUndelivered(what, final=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailUndelivered(f"the mail server cannot be reached: {type(error).__name__}", final=False) from None

    def _connected(self) -> smtplib.SMTP:
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=SECONDS, context=self._context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=SECONDS)
        try:
            server.ehlo()
            if not self._tls and server.has_extn("starttls"):
                server.starttls(context=self._context)
                server.ehlo()
                secured = True
            else:
                secured = self._tls
            if self._user:
                if not secured:
                    raise MailUndelivered("without TLS no password is sent, and it offers none", final=True)
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server
