"""Questions that come one by one and are answered together: what one answer costs is paid once for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class MicroBatches(Generic[Question, Answer]):
    """Whoever asks while a batch is under way, or within ``seconds`` of its beginning, is in the next one.

    So one question alone is answered at once, many are answered in few batches, and no answer is older than its
    question. To be used on one event loop.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Awaitable[Sequence[Answer | None]]],
        *,
        most: int,
        seconds: float,
    ) -> None:
        """``answer`` gives answers in the order of at most ``most`` questions, None for what is to be asked again in
        the next batch. What it raises, all of its batch get."""
        self._answer, self._most, self._seconds = answer, most, seconds
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """Its answer; raises what ``answer`` raised."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                began = loop.time()
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                # Who has gone away meanwhile wants to know nothing.
                await self._settle([one for one in batch if not one[1].done()])
                await asyncio.sleep(max(0.0, began + self._seconds - loop.time()))
        finally:
            self._working = None

    async def _settle(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._answer([question for question, _ in batch])
        except Exception as error:  # it belongs to those who asked, and the next batch has nothing to do with it
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        again = []
        for (question, waiting), answer in zip(batch, answers, strict=True):
            if answer is None:
                again.append((question, waiting))
            elif not waiting.done():
                waiting.set_result(answer)
        self._waiting += again  # behind the others, whom they must not hold up
