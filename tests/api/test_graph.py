"""Following."""

from __future__ import annotations

import pytest

from schemas.events import Followed, Unfollowed
from tests.api.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_follow_and_unfollow(gateway: Gateway) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    # Bob registered a moment ago: no view knows him yet.
    answer = await gateway.client.put(f"/api/v1/users/{bob.username}/follow", headers=ada.headers)
    assert (answer.status_code, answer.json()) == (200, {"user_id": bob.id, "following": True, "requested": False})
    event = gateway.said[-1]
    assert isinstance(event, Followed)
    assert (str(event.follower_id), str(event.followee_id)) == (ada.id, bob.id)
    token = {"Consistency-Token": answer.headers["consistency-token"]}
    early = await gateway.client.get(f"/api/v1/users/{bob.id}/followers", headers=token)
    assert (early.status_code, early.headers["retry-after"]) == (503, "1")
    assert early.json()["type"].endswith(":not-yet-consistent")
    await gateway.catch_up()
    followers = (await gateway.client.get(f"/api/v1/users/{bob.id}/followers", headers=token)).json()
    assert followers == {
        "items": [{"id": ada.id, "username": ada.username, "name": "Ada", "verified": False}],
        "next_cursor": None,
    }
    following = (await gateway.client.get(f"/api/v1/users/{ada.id}/following")).json()
    assert [person["id"] for person in following["items"]] == [bob.id]
    profile = (await gateway.client.get(f"/api/v1/users/{bob.id}")).json()
    assert (profile["followers"], profile["following"], profile["posts"], profile["you"]) == (1, 0, 0, None)
    profile = (await gateway.client.get(f"/api/v1/users/{ada.id}", headers=bob.headers)).json()
    assert profile["you"] == {"follow": False, "requested": False, "mute": False, "followed_by": True}

    answer = await gateway.client.delete(f"/api/v1/users/{bob.id}/follow", headers=ada.headers)
    assert answer.json() == {"user_id": bob.id, "following": False, "requested": False}
    assert isinstance(gateway.said[-1], Unfollowed)
    await gateway.catch_up()
    assert (await gateway.client.get(f"/api/v1/users/{bob.id}/followers")).json()["items"] == []


async def test_lists_go_on_by_cursor(gateway: Gateway) -> None:
    star = await gateway.person()
    fans = [await gateway.person() for _ in range(5)]
    for fan in fans:
        await gateway.client.put(f"/api/v1/users/{star.id}/follow", headers=fan.headers)
    await gateway.catch_up()
    seen: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = (await gateway.client.get(f"/api/v1/users/{star.username}/followers", params=given)).json()
        seen += [person["id"] for person in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(fan.id for fan in fans)


async def test_nobody_follows_themselves_or_nobody(gateway: Gateway) -> None:
    ada = await gateway.person()
    for method in ("PUT", "DELETE"):
        own = await gateway.client.request(method, f"/api/v1/users/{ada.id}/follow", headers=ada.headers)
        assert own.status_code == 422
        none = await gateway.client.request(method, "/api/v1/users/1000000000000000001/follow", headers=ada.headers)
        assert none.status_code == 404
        assert (await gateway.client.request(method, f"/api/v1/users/{ada.id}/follow")).status_code == 401
    assert (await gateway.client.get("/api/v1/users/1000000000000000001/followers")).status_code == 404


@pytest.mark.parametrize(("query", "status"), [("cursor=xyz", 400), ("limit=0", 422), ("limit=101", 422)])
async def test_wrong_pages_are_refused(gateway: Gateway, query: str, status: int) -> None:
    ada = await gateway.person()
    answer = await gateway.client.get(f"/api/v1/users/{ada.id}/followers?{query}")
    assert answer.status_code == status


async def test_writes_have_a_limit(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    statuses = [
        (await gateway.client.put(f"/api/v1/users/{bob.id}/follow", headers=ada.headers)).status_code
        for _ in range(gateway.settings.write_burst)
    ]
    assert set(statuses) == {200}
    refused = await gateway.client.put(f"/api/v1/users/{bob.id}/follow", headers=ada.headers)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    # Reads have none, and neither have others.
    await gateway.catch_up()
    assert (await gateway.client.get("/api/v1/me", headers=ada.headers)).status_code == 200
    assert (await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=bob.headers)).status_code == 200
