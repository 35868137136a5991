"""Going away and coming back; picture and links; roles and badges."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from jobs.accounts import AccountUnknown, RoleUnknown, change_role
from schemas.events import (
    AccountDeactivated,
    AccountReactivated,
    BadgeChanged,
    Followed,
    PostLiked,
    ProfileChanged,
    RenditionsReady,
    RoleChanged,
    Source,
)
from tests.api.gateway import PASSWORD, Gateway, Person
from tests.streams.post_events import picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(gateway: Gateway, path: str, person: Person | None = None) -> httpx.Response:
    return await gateway.client.get(f"/api/v1{path}", headers=person.headers if person else {})


async def log_in(gateway: Gateway, person: Person) -> Person:
    login = {"username": person.username, "password": PASSWORD}
    answer = await gateway.client.post("/api/v1/sessions", json=login)
    assert answer.status_code == 201, answer.text
    return person._replace(headers={"Authorization": f"Bearer {answer.json()['access_token']}"})


async def test_who_is_away_is_nowhere_and_comes_back_by_logging_in(gateway: Gateway) -> None:
    person, fan = await gateway.person("Ada"), await gateway.person()
    post = await gateway.post(person)
    theirs = await gateway.post(fan)
    await gateway.publish(person, post)
    await gateway.publish(fan, theirs)
    by: dict[str, Any] = {"event_id": int(post), "at": 1}
    await gateway.say(
        Followed(**by, actor_id=int(fan.id), follower_id=int(fan.id), followee_id=int(person.id)),
        Followed(**by, actor_id=int(person.id), follower_id=int(person.id), followee_id=int(fan.id)),
        PostLiked(**by, actor_id=int(person.id), post_id=int(theirs), author_id=int(fan.id)),
    )
    await gateway.catch_up()

    async def seen() -> list[bool]:
        """Whether each place shows them."""
        return [
            (await ask(gateway, f"/users/by-name/{person.username}", fan)).status_code == 200,
            (await ask(gateway, f"/users/{person.id}")).status_code == 200,
            (await ask(gateway, f"/posts/{post}", fan)).status_code == 200,
            (await ask(gateway, f"/users/{person.id}/posts", fan)).status_code == 200,
            post in [one["id"] for one in (await ask(gateway, "/feed", fan)).json()["items"]],
            person.id in [one["id"] for one in (await ask(gateway, f"/posts/{theirs}/likes", fan)).json()["items"]],
            person.id in [one["id"] for one in (await ask(gateway, f"/users/{fan.id}/followers", fan)).json()["items"]],
        ]

    assert await seen() == [True] * 7
    wrong = await gateway.client.post("/api/v1/me/deactivate", json={"password": "wrong"}, headers=person.headers)
    assert (wrong.status_code, wrong.json()["type"].rpartition(":")[2]) == (403, "wrong-password")
    body = {"password": PASSWORD}
    away = await gateway.client.post("/api/v1/me/deactivate", json=body, headers=person.headers)
    assert away.status_code == 204 and away.headers["consistency-token"]
    assert isinstance(gateway.said[-1], AccountDeactivated)
    assert (await ask(gateway, "/me", person)).status_code == 401
    await gateway.catch_up()
    assert await seen() == [False] * 7
    back = await log_in(gateway, person)
    assert isinstance(gateway.said[-1], AccountReactivated)
    await gateway.catch_up()
    assert await seen() == [True] * 7
    said = len(gateway.said)
    await log_in(gateway, back)
    assert len(gateway.said) == said


async def test_links_and_a_picture(gateway: Gateway) -> None:
    person, other = await gateway.person("Ada"), await gateway.person()
    await gateway.catch_up()
    media_id = (await gateway.upload(person)).json()["media_id"]

    async def change(**body: Any) -> httpx.Response:
        answer = await gateway.client.patch("/api/v1/me", json=body, headers=person.headers)
        await gateway.catch_up()
        return answer

    early = await change(picture_media_id=media_id)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (409, "media-not-ready")
    source = Source("media", 0, int(media_id), 0)
    by: dict[str, Any] = {"event_id": int(media_id), "at": 1, "actor_id": int(person.id), "source": source}
    await gateway.say(
        RenditionsReady(**by, media_id=int(media_id), owner_id=int(person.id), media=picture(int(media_id)))
    )
    await gateway.catch_up()
    changed = await change(picture_media_id=media_id, links=["https://engines.example/ada"])
    assert changed.status_code == 200, changed.text
    event = gateway.said[-1]
    assert isinstance(event, ProfileChanged) and b"engines" not in event.links
    # What is left out stays.
    await change(bio="Engines")
    profile = (await ask(gateway, f"/users/{person.id}")).json()
    assert (profile["name"], profile["bio"], profile["links"]) == ("Ada", "Engines", ["https://engines.example/ada"])
    assert profile["picture"]["media_id"] == media_id
    foreign = await gateway.client.patch("/api/v1/me", json={"picture_media_id": media_id}, headers=other.headers)
    assert (foreign.status_code, foreign.json()["type"].rpartition(":")[2]) == (403, "media-not-yours")
    assert (await change(picture_media_id="1000000000000000001")).status_code == 422
    await change(picture_media_id=None, links=[])
    profile = (await ask(gateway, f"/users/{person.id}")).json()
    assert (profile["picture"], profile["links"], profile["bio"]) == (None, [], "Engines")
    for link in (
        "javascript:alert(1)",
        "engines.example",
        "https://",
        "https://a:b@c.example",
        "http://[",
        "http://a b",
    ):
        assert (await change(links=[link])).status_code == 422, link


async def test_badges_are_moderators_to_give_and_roles_operators(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, star = await gateway.person(), await gateway.person()
    await gateway.catch_up()
    badge = f"/api/v1/users/{star.username}/badge"
    refused = await gateway.client.put(badge, headers=person.headers)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "moderators-only")
    assert (await gateway.client.put(badge)).status_code == 401

    async def become(role: str, dry_run: bool = False) -> str:
        """As the command does it."""
        return await asyncio.to_thread(change_role, gateway.settings, person.username, role, dry_run=dry_run)

    assert "would make" in await become("moderator", dry_run=True)
    monkeypatch.setattr("jobs.accounts.VIEW_SECONDS", 0.0)
    assert "once its agent has caught up" in await become("moderator")
    # Another gateway may take the access token for a moment; the refresh token is gone at once.
    body = {"refresh_token": person.refresh_token}
    assert (await gateway.client.post("/api/v1/sessions/refresh", json=body)).status_code == 401
    person = await log_in(gateway, person)
    # What the command said, as its agent would apply it.
    at: dict[str, Any] = {"event_id": int(star.id), "at": 1, "actor_id": int(person.id)}
    await gateway.say(RoleChanged(**at, user_id=int(person.id), role="moderator"))
    await gateway.catch_up()
    assert await become("moderator") == f"{person.username} is moderator already"
    with pytest.raises(RoleUnknown, match="operator"):
        await become("owner")
    with pytest.raises(AccountUnknown, match="nobody goes by"):
        await asyncio.to_thread(change_role, gateway.settings, "nobody.here", "moderator")
    assert (await gateway.client.put(badge, headers=person.headers)).status_code == 403  # a token says what it said
    moderator = await log_in(gateway, person)
    assert (await gateway.client.put(badge, headers=moderator.headers)).json() == {"user_id": star.id, "verified": True}
    assert isinstance(gateway.said[-1], BadgeChanged)
    await gateway.catch_up()
    assert (await ask(gateway, f"/users/{star.id}")).json()["verified"] is True
    assert (await gateway.client.delete(badge, headers=moderator.headers)).status_code == 200
    await gateway.catch_up()
    assert (await ask(gateway, f"/users/{star.id}")).json()["verified"] is False
