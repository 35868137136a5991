"""Stories: from an upload to trays, viewers and highlights, and their end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from schemas.events import StorySubmitted, StoryViewed
from sinks.object_store import rendition_key
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
DAY_MS = 86_400_000


async def ask(gateway: Gateway, who: Person | None, method: str, path: str, **body: Any) -> httpx.Response:
    """Ask, and let the views know of it."""
    headers = who.headers if who else {}
    answer = await gateway.client.request(method, f"/api/v1/{path}", headers=headers, **body)
    await gateway.catch_up()
    return answer


async def follow(gateway: Gateway, who: Person, *others: Person) -> None:
    for other in others:
        assert (await ask(gateway, who, "PUT", f"users/{other.id}/follow")).status_code == 200


async def published(gateway: Gateway, who: Person, **body: Any) -> str:
    story_id = await gateway.story(who, **body)
    await gateway.catch_up()
    return story_id


async def trayed(gateway: Gateway, who: Person, query: str = "") -> list[tuple[str, list[str]]]:
    """(author, their stories) of a tray."""
    await until_whole(gateway)
    answer = await ask(gateway, who, "GET", f"stories/feed{query}")
    assert answer.status_code == 200, answer.text
    return [(item["author"]["id"], [story["id"] for story in item["stories"]]) for item in answer.json()["items"]]


async def until_whole(gateway: Gateway) -> None:
    """Until the gateway takes the trays in Redis for whole."""
    watch = gateway.stores.tray_watch.of(1)
    async with asyncio.timeout(20):
        while watch.healing:
            await gateway.step_to_ends()
            await gateway.stores.tray_watch.look()
            await asyncio.sleep(0.01)


async def test_a_story_goes_from_its_upload_into_the_trays_of_followers(gateway: Gateway) -> None:
    ada, bob, eve = [await gateway.person(name) for name in ("Ada", "Bob", "Eve")]
    await follow(gateway, bob, ada)
    media_id = (await gateway.upload(ada)).json()["media_id"]
    body = {
        "media_id": media_id,
        "stickers": [{"kind": "place", "x": 500, "y": 120, "content": "London"}],
        "music_id": "catalogue:4711",
    }
    key = {"Idempotency-Key": f"story-{media_id}"}
    answers = [await gateway.client.post("/api/v1/stories", json=body, headers=ada.headers | key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    await gateway.catch_up()
    waiting = answers[0].json()["id"]
    assert answers[0].headers["Location"] == f"/api/v1/stories/{waiting}"
    assert (await ask(gateway, ada, "GET", f"stories/{waiting}")).json()["status"] == "processing"
    assert (await ask(gateway, bob, "GET", f"stories/{waiting}")).status_code == 404
    assert (await ask(gateway, bob, "GET", f"users/{ada.id}/stories")).json()["items"] == []

    story_id = await published(gateway, ada, stickers=body["stickers"], music_id="catalogue:4711")
    for who in (bob, eve, None):
        shown = (await ask(gateway, who, "GET", f"stories/{story_id}")).json()
        assert (shown["status"], shown["author"]["name"], shown["seen"]) == ("published", "Ada", False)
        assert shown["stickers"] == [
            {"kind": "place", "x": 500, "y": 120, "turn": 0, "size": 1000, "content": "London"}
        ]
        assert shown["music_id"] == "catalogue:4711"
        assert "for=public" in shown["picture"]["renditions"][0]["url"]
    assert (await ask(gateway, eve, "GET", f"users/{ada.id}/stories")).json()["items"][0]["id"] == story_id
    assert await trayed(gateway, bob) == [(ada.id, [story_id])]
    assert await trayed(gateway, eve) == []
    assert (await ask(gateway, bob, "GET", "feed")).json()["items"] == []  # no story in the main feed


async def test_a_sticker_that_links_names_a_web_address(gateway: Gateway) -> None:
    """As the links of a profile; stickers of other kinds may say anything."""
    ada = await gateway.person("Ada")
    said = len(gateway.said)
    media_id = (await gateway.upload(ada)).json()["media_id"]

    async def answer(**sticker: Any) -> httpx.Response:
        body = {"media_id": media_id, "stickers": [{"x": 1, "y": 2, **sticker}]}
        return await gateway.client.post("/api/v1/stories", json=body, headers=ada.headers)

    unfit = ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://", "http://a:b@example.com/")
    for content in (*unfit, "engines.example", "https://engines.example/a b", "http://[", ""):
        refused = await answer(kind="link", content=content)
        assert refused.status_code == 422, content
        assert "a link " in refused.text, "for another reason than that"
    assert (await answer(kind="link")).status_code == 422
    assert [one for one in gateway.said[said:] if isinstance(one, StorySubmitted)] == []
    for sticker in ({"kind": "link", "content": "https://engines.example/?a=1"}, {"kind": "text", "content": unfit[0]}):
        assert (await answer(**sticker)).status_code == 202, sticker


async def test_a_story_is_over_after_24_hours_while_the_store_still_holds_it(gateway: Gateway) -> None:
    """By the clock of whoever reads, not by Cassandra's: its time to live is pending here."""
    ada, bob = await gateway.person(), await gateway.person()
    await follow(gateway, bob, ada)
    at = int(time.time() * 1000)
    story_id = await published(gateway, ada, at=at)
    paths = (f"stories/{story_id}", f"users/{ada.id}/stories")
    clock = gateway.stores.clock
    try:
        gateway.stores.clock = lambda: at + DAY_MS - 1000
        assert [(await ask(gateway, bob, "GET", path)).status_code for path in paths] == [200, 200]
        assert await trayed(gateway, bob) == [(ada.id, [story_id])]
        gateway.stores.clock = lambda: at + DAY_MS + 1000
        for who in (ada, bob, None):
            assert (await ask(gateway, who, "GET", paths[0])).status_code == 404
            assert (await ask(gateway, who, "GET", paths[1])).json()["items"] == []
        assert await trayed(gateway, bob) == []
        assert (await ask(gateway, bob, "POST", f"stories/{story_id}/views")).status_code == 404
        assert (await ask(gateway, ada, "GET", f"stories/{story_id}/viewers")).status_code == 404
    finally:
        gateway.stores.clock = clock
    rows = await gateway.stores.cassandra.execute(
        "SELECT said, TTL(media) AS left FROM stories_1 WHERE story_id = ? AND said = 1", (int(story_id),)
    )
    assert 86_000 < rows[0].left <= 86_400
    assert await trayed(gateway, bob) == [(ada.id, [story_id])]


async def test_the_address_of_its_picture_ends_with_a_story(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever read the address in the last hour has it no longer than who reads the story; in a highlight it has no end
    but its period's."""
    ada, eve = await gateway.person(), await gateway.person()
    await gateway.stores.objects.put(rendition_key("cd" * 32), b"\xff\xd8\xff a story")
    await ask(gateway, eve, "PUT", "me/privacy", json={"private": True})
    at = int(time.time() * 1000) - DAY_MS + 1_800_000

    async def address(who: Person, path: str) -> str:
        (shown,) = (await ask(gateway, who, "GET", path)).json()["items"]
        url: str = shown["picture"]["renditions"][0]["url"]
        return url

    ends = {}
    for who, kind in ((ada, "public"), (eve, "private")):
        story_id = await published(gateway, who, at=at)
        ends[kind] = await address(who, f"users/{who.id}/stories")
        assert f"?for={kind}&" in ends[kind]
    made = (await ask(gateway, eve, "POST", "me/highlights", json={"name": "London"})).json()["id"]
    await ask(gateway, eve, "PUT", f"me/highlights/{made}/stories/{story_id}")
    kept = await address(eve, f"users/{eve.id}/highlights/{made}/stories")
    for seconds, status in ((-1, 200), (1, 403)):
        monkeypatch.setattr("api.media_urls.time.time", lambda shift=seconds: (at + DAY_MS) / 1000 + shift)
        for url in ends.values():
            answer = await gateway.client.get(url)
            assert answer.status_code == status, (seconds, url)
        assert (await gateway.client.get(kept)).status_code == 200
    assert answer.json()["type"] == "urn:shutterlog:problem:address-expired"


async def test_unseen_comes_first_then_who_is_close_then_the_newest(gateway: Gateway) -> None:
    bob, *authors = [await gateway.person() for _ in range(5)]
    ada, eve, ida, zoe = authors
    await follow(gateway, bob, *authors)
    now = int(time.time() * 1000)
    ids = {one.id: await published(gateway, one, at=now - 1000 * n) for n, one in enumerate(authors)}
    assert [author for author, _ in await trayed(gateway, bob)] == [one.id for one in (ada, eve, ida, zoe)]
    old = await published(gateway, zoe, at=now - 3_600_000)
    for _ in range(2):
        answer = await ask(gateway, bob, "POST", f"stories/{old}/views", json={"watched_ms": 5000, "completed": True})
        assert answer.json() == {"story_id": old, "seen": True}
    assert isinstance(gateway.said[-1], StoryViewed) and gateway.said[-1].completed
    await ask(gateway, bob, "POST", f"stories/{ids[ada.id]}/views")
    reacted = await ask(gateway, bob, "PUT", f"stories/{ids[ida.id]}/reaction", json={"reaction": "🔥"})
    assert reacted.json() == {"story_id": ids[ida.id], "reaction": "🔥"}
    # ida: a reaction; zoe: one story seen, another not; eve: nothing; ada: all seen.
    order = [ida.id, zoe.id, eve.id, ada.id]
    shown = await trayed(gateway, bob)
    assert [author for author, _ in shown] == order
    assert dict(shown)[zoe.id] == [old, ids[zoe.id]]  # the oldest first
    # Page by page, as it was at first: what is seen meanwhile moves nobody.
    paged: list[str] = []
    query = "?limit=1"
    while True:
        answer = await ask(gateway, bob, "GET", f"stories/feed{query}")
        paged += [item["author"]["id"] for item in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break
        await ask(gateway, bob, "POST", f"stories/{ids[eve.id]}/views")
        query = f"?limit=1&cursor={cursor}"
    assert paged == order
    assert (await ask(gateway, bob, "GET", "stories/feed?cursor=AAAA")).status_code == 400


async def test_only_the_author_is_told_who_saw_it(gateway: Gateway) -> None:
    ada, *others = [await gateway.person() for _ in range(4)]
    story_id = await published(gateway, ada)
    for who in (*others, ada):
        assert (await ask(gateway, who, "POST", f"stories/{story_id}/views")).status_code == 200
    await ask(gateway, others[0], "PUT", f"stories/{story_id}/reaction", json={"reaction": "👏"})
    refused = await ask(gateway, ada, "PUT", f"stories/{story_id}/reaction", json={"reaction": "👏"})
    assert refused.json()["type"].endswith("own-story")
    for wrong in ("good", "", "a b"):
        answer = await ask(gateway, others[0], "PUT", f"stories/{story_id}/reaction", json={"reaction": wrong})
        assert answer.status_code == 422
    assert (await ask(gateway, others[0], "GET", f"stories/{story_id}/viewers")).status_code == 403
    found: list[dict[str, Any]] = []
    query = "?limit=2"
    while query:
        page = (await ask(gateway, ada, "GET", f"stories/{story_id}/viewers{query}")).json()
        found += page["items"]
        query = f"?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert [one["person"]["id"] for one in found] == sorted((one.id for one in others), key=int)
    assert {one["person"]["id"]: one["reaction"] for one in found}[others[0].id] == "👏"
    own = (await ask(gateway, others[0], "GET", f"stories/{story_id}")).json()
    assert (own["seen"], own["my_reaction"]) == (True, "👏")
    await ask(gateway, others[0], "DELETE", f"stories/{story_id}/reaction")
    assert (await ask(gateway, others[0], "GET", f"stories/{story_id}")).json()["my_reaction"] is None
    # Whom she blocks is not in her list either.
    await ask(gateway, ada, "PUT", f"users/{others[1].id}/block")
    left = (await ask(gateway, ada, "GET", f"stories/{story_id}/viewers")).json()["items"]
    assert others[1].id not in {one["person"]["id"] for one in left} and len(left) == 2


async def test_nobody_sees_what_they_may_not(gateway: Gateway) -> None:
    ada, follower, muting, blocked, stranger = [await gateway.person() for _ in range(5)]
    for who in (follower, muting, blocked):
        await follow(gateway, who, ada)
    story_id = await published(gateway, ada)
    await ask(gateway, muting, "PUT", f"users/{ada.id}/mute")
    await ask(gateway, ada, "PUT", f"users/{blocked.id}/block")
    await ask(gateway, ada, "PUT", "me/privacy", json={"private": True})
    assert await trayed(gateway, follower) == [(ada.id, [story_id])]
    for who in (muting, blocked, stranger):
        assert await trayed(gateway, who) == []
    shown = (await ask(gateway, follower, "GET", f"stories/{story_id}")).json()
    assert "for=private" in shown["picture"]["renditions"][0]["url"]
    for refused in (blocked, stranger, None):
        assert (await ask(gateway, refused, "GET", f"stories/{story_id}")).status_code == 404
        assert (await ask(gateway, refused, "GET", f"users/{ada.id}/stories")).status_code in (403, 404)
    assert (await ask(gateway, blocked, "POST", f"stories/{story_id}/views")).status_code == 404
    await ask(gateway, follower, "DELETE", f"users/{ada.id}/follow")
    assert await trayed(gateway, follower) == []


async def test_trays_come_from_cassandra_while_redis_is_coming_back(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    await follow(gateway, bob, ada)
    story_id = await published(gateway, ada)
    await until_whole(gateway)
    gateway.stores.tray_watch.of(1).rest()
    answer = await ask(gateway, bob, "GET", "stories/feed")
    assert [item["stories"][0]["id"] for item in answer.json()["items"]] == [story_id]


async def test_highlights_outlive_their_stories(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    at = int(time.time() * 1000)
    kept, passing = [await published(gateway, ada, at=at) for _ in range(2)]
    made = await ask(gateway, ada, "POST", "me/highlights", json={"name": " London "})
    assert (made.status_code, made.json()["name"]) == (201, "London")
    highlight = made.json()["id"]
    for story_id in (kept, passing):
        path = f"me/highlights/{highlight}/stories/{story_id}"
        assert (await ask(gateway, ada, "PUT", path)).json()["highlighted"] is True
    assert (await ask(gateway, ada, "DELETE", path)).json()["highlighted"] is False
    assert (await ask(gateway, bob, "PUT", path)).status_code == 404
    renamed = await ask(gateway, ada, "PATCH", f"me/highlights/{highlight}", json={"name": "Paris"})
    assert renamed.json() == made.json() | {"name": "Paris"}
    clock = gateway.stores.clock
    try:
        gateway.stores.clock = lambda: at + 30 * DAY_MS
        listed = (await ask(gateway, bob, "GET", f"users/{ada.id}/highlights")).json()["items"]
        assert [(one["id"], one["name"]) for one in listed] == [(highlight, "Paris")]
        path = f"users/{ada.id}/highlights/{highlight}/stories"
        (shown,) = (await ask(gateway, bob, "GET", path)).json()["items"]
        assert (shown["id"], shown["expires_at"], shown["status"]) == (kept, None, "published")
        assert (await ask(gateway, bob, "GET", f"stories/{kept}")).json()["id"] == kept
        assert (await ask(gateway, bob, "GET", f"stories/{passing}")).status_code == 404
        refused = await ask(gateway, ada, "PUT", f"me/highlights/{highlight}/stories/{passing}")
        assert refused.status_code == 404
        await ask(gateway, ada, "DELETE", f"stories/{kept}")
        assert (await ask(gateway, bob, "GET", path)).json()["items"] == []
        assert (await ask(gateway, bob, "GET", f"stories/{kept}")).status_code == 404
        await ask(gateway, ada, "DELETE", f"me/highlights/{highlight}")
        assert (await ask(gateway, bob, "GET", path)).status_code == 404
    finally:
        gateway.stores.clock = clock


async def test_uploads_have_to_be_ones_own_and_deleted_is_gone(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    media_id = (await gateway.upload(ada)).json()["media_id"]
    taken = await ask(gateway, bob, "POST", "stories", json={"media_id": media_id})
    assert (taken.status_code, taken.json()["type"].rpartition(":")[2]) == (403, "media-not-yours")
    await follow(gateway, bob, ada)
    story_id = await published(gateway, ada)
    assert (await ask(gateway, bob, "DELETE", f"stories/{story_id}")).status_code == 403
    assert (await ask(gateway, ada, "DELETE", f"stories/{story_id}")).status_code == 204
    assert (await ask(gateway, ada, "GET", f"stories/{story_id}")).status_code == 404
    assert await trayed(gateway, bob) == []
