"""Who may do what: every route, asked by everybody there is. A new route without a line here fails the test.

The owner is private, has one follower whom she approved, and blocks somebody. Moderators and operators are strangers to
her: what they are lets them do what is theirs to do, and shows them nothing private. Nothing that is written here
reaches a view before the end, so that each route meets the same world.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import ROUTERS
from schemas.events import PostLiked, RoleChanged
from streams.accounts import ROLES
from tests.api.gateway import PASSWORD, Gateway, Person
from tests.api.test_trending import trends_are_whole
from tests.sinks.push_services import Device

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHO = ("anonymous", "stranger", "blocked", "follower", "owner", "moderator", "operator")
PASSED = 0
"""The rules let it pass: whatever the answer is, it is about the request itself."""

RULES: dict[str, tuple[int, ...]] = {
    #                   anonymous, stranger, blocked, follower, owner, moderator, operator
    "anybody": (PASSED,) * 7,
    "an account": (401, *(PASSED,) * 6),
    "who may know of the owner": (PASSED, PASSED, 404, PASSED, PASSED, PASSED, PASSED),
    "who may know of her, logged in": (401, PASSED, 404, PASSED, 422, PASSED, PASSED),
    "who sees what she posts": (403, 403, 404, PASSED, PASSED, 403, 403),
    "who sees what she posts, logged in": (401, 403, 404, PASSED, PASSED, 403, 403),
    "who opens her posts": (404, 404, 404, PASSED, PASSED, 404, 404),
    "who opens her posts, logged in": (401, 404, 404, PASSED, PASSED, 404, 404),
    "her alone": (401, 404, 404, 403, PASSED, 404, 404),
    "her alone, who is told of nobody else": (401, 404, 404, 404, PASSED, 404, 404),
    "an address that was made here": (404,) * 7,
    "moderators": (401, 403, 403, 403, 403, PASSED, PASSED),
    "who asks her": (401, 404, 404, 404, 422, 404, 404),
}

ROUTES: dict[str, str] = {
    "POST /api/v1/accounts": "anybody",
    "GET /api/v1/users/{user}": "who may know of the owner",
    "GET /api/v1/users/by-name/{username}": "who may know of the owner",
    "PUT /api/v1/users/{user}/badge": "moderators",
    "DELETE /api/v1/users/{user}/badge": "moderators",
    "GET /api/v1/me": "an account",
    "PUT /api/v1/me/username": "an account",
    "PUT /api/v1/me/password": "an account",
    "GET /api/v1/me/email": "an account",
    "PUT /api/v1/me/email": "an account",
    "GET /api/v1/me/export": "an account",
    "POST /api/v1/me/deactivate": "an account",
    "POST /api/v1/email-verifications": "anybody",
    "POST /api/v1/password-resets": "anybody",
    "POST /api/v1/password-resets/confirm": "anybody",
    "GET /api/v1/sessions": "an account",
    "DELETE /api/v1/sessions/all": "an account",
    "PATCH /api/v1/me": "an account",
    "DELETE /api/v1/me": "an account",
    "PUT /api/v1/me/privacy": "an account",
    "POST /api/v1/sessions": "anybody",
    "POST /api/v1/sessions/refresh": "anybody",
    "DELETE /api/v1/sessions": "an account",
    "PUT /api/v1/users/{user}/follow": "who may know of her, logged in",
    "DELETE /api/v1/users/{user}/follow": "who may know of her, logged in",
    "PUT /api/v1/users/{user}/block": "who may know of her, logged in",
    "DELETE /api/v1/users/{user}/block": "who may know of her, logged in",
    "PUT /api/v1/users/{user}/mute": "who may know of her, logged in",
    "DELETE /api/v1/users/{user}/mute": "who may know of her, logged in",
    "GET /api/v1/users/{user}/followers": "who sees what she posts",
    "GET /api/v1/users/{user}/following": "who sees what she posts",
    "GET /api/v1/users/{user}/mutuals": "who sees what she posts, logged in",
    "GET /api/v1/users/{user}/posts": "who sees what she posts",
    "GET /api/v1/me/requests": "an account",
    "GET /api/v1/me/requested": "an account",
    "PUT /api/v1/me/requests/{user}": "who asks her",
    "DELETE /api/v1/me/requests/{user}": "who asks her",
    "DELETE /api/v1/me/followers/{user}": "who may know of her, logged in",
    "GET /api/v1/me/blocks": "an account",
    "GET /api/v1/me/mutes": "an account",
    "POST /api/v1/media": "an account",
    "GET /api/v1/media/{media_id}": "her alone, who is told of nobody else",
    "POST /api/v1/posts": "an account",
    "GET /api/v1/posts/{post_id}": "who opens her posts",
    "PATCH /api/v1/posts/{post_id}": "her alone",
    "DELETE /api/v1/posts/{post_id}": "her alone",
    "POST /api/v1/posts/{post_id}/like": "who opens her posts, logged in",
    "DELETE /api/v1/posts/{post_id}/like": "who opens her posts, logged in",
    "POST /api/v1/posts/{post_id}/likes": "who opens her posts, logged in",
    "DELETE /api/v1/posts/{post_id}/likes": "who opens her posts, logged in",
    "GET /api/v1/posts/{post_id}/likes": "who opens her posts",
    "POST /api/v1/posts/{post_id}/comments": "who opens her posts, logged in",
    "GET /api/v1/posts/{post_id}/comments": "who opens her posts",
    "DELETE /api/v1/posts/{post_id}/comments": "her alone",
    "PUT /api/v1/posts/{post_id}/comments": "her alone",
    "GET /api/v1/comments/{comment_id}/replies": "who opens her posts",
    "DELETE /api/v1/comments/{comment_id}": "her alone",
    "PUT /api/v1/comments/{comment_id}/pin": "her alone",
    "DELETE /api/v1/comments/{comment_id}/pin": "her alone",
    "POST /api/v1/posts/{post_id}/save": "who opens her posts, logged in",
    "DELETE /api/v1/posts/{post_id}/save": "who opens her posts, logged in",
    "POST /api/v1/posts/{post_id}/share": "who opens her posts, logged in",
    "GET /api/v1/me/saved": "an account",
    "GET /api/v1/me/insights": "an account",
    "GET /api/v1/me/insights/followers": "an account",
    "GET /api/v1/me/insights/hours": "an account",
    "GET /api/v1/me/insights/stories": "an account",
    "GET /api/v1/posts/{post_id}/insights": "her alone",
    "GET /api/v1/me/collections": "an account",
    "POST /api/v1/me/collections": "an account",
    "GET /api/v1/me/collections/{collection_id}/posts": "her alone, who is told of nobody else",
    "PATCH /api/v1/me/collections/{collection_id}": "her alone, who is told of nobody else",
    "DELETE /api/v1/me/collections/{collection_id}": "her alone, who is told of nobody else",
    "GET /api/v1/feed": "an account",
    "POST /api/v1/activity": "an account",
    "POST /api/v1/stories": "an account",
    "GET /api/v1/stories/feed": "an account",
    "GET /api/v1/users/{user}/stories": "who sees what she posts",
    "GET /api/v1/stories/{story_id}": "who opens her posts",
    "DELETE /api/v1/stories/{story_id}": "her alone",
    "POST /api/v1/stories/{story_id}/views": "who opens her posts, logged in",
    "GET /api/v1/stories/{story_id}/viewers": "her alone",
    "PUT /api/v1/stories/{story_id}/reaction": "who opens her posts, logged in",
    "DELETE /api/v1/stories/{story_id}/reaction": "who opens her posts, logged in",
    "POST /api/v1/me/highlights": "an account",
    "PATCH /api/v1/me/highlights/{highlight_id}": "her alone, who is told of nobody else",
    "DELETE /api/v1/me/highlights/{highlight_id}": "her alone, who is told of nobody else",
    "PUT /api/v1/me/highlights/{highlight_id}/stories/{story_id}": "her alone, who is told of nobody else",
    "DELETE /api/v1/me/highlights/{highlight_id}/stories/{story_id}": "her alone, who is told of nobody else",
    "GET /api/v1/users/{user}/highlights": "who sees what she posts",
    "GET /api/v1/users/{user}/highlights/{highlight_id}/stories": "who sees what she posts",
    "GET /api/v1/search/people": "anybody",
    "GET /api/v1/search/hashtags": "anybody",
    "GET /api/v1/search/places": "anybody",
    "GET /api/v1/search/posts": "anybody",
    "GET /api/v1/trending/posts": "anybody",
    "GET /api/v1/trending/hashtags": "anybody",
    "GET /api/v1/trending/places": "anybody",
    "GET /api/v1/trending/posts/{post_id}/explain": "who opens her posts",
    "GET /api/v1/trending/hashtags/{hashtag}/explain": "who opens her posts",
    "GET /api/v1/trending/places/{place:path}/explain": "who opens her posts",
    "GET /api/v1/explore": "an account",
    "GET /api/v1/hashtags/{hashtag}": "who opens her posts",
    "GET /api/v1/places/{place:path}": "who opens her posts",
    "GET /api/v1/live": "an account",
    "GET /api/v1/push-key": "anybody",
    "GET /api/v1/me/push-subscriptions": "an account",
    "POST /api/v1/me/push-subscriptions": "an account",
    "DELETE /api/v1/me/push-subscriptions/{subscription_id}": "her alone, who is told of nobody else",
    "GET /api/v1/notifications": "an account",
    "GET /api/v1/notifications/unseen": "an account",
    "PUT /api/v1/notifications/seen": "an account",
    "GET /api/v1/notifications/preferences": "an account",
    "PATCH /api/v1/notifications/preferences": "an account",
    "GET /media/{key:path}": "an address that was made here",
    "GET /schemas/ids/{schema_id}": "anybody",
    "GET /subjects": "anybody",
    "GET /subjects/{subject}/versions": "anybody",
    "GET /subjects/{subject}/versions/{version}": "anybody",
    "GET /healthz": "anybody",
    "GET /readyz": "anybody",
}
ENDLESS = {"GET /api/v1/live"}
"""Answers without an end: only those who are refused are asked."""
BODIES: dict[str, Any] = {
    "PATCH /api/v1/posts/{post_id}": {"caption": "new"},
    "POST /api/v1/posts/{post_id}/comments": {"text": "hello"},
    "PATCH /api/v1/me/collections/{collection_id}": {"name": "other"},
    "PUT /api/v1/stories/{story_id}/reaction": {"reaction": "🔥"},
    "PATCH /api/v1/me/highlights/{highlight_id}": {"name": "other"},
}
"""Where what is missing in the body would be noticed before who asks."""


def routes() -> dict[str, str]:
    """Every route, as "METHOD path", and its path."""
    found: dict[str, str] = {}
    for module in ROUTERS:
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            found |= {f"{method} {route.path}": route.path for method in route.methods or ()}
    return found


async def test_every_route_has_a_rule_and_keeps_it(gateway: Gateway) -> None:
    people, ids = await world(gateway)
    listed = routes()
    assert set(listed) - set(ROUTES) == set(), "say in ROUTES who may use these"
    assert set(ROUTES) - set(listed) == set(), "these are no routes any more"
    wrong: list[str] = []
    # What ends sessions comes last: the others are asked with them.
    for name, path in sorted(listed.items(), key=lambda one: one[0].startswith("DELETE /api/v1/sessions")):
        method = name.split()[0]
        address = path
        for key, value in ids.items():
            address = address.replace("{" + key + "}", value)
        for who, expected in zip(WHO, RULES[ROUTES[name]], strict=True):
            if name in ENDLESS and not expected:
                continue
            person = people.get(who)
            answer = await gateway.client.request(
                method, address, headers=person.headers if person else {}, json=BODIES.get(name)
            )
            got = answer.status_code
            refused = got in (401, 403, 404) and not _is_about_the_request(answer.json())
            # 503: the tests' gateway has no mail.
            if (got != expected) if expected else (refused or (got >= 500 and got != 503)):
                wrong.append(f"{name}, {who}: {got}, and not {expected or 'let through'}: {answer.text[:120]}")
    assert wrong == [], "\n".join(wrong)


def _is_about_the_request(problem: dict[str, Any]) -> bool:
    """Whether a 401 or 404 says no more than that what was sent is wrong for everybody."""
    return problem.get("type", "").rpartition(":")[2] in (
        *("wrong-credentials", "invalid-refresh-token"),
        "session-ended",  # by the route before
    )


async def world(gateway: Gateway) -> tuple[dict[str, Person], dict[str, str]]:
    """Everybody, and what they ask for."""
    owner, follower, blocked, stranger = [await gateway.person() for _ in range(4)]
    people = {"owner": owner, "follower": follower, "blocked": blocked, "stranger": stranger}
    people |= {role: await _with_role(gateway, role) for role in ROLES[1:]}
    await gateway.client.put(f"/api/v1/users/{owner.id}/follow", headers=follower.headers)
    media_id = (await gateway.upload(owner)).json()["media_id"]
    post_id = await gateway.post(owner, f"#hers{owner.id}", f"Hers/{owner.id}")
    await gateway.publish(owner, post_id)
    await gateway.catch_up()
    answer = await gateway.client.post(
        f"/api/v1/posts/{post_id}/comments", json={"text": "first"}, headers=owner.headers
    )
    collection = await gateway.client.post("/api/v1/me/collections", json={"name": "mine"}, headers=owner.headers)
    device = await gateway.client.post(
        "/api/v1/me/push-subscriptions", json=Device("https://push.example/1").given, headers=owner.headers
    )
    story_id = await gateway.story(owner)
    highlight = await gateway.client.post("/api/v1/me/highlights", json={"name": "mine"}, headers=owner.headers)
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=owner.headers)
    await gateway.client.put(f"/api/v1/users/{blocked.id}/block", headers=owner.headers)
    about: dict[str, Any] = {"post_id": int(post_id), "author_id": int(owner.id), "at": int(time.time() * 1000)}
    about |= {"hashtags": [f"hers{owner.id}"], "place": f"Hers/{owner.id}"}
    await gateway.say(PostLiked(event_id=int(post_id), actor_id=int(follower.id), **about))
    await gateway.catch_up()
    await trends_are_whole(gateway)
    ids = {
        "hashtag": f"hers{owner.id}",
        "place:path": f"Hers/{owner.id}",
        "user": owner.id,
        "username": owner.username,
        "post_id": post_id,
        "media_id": media_id,
        "comment_id": answer.json()["id"],
        "subscription_id": device.json()["id"],
        "collection_id": collection.json()["id"],
        "story_id": story_id,
        "highlight_id": highlight.json()["id"],
        "key:path": "r/00/" + "0" * 64 + ".jpg",
        "schema_id": "1",
        "subject": "graph-shutterlog.Followed",
        "version": "1",
    }
    return people, ids


async def _with_role(gateway: Gateway, role: str) -> Person:
    """Somebody whom an operator gave this role, logged in with it."""
    person = await gateway.person()
    event_id, user_id = gateway.stores.snowflakes.next(), int(person.id)
    await gateway.say(RoleChanged(event_id=event_id, at=1, actor_id=user_id, user_id=user_id, role=role))
    await gateway.catch_up()
    body = {"username": person.username, "password": PASSWORD}
    token = (await gateway.client.post("/api/v1/sessions", json=body)).json()["access_token"]
    return person._replace(headers={"Authorization": f"Bearer {token}"})
