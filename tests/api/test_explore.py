"""What to explore: where it comes from, what is left out of it, and that a list stays while its pages are turned."""

from __future__ import annotations

import time
from typing import Any

import pytest

from api.cursors import to_cursor
from jobs.co_engagement import fitted
from schemas.events import PostSeen
from schemas.ids import MIN_ID
from sinks import co_engagement
from sinks.co_engagement import co_engagement_folder, write
from streams.co_engagement import Taste
from tests.api.gateway import Gateway, Person
from tests.api.test_likes import counted
from tests.api.test_trending import published, shared, trends_are_whole

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def explore(gateway: Gateway, who: Person, **given: str) -> dict[str, Any]:
    answer = await gateway.client.get("/api/v1/explore", params={"limit": "100", **given}, headers=who.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def reasons(page: dict[str, Any]) -> dict[str, str]:
    return {item["post"]["id"]: item["reason"]["text"] for item in page["items"]}


async def caught_up(gateway: Gateway) -> None:
    await gateway.catch_up()
    await trends_are_whole(gateway)
    await counted(gateway)


async def saw(gateway: Gateway, who: Person, post: str, author: Person) -> None:
    base: dict[str, Any] = {"event_id": MIN_ID, "at": int(time.time() * 1000), "actor_id": int(who.id)}
    seen: dict[str, Any] = {"viewer_id": int(who.id), "post_id": int(post), "author_id": int(author.id)}
    await gateway.say(PostSeen(**base, **seen, dwell_ms=1, surface="feed", rank=0))


async def test_three_sources_one_list_and_the_rules(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(co_engagement, "LOOK_SECONDS", 0.0)
    viewer, bob, cat, dan, eve, fay, gus = [await gateway.person() for _ in range(7)]
    for other in (bob, cat, eve):
        await gateway.client.put(f"/api/v1/users/{other.id}/follow", headers=viewer.headers)
    kept, lone, seen, trending, second, similar, liked = [
        await published(gateway, author) for author in (dan, cat, bob, fay, fay, gus, dan)
    ]
    own, private = await published(gateway, viewer), await published(gateway, eve)
    await gateway.catch_up()
    for keeper in (bob, cat):
        for post in (kept, seen, own, private):
            await gateway.client.post(f"/api/v1/posts/{post}/save", headers=keeper.headers)
    await gateway.client.post(f"/api/v1/posts/{lone}/save", headers=bob.headers)  # of whom nothing is told
    await shared(gateway, trending, fay, 9)
    await shared(gateway, second, fay, 5)
    await shared(gateway, private, eve, 7)
    await saw(gateway, viewer, seen, bob)
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=eve.headers)
    pairs = {MIN_ID + n: [int(liked), int(similar), int(private)] for n in range(9)} | {int(viewer.id): [int(liked)]}
    version = write(co_engagement_folder(gateway.settings), fitted(pairs, Taste(3.0, 0.3)), 1_700_000_000_000, {})
    await caught_up(gateway)

    page = await explore(gateway, viewer)
    told = reasons(page)
    assert told[kept] == "2 people you follow saved this"
    assert told[trending] == "9 people turned to this lately"
    assert told[similar] == "People who like what you like turned to this"
    # Eve lets the viewer see what she posts, and is private.
    assert not told.keys() & {lone, seen, second, own, private, liked}
    authors = [item["post"]["author"]["id"] for item in page["items"]]
    assert len(authors) == len(set(authors))
    assert page["freshness"]["model"]["version"] == version and page["freshness"]["missing"] == []

    # What comes later waits for the next list; pages are of one list, whatever happens meanwhile.
    await shared(gateway, lone, cat, 50)
    await caught_up(gateway)
    assert await explore(gateway, viewer) == page
    turned: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        some = await explore(gateway, viewer, **{"limit": "1"}, **cursor)
        turned += reasons(some)
        if some["next_cursor"] is None:
            break
        cursor = {"cursor": some["next_cursor"]}
    assert turned == list(told)

    # Who may see what, and what was seen, is asked each time.
    await saw(gateway, viewer, trending, fay)
    await gateway.client.put(f"/api/v1/users/{viewer.id}/block", headers=gus.headers)
    await gateway.client.put(f"/api/v1/users/{dan.id}/mute", headers=viewer.headers)
    await caught_up(gateway)
    assert not reasons(await explore(gateway, viewer)).keys() & {trending, similar, kept}


async def test_without_a_model_it_says_so_and_a_list_that_is_gone_is_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(co_engagement, "LOOK_SECONDS", 0.0)
    (co_engagement_folder(gateway.settings) / "current").unlink(missing_ok=True)
    viewer, fay = await gateway.person(), await gateway.person()
    post = await published(gateway, fay)
    await shared(gateway, post, fay, 40)
    await caught_up(gateway)
    page = await explore(gateway, viewer)
    assert post in reasons(page)
    assert page["freshness"]["model"] is None and page["freshness"]["missing"] == ["similar"]
    params = {"cursor": to_cursor(1000 << 20 | 3)}
    answer = await gateway.client.get("/api/v1/explore", params=params, headers=viewer.headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "invalid-cursor")
