"""Likes: said, counted, listed; and no number where none is known."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import PostDeleted, PostLiked, PostUnliked
from schemas.ids import MIN_ID
from tests.agents.workers import until
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def published(gateway: Gateway, author: Person) -> str:
    post_id = await gateway.post(author)
    await gateway.publish(author, post_id)
    await gateway.catch_up()
    await counted(gateway)
    return post_id


async def counted(gateway: Gateway) -> None:
    """Wait until the counters are known to be whole."""

    async def whole() -> bool:
        return not gateway.stores.counter_watch.of(1).healing

    await until("the counters are whole", whole)


async def seen(gateway: Gateway, post_id: str, viewer: Person | None = None, **headers: str) -> tuple[Any, Any]:
    """How many like the post, and whether the viewer does."""
    given = headers | (viewer.headers if viewer else {})
    answer = await gateway.client.get(f"/api/v1/posts/{post_id}", headers=given)
    assert answer.status_code == 200, answer.text
    return answer.json()["like_count"], answer.json()["liked_by_me"]


@pytest.mark.parametrize("path", ["like", "likes"])
async def test_like_and_unlike(gateway: Gateway, path: str) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    post_id = await published(gateway, ada)
    assert await seen(gateway, post_id, bob) == (0, False)
    for _ in range(2):
        answer = await gateway.client.post(f"/api/v1/posts/{post_id}/{path}", headers=bob.headers)
        assert (answer.status_code, answer.json()) == (200, {"post_id": post_id, "liked": True})
        event = gateway.said[-1]
        assert isinstance(event, PostLiked)
        assert (str(event.actor_id), str(event.post_id), str(event.author_id)) == (bob.id, post_id, ada.id)
    token = {"Consistency-Token": answer.headers["consistency-token"]}
    early = await gateway.client.get(f"/api/v1/posts/{post_id}", headers=token | bob.headers)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (503, "not-yet-consistent")
    await gateway.catch_up()
    assert await seen(gateway, post_id, bob, **token) == (1, True)
    assert await seen(gateway, post_id, ada) == await seen(gateway, post_id) == (1, False)
    likers = (await gateway.client.get(f"/api/v1/posts/{post_id}/likes", headers=token)).json()
    assert likers == {
        "items": [{"id": bob.id, "username": bob.username, "name": "Bob", "verified": False}],
        "next_cursor": None,
    }

    answer = await gateway.client.delete(f"/api/v1/posts/{post_id}/{path}", headers=bob.headers)
    assert answer.json() == {"post_id": post_id, "liked": False}
    assert isinstance(gateway.said[-1], PostUnliked)
    await gateway.catch_up()
    assert await seen(gateway, post_id, bob) == (0, False)
    assert (await gateway.client.get(f"/api/v1/posts/{post_id}/likes")).json()["items"] == []


async def test_lists_of_posts_show_likes(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=bob.headers)
    posts = [await published(gateway, ada) for _ in range(3)]
    await gateway.client.post(f"/api/v1/posts/{posts[0]}/like", headers=bob.headers)
    await gateway.client.post(f"/api/v1/posts/{posts[2]}/like", headers=ada.headers)
    await gateway.catch_up()
    expected = {posts[0]: (1, True), posts[1]: (0, False), posts[2]: (1, False)}
    for path in ("/api/v1/feed", f"/api/v1/users/{ada.id}/posts"):
        items = (await gateway.client.get(path, headers=bob.headers)).json()["items"]
        assert {post["id"]: (post["like_count"], post["liked_by_me"]) for post in items} == expected


async def test_who_likes_a_post_goes_on_by_cursor(gateway: Gateway) -> None:
    ada = await gateway.person()
    post_id = await published(gateway, ada)
    fans = [ada, *[await gateway.person() for _ in range(4)]]
    for fan in fans:
        await gateway.client.post(f"/api/v1/posts/{post_id}/like", headers=fan.headers)
    await gateway.catch_up()
    found: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = (await gateway.client.get(f"/api/v1/posts/{post_id}/likes", params=given)).json()
        found += [person["id"] for person in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert found == sorted(fan.id for fan in fans)


async def test_nobody_likes_what_they_may_not_see(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    hidden, deleted = await gateway.post(ada), await published(gateway, ada)
    await gateway.client.post(f"/api/v1/posts/{deleted}/like", headers=bob.headers)
    await gateway.client.delete(f"/api/v1/posts/{deleted}", headers=ada.headers)
    assert isinstance(gateway.said[-1], PostDeleted)
    await gateway.catch_up()
    for post_id in (hidden, deleted, "1000000000000000001", "nonsense"):
        for method, path in (("POST", "like"), ("DELETE", "likes"), ("GET", "likes")):
            answer = await gateway.client.request(method, f"/api/v1/posts/{post_id}/{path}", headers=bob.headers)
            assert answer.status_code == 404, (post_id, method)
    assert (await gateway.client.post(f"/api/v1/posts/{hidden}/like", headers=ada.headers)).status_code == 200
    for method in ("POST", "DELETE"):
        assert (await gateway.client.request(method, f"/api/v1/posts/{hidden}/like")).status_code == 401
    assert await gateway.stores.counters.likes([int(deleted)], int(bob.id)) == {int(deleted): (0, False)}


async def test_no_number_is_better_than_a_wrong_one(gateway: Gateway) -> None:
    """What Redis lost is not counted until it is back, and posts are shown all the same."""
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await published(gateway, ada)
    await gateway.client.post(f"/api/v1/posts/{post_id}/like", headers=bob.headers)
    await gateway.catch_up()
    assert await seen(gateway, post_id, bob) == (1, True)
    await gateway.stores.redis.flushdb()
    assert await seen(gateway, post_id, bob) == (None, None)
    await gateway.rebuild(0.5)
    await gateway.stores.counter_watch.look()
    assert await seen(gateway, post_id, bob) == (None, None)
    await gateway.rebuild()
    await counted(gateway)
    assert await seen(gateway, post_id, bob) == (1, True)


async def test_a_post_says_who_of_those_one_follows_likes_it(gateway: Gateway) -> None:
    ada, bob, eve, dan = [await gateway.person(name) for name in ("Ada", "Bob", "Eve", "Dan")]
    post_id = await published(gateway, ada)
    for friend in (bob, dan):
        await gateway.client.put(f"/api/v1/users/{friend.id}/follow", headers=ada.headers)
    for fan in (bob, eve):
        await gateway.client.post(f"/api/v1/posts/{post_id}/like", headers=fan.headers)
    await gateway.catch_up()
    for who, expected in ((ada, ["Bob"]), (bob, []), (None, [])):
        answer = await gateway.client.get(f"/api/v1/posts/{post_id}", headers=who.headers if who else {})
        assert [person["name"] for person in answer.json()["liked_by_followed"]] == expected
    await gateway.client.delete(f"/api/v1/posts/{post_id}/like", headers=bob.headers)
    await gateway.catch_up()
    assert (await gateway.client.get(f"/api/v1/posts/{post_id}", headers=ada.headers)).json()["liked_by_followed"] == []


async def test_answers_say_how_much_is_left_of_the_limit(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await gateway.person()
    post_id = await published(gateway, ada)
    path = f"/api/v1/posts/{post_id}/like"
    left = []
    for _ in range(2):
        answer = await gateway.client.post(path, headers=ada.headers)
        limit = str(gateway.settings.write_burst)
        assert answer.headers["ratelimit-limit"] == limit
        assert answer.headers["ratelimit-policy"].startswith(f'"writes";q={limit};w=')
        left.append(int(answer.headers["ratelimit-remaining"]))
        assert int(answer.headers["ratelimit-reset"]) > 0
    assert left[1] == left[0] - 1
    while (answer := await gateway.client.post(path, headers=ada.headers)).status_code == 200:
        left.append(int(answer.headers["ratelimit-remaining"]))
    assert (answer.status_code, left[-1]) == (429, 0)
    assert (answer.headers["ratelimit-remaining"], int(answer.headers["retry-after"]) > 0) == ("0", True)
    ok, missing = [
        await gateway.client.get(f"/api/v1/posts/{number}", headers=ada.headers) for number in (post_id, MIN_ID)
    ]
    assert (ok.status_code, missing.status_code) == (200, 404)
    policies = [one.headers.get_list("ratelimit-policy") for one in (ok, missing)]
    assert policies == [['"reads";q=1200;w=12']] * 2
    assert int(missing.headers["ratelimit-remaining"]) <= int(ok.headers["ratelimit-remaining"]) < 1200
    monkeypatch.setattr(gateway.settings, "read_burst", 1)
    monkeypatch.setattr(gateway.settings, "read_per_second", 0.001)
    answers = [await gateway.client.get(f"/api/v1/posts/{post_id}", headers=ada.headers) for _ in range(2)]
    assert answers[1].status_code == 429 and answers[1].json()["type"].endswith("too-many-reads")
    assert int(answers[1].headers["retry-after"]) > 1
    monkeypatch.undo()
    stranger = await gateway.client.get(f"/api/v1/posts/{post_id}")
    assert stranger.headers["ratelimit-policy"] == '"reads";q=1200;w=12'
    assert int(stranger.headers["ratelimit-remaining"]) < 1200
