"""The pages of hashtags and places: what they list, how many they count, and who is shown what."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from schemas.events import PostLiked
from schemas.ids import MIN_ID
from tests.agents.workers import until
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(int(time.time() * 1000))


async def published(gateway: Gateway, author: Person, caption: str, place: str = "") -> str:
    post_id = await gateway.post(author, caption, place)
    await gateway.publish(author, post_id)
    return post_id


async def caught_up(gateway: Gateway) -> None:
    await gateway.catch_up()

    async def whole() -> bool:
        return not gateway.stores.counter_watch.of(1).healing

    await until("the counters are whole", whole)


async def pages(gateway: Gateway, path: str, viewer: Person | None = None, **given: str) -> tuple[list[str], int]:
    """The ids on all pages of two, and the count."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        params = {"limit": "2", **given, **cursor}
        headers = viewer.headers if viewer else {}
        answer = await gateway.client.get(f"/api/v1/{path}", params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        found += [post["id"] for post in body["items"]]
        if body["next_cursor"] is None:
            return found, body["post_count"]
        cursor = {"cursor": body["next_cursor"]}


async def status(gateway: Gateway, path: str, viewer: Person | None = None) -> int:
    answer = await gateway.client.get(f"/api/v1/{path}", headers=viewer.headers if viewer else {})
    return answer.status_code


async def test_pages_follow_what_posts_name_now(gateway: Gateway) -> None:
    ada = await gateway.person()
    tag, place = f"Tág{next(_numbers)}", f"Rue/{next(_numbers)} é"
    posts = [await published(gateway, ada, f"#{tag}", place) for _ in range(5)]
    await gateway.post(ada, f"#{tag}")  # not published
    await caught_up(gateway)
    newest = posts[::-1]
    assert await pages(gateway, f"hashtags/{tag.upper()}") == (newest, 5)
    assert await pages(gateway, f"places/{place}") == (newest, 5)

    likers = [MIN_ID + n for n in range(3)]
    liked: dict[str, Any] = {"event_id": MIN_ID, "at": 1, "author_id": int(ada.id)}
    await gateway.say(*(PostLiked(**liked, actor_id=who, post_id=int(posts[1])) for who in likers))
    await gateway.say(PostLiked(**liked, actor_id=MIN_ID, post_id=int(posts[3])))
    await caught_up(gateway)
    found, _ = await pages(gateway, f"hashtags/{tag}", order="top")
    assert found[:2] == [posts[1], posts[3]] and sorted(found) == posts

    # An edit takes it away and gives it back; a deletion is for good.
    path = f"/api/v1/posts/{posts[2]}"
    await gateway.client.patch(path, json={"caption": "none", "place": ""}, headers=ada.headers)
    await gateway.client.delete(f"/api/v1/posts/{posts[4]}", headers=ada.headers)
    await caught_up(gateway)
    left = [posts[3], posts[1], posts[0]]
    assert await pages(gateway, f"hashtags/{tag}") == await pages(gateway, f"places/{place}") == (left, 3)
    answer = await gateway.client.patch(path, json={"caption": f"#{tag} again"}, headers=ada.headers)
    await caught_up(gateway)
    token = {"Consistency-Token": answer.headers["Consistency-Token"]}
    assert await pages(gateway, f"hashtags/{tag}", ada._replace(headers=token)) == (sorted([*left, posts[2]])[::-1], 4)
    assert await pages(gateway, f"places/{place}") == (left, 3)


async def test_what_only_the_private_name_is_there_for_nobody_else(gateway: Gateway) -> None:
    eve, fan, ada = [await gateway.person() for _ in range(3)]
    tag, shared = f"hers{next(_numbers)}", f"both{next(_numbers)}"
    await gateway.client.put(f"/api/v1/users/{eve.id}/follow", headers=fan.headers)
    hers = await published(gateway, eve, f"#{tag} #{shared}")
    await caught_up(gateway)
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=eve.headers)
    other = await published(gateway, ada, f"#{shared}")
    await caught_up(gateway)
    for viewer, seen in ((None, 404), (ada, 404), (fan, 200), (eve, 200)):
        assert await status(gateway, f"hashtags/{tag}", viewer) == seen
        assert await status(gateway, f"hashtags/{tag}?order=top", viewer) == seen
    assert await status(gateway, "hashtags/never", ada) == await status(gateway, "places/nowhere", ada) == 404
    for order in ("newest", "top"):
        assert sorted((await pages(gateway, f"hashtags/{shared}", fan, order=order))[0]) == [hers, other]
        assert await pages(gateway, f"hashtags/{shared}", order=order) == ([other], 2)
    await gateway.client.put(f"/api/v1/users/{fan.id}/block", headers=eve.headers)
    await caught_up(gateway)
    assert await status(gateway, f"hashtags/{tag}", fan) == 404
    assert (await gateway.client.get(f"/api/v1/hashtags/{tag}?order=best")).status_code == 422


async def test_many_that_may_not_be_seen_do_not_hide_the_one_that_may(gateway: Gateway) -> None:
    eve, ada = await gateway.person(), await gateway.person()
    tag = f"crowd{next(_numbers)}"
    seen = await published(gateway, ada, f"#{tag}")
    for _ in range(9):
        await published(gateway, eve, f"#{tag}")
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=eve.headers)
    await caught_up(gateway)
    answer = await gateway.client.get(f"/api/v1/hashtags/{tag}?limit=1")
    assert [post["id"] for post in answer.json()["items"]] == [seen]
