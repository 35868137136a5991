"""A small log of people and posts, whose personal texts are sealed, and sinks of search on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.events import Event, PostPublished, PostSubmitted, Source
from sinks.person_keys import PersonKeys
from sinks.sealing import new_key, seal
from sinks.search import SearchSink
from sinks.search_index import folder_of
from sinks.search_reader import SearchReader
from sinks.settings import Settings
from streams.records import Record, Span, TopicPartition
from streams.search import SEARCH
from tests.streams.post_events import picture

PARTITIONS = 2


class Keys(PersonKeys):
    """In memory; everybody has one until they are erased."""

    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}
        self.destroyed: set[int] = set()

    async def get_many(self, ids: Iterable[int]) -> dict[int, bytes]:
        return {user_id: self.key(user_id) for user_id in ids if user_id not in self.destroyed}

    def key(self, user_id: int) -> bytes:
        return self._held.setdefault(user_id, new_key())

    def forget(self, user_id: int) -> None:
        pass


class SearchWorld:
    """A log in memory, and what a sink makes of it in a folder."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.settings = Settings(shutterlog_home=home, **settings)
        self.keys = Keys()
        self.now = 1_000_000.0
        self.log: dict[TopicPartition, list[Record]] = defaultdict(list)
        self.folder = folder_of(self.settings, 1)

    def sink(self, generation: int = 1) -> SearchSink:
        ids = dict.fromkeys(SEARCH.sources, "id")
        return SearchSink(self.settings, self.keys, generation, ids, now=lambda: self.now)

    def reader(self) -> SearchReader:
        return SearchReader(self.folder)

    def sealed(self, user_id: int, text: str) -> bytes:
        return seal(self.keys.key(user_id), user_id, text)

    def say(self, kind: Any, who: int, **fields: Any) -> Record:
        """One more event in the log; ``str`` for what is sealed."""
        sealed = {
            name: self.sealed(who, value) if name in ("username", "name", "bio", "caption", "previous") else value
            for name, value in fields.items()
        }
        event: Event = kind(event_id=1, at=1, actor_id=who, **sealed)
        part = self.log[TopicPartition(event.TOPIC, int(event.key) % PARTITIONS)]
        tp = TopicPartition(event.TOPIC, int(event.key) % PARTITIONS)
        part.append(Record(tp, len(part), 1, event))
        return part[-1]

    def post(self, author: int, post_id: int, caption: str, hashtags: list[str], place: str = "") -> list[Record]:
        whose = {"post_id": post_id, "author_id": author}
        source = Source(topic="media", partition=0, offset=0, n=0)
        return [
            self.say(PostSubmitted, author, media_ids=[1], caption=caption, hashtags=hashtags, place=place, **whose),
            self.say(PostPublished, author, media=[picture(1)], source=source, **whose),
        ]

    async def apply(self, sink: SearchSink, records: list[Record] | None = None) -> None:
        """``records``, or all that is above the sink's fences."""
        partitions = list(self.log)
        held = await sink.fences(partitions)
        if records is None:
            records = [one for tp, part in self.log.items() for one in part if one.offset > held[tp]]
        spans: dict[TopicPartition, Span] = {}
        for one in records:
            prior = spans[one.tp].prior if one.tp in spans else one.offset - 1
            spans[one.tp] = Span(min(prior, held[one.tp]), one.offset)
        await sink.apply(SEARCH.project(records), spans)

    def everything(self) -> dict[str, str]:
        """Every document that can be found."""
        return dict(self.reader().everything())
