"""What people look for, as the gateway shows it: with the rules, page by page."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from schemas.events import PostPublished, PostSubmitted, Searched, Source
from sinks.errors import StoreAway
from sinks.sealing import opened, seal
from tests.api.gateway import Gateway, Person
from tests.streams.post_events import picture

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(int(time.time() * 1000) % 10**7)


async def get(gateway: Gateway, what: str, viewer: Person | None = None, **given: Any) -> Any:
    headers = viewer.headers if viewer else {}
    answer = await gateway.client.get(f"/api/v1/search/{what}", params=given, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def everybody(gateway: Gateway, query: str, viewer: Person | None = None) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(gateway, "people", viewer, q=query, limit=1, **cursor)
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def posted(gateway: Gateway, author: Person, caption: str, tag: str, place: str) -> str:
    """A published post, said as the publisher would."""
    stores = gateway.stores
    keys = await stores.keys.get_many([int(author.id)])
    sealed = seal(keys[int(author.id)], int(author.id), caption)
    post_id, now = stores.snowflakes.next(), int(time.time() * 1000)
    base: dict[str, Any] = {"event_id": stores.snowflakes.next(), "at": now, "actor_id": int(author.id)}
    whose: dict[str, Any] = {"post_id": post_id, "author_id": int(author.id)}
    source = Source("media", 0, next(_numbers), 0)
    await gateway.say(
        PostSubmitted(**base, **whose, media_ids=[post_id + 1], caption=sealed, hashtags=[tag], place=place),
        PostPublished(**base, **whose, media=[picture(post_id + 1)], source=source),
    )
    return str(post_id)


async def test_people_are_found_by_who_may_know_of_them(gateway: Gateway) -> None:
    word = f"Quix{next(_numbers)}"
    ada, eve, fan, foe, gone = [await gateway.person(f"{word} {name}") for name in ("a", "e", "f", "o", "g")]
    viewer = await gateway.person("Somebody Else")
    for follower, followee in ((fan, ada), (foe, ada), (viewer, fan)):
        await gateway.client.put(f"/api/v1/users/{followee.id}/follow", headers=follower.headers)
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=eve.headers)
    await gateway.client.put(f"/api/v1/users/{viewer.id}/block", headers=foe.headers)
    await gateway.client.post("/api/v1/me/deactivate", json={"password": "correct horse battery"}, headers=gone.headers)
    await gateway.catch_up()

    strangers = await everybody(gateway, word)
    assert strangers[0] == ada.id and set(strangers) == {ada.id, eve.id, fan.id, foe.id}
    mine = await everybody(gateway, word.lower()[:-2], viewer)
    assert mine[:2] == [fan.id, ada.id] and foe.id not in mine
    assert {fan.id, ada.id, eve.id} <= set(mine)
    (item,) = (await get(gateway, "people", viewer, q=ada.username))["items"][:1]
    assert item == {
        **{"id": ada.id, "username": ada.username, "name": f"{word} a", "verified": False},
        **{"you_follow": False, "mutuals": 1},
    }
    assert (await get(gateway, "people", viewer, q=fan.username))["items"][0]["you_follow"]
    assert ada.id in await everybody(gateway, f"{word[:3]}y{word[4:]} a")
    assert await everybody(gateway, "🜲") == []

    # Blocked a moment ago, which the index knows nothing of: the rules are asked each time.
    await gateway.client.put(f"/api/v1/users/{viewer.id}/block", headers=ada.headers)
    await gateway.catch_up()
    assert ada.id not in await everybody(gateway, word, viewer)


async def test_posts_hashtags_and_places_are_found_by_who_may_see_them(gateway: Gateway) -> None:
    ada, eve, fan, viewer = [await gateway.person() for _ in range(4)]
    word = f"wug{next(_numbers)}"
    await gateway.client.put(f"/api/v1/users/{eve.id}/follow", headers=fan.headers)
    open_post = await posted(gateway, ada, f"The {word} sleeps", f"{word}tag", f"{word} Bay")
    hidden = await posted(gateway, eve, f"My {word}", f"{word}hers", f"{word} Home")
    await gateway.catch_up()
    everywhere = [("hashtags", f"{word}hers"), ("places", f"{word} Home")]
    for what, name in everywhere:
        assert [one["name"] for one in (await get(gateway, what, viewer, q=name))["items"]] == [name]
    # Private from one moment to the next: the index still has it all, and the rules hold.
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=eve.headers)
    await gateway.catch_up_but("search")
    for what, name in everywhere:
        assert (await get(gateway, what, viewer, q=name))["items"] == []
        assert [one["name"] for one in (await get(gateway, what, fan, q=name))["items"]] == [name]
    await gateway.catch_up()
    for what, name in everywhere:
        assert (await get(gateway, what, fan, q=name))["items"] == []

    async def posts(reader: Person | None, query: str) -> list[str]:
        return [post["id"] for post in (await get(gateway, "posts", reader, q=query))["items"]]

    assert await posts(fan, word) == [hidden, open_post]
    assert await posts(viewer, word) == await posts(None, f"sleeps {word}") == [open_post]
    assert await posts(viewer, f"{word} nothing") == []
    (tag,) = (await get(gateway, "hashtags", q=f"{word}t"))["items"]
    assert (tag["name"], tag["posts"], tag["trend"]) == (f"{word}tag", 1, 0.0)
    (place,) = (await get(gateway, "places", q=f"{word} b"))["items"]
    assert (place["name"], place["posts"], place["country"], place["distance_km"]) == (f"{word} Bay", 1, None, None)
    await gateway.client.delete(f"/api/v1/posts/{open_post}", headers=ada.headers)
    await gateway.catch_up()
    assert await posts(None, word) == [] and (await get(gateway, "hashtags", q=word))["items"] == []


async def test_a_read_waits_for_ones_own_write(gateway: Gateway) -> None:
    ada = await gateway.person()
    word = f"Blip{next(_numbers)}"
    await gateway.catch_up()
    answer = await gateway.client.patch("/api/v1/me", json={"name": word}, headers=ada.headers)
    token = {"Consistency-Token": answer.headers["Consistency-Token"]}
    early = await gateway.client.get("/api/v1/search/people", params={"q": word}, headers=token)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (503, "not-yet-consistent")
    await gateway.catch_up()
    late = await gateway.client.get("/api/v1/search/people", params={"q": word}, headers=token)
    assert [one["id"] for one in late.json()["items"]] == [ada.id]


@pytest.mark.parametrize(
    ("what", "given", "kind"),
    [
        ("people", {}, "invalid-request"),
        ("places", {}, "nothing-asked"),
        ("places", {"near": "91,0"}, "nowhere"),
        ("places", {"near": "here"}, "invalid-request"),
        ("hashtags", {"q": "x" * 101}, "invalid-request"),
    ],
)
async def test_what_cannot_be_looked_for_is_refused(
    gateway: Gateway, what: str, given: dict[str, str], kind: str
) -> None:
    answer = await gateway.client.get(f"/api/v1/search/{what}", params=given)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, kind)


async def test_a_search_is_said_sealed_once_and_by_nobody_else(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve = [await gateway.person() for _ in range(2)]
    await gateway.catch_up()

    async def searches() -> list[Searched]:
        await gateway.stores.searches.errands.done()
        return [event for event in gateway.said if isinstance(event, Searched) and event.actor_id == int(ada.id)]

    assert await everybody(gateway, ada.username[:2], ada), "several pages"
    for what in ("hashtags", "places", "posts"):
        await get(gateway, what, ada, q=f" {ada.username} ")
        await get(gateway, what, q=ada.username)
    await get(gateway, "places", ada, near="51.5,-0.12")
    said = {event.kind: event for event in await searches()}
    assert len(await searches()) == 4 and set(said) == {"people", "hashtags", "places", "captions"}
    assert all(event.viewer_id == int(ada.id) and event.trace_id for event in said.values())
    keys = await gateway.stores.keys.get_many([int(ada.id), int(eve.id)])
    assert opened(keys, int(ada.id), said["people"].query) == ada.username[:2]
    assert opened(keys, int(ada.id), said["captions"].query) == ada.username
    assert (said["people"].results, said["captions"].results) == (1, 0)
    assert ada.username.encode() not in said["captions"].query

    async def away(*given: object) -> None:
        raise StoreAway("the log is away")

    monkeypatch.setattr(gateway.stores.producer, "produce", away)
    await get(gateway, "people", ada, q=ada.username)
    assert len(await searches()) == 4
