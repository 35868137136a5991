"""What trends, as people are shown it: ranked, with the rules, page by page, and explained."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from api.cursors import to_cursor
from schemas.events import PostShared
from schemas.ids import MIN_ID
from sinks.trending_reader import Ranked, TrendLists, TrendReader
from streams.trending import HASHTAGS, STEP_MS
from streams.trending_scores import HOUR, Standing
from tests.agents.workers import until
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(int(time.time() * 1000))


async def trends_are_whole(gateway: Gateway) -> None:
    """Wait until they are known to be."""

    async def whole() -> bool:
        return not gateway.stores.trend_watch.of(1).healing

    await until("the trends are whole", whole)


async def published(gateway: Gateway, author: Person) -> str:
    post_id = await gateway.post(author)
    await gateway.publish(author, post_id)
    return post_id


async def shared(gateway: Gateway, post: str, author: Person, people: int, tag: str = "", place: str = "") -> None:
    """``people`` strangers share a post now; what is said is applied with the next catching up."""
    tags = [tag] if tag else []
    base: dict[str, Any] = {"post_id": int(post), "author_id": int(author.id), "hashtags": tags, "place": place}
    now = int(time.time() * 1000)
    await gateway.say(*(PostShared(event_id=MIN_ID + n, at=now, actor_id=MIN_ID + n, **base) for n in range(people)))


async def get(gateway: Gateway, path: str, viewer: Person | None = None, **given: str) -> Any:
    headers = viewer.headers if viewer else {}
    answer = await gateway.client.get(f"/api/v1/trending/{path}", params=given, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def everything(gateway: Gateway, path: str, viewer: Person | None = None, **given: str) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(gateway, path, viewer, limit="2", **given, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_what_people_turn_to_is_listed_and_explained_to_who_may_see_it(gateway: Gateway) -> None:
    ada, eve, fan = [await gateway.person() for _ in range(3)]
    tag, other, few = [f"tag{next(_numbers)}" for _ in range(3)]
    place, hidden = f"Rue/{next(_numbers)}", f"Home of {eve.id}"
    posts = [await published(gateway, ada) for _ in range(3)]
    private = await published(gateway, eve)
    await gateway.client.put(f"/api/v1/users/{eve.id}/follow", headers=fan.headers)
    await shared(gateway, posts[0], ada, 5, tag, place)
    await shared(gateway, posts[1], ada, 9, other)
    await shared(gateway, posts[2], ada, 2, few)  # three are needed
    await shared(gateway, private, eve, 20, f"hers{eve.id}", hidden)
    await gateway.catch_up()
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=eve.headers)
    await gateway.catch_up()
    await trends_are_whole(gateway)

    for viewer, seen in ((None, [posts[1], posts[0]]), (fan, [private, posts[1], posts[0]])):
        for window in ("1h", "24h"):
            items = await everything(gateway, "posts", viewer, window=window)
            mine = [item["post"]["id"] for item in items if item["post"]["id"] in (*posts, private)]
            assert mine == seen
        tags = {item["name"]: item for item in await everything(gateway, "hashtags", viewer)}
        assert [name in tags for name in (tag, other, few)] == [True, True, False]
        assert (f"hers{eve.id}" in tags) == (hidden in await names(gateway, viewer)) == (viewer is fan)
        assert place in await names(gateway, viewer)
    assert tags[other]["people"] == 9 and tags[other]["rank"] < tags[tag]["rank"]

    said = await get(gateway, f"places/{place}/explain")
    assert (said["item"], said["people_needed"], said["people"][-1]["people"]) == (place, 3, 5)
    assert sum(one["weight"] for one in said["weights"]) == 5 * 16
    assert said["weight_1h"] > 70 and said["score"] > 0 and f"rank {said['rank']} of" in said["why"]
    said = await get(gateway, f"hashtags/{few.upper()}/explain", window="24h")
    assert said["rank"] is None and "takes 3 different people" in said["why"]
    said = await get(gateway, f"posts/{await published(gateway, ada)}/explain", ada)
    assert (said["rank"], said["why"]) == (None, "Nobody turned to it lately.")
    for viewer in (None, ada):
        for path in (f"hashtags/hers{eve.id}", f"places/{hidden}", f"posts/{private}", "hashtags/neverused"):
            headers = viewer.headers if viewer else {}
            answer = await gateway.client.get(f"/api/v1/trending/{path}/explain", headers=headers)
            assert answer.status_code == 404, path
    assert (await get(gateway, f"posts/{private}/explain", fan))["people"][-1]["people"] == 20

    # Deleted, or of somebody who blocks the viewer: gone at once, whatever is kept of the list.
    await gateway.client.delete(f"/api/v1/posts/{posts[1]}", headers=ada.headers)
    await gateway.catch_up()
    await trends_are_whole(gateway)
    assert posts[1] not in {item["post"]["id"] for item in await everything(gateway, "posts")}
    await gateway.client.put(f"/api/v1/users/{fan.id}/block", headers=ada.headers)
    await gateway.catch_up()
    assert posts[0] not in {item["post"]["id"] for item in await everything(gateway, "posts", fan)}


async def names(gateway: Gateway, viewer: Person | None) -> set[str]:
    return {item["name"] for item in await everything(gateway, "places", viewer)}


async def test_cursors_of_later_are_refused(gateway: Gateway) -> None:
    later = to_cursor((int(time.time() * 1000) // STEP_MS + 2) << 20)
    answer = await gateway.client.get("/api/v1/trending/posts", params={"cursor": later})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "invalid-cursor")
    answer = await gateway.client.get("/api/v1/trending/posts", params={"window": "2h"})
    assert answer.status_code == 422


class Counting(TrendReader):
    """Ranks nothing, and counts how often."""

    def __init__(self) -> None:
        self.generation, self.asked = 1, 0

    async def ranked(self, kind: str, window: Any, at_step: int) -> list[Ranked]:
        self.asked += 1
        if self.asked == 1:
            raise ValueError("away")
        return [Ranked("t:a", Standing(1, 1, 1, 1), 3)]


async def test_lists_are_kept_for_a_moment_and_failures_are_not() -> None:
    lists, reader = TrendLists(3600, most=2), Counting()
    with pytest.raises(ValueError, match="away"):
        await lists.ranked(reader, HASHTAGS, HOUR, 1)
    for _ in range(3):
        assert len(await lists.ranked(reader, HASHTAGS, HOUR, 1)) == 1
    assert reader.asked == 2
    for step in (2, 3, 1):
        await lists.ranked(reader, HASHTAGS, HOUR, step)
    assert reader.asked == 5
    await TrendLists(0).ranked(reader, HASHTAGS, HOUR, 1)
    assert reader.asked == 6
