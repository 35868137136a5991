"""The archive of one's own data."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from schemas.events import Blocked, Followed, FollowRequested, Muted, NotificationsSeen, PostLiked, PrivacyChanged
from sinks.own_rows import OWN, WITH_OTHERS
from tests.api.gateway import Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_archive_holds_ones_own_and_nothing_else(gateway: Gateway) -> None:
    person, other = await gateway.person("Ada"), await gateway.person("Grace")
    post = await gateway.post(person, "engines at dusk")
    theirs = await gateway.post(other, "a secret of Grace")
    await gateway.publish(person, post)
    await gateway.publish(other, theirs)
    me, them = int(person.id), int(other.id)
    by: dict[str, Any] = {"event_id": int(post), "at": 7}
    await gateway.say(
        Followed(**by, actor_id=me, follower_id=me, followee_id=them),
        Followed(**by, actor_id=them, follower_id=them, followee_id=me),
        PostLiked(**by, actor_id=me, post_id=int(theirs), author_id=them),
        PostLiked(**by, actor_id=them, post_id=int(post), author_id=me),
    )
    await gateway.catch_up()
    answer = await gateway.client.get("/api/v1/me/export", headers=person.headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["cache-control"] == "no-store" and person.id in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        held = {name: archive.read(name) for name in archive.namelist()}
    parts = {name.removesuffix(".json"): json.loads(body) for name, body in held.items() if name.endswith(".json")}
    assert parts["account"]["username"] == person.username and parts["account"]["name"] == "Ada"
    assert [(one["post_id"], one["caption"]) for one in parts["posts"]] == [(post, "engines at dusk")]
    media_id = parts["posts"][0]["media_ids"][0]
    assert held[f"originals/{media_id}"] == picture()
    assert [one["followee_id"] for one in parts["following"]] == [other.id]
    assert [one["follower_id"] for one in parts["followers"]] == [other.id]
    assert [(one["post_id"], one["user_id"]) for one in parts["likes"]] == [(theirs, person.id)]
    assert (parts["comments"], parts["missing"], len(parts["sessions"])) == ([], [], 1)
    assert len([name for name in held if name.startswith("originals/")]) == 1
    assert set(parts) == {*OWN, *WITH_OTHERS.values(), "missing"}
    assert all(b"secret" not in body and other.username.encode() not in body for body in held.values())


async def test_an_archive_holds_ties_requests_and_reactions(gateway: Gateway) -> None:
    """And not who blocks one, which nobody is told."""
    person, *others = [await gateway.person() for _ in range(5)]
    story = await gateway.story(others[0])
    await gateway.catch_up()
    path = f"/api/v1/stories/{story}/reaction"
    answer = await gateway.client.put(path, json={"reaction": "👏"}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    me, sent, received, tied, blocking = (int(one.id) for one in (person, *others))
    by: dict[str, Any] = {"event_id": int(story), "at": 7}
    await gateway.say(
        FollowRequested(**by, actor_id=me, follower_id=me, followee_id=sent),
        FollowRequested(**by, actor_id=received, follower_id=received, followee_id=me),
        Muted(**by, actor_id=me, muter_id=me, muted_id=tied),
        *(Blocked(**by, actor_id=me, user_id=one, blocker_id=me, blocked_id=tied) for one in (me, tied)),
        *(Blocked(**by, actor_id=blocking, user_id=one, blocker_id=blocking, blocked_id=me) for one in (me, blocking)),
    )
    await gateway.catch_up()
    answer = await gateway.client.get("/api/v1/me/export", headers=person.headers)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    parts = {name.removesuffix(".json"): json.loads(body) for name, body in held.items()}
    for part in ("blocks", "mutes"):
        assert [(one["other_id"], one["since"]) for one in parts[part]] == [(str(tied), 7)], part
    assert [one["followee_id"] for one in parts["follow_requests_sent"]] == [str(sent)]
    assert [one["follower_id"] for one in parts["follow_requests_received"]] == [str(received)]
    (reaction,) = parts["story_reactions"]
    assert (reaction["story_id"], reaction["author_id"], reaction["reaction"]) == (story, others[0].id, "👏")
    assert all(str(blocking).encode() not in body for body in held.values())


async def test_an_archive_holds_what_one_chose_and_saw_and_uploaded(gateway: Gateway) -> None:
    """When one was private, which notices one saw, what one is told of, past names, and pictures that no post shows."""
    person, other = await gateway.person(), await gateway.person()
    me, client = int(person.id), gateway.client
    alone = (await gateway.upload(person, picture("red"))).json()["media_id"]
    sticker = {"kind": "text", "x": 1, "y": 2, "content": "What next?"}
    story = await gateway.story(person, stickers=[sticker], music_id="waltz:1")
    by: dict[str, Any] = {"event_id": int(story), "actor_id": me}
    await gateway.say(
        PrivacyChanged(**by, at=7, user_id=me, private=True),
        PrivacyChanged(**by, at=9, user_id=me, private=False),
        PrivacyChanged(**by | {"actor_id": int(other.id)}, at=8, user_id=int(other.id), private=True),
        NotificationsSeen(**by, at=11, viewer_id=me, position=5),
    )
    body = {"kinds": {"like": {"told": False}, "comment": {"pushed": False}}}
    answer = await client.patch("/api/v1/notifications/preferences", json=body, headers=person.headers)
    assert answer.is_success, answer.text
    await gateway.catch_up()
    renamed = f"{person.username}.b"
    answer = await client.put("/api/v1/me/username", json={"username": renamed}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    await gateway.catch_up()
    answer = await client.get("/api/v1/me/export", headers=person.headers)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    parts = {name.removesuffix(".json"): json.loads(body) for name, body in held.items() if name.endswith(".json")}
    changes = sorted((one["changed_at"], one["private"]) for one in parts["privacy_changes"])
    assert changes == [(7, True), (9, False)]
    assert [(one["position"], one["at"]) for one in parts["notifications_seen"]] == [(5, 11)]
    (preferences,) = parts["notification_preferences"]
    assert (preferences["silenced"], preferences["unpushed"]) == (["like"], ["comment"])
    names = {one["username"]: one["replaced_at"] is None for one in parts["usernames"]}
    assert names == {person.username: False, renamed: True}
    (told,) = parts["stories"]
    assert (told["story_id"], told["music"]) == (story, "waltz:1")
    assert [(one["kind"], one["content"]) for one in told["stickers"]] == [("text", "What next?")]
    assert {one["media_id"] for one in parts["uploads"]} == {alone, told["media"]}
    assert held[f"originals/{alone}"] == picture("red") and f"originals/{told['media']}" in held
    assert parts["missing"] == []


async def test_an_archive_is_made_now_and_then(gateway: Gateway) -> None:
    person = await gateway.person()
    await gateway.catch_up()
    asked = [(await gateway.client.get("/api/v1/me/export", headers=person.headers)).status_code for _ in range(4)]
    assert asked == [200, 200, 200, 429]
    assert (await gateway.client.get("/api/v1/me/export")).status_code == 401
