"""What people look at, as their clients report it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from schemas.events import Event, PostLiked, PostSeen, ProfileVisited
from tests.api.gateway import Gateway, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def report(gateway: Gateway, who: Person, **body: Any) -> tuple[httpx.Response, list[Event]]:
    """Report, and what was said of it."""
    before = len(gateway.said)
    answer = await gateway.client.post("/api/v1/activity", json=body, headers=who.headers)
    return answer, list(gateway.said[before:])


def seen(of: str, **more: Any) -> dict[str, Any]:
    return {"post_id": of, "dwell_ms": 1500, "surface": "feed", "rank": 3} | more


async def tagged_post(gateway: Gateway, author: Person) -> str:
    """A published post with a hashtag and a place."""
    media_id = (await gateway.upload(author)).json()["media_id"]
    draft = {"media_ids": [media_id], "caption": "at dusk #Engines", "place": "London"}
    post_id: str = (await gateway.client.post("/api/v1/posts", json=draft, headers=author.headers)).json()["id"]
    await gateway.publish(author, post_id)
    await gateway.catch_up()
    return post_id


async def test_what_is_seen_is_said_with_what_its_folds_need(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    post_id = await tagged_post(gateway, ada)
    answer, said = await report(gateway, bob, posts=[seen(post_id)], profiles=[{"user_id": ada.id}])
    assert answer.status_code == 204, answer.text
    assert answer.headers["consistency-token"].startswith("activity-")
    assert "activity" in answer.headers["ratelimit-policy"]
    post, profile = said
    assert isinstance(post, PostSeen) and isinstance(profile, ProfileVisited)
    assert (post.viewer_id, post.author_id, str(post.post_id)) == (int(bob.id), int(ada.id), post_id)
    assert (post.dwell_ms, post.surface, post.rank) == (1500, "feed", 3)
    assert (post.hashtags, post.place) == (["engines"], "London")
    assert (profile.viewer_id, profile.profile_id) == (int(bob.id), int(ada.id))
    await gateway.client.post(f"/api/v1/posts/{post_id}/like", headers=bob.headers)
    like = gateway.said[-1]
    assert isinstance(like, PostLiked)
    assert (like.hashtags, like.place) == (["engines"], "London")


async def test_what_is_one_s_own_hidden_or_nowhere_is_left_out_without_a_word(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    hers, his = await tagged_post(gateway, ada), await tagged_post(gateway, bob)
    await gateway.client.put("/api/v1/me/privacy", json={"private": True}, headers=ada.headers)
    await gateway.catch_up()
    nowhere = seen("999999999999999"), seen("9" * 19)
    people = [{"user_id": bob.id}, {"user_id": "999999999999999"}]
    answer, said = await report(gateway, bob, posts=[seen(hers), seen(his), *nowhere], profiles=people)
    assert (answer.status_code, said) == (204, [])
    _, said = await report(gateway, bob, profiles=[{"user_id": ada.id}])
    assert len(said) == 1, "the private are known of"
    await gateway.client.put(f"/api/v1/users/{bob.id}/block", headers=ada.headers)
    await gateway.catch_up()
    answer, said = await report(gateway, bob, profiles=[{"user_id": ada.id}])
    assert (answer.status_code, said) == (204, [])


async def test_no_sight_is_later_than_now(gateway: Gateway) -> None:
    ada, bob = await gateway.person(), await gateway.person()
    await gateway.catch_up()
    now = datetime.now(UTC)
    times = (now + timedelta(days=300), now - timedelta(hours=1))
    visits = [{"user_id": ada.id, "at": at.isoformat()} for at in times]
    _, (future, past) = await report(gateway, bob, profiles=visits)
    assert now.timestamp() * 1000 - 1 <= future.at <= time.time() * 1000
    assert past.at == pytest.approx(times[1].timestamp() * 1000, abs=1)


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ({"dwell_ms": -1}, "posts.1.dwell_ms"),
        ({"dwell_ms": 3_600_001}, "posts.1.dwell_ms"),
        ({"surface": "moon"}, "posts.1.surface"),
        ({"rank": -1}, "posts.1.rank"),
        ({"post_id": "seven"}, "posts.1.post_id"),
        ({"colour": "red"}, "posts.1.colour"),
        ({"at": "2020-01-01T00:00:00Z"}, "posts.1.at"),
        ({"at": "2026-01-01T00:00:00"}, "posts.1.at"),
    ],
)
async def test_a_bad_item_is_named(gateway: Gateway, item: dict[str, Any], named: str) -> None:
    bob = await gateway.person()
    answer, said = await report(gateway, bob, posts=[seen("1"), seen("1", **item)])
    assert (answer.status_code, said) == (422, [])
    assert [error["field"] for error in answer.json()["errors"]] == [f"body.{named}"]


async def test_a_report_has_one_to_a_hundred_items(gateway: Gateway) -> None:
    bob = await gateway.person()
    for body in ({}, {"posts": [seen("1")] * 101}, {"posts": [seen("1")] * 60, "profiles": [{"user_id": "1"}] * 41}):
        answer, said = await report(gateway, bob, **body)
        assert (answer.status_code, said) == (422, [])
        assert "100" in answer.json()["detail"]


async def test_reports_are_limited(gateway: Gateway) -> None:
    bob = await gateway.person()
    await gateway.catch_up()
    answers = [await report(gateway, bob, profiles=[{"user_id": bob.id}]) for _ in range(70)]
    last, _ = answers[-1]
    assert last.status_code == 429 and int(last.headers["retry-after"]) >= 1
    assert (await gateway.client.get("/api/v1/me", headers=bob.headers)).status_code == 200
