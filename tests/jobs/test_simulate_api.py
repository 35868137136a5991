"""A world lived through the API: each event is a request that a route takes, or is not counted as done."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.routing import Match

from api.app import ROUTERS
from jobs.api_client import ApiClient
from jobs.graphs import make_graph
from jobs.photos import make_photos
from jobs.simulate_api import ApiSimulation
from jobs.simulate_counts import NAMES
from jobs.world import Plan, Reuse, World, event_of
from jobs.world_doings import doings
from sinks.settings import Settings

PHOTOS = make_photos(2, seed=1, sides=(40, 30))
PLAN = Plan(seed=12, events=12_000, whole_way=12)
PEOPLE = 60
MEANT = {
    ("POST", "/posts/{post_id}/save"): "saves",
    ("DELETE", "/posts/{post_id}/save"): "unsaves",
    ("POST", "/posts/{post_id}/share"): "shares",
    ("POST", "/posts/{post_id}/like"): "likes",
    ("DELETE", "/posts/{post_id}/like"): "unlikes",
    ("POST", "/posts/{post_id}/comments"): "comments",
    ("DELETE", "/comments/{comment_id}"): "comment_deletes",
    ("PUT", "/comments/{comment_id}/pin"): "comment_pins",
    ("DELETE", "/comments/{comment_id}/pin"): "comment_unpins",
    ("PUT", "/posts/{post_id}/comments"): "comments_enabled",
    ("DELETE", "/posts/{post_id}/comments"): "comments_disabled",
    ("POST", "/me/collections"): "collections",
    ("PATCH", "/me/collections/{collection_id}"): "collection_renames",
    ("DELETE", "/me/collections/{collection_id}"): "collection_deletes",
    ("POST", "/posts"): "posts",
    ("PATCH", "/posts/{post_id}"): "edits",
    ("DELETE", "/posts/{post_id}"): "deletes",
    ("PUT", "/users/{user}/mute"): "mutes",
    ("DELETE", "/users/{user}/mute"): "unmutes",
    ("PUT", "/me/privacy"): "privacy_changes",
    ("DELETE", "/me/requests/{user}"): "follow_rejections",
    ("DELETE", "/me/followers/{user}"): "followers_removed",
    ("DELETE", "/users/{user}/follow"): "unfollows",
    ("POST", "/stories"): "stories",
    ("POST", "/stories/{story_id}/views"): "story_views",
    ("PUT", "/stories/{story_id}/reaction"): "story_reactions",
    ("DELETE", "/stories/{story_id}/reaction"): "story_reactions_withdrawn",
    ("DELETE", "/stories/{story_id}"): "story_deletes",
    ("POST", "/me/highlights"): "highlights",
    ("PATCH", "/me/highlights/{highlight_id}"): "highlight_renames",
    ("DELETE", "/me/highlights/{highlight_id}"): "highlight_deletes",
    ("PUT", "/me/highlights/{highlight_id}/stories/{story_id}"): "stories_highlighted",
    ("DELETE", "/me/highlights/{highlight_id}/stories/{story_id}"): "stories_unhighlighted",
    ("PATCH", "/me"): "profile_changes",
    ("PUT", "/me/username"): "username_changes",
    ("POST", "/me/deactivate"): "deactivations",
    ("DELETE", "/me"): "erasures",
    ("PUT", "/notifications/seen"): "notifications_seen",
    ("PATCH", "/notifications/preferences"): "preference_changes",
}


class Routes:
    """Answers as the gateway would, once its routes take the method, the path and the body; remembers what was asked.
    Every seventh like is refused."""

    def __init__(self) -> None:
        self._routes = [route for module in ROUTERS for route in module.router.routes if isinstance(route, APIRoute)]
        self._ids = itertools.count(1_000_000_000_000_000_001)
        self._people: dict[str, int] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.likes = self.seen = self.visited = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.path
        route = self._route(method, path)
        self.asked[method, route.path.removeprefix("/api/v1")] += 1
        body = self._body(route, request)
        if route.path.endswith("/like") and method == "POST":
            self.likes += 1
            if self.likes % 7 == 0:
                return httpx.Response(404, json={"type": "urn:shutterlog:not-found"})
        if path.endswith("/activity"):
            self.seen += len(body["posts"])
            self.visited += len(body["profiles"])
        return httpx.Response(200, json=self._answer(body))

    def _route(self, method: str, path: str) -> APIRoute:
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return route
        raise AssertionError(f"no route takes {method} {path}")

    def _body(self, route: APIRoute, request: httpx.Request) -> Any:
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            return {}
        body = json.loads(request.content)
        assert route.body_field is not None, f"{route.path} takes no body"
        shape: Any = route.body_field.field_info.annotation
        TypeAdapter(shape).validate_python(body)
        return body

    def _answer(self, body: Any) -> dict[str, Any]:
        number = str(next(self._ids))
        if "username" in body:
            number = str(self._people.setdefault(body["username"], int(number)))
        return {
            **{"id": number, "media_id": number, "user_id": number},
            **{"access_token": "token", "position": "17", "items": []},
        }


def world() -> World:
    return World(make_graph(PEOPLE, seed=PLAN.seed, mean_following=6), PHOTOS, PLAN)


def intended() -> Counter[str]:
    """What happens in the world, by the names of the counts."""
    own = world()
    before = [*own.accounts(), *own.templates(), *own.follows()]
    assert before
    names = {event: name for name, event in NAMES.items()}
    return Counter(names[type(event_of(step)).__name__] for step in doings(own) if not isinstance(step, Reuse))


async def test_every_event_is_a_request_that_a_route_takes_or_is_not_counted_as_done() -> None:
    routes, roles = Routes(), Counter[str]()

    async def operate(user_id: int, role: str) -> None:
        roles[role] += 1

    client_of = partial(ApiClient, transport=httpx.MockTransport(routes))
    simulation = ApiSimulation(Settings(), world(), lambda *_: None, client_of, operate)
    await simulation.run()
    report, meant = simulation.report(), intended()
    refused, left_out = report["refused"], report["left_out"]
    assert report["events"] + sum(refused.values()) + sum(left_out.values()) == sum(meant.values()) == PLAN.events
    for name, count in meant.items():
        assert report[name] + refused.get(name, 0) + left_out.get(name, 0) == count, name
    assert sum(left_out.values()) < PLAN.events * 0.02, "what those who are gone for good would do"
    assert sum(refused.values()) - routes.likes // 7 < PLAN.events * 0.03, "what is done to what was left out"
    for request, name in MEANT.items():
        assert routes.asked[request] - (routes.likes // 7 if name == "likes" else 0) == report[name] > 0, name
    blocks = [routes.asked[method, "/users/{user}/block"] for method in ("PUT", "DELETE")]
    # Two copies of each are one request; of the last block, the second may be still to come.
    assert [2 * one - report[name] for one, name in zip(blocks, ("blocks", "unblocks"), strict=True)] in (
        *([0, 0], [1, 0], [0, 1]),
    )
    followed = routes.asked["PUT", "/users/{user}/follow"] + routes.asked["PUT", "/me/requests/{user}"]
    assert followed == report["graph_follows"] + report["follows"] + report["follow_requests"]
    assert routes.asked["PUT", "/me/requests/{user}"] > 0
    assert sum(count for (_, path), count in routes.asked.items() if path.startswith("/search/")) == report["searches"]
    badges = routes.asked["PUT", "/users/{user}/badge"] + routes.asked["DELETE", "/users/{user}/badge"]
    assert badges == report["badge_changes"] > 0
    assert sum(roles.values()) == report["role_changes"] + 1 > 1, "and the moderator who gives the badges"
    assert (routes.seen, routes.visited) == (report["views"], report["profile_visits"])
    assert routes.asked["POST", "/activity"] < report["views"] / 10
    assert routes.asked["POST", "/media"] == report["uploads"] + report["more_uploads"]


async def test_a_session_that_has_run_out_is_begun_anew_and_who_is_told_to_wait_for_long_is_refused() -> None:
    logins = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal logins
        if request.url.path.endswith("/sessions"):
            logins += 1
            return httpx.Response(201, json={"access_token": f"token-{logins}", "user_id": "1"})
        if request.headers["Authorization"] == "Bearer token-1":
            return httpx.Response(401, json={})
        return httpx.Response(429, json={"type": "urn:shutterlog:comment-repeated"}, headers={"Retry-After": "600"})

    async with ApiClient("http://here", transport=httpx.MockTransport(answer)) as client:
        await client.log_in("ada", "a walk in the park")
        with pytest.raises(RuntimeError, match=re.escape("429 comment-repeated")):
            await client.ask("POST", "/posts/1/comments", json={"text": "again"})
    assert logins == 2
