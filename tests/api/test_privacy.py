"""Private accounts: requests, approval, and what stays out of sight."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import Event, Followed, FollowerRemoved, FollowRejected, FollowRequested, PrivacyChanged
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def get(gateway: Gateway, path: str, person: Person | None = None) -> tuple[int, list[str]]:
    """The status of a list, and the ids in it."""
    answer = await gateway.client.get(f"/api/v1{path}", headers=person.headers if person else {})
    return answer.status_code, [item["id"] for item in answer.json().get("items", [])]


async def do(gateway: Gateway, method: str, path: str, person: Person, status: int = 200) -> dict[str, object]:
    """Do it, and let every view know."""
    answer = await gateway.client.request(method, f"/api/v1{path}", headers=person.headers)
    assert answer.status_code == status, answer.text
    await gateway.catch_up()
    return answer.json()  # type: ignore[no-any-return]


def last(gateway: Gateway) -> Event:
    """What was said last of the graph."""
    return [event for event in gateway.said if event.TOPIC == "graph"][-1]


async def change_privacy(gateway: Gateway, person: Person, private: bool) -> None:
    answer = await gateway.client.put("/api/v1/me/privacy", json={"private": private}, headers=person.headers)
    assert (answer.status_code, answer.json()) == (200, {"private": private})
    await gateway.catch_up()


async def post_of(gateway: Gateway, person: Person) -> str:
    post_id = await gateway.post(person)
    await gateway.publish(person, post_id)
    await gateway.catch_up()
    return post_id


async def test_a_private_account_shows_its_posts_to_approved_followers_only(gateway: Gateway) -> None:
    ada, friend, bob = await gateway.person("Ada"), await gateway.person(), await gateway.person()
    await do(gateway, "PUT", f"/users/{ada.id}/follow", friend)
    post_id = await post_of(gateway, ada)
    assert (await get(gateway, f"/users/{ada.id}/posts"))[0] == 200
    await change_privacy(gateway, ada, private=True)
    assert isinstance(last(gateway), PrivacyChanged)
    for viewer in (None, bob):
        for hidden in (f"/posts/{post_id}", f"/posts/{post_id}/likes"):
            assert (await get(gateway, hidden, viewer))[0] == 404
        for closed in ("posts", "followers", "following"):
            assert (await get(gateway, f"/users/{ada.id}/{closed}", viewer))[0] == 403
    assert (await do(gateway, "POST", f"/posts/{post_id}/like", bob, 404))["status"] == 404
    profile = (await gateway.client.get(f"/api/v1/users/{ada.id}", headers=bob.headers)).json()
    assert (profile["name"], profile["private"], profile["followers"], profile["posts"]) == ("Ada", True, 1, 1)
    for viewer in (friend, ada):
        assert (await get(gateway, f"/posts/{post_id}", viewer))[0] == 200
        assert await get(gateway, f"/users/{ada.id}/posts", viewer) == (200, [post_id])
        assert await get(gateway, f"/users/{ada.id}/followers", viewer) == (200, [friend.id])
    assert await get(gateway, "/feed", friend) == (200, [post_id])

    answer = await do(gateway, "PUT", f"/users/{ada.id}/follow", bob)
    assert answer == {"user_id": ada.id, "following": False, "requested": True}
    assert isinstance(last(gateway), FollowRequested)
    assert await get(gateway, "/feed", bob) == (200, [])
    assert await get(gateway, "/me/requests", ada) == (200, [bob.id])
    assert await get(gateway, "/me/requested", bob) == (200, [ada.id])
    profile = (await gateway.client.get(f"/api/v1/users/{ada.id}", headers=bob.headers)).json()
    assert (profile["you"]["requested"], profile["you"]["follow"]) == (True, False)
    assert (await do(gateway, "PUT", f"/me/requests/{bob.id}", ada))["follows_you"] is True
    said = last(gateway)
    assert isinstance(said, Followed) and str(said.actor_id) == ada.id
    assert await get(gateway, "/me/requests", ada) == (200, [])
    assert await get(gateway, "/feed", bob) == (200, [post_id])
    assert (await get(gateway, f"/posts/{post_id}", bob))[0] == 200

    await do(gateway, "DELETE", f"/me/followers/{bob.id}", ada)
    assert isinstance(last(gateway), FollowerRemoved)
    assert await get(gateway, "/feed", bob) == (200, [])
    assert (await get(gateway, f"/posts/{post_id}", bob))[0] == 404
    await change_privacy(gateway, ada, private=False)
    assert (await get(gateway, f"/posts/{post_id}"))[0] == 200


async def test_requests_are_rejected_and_withdrawn(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    await change_privacy(gateway, ada, private=True)
    await do(gateway, "PUT", f"/users/{ada.id}/follow", bob)
    await do(gateway, "DELETE", f"/me/requests/{bob.id}", ada)
    assert isinstance(last(gateway), FollowRejected)
    assert await get(gateway, "/me/requests", ada) == (200, [])
    await do(gateway, "PUT", f"/me/requests/{bob.id}", ada, 404)
    await do(gateway, "PUT", f"/users/{ada.id}/follow", bob)
    await do(gateway, "DELETE", f"/users/{ada.id}/follow", bob)
    assert await get(gateway, "/me/requests", ada) == await get(gateway, "/me/requested", bob) == (200, [])
    # Who follows asks once more, and is no request.
    await do(gateway, "PUT", f"/users/{ada.id}/follow", bob)
    await do(gateway, "PUT", f"/me/requests/{bob.id}", ada)
    assert (await do(gateway, "PUT", f"/users/{ada.id}/follow", bob))["following"] is True
    assert await get(gateway, "/me/requests", ada) == await get(gateway, "/me/requested", bob) == (200, [])


async def test_who_follows_since_before_somebody_went_private_cannot_ask(gateway: Gateway) -> None:
    """They go on following, nobody is told of a request, and there is none to approve or to reject."""
    ada, bob = await gateway.person(), await gateway.person()
    await do(gateway, "PUT", f"/users/{ada.id}/follow", bob)
    await change_privacy(gateway, ada, private=True)
    assert (await do(gateway, "PUT", f"/users/{ada.id}/follow", bob))["following"] is True
    said = last(gateway)
    assert isinstance(said, FollowRequested) and said.follows
    told = (await gateway.client.get("/api/v1/notifications", headers=ada.headers)).json()["items"]
    assert [one["kind"] for one in told] == ["follow"]
    # A gateway that is behind did not know that they follow, and Ada answers before the saga does.
    pair: dict[str, Any] = {"at": 1, "follower_id": int(bob.id), "followee_id": int(ada.id)}
    next_id = gateway.stores.snowflakes.next
    await gateway.say(FollowRequested(event_id=next_id(), actor_id=int(bob.id), **pair))
    await gateway.catch_up()
    for verb in ("PUT", "DELETE"):
        await do(gateway, verb, f"/me/requests/{bob.id}", ada, 404)
    await gateway.say(FollowRejected(event_id=next_id(), actor_id=int(ada.id), **pair))
    await gateway.catch_up()
    assert await get(gateway, f"/users/{ada.id}/followers", bob) == (200, [bob.id])


async def test_a_follow_that_crossed_going_private_shows_nothing(gateway: Gateway) -> None:
    """Said by a gateway that knew the account as public, it stands in the log behind the change."""
    ada, bob, friend = [await gateway.person() for _ in range(3)]
    post_id = await post_of(gateway, ada)
    await change_privacy(gateway, ada, private=True)
    for number, approved in ((bob, False), (friend, True)):
        await gateway.say(
            Followed(
                event_id=gateway.stores.snowflakes.next(),
                at=1,
                actor_id=int(ada.id if approved else number.id),
                follower_id=int(number.id),
                followee_id=int(ada.id),
            )
        )
    await gateway.catch_up()
    assert await get(gateway, "/feed", bob) == (200, [])
    assert (await get(gateway, f"/posts/{post_id}", bob))[0] == 404
    assert await get(gateway, "/feed", friend) == (200, [post_id])
    # Said again, the change does not make an old stranger a follower.
    await change_privacy(gateway, ada, private=True)
    assert (await get(gateway, f"/posts/{post_id}", bob))[0] == 404


async def test_who_is_blocked_finds_nobody_and_is_not_found(gateway: Gateway) -> None:
    ada, bob, cleo = [await gateway.person() for _ in range(3)]
    for one, other in ((ada, bob), (bob, ada), (cleo, ada), (cleo, bob)):
        await do(gateway, "PUT", f"/users/{other.id}/follow", one)
    posts = {person.id: await post_of(gateway, person) for person in (ada, bob)}
    await do(gateway, "POST", f"/posts/{posts[ada.id]}/like", bob)
    before = len(gateway.said)
    token = (await gateway.client.put(f"/api/v1/users/{bob.id}/block", headers=ada.headers)).headers
    assert {str(event.key, "ascii") for event in gateway.said[before:] if event.TOPIC == "graph"} == {ada.id, bob.id}
    await gateway.catch_up()
    fresh = {"Consistency-Token": token["consistency-token"]}
    for viewer, other in ((ada, bob), (bob, ada)):
        nobody = await gateway.client.get(f"/api/v1/users/{other.id}", headers=viewer.headers | fresh)
        assert nobody.status_code == 404
        assert (
            nobody.json()["detail"] == (await gateway.client.get("/api/v1/users/1000000000000000001")).json()["detail"]
        ), "as if there were nobody"
        assert (await get(gateway, f"/posts/{posts[other.id]}", viewer))[0] == 404
        assert (await get(gateway, f"/users/{other.id}/posts", viewer))[0] == 404
        assert await get(gateway, "/feed", viewer) == (200, [])
        assert await get(gateway, f"/users/{cleo.id}/following", viewer) == (200, [viewer.id])
        await do(gateway, "PUT", f"/users/{other.id}/follow", viewer, 404)
    assert (await get(gateway, f"/posts/{posts[ada.id]}/likes", cleo)) == (200, [bob.id])
    assert (await get(gateway, f"/posts/{posts[ada.id]}/likes", ada)) == (200, [])
    assert await get(gateway, "/me/blocks", ada) == (200, [bob.id])
    assert await get(gateway, "/me/blocks", bob) == (200, [])
    await do(gateway, "PUT", f"/users/{ada.id}/block", bob, 404)
    await do(gateway, "DELETE", f"/users/{bob.id}/block", ada)
    assert await get(gateway, "/me/blocks", ada) == (200, [])
    assert (await gateway.client.get(f"/api/v1/users/{ada.id}", headers=bob.headers)).status_code == 200


async def test_the_muted_are_out_of_the_feed_alone(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    await do(gateway, "PUT", f"/users/{bob.id}/follow", ada)
    post_id = await post_of(gateway, bob)
    await do(gateway, "PUT", f"/users/{bob.id}/mute", ada)
    assert await get(gateway, "/me/mutes", ada) == (200, [bob.id])
    assert await get(gateway, "/feed", ada) == (200, [])
    assert (await get(gateway, f"/posts/{post_id}", ada))[0] == 200
    await do(gateway, "DELETE", f"/users/{bob.id}/mute", ada)
    assert await get(gateway, "/feed", ada) == (200, [post_id])
    for verb in ("block", "mute", "follow"):
        await do(gateway, "PUT", f"/users/{ada.id}/{verb}", ada, 422)


async def test_mutuals(gateway: Gateway) -> None:
    ada, star, friend, stranger = [await gateway.person() for _ in range(4)]
    for one, other in ((ada, friend), (friend, star), (stranger, star), (ada, star)):
        await do(gateway, "PUT", f"/users/{other.id}/follow", one)
    assert await get(gateway, f"/users/{star.id}/mutuals", ada) == (200, [friend.id])
    assert (await get(gateway, f"/users/{star.id}/mutuals"))[0] == 401
