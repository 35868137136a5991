"""Mail that waits to be sent: whoever asked for it is not kept waiting, and learns nothing from how long it took."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sinks.beside import beside
from sinks.errors import StoreAway
from sinks.mail import Mail, Mailer, MailUndelivered

logger = logging.getLogger(__name__)
WAITING = 1000
"""Mails that may wait; more are refused, and people ask again."""
TRIES = 5
FIRST_PAUSE = 1.0
"""Seconds after the first failure; each pause is four times the one before."""

Written = Callable[[], Awaitable[Mail | None]]
"""Writes a mail when its turn comes; None for no mail."""


class Outbox:
    """Writes and sends mails one after the other, in this process: what waits when it ends is asked for again."""

    def __init__(self, mailer: Mailer | None, *, first_pause: float = FIRST_PAUSE) -> None:
        """Without a ``mailer`` nothing can be sent: see ``is_open``."""
        self._mailer = mailer
        self._waiting: asyncio.Queue[Written] = asyncio.Queue(WAITING)
        self._first_pause = first_pause

    @property
    def is_open(self) -> bool:
        """Whether there is a mail server."""
        return self._mailer is not None

    def post(self, write: Written) -> bool:
        """Let a mail be written and sent; False if too many wait."""
        try:
            self._waiting.put_nowait(write)
        except asyncio.QueueFull:
            return False
        return True

    async def settled(self) -> None:
        """Wait until nothing waits any more."""
        await self._waiting.join()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Send meanwhile."""
        if self._mailer is None:
            yield
            return
        async with beside(self._send_all(self._mailer)):
            yield

    async def _send_all(self, mailer: Mailer) -> None:
        while True:
            write = await self._waiting.get()
            try:
                await self._send(mailer, write)
            except Exception:
                logger.exception("a mail could not be written")
            finally:
                self._waiting.task_done()

    async def _send(self, mailer: Mailer, write: Written) -> None:
        mail: Mail | None = None
        pause = self._first_pause
        for left in reversed(range(TRIES)):
            try:
                mail = mail or await write()
                if mail is not None:
                    await mailer.send(mail)
                return
            except (MailUndelivered, StoreAway) as error:  # never the address: logs are read by many
                if not left or getattr(error, "final", False):
                    logger.error("a mail was given up: %s", error)
                    return
                logger.warning("a mail has to wait: %s", error)
            await asyncio.sleep(pause)
            pause *= 4
