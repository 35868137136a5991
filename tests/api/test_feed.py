"""The home feed through the API, on a Redis that keeps four posts and a Cassandra that keeps all."""

from __future__ import annotations

import pytest

from schemas.events import Source, UploadFailed
from streams.follows import FOLLOWS
from streams.posts import POSTS
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def walk(gateway: Gateway, person: Person, limit: int) -> list[str]:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        answer = await gateway.client.get("/api/v1/feed", params=given, headers=person.headers)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        seen += [post["id"] for post in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return seen
        assert len(page["items"]) == limit


async def test_a_feed_goes_on_past_its_cap(gateway: Gateway) -> None:
    reader, ada, bob, eve = [await gateway.person(name) for name in ("Reader", "Ada", "Bob", "Eve")]
    for followed in (ada, bob):
        await gateway.client.put(f"/api/v1/users/{followed.id}/follow", headers=reader.headers)
    posts = []
    for n in range(14):
        author = (ada, bob, eve)[n % 3]
        post_id = await gateway.post(author, f"number {n}")
        await gateway.publish(author, post_id)
        posts.append((post_id, author))
        if n == 7:
            await gateway.catch_up()
    pending = await gateway.post(ada, "not ready")
    await gateway.catch_up()
    skeleton = await gateway.stores.home_feed.skeleton(int(reader.id))
    expected = [post_id for post_id, author in reversed(posts) if author is not eve]
    # The test is one only if the feed was trimmed.
    assert skeleton.floor > 0 and len(skeleton.ids) < len(expected)
    for limit in (1, 2, 3, 5, 20):
        assert await walk(gateway, reader, limit) == expected
    assert pending not in expected

    first = (await gateway.client.get("/api/v1/feed?limit=1", headers=reader.headers)).json()["items"][0]
    assert first["author"]["name"] in ("Ada", "Bob")
    assert first["caption"] == "number 13"

    # Rules hold at read time, before any view has moved on the feed: delete one above and one below the floor.
    for post_id in (expected[0], expected[-1]):
        author = next(author for known, author in posts if known == post_id)
        await gateway.client.delete(f"/api/v1/posts/{post_id}", headers=author.headers)
    await gateway.catch_up()
    expected = expected[1:-1]
    assert await walk(gateway, reader, 3) == expected

    left = await gateway.client.delete(f"/api/v1/users/{bob.id}/follow", headers=reader.headers)
    token = {"Consistency-Token": left.headers["consistency-token"]}
    early = await gateway.client.get("/api/v1/feed", headers=reader.headers | token)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (503, "not-yet-consistent")
    await gateway.catch_up()
    now = await gateway.client.get("/api/v1/feed", headers=reader.headers | token)
    assert now.status_code == 200
    his = {post_id for post_id, author in posts if author is bob}
    assert await walk(gateway, reader, 2) == [post_id for post_id in expected if post_id not in his]


async def test_an_unfollowed_author_is_out_even_where_redis_still_has_the_post(gateway: Gateway) -> None:
    reader, ada = await gateway.person(), await gateway.person()
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=reader.headers)
    post_id = await gateway.post(ada)
    await gateway.publish(ada, post_id)
    await gateway.catch_up()
    assert await walk(gateway, reader, 5) == [post_id]
    await gateway.client.delete(f"/api/v1/users/{ada.id}/follow", headers=reader.headers)
    await gateway.catch_up_alone(FOLLOWS)
    assert int(post_id) in (await gateway.stores.home_feed.skeleton(int(reader.id))).ids
    assert await walk(gateway, reader, 5) == []


async def test_what_is_remembered_ends_with_the_fence_that_it_was_read_at(gateway: Gateway) -> None:
    """A page is made from remembered rows until its views have moved, and never a moment longer."""
    reader, ada = await gateway.person(), await gateway.person("Ada")
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=reader.headers)
    first, second = await gateway.post(ada, "at dusk"), await gateway.post(ada, "at dawn")
    for post_id in (first, second):
        await gateway.publish(ada, post_id)
    await gateway.catch_up()

    async def page() -> list[tuple[str, str, str]]:
        items = (await gateway.client.get("/api/v1/feed", headers=reader.headers)).json()["items"]
        return [(post["id"], post["caption"], post["author"]["name"]) for post in items]

    before = [(second, "at dawn", "Ada"), (first, "at dusk", "Ada")]
    assert await page() == before == await page()
    await gateway.client.patch(f"/api/v1/posts/{first}", json={"caption": "by night"}, headers=ada.headers)
    await gateway.client.delete(f"/api/v1/posts/{second}", headers=ada.headers)
    renamed = await gateway.client.patch("/api/v1/me", json={"name": "Ada L"}, headers=ada.headers)
    assert renamed.status_code == 200, renamed.text
    assert await page() == before
    await gateway.catch_up_alone(POSTS)
    assert await page() == [(first, "by night", "Ada")]
    await gateway.catch_up()
    assert await page() == [(first, "by night", "Ada L")]
    await gateway.client.put(f"/api/v1/users/{ada.id}/mute", headers=reader.headers)
    await gateway.catch_up_alone(FOLLOWS)
    assert await page() == []


async def test_a_feed_is_private(gateway: Gateway) -> None:
    reader = await gateway.person()
    answer = await gateway.client.get("/api/v1/feed", headers=reader.headers)
    assert answer.json() == {"items": [], "next_cursor": None}
    assert answer.headers["cache-control"].startswith("private")
    assert "Authorization" in answer.headers["vary"]
    assert (await gateway.client.get("/api/v1/feed")).status_code == 401


async def test_notices_come_newest_first(gateway: Gateway) -> None:
    ada = await gateway.person()
    ids = [gateway.stores.snowflakes.next() for _ in range(3)]
    for media_id in ids:
        await gateway.say(
            UploadFailed(
                event_id=gateway.stores.snowflakes.next(),
                at=1_700_000_000_000,
                actor_id=int(ada.id),
                recipient_id=int(ada.id),
                media_id=media_id,
                post_id=0,
                code="truncated",
                reason="Part of this picture is missing.",
                source=Source("media", 0, media_id % 1000, 0),
            )
        )
    await gateway.catch_up()
    first = (await gateway.client.get("/api/v1/notifications?limit=2", headers=ada.headers)).json()
    rest = await gateway.client.get(
        "/api/v1/notifications", params={"limit": "2", "cursor": first["next_cursor"]}, headers=ada.headers
    )
    found = [*first["items"], *rest.json()["items"]]
    assert [notice["media_id"] for notice in found] == [str(media_id) for media_id in reversed(ids)]
    assert {(notice["kind"], notice["post_id"]) for notice in found} == {("upload_failed", None)}
    assert rest.json()["next_cursor"] is None
    assert (await gateway.client.get("/api/v1/notifications")).status_code == 401
