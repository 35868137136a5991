"""Questions to the buckets of a view that are asked at the same time, answered by one round trip.

A page asks a dozen buckets for a few words each, and what a command costs is mostly its being sent and answered. So
whoever asks while a round trip is under way shares the next one with all others who do: one script call a bucket, and
what several of them ask is read once. Every answer is read after its question was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

from sinks.beside import looked_at
from sinks.errors import StoreAway
from sinks.home_feed_watch import GenerationWatch, Healing, History

MOST = 20_000
"""Questions after which a round trip takes no more, so that no call holds a store for long."""
Question = TypeVar("Question")
Answers = TypeVar("Answers")

Asked = Mapping[int, Collection[Question]]
"""Of each bucket what is asked, each question once, in the order in which they came."""
Read = Mapping[int, tuple[Sequence[bytes | None], Answers]]
"""Of each bucket its history (born and moves), read together with the answers."""


class _Turn(Generic[Question, Answers]):
    """One round trip: what it is to bring, and the task that makes it."""

    def __init__(self) -> None:
        self.asked: dict[int, dict[Question, None]] = {}
        self.count = 0
        self.began = False
        self.task: asyncio.Task[Mapping[int, Answers | StoreAway]]


class Gathered(Generic[Question, Answers]):
    """Makes one round trip after the other with ``read``; what that raises, all who wait for it get.

    With a ``watch``, a bucket that lost data and has not come back is ``Healing`` for those who ask that bucket."""

    def __init__(
        self, read: Callable[[Asked[Question]], Awaitable[Read[Answers]]], watch: GenerationWatch | None
    ) -> None:
        self._read = read
        self._watch = watch
        self._last: _Turn[Question, Answers] | None = None

    async def ask(self, wanted: Asked[Question]) -> dict[int, Answers]:
        """What each of these buckets answers, to these questions and possibly to others' too. Raises ``StoreAway``."""
        turn = self._last
        if turn is None or turn.began or turn.count >= MOST:
            turn = self._last = self._after(turn)
        for bucket, questions in wanted.items():
            turn.asked.setdefault(bucket, {}).update(dict.fromkeys(questions))
            turn.count += len(questions)
        # Whoever gives up waiting leaves it to the others.
        answers = await asyncio.shield(turn.task)
        found: dict[int, Answers] = {}
        for bucket in wanted:
            answer = answers[bucket]
            if isinstance(answer, StoreAway):
                raise type(answer)(*answer.args) from answer
            found[bucket] = answer
        return found

    def _after(self, before: _Turn[Question, Answers] | None) -> _Turn[Question, Answers]:
        turn: _Turn[Question, Answers] = _Turn()
        turn.task = asyncio.create_task(self._run(turn, before))
        turn.task.add_done_callback(looked_at)
        return turn

    async def _run(
        self, turn: _Turn[Question, Answers], before: _Turn[Question, Answers] | None
    ) -> Mapping[int, Answers | StoreAway]:
        if before is not None and not before.task.done():
            await asyncio.wait([before.task])
        # Who comes from here on would be answered with what may be older than their question.
        turn.began = True
        if self._watch is None:
            return {bucket: answers for bucket, (_, answers) in (await self._read(turn.asked)).items()}
        return await self._read_sound(self._watch, turn.asked)

    async def _read_sound(
        self, watch: GenerationWatch, asked: dict[int, dict[Question, None]]
    ) -> Mapping[int, Answers | StoreAway]:
        found: dict[int, Answers | StoreAway] = {}
        expected: dict[int, History] = {}
        for bucket in asked:
            try:
                expected |= watch.expected([bucket])
            except Healing as healing:
                found[bucket] = healing
        if not expected:
            return found
        for bucket, (history, answers) in (await self._read({bucket: asked[bucket] for bucket in expected})).items():
            try:
                watch.confirm({bucket: expected[bucket]}, [history])
                found[bucket] = answers
            except Healing as healing:
                found[bucket] = healing
        return found
