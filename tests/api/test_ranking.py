"""The feed in ranked order: who is nearest first, under the same rules, with cursors that stand, and never silently in
another order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.cursors import RankedCursor, from_feed_cursor, to_cursor, to_ranked_cursor
from api.problems import Problem
from jobs.ranking_network import Network
from sinks.errors import StoreAway
from sinks.ranking_models import RankingModel, RankingModels, publish
from streams.affinity import AFFINITY
from streams.ranking import FEATURES, HEADS
from tests.api.gateway import VIEWS, Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
FIRST_HOURS = 1_760_000_000_000


def by_affinity() -> bytes:
    """A model for which nothing counts but how near the author is."""
    weights = np.zeros((len(FEATURES), len(HEADS)), dtype=np.float32)
    weights[FEATURES.index("affinity")] = 0.5
    nothing, one = np.zeros(len(FEATURES), dtype=np.float32), np.ones(len(FEATURES), dtype=np.float32)
    return Network(nothing, one, [weights], [np.full(len(HEADS), -3, dtype=np.float32)], 1).onnx()


@pytest.fixture
def model(gateway: Gateway, tmp_path: Path) -> Iterator[str]:
    """The version by which the gateway ranks."""
    before = gateway.stores.ranking_models
    made = publish(tmp_path, by_affinity(), made_at=FIRST_HOURS, trained_on={}, evaluation={})
    gateway.stores.ranking_models = RankingModels(tmp_path)
    yield made.version
    gateway.stores.ranking_models = before


async def ask(
    gateway: Gateway, who: Person, cursor: str | None = None, limit: int = 20, token: str = ""
) -> httpx.Response:
    given = {"order": "ranked", "limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    headers = who.headers | ({"Consistency-Token": token} if token else {})
    return await gateway.client.get("/api/v1/feed", params=given, headers=headers)


def ids_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [post["id"] for post in answer.json()["items"]]


async def scene(gateway: Gateway, *authors: str) -> tuple[Person, dict[str, Person], list[str]]:
    """A reader, those whom they follow by name, and a post of each of ``authors`` in turn, the oldest first."""
    reader = await gateway.person("Reader")
    people = {name: await gateway.person(name) for name in dict.fromkeys(authors)}
    for one in people.values():
        await gateway.client.put(f"/api/v1/users/{one.id}/follow", headers=reader.headers)
    await gateway.catch_up()  # or the feed would begin with the newest four
    posts = []
    for name in authors:
        posts.append(await gateway.post(people[name]))
        await gateway.publish(people[name], posts[-1])
    await gateway.catch_up()
    return reader, people, posts


async def like(gateway: Gateway, who: Person, post: str) -> httpx.Response:
    answer = await gateway.client.post(f"/api/v1/posts/{post}/like", headers=who.headers)
    assert answer.is_success, answer.text
    return answer


async def test_without_a_model_the_answer_says_so(gateway: Gateway) -> None:
    reader, _, posts = await scene(gateway, "Ada", "Bob", "Ada")
    answer = await ask(gateway, reader, limit=2)
    assert ids_of(answer) == posts[:0:-1]
    assert (answer.headers["feed-order"], answer.headers["ranking-fallback"]) == ("latest", "no-model")
    assert "ranking-model" not in answer.headers
    rest = await ask(gateway, reader, answer.json()["next_cursor"])
    assert ids_of(rest) == posts[:1] and rest.headers["ranking-fallback"] == "continued"
    plain = await gateway.client.get("/api/v1/feed", headers=reader.headers)
    assert plain.headers["feed-order"] == "latest" and "ranking-fallback" not in plain.headers


async def test_who_is_nearest_comes_first_and_the_rest_below_in_latest_order(gateway: Gateway, model: str) -> None:
    reader, _, posts = await scene(gateway, *("Bob", "Ada", "Bob", "Ada", "Eve", "Ada", "Bob", "Eve", "Ada"))
    await like(gateway, reader, posts[0])
    await gateway.catch_up()
    floor = (await gateway.stores.home_feed.skeleton(int(reader.id))).floor
    assert floor, "what lies below is in the archive"
    newest = [post for post in posts[::-1] if int(post) > floor]
    bobs = [post for post in newest if post in (posts[0], posts[2], posts[6])]
    expected = [*bobs, *(post for post in newest if post not in bobs)]
    seen: list[str] = []
    orders = []
    cursor = None
    while True:
        answer = await ask(gateway, reader, cursor, limit=2)
        seen += ids_of(answer)
        orders.append(answer.headers["feed-order"])
        if orders[-1] == "ranked":
            assert (answer.headers["ranking-model"], answer.headers["feed-source"]) == (model, "redis")
            assert ids_of(await ask(gateway, reader, cursor, limit=2)) == ids_of(answer) or cursor is None
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == [*expected, *(post for post in posts[::-1] if post not in newest)]
    assert orders == sorted(orders, reverse=True), "first ranked, then latest"


async def test_rules_hold_while_pages_are_turned_and_rows_stay_spaced(gateway: Gateway, model: str) -> None:
    reader, people, posts = await scene(gateway, "Bob", "Ada", "Eve", "Ada")
    await like(gateway, reader, posts[1])
    await gateway.catch_up()
    first = await ask(gateway, reader, limit=1)
    assert ids_of(first) == [posts[3]]
    cursor = first.json()["next_cursor"]
    await gateway.client.delete(f"/api/v1/posts/{posts[2]}", headers=people["Eve"].headers)
    left = await gateway.client.delete(f"/api/v1/users/{people['Bob'].id}/follow", headers=reader.headers)
    await gateway.catch_up()
    token = left.headers["consistency-token"]
    rest = await ask(gateway, reader, cursor, token=token)
    assert (ids_of(rest), rest.json()["next_cursor"], rest.headers["feed-order"]) == ([posts[1]], None, "ranked")
    assert ids_of(await ask(gateway, reader, cursor)) == [posts[1]], "asked again, it is the same page"


async def test_three_of_one_author_never_come_in_a_row_while_there_are_others(gateway: Gateway, model: str) -> None:
    reader, people, posts = await scene(gateway, "Bob", "Eve", "Ada", "Ada", "Ada", "Ada")
    await like(gateway, reader, posts[5])
    await gateway.catch_up()
    first = ids_of(await ask(gateway, reader))
    assert first == [posts[5], posts[4], posts[1], posts[3], posts[2], posts[0]], "Eve's and Bob's, by time, between"
    cursor = (await ask(gateway, reader, limit=1)).json()["next_cursor"]
    # Who stood between them goes, after the ranking: the rest is spaced again, and nothing is lost.
    await gateway.client.delete(f"/api/v1/posts/{posts[1]}", headers=people["Eve"].headers)
    await gateway.catch_up()
    assert ids_of(await ask(gateway, reader, cursor)) == [posts[4], posts[0], posts[3], posts[2]]


async def test_a_ranking_is_one_persons_and_is_over_one_day(gateway: Gateway, model: str) -> None:
    reader, people, _ = await scene(gateway, "Ada", "Bob")
    cursor = (await ask(gateway, reader, limit=1)).json()["next_cursor"]
    for answer in (
        await ask(gateway, people["Ada"], cursor),
        await ask(gateway, reader, to_ranked_cursor(RankedCursor(5, 1))),
    ):
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (410, "ranking-over")
    other = await gateway.client.get("/api/v1/feed", params={"cursor": cursor}, headers=reader.headers)
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (400, "invalid-cursor")
    kept = gateway.stores.ranked_lists
    seconds = await gateway.stores.redis.ttl(kept.key(int(reader.id), from_ranked(cursor).list_id))
    assert 0 < seconds <= gateway.settings.ranking_kept_seconds


def from_ranked(cursor: str) -> RankedCursor:
    found = from_feed_cursor(cursor)
    assert isinstance(found, RankedCursor)
    return found


async def test_where_ranking_cannot_be_had_in_time_it_is_the_latest_and_says_why(
    gateway: Gateway, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, _, posts = await scene(gateway, "Ada", "Bob")

    async def why() -> str:
        answer = await ask(gateway, reader)
        assert ids_of(answer) == posts[::-1] and answer.headers["feed-order"] == "latest"
        return answer.headers["ranking-fallback"]

    liked = await like(gateway, reader, posts[0])
    others = [view for view in VIEWS if view is not AFFINITY]
    for view in others:
        await gateway.catch_up_alone(view)
    token = liked.headers["consistency-token"]
    assert (await ask(gateway, reader, token=token)).headers["ranking-fallback"] == "late"
    await gateway.catch_up()
    assert (await ask(gateway, reader, token=token)).headers["feed-order"] == "ranked"

    lists = type(gateway.stores.ranked_lists)

    async def slow(self: Any, *given: Any) -> None:
        await asyncio.sleep(60)

    async def away(self: Any, *given: Any) -> None:
        raise StoreAway("gone")

    for failing, seconds, said in ((slow, 0.05, "late"), (away, 30, "store-away")):
        monkeypatch.setattr(gateway.settings, "ranking_seconds", seconds)
        monkeypatch.setattr(lists, "keep", failing)
        assert await why() == said
    monkeypatch.undo()
    monkeypatch.setattr(gateway.settings, "ranking_seconds", 0.05)
    held = threading.Event()
    for kind, name in ((RankingModels, "current"), (RankingModel, "probabilities")):
        with monkeypatch.context() as one:
            one.setattr(kind, name, slow if kind is RankingModels else lambda self, given: held.wait(60))
            assert await why() == "late"
    held.set()
    monkeypatch.undo()
    assert (await ask(gateway, reader)).headers["feed-order"] == "ranked"


async def test_cursors_of_both_orders_are_told_apart() -> None:
    ranked = RankedCursor(10**18 + 7, 25)
    assert from_feed_cursor(to_ranked_cursor(ranked)) == ranked
    assert from_feed_cursor(to_cursor(10**18)) == 10**18
    for wrong in ("", "x", to_ranked_cursor(ranked)[:-1], to_ranked_cursor(RankedCursor(-4, 1)), "A" * 15, "é" * 15):
        with pytest.raises(Problem):
            from_feed_cursor(wrong)
