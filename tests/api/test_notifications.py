"""Notifications as people get them: grouped, counted, shrinking, seen or not, and only what one wants to be told."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import AccountDeactivated, Blocked, Muted, NoticeWithdrawn, NotificationsSeen, Notified, Unmuted
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROUTE = "/api/v1/notifications"


async def published(gateway: Gateway, author: Person) -> str:
    post_id = await gateway.post(author)
    await gateway.publish(author, post_id)
    await gateway.catch_up()
    return post_id


async def told(gateway: Gateway, person: Person, **params: str) -> dict[str, Any]:
    answer = await gateway.client.get(ROUTE, params=params, headers=person.headers)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def like(gateway: Gateway, fan: Person, post_id: str, method: str = "POST") -> None:
    answer = await gateway.client.request(method, f"/api/v1/posts/{post_id}/like", headers=fan.headers)
    assert answer.status_code == 200, answer.text


def brief(page: dict[str, Any]) -> list[tuple[str, int, list[str], bool]]:
    return [
        (one["kind"], one["actor_count"], [actor["name"] for actor in one["actors"]], one["seen"])
        for one in page["items"]
    ]


async def test_a_group_names_the_newest_counts_all_and_shrinks(gateway: Gateway) -> None:
    ada = await gateway.person("Ada")
    fans = [await gateway.person(name) for name in ("Bob", "Cam", "Dan", "Eve")]
    post_id = await published(gateway, ada)
    for fan in [ada, *fans, fans[0]]:
        await like(gateway, fan, post_id)
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert brief(page) == [("like", 4, ["Bob", "Eve", "Dan"], False)]
    (one,) = page["items"]
    assert one["text"] == "Bob, Eve and 2 others liked your photo."
    assert one["post_id"] == post_id
    assert page["unseen_count"] == 1
    assert brief(await told(gateway, fans[0])) == []

    await like(gateway, fans[0], post_id, "DELETE")
    await like(gateway, fans[3], post_id, "DELETE")
    await gateway.catch_up()
    (shrunk,) = (await told(gateway, ada))["items"]
    assert (shrunk["id"], shrunk["text"]) == (one["id"], "Dan and Cam liked your photo.")
    for fan in fans[1:3]:
        await like(gateway, fan, post_id, "DELETE")
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert (page["items"], page["unseen_count"]) == ([], 0)

    await like(gateway, fans[1], post_id)
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert [(one["id"], one["text"]) for one in page["items"]] == [(one["id"], "Cam liked your photo.")]
    await gateway.client.delete(f"/api/v1/posts/{post_id}", headers=ada.headers)
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert (page["items"], page["unseen_count"]) == ([], 0)


async def test_seen_and_unseen(gateway: Gateway) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    first, second = await published(gateway, ada), await published(gateway, ada)
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=bob.headers)
    await like(gateway, bob, first)
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert [kind for kind, *_ in brief(page)] == ["like", "follow"]
    assert page["unseen_count"] == 2

    answer = await gateway.client.put(f"{ROUTE}/seen", json={"position": page["position"]}, headers=ada.headers)
    assert (answer.status_code, answer.json()) == (200, {"position": page["position"]})
    assert isinstance(gateway.said[-1], NotificationsSeen)
    early = await gateway.client.get(
        ROUTE, headers=ada.headers | {"Consistency-Token": answer.headers["consistency-token"]}
    )
    assert early.status_code == 503
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert [seen for *_, seen in brief(page)] == [True, True]
    assert page["unseen_count"] == 0

    await like(gateway, cam, first)
    await like(gateway, cam, second)
    await gateway.catch_up()
    assert [(count, seen) for _, count, _, seen in brief(await told(gateway, ada))] == [
        (1, False),
        (2, False),
        (1, True),
    ]
    unseen = await gateway.client.get(f"{ROUTE}/unseen", headers=ada.headers)
    assert unseen.json() == {"unseen_count": 2}
    # What was new is undone: the rest had been seen.
    await like(gateway, cam, first, "DELETE")
    await gateway.catch_up()
    assert (await told(gateway, ada))["unseen_count"] == 1

    # A device that is behind takes nothing back; nobody sees what is still to come.
    await gateway.client.put(f"{ROUTE}/seen", json={"position": "0"}, headers=ada.headers)
    await gateway.catch_up()
    assert (await told(gateway, ada))["unseen_count"] == 1
    beyond = await gateway.client.put(f"{ROUTE}/seen", json={"position": "999999999"}, headers=ada.headers)
    assert (beyond.status_code, beyond.json()["type"].rpartition(":")[2]) == (422, "unknown-position")


async def test_pages_join_without_gap_or_overlap(gateway: Gateway) -> None:
    ada = await gateway.person("Ada")
    fans = [await gateway.person() for _ in range(2)]
    posts = [await published(gateway, ada) for _ in range(7)]
    for fan in fans:
        for post_id in posts:
            await like(gateway, fan, post_id)
    await gateway.catch_up()
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await told(gateway, ada, limit="3", **({"cursor": cursor} if cursor else {}))
        assert page["unseen_count"] == 7
        found += [one["post_id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == sorted(posts)


async def test_only_what_one_wants_to_be_told(gateway: Gateway) -> None:
    ada, bob = await gateway.person("Ada"), await gateway.person("Bob")
    post_id = await published(gateway, ada)
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=bob.headers)
    await like(gateway, bob, post_id)
    route = f"{ROUTE}/preferences"
    kinds = (await gateway.client.get(route, headers=ada.headers)).json()["kinds"]
    assert kinds["like"] == {"told": True, "pushed": True}
    change = {"kinds": {"like": {"told": False}, "follow": {"pushed": False}}}
    answer = await gateway.client.patch(route, json=change, headers=ada.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["kinds"]["like"] == {"told": False, "pushed": False}
    await gateway.catch_up()
    assert (await gateway.client.get(route, headers=ada.headers)).json() == answer.json()
    page = await told(gateway, ada)
    assert (brief(page), page["unseen_count"]) == ([("follow", 1, ["Bob"], False)], 1)
    await gateway.client.patch(route, json={"kinds": {"like": {"told": True}}}, headers=ada.headers)
    await gateway.catch_up()
    assert (await told(gateway, ada))["unseen_count"] == 2
    for body in ({"kinds": {"nonsense": {"told": True}}}, {"kinds": {"like": {"sent": True}}}, {}):
        assert (await gateway.client.patch(route, json=body, headers=ada.headers)).status_code == 422


async def test_a_comment_that_is_deleted_tells_nobody(gateway: Gateway) -> None:
    ada, bob, cam = [await gateway.person(name) for name in ("Ada", "Bob", "Cam")]
    post_id = await published(gateway, ada)
    route = f"/api/v1/posts/{post_id}/comments"
    said = []
    for text in ("first", f"second, @{cam.username}"):
        answer = await gateway.client.post(route, json={"text": text}, headers=bob.headers)
        assert answer.status_code == 201, answer.text
        said.append(answer.json()["id"])
    await gateway.catch_up()
    assert brief(await told(gateway, ada)) == [("comment", 1, ["Bob"], False)]
    (mention,) = (await told(gateway, cam))["items"]
    assert (mention["kind"], mention["comment_id"], mention["text"]) == ("mention", said[1], "Bob mentioned you.")
    answer = await gateway.client.post(route, json={"text": "yes", "parent_id": said[1]}, headers=cam.headers)
    await gateway.catch_up()
    assert brief(await told(gateway, bob)) == [("reply", 1, ["Cam"], False)]
    assert brief(await told(gateway, ada)) == [("comment", 2, ["Cam", "Bob"], False)]
    # With a comment go its replies, and the mentions in it.
    assert (await gateway.client.delete(f"/api/v1/comments/{said[1]}", headers=ada.headers)).status_code < 300
    await gateway.catch_up()
    assert brief(await told(gateway, ada)) == [("comment", 1, ["Bob"], False)]
    assert brief(await told(gateway, bob)) == brief(await told(gateway, cam)) == []


async def test_an_edit_tells_whom_it_names_and_takes_the_others_back(gateway: Gateway) -> None:
    ada, bob, cam, dan = [await gateway.person(name) for name in ("Ada", "Bob", "Cam", "Dan")]
    await gateway.catch_up()
    post_id = await gateway.post(ada, f"with @{bob.username}")
    await gateway.publish(ada, post_id, mentions=[int(bob.id)])
    await gateway.catch_up()
    assert brief(await told(gateway, bob)) == [("mention", 1, ["Ada"], False)]

    async def edit(caption: str, **body: Any) -> None:
        said = {"caption": caption, **body}
        answer = await gateway.client.patch(f"/api/v1/posts/{post_id}", json=said, headers=ada.headers)
        assert answer.status_code == 200, answer.text

    async def noticed(person: Person) -> list[bool]:
        """Of all that was ever said to them of being named: whether it tells."""
        said = [one for one in gateway.said if isinstance(one, Notified | NoticeWithdrawn)]
        return [isinstance(one, Notified) for one in said if one.recipient_id == int(person.id)]

    await edit(f"with @{cam.username}", tagged=[bob.id])
    await gateway.catch_up()
    assert brief(await told(gateway, bob)) == [("tag", 1, ["Ada"], False)]
    assert brief(await told(gateway, cam)) == [("mention", 1, ["Ada"], False)]
    await edit(f"with @{cam.username} and @{dan.username}")
    await edit(f"with @{cam.username}, @{dan.username} and nobody else", tagged=[])  # the view holds no edit before it
    await gateway.catch_up()
    assert await noticed(dan) == [True]
    assert (await told(gateway, bob))["items"] == []
    assert (await told(gateway, bob))["unseen_count"] == 0
    assert brief(await told(gateway, cam)) == [("mention", 1, ["Ada"], False)]
    assert await noticed(cam) == [True]
    assert await noticed(bob) == [True, False, True, False]
    # A mention in a comment stands beside that in the caption, and stays when the caption's is gone.
    route = f"/api/v1/posts/{post_id}/comments"
    await gateway.client.post(route, json={"text": f"@{cam.username}!"}, headers=bob.headers)
    await gateway.catch_up()
    assert brief(await told(gateway, cam)) == [("mention", 2, ["Bob", "Ada"], False)]
    await edit("with nobody")
    await gateway.catch_up()
    assert brief(await told(gateway, cam)) == [("mention", 1, ["Bob"], False)]


async def test_blocked_and_muted_people_notify_nobody(gateway: Gateway) -> None:
    ada = await gateway.person("Ada")
    fans = [await gateway.person(name) for name in ("Bob", "Cam", "Dan", "Eve")]
    post_id = await published(gateway, ada)
    for fan in fans:
        await like(gateway, fan, post_id)
    me, bob, cam, dan, _ = (int(one.id) for one in (ada, *fans))
    at: dict[str, Any] = {"event_id": gateway.stores.snowflakes.next(), "at": 1_700_000_000_000}
    await gateway.say(
        *(Blocked(**at, actor_id=me, user_id=of, blocker_id=me, blocked_id=bob) for of in (me, bob)),
        *(Blocked(**at, actor_id=cam, user_id=of, blocker_id=cam, blocked_id=me) for of in (me, cam)),
        Muted(**at, actor_id=me, muter_id=me, muted_id=dan),
    )
    await gateway.catch_up()
    assert brief(await told(gateway, ada)) == [("like", 1, ["Eve"], False)]
    await gateway.say(AccountDeactivated(**at, actor_id=int(fans[3].id), user_id=int(fans[3].id)))
    await gateway.catch_up()
    page = await told(gateway, ada)
    assert (page["items"], page["unseen_count"]) == ([], 0)
    await gateway.say(Unmuted(**at, actor_id=me, muter_id=me, muted_id=dan))
    await gateway.catch_up()
    assert brief(await told(gateway, ada)) == [("like", 1, ["Dan"], False)]


async def test_notifications_are_private(gateway: Gateway) -> None:
    for method, path in (("GET", ""), ("GET", "/unseen"), ("GET", "/preferences"), ("PUT", "/seen")):
        assert (await gateway.client.request(method, ROUTE + path, json={})).status_code == 401
