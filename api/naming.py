"""Whom a text names, and whom a picture shows: names become people, whom the writer may know of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.problems import Problem
from api.routes import id_of
from api.stores import Stores
from streams import text
from streams.rules import met
from streams.usernames import folded


class Said(NamedTuple):
    """What is found in a text."""

    mentions: list[int]
    hashtags: list[str]


async def read(stores: Stores, writer_id: int, words: str) -> Said:
    """The people and the tags in ``words``. Nobody is named whom the writer may not know of, or who does not exist:
    such a name is only text. Raises ``StoreAway``."""
    found = await asyncio.gather(*(_meant(stores, meant) for meant in text.names(words)))
    people = list(dict.fromkeys(user_id for user_id in found if user_id is not None))
    return Said(met(await stores.relations.facts(writer_id, people), people), text.tags(words))


async def tagged(stores: Stores, writer_id: int, given: Iterable[str]) -> list[int]:
    """The people with these ids, each once; ``Problem`` 422 for one whom the writer cannot know of."""
    people = list(dict.fromkeys(id_of(user_id, "person") for user_id in given))
    if not people:
        return []
    known, facts = await asyncio.gather(stores.accounts.by_ids(people), stores.relations.facts(writer_id, people))
    seen = set(met(facts, people)) & known.keys()
    for user_id in people:
        if user_id not in seen and user_id != writer_id:
            raise Problem(422, "tagged-unknown", f"There is no person {user_id} to be tagged. Leave the tag out.")
    return people


async def _meant(stores: Stores, usernames: Sequence[str]) -> int | None:
    for username in usernames:
        try:
            name = await stores.usernames.find(folded(username))
        except ValueError:
            continue
        if name is not None and name.confirmed:
            return name.user_id
    return None
